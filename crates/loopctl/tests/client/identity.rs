//! Keys, agents, and what else the tenant is known by: how they are named, and what is shown of them.

use serde_json::{Value, json};

use crate::support::{Answer, CONTENT_TYPE, Request, World, error};
use crate::{P1, P2, S21, list, one_project};

const PEM: &str = "-----BEGIN PUBLIC KEY-----";

fn key(id: &str, name: &str, prefix: &str) -> Value {
    json!({"id": id, "name": name, "role": "agent", "key_prefix": prefix, "last_used_at": null, "expires_at": null,
           "revoked_at": null, "inserted_at": "2026-01-01T00:00:00.000000Z"})
}

fn agent(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "agent_type": "reviewer", "status": "active", "last_seen_at": null, "metadata": {}})
}

fn server(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.strip_prefix("/api/v1").unwrap()) {
        ("GET", "/api_keys") => {
            list(&[key(P1, "alice", "lc_aB3x9"), key(P2, "spare", "lc_aB7q1"), key(S21, "spare", "lc_zY0k2")])
        }
        ("DELETE", path) if path.starts_with("/api_keys/") => json!({"api_key": {"id": P1}}).into(),
        ("POST", path) if path.ends_with("/rotate") => {
            (201, json!({"new_key": {"id": P2, "raw_key": "lc_next"}})).into()
        }
        ("GET", "/agents") => list(&[agent(P1, "bob"), agent(P2, "eve")]),
        ("GET", path) if path == format!("/agents/{P2}") => json!({"agent": agent(P2, "eve")}).into(),
        ("GET", "/tenants/me") => json!({"tenant": {"id": P1, "slug": "acme"}}).into(),
        ("GET", path) if path == format!("/tenants/{P1}/authenticators") => list(&[
            json!({"id": P2, "friendly_name": "Red key", "attestation_format": "packed", "sign_count": 3,
                   "last_used_at": null, "inserted_at": "2026-01-01T00:00:00.000000Z"}),
        ]),
        ("GET", path) if path == format!("/tenants/{P1}/audit_public_key") => {
            match request.header("accept") {
                Some("application/jwk+json") => json!({"kty": "OKP", "crv": "Ed25519", "x": "abc"}).into(),
                _ => Answer(200, vec![(CONTENT_TYPE, "application/x-pem-file".to_owned())], json!(PEM)),
            }
        }
        (_, path) if path.starts_with("/agents/") => error(404, "Not found"),
        _ => one_project(request),
    }
}

#[test]
fn a_key_is_named_by_its_id_its_beginning_or_its_name() {
    let world = World::new(server);
    let last = || world.lines().pop().unwrap();
    for (reference, id) in
        [(P1, P1), ("lc_aB3x9", P1), ("lc_aB3", P1), ("lc_aB3x9...", P1), ("alice", P1), ("lc_zY", S21)]
    {
        let revoked = world.run(&format!("keys revoke {reference}"));
        assert_eq!(revoked.json(), json!({"status": "revoked", "id": id}), "{reference}");
        assert_eq!(last(), format!("DELETE /api/v1/api_keys/{id}"));
        let rotated = world.run(&format!("keys rotate {reference} --grace-hours 1"));
        assert_eq!(rotated.code, 0, "{rotated:?}");
        assert_eq!(last(), format!("POST /api/v1/api_keys/{id}/rotate"));
    }
    assert_eq!(
        world.lines().iter().filter(|line| line.starts_with("GET ")).count(),
        10,
        "an id is not looked for"
    );
}

#[test]
fn a_key_that_may_be_another_is_left_alone() {
    let world = World::new(server);
    for command in ["revoke", "rotate"] {
        for (reference, told) in [
            ("lc_aB", [format!("lc_aB3x9 (alice, {P1})"), format!("lc_aB7q1 (spare, {P2})")]),
            ("spare", [format!("lc_aB7q1 (spare, {P2})"), format!("lc_zY0k2 (spare, {S21})")]),
        ] {
            let run = world.run(&format!("keys {command} {reference}"));
            assert_eq!(run.code, 2, "{run:?}");
            let expected = format!("Error: Key '{reference}' is ambiguous: {}\n", told.join(", "));
            assert_eq!(run.stderr, expected);
        }
        let whole = "lc_cccccccccccccccccccccccccccccccccccccccc";
        let run = world.run(&format!("keys {command} {whole}"));
        assert!(run.code == 5 && !run.stderr.contains("lc_c"), "{run:?}");
        for unknown in ["lc_b", "carol", "Alice"] {
            let run = world.run(&format!("keys {command} {unknown}"));
            assert_eq!(run.code, 5, "{run:?}");
            assert!(run.stderr.contains(&format!("Error: Key {unknown} not found")), "{run:?}");
        }
    }
    assert!(world.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", world.lines());
}

#[test]
fn people_see_by_what_a_key_is_named() {
    let world = World::new(server);
    let table = world.run("keys list --format human").stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "name   role   begins with  used");
    assert_eq!(lines[2], "alice  agent  lc_aB3x9");
    let wide = world.run("keys list --format human --wide").stdout;
    assert!(wide.contains(P1) && !table.contains(P1), "{wide}");
}

#[test]
fn agents_are_listed_and_shown_by_name() {
    let world = World::new(server);
    let last = || world.lines().pop().unwrap();
    let table = world.run("agent list --type reviewer --status active --format human").stdout;
    assert!(table.starts_with("name  type      status  seen\n"), "{table}");
    assert!(last().contains("agent_type=reviewer&status=active"), "{}", last());
    assert_eq!(world.run("agent list --limit 1").json()["data"][1]["name"], "eve");
    assert_eq!(last(), "GET /api/v1/agents?limit=1");
    assert_eq!(world.run("agent show eve").json()["agent"]["id"], P2);
    assert!(world.run("agent show eve --format human").stdout.starts_with("eve\n\nagent type: reviewer\n"));
    assert_eq!(world.run(&format!("agent show {P1}")).code, 5);
    assert!(world.run("agent show mallory").stderr.contains("Agent mallory not found"));
    let before = world.lines().len();
    for words in
        ["agent list --type tester", "agent list --status gone", "agent register --name a --type tester"]
    {
        let run = world.run(words);
        assert!(run.code == 2 && run.stderr.contains("Valid "), "{run:?}");
    }
    assert_eq!(world.lines().len(), before);
    let help = world.run("agent register --help").stdout;
    assert!(help.contains("implementer, reviewer or orchestrator"), "{help}");
}

#[test]
fn what_a_tenant_is_known_by_is_its_own() {
    let world = World::new(server);
    let table = world.run("tenant authenticators --format human").stdout;
    assert!(table.starts_with("name     kind    used  enrolled\n") && table.contains("Red key"), "{table}");
    assert_eq!(world.run("tenant audit-key").json(), json!({"kty": "OKP", "crv": "Ed25519", "x": "abc"}));
    assert_eq!(world.run("tenant audit-key --format human").stdout, "kty: OKP\ncrv: Ed25519\nx:   abc\n");
    assert_eq!(world.run("tenant audit-key --format csv").stdout, "kty,crv,x\nOKP,Ed25519,abc\n");
    let pem = world.run("tenant audit-key --pem").stdout;
    assert!(pem.contains(PEM), "{pem}");
}
