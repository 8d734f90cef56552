//! `admin`: what is sent, as whom, and what people and programs are shown.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World, error};
use crate::{P1, P2, S21, list, one_project};

fn tenant(id: &str, slug: &str, status: &str) -> Value {
    json!({"id": id, "name": slug, "slug": slug, "email": null, "status": status, "project_count": 1, "story_count": 0,
           "agent_count": 2, "api_key_count": 3, "inserted_at": "2026-01-01T00:00:00.000000Z"})
}

fn server(request: &Request) -> Answer {
    let one = |status: &str| json!({"tenant": tenant(P1, "acme", status)}).into();
    match (request.method.as_str(), request.path.strip_prefix("/api/v1").unwrap()) {
        // The search finds more than what is meant.
        ("GET", "/admin/tenants") => {
            list(&[tenant(P2, "acme-two", "suspended"), tenant(P1, "acme", "active")])
        }
        ("GET", path) if path == format!("/admin/tenants/{P1}") => one("active"),
        ("POST", path) if path == format!("/admin/tenants/{P1}/suspend") => one("suspended"),
        ("POST", path) if path == format!("/admin/tenants/{P1}/activate") => one("active"),
        ("GET", "/admin/stats") => {
            json!({"stats": {"total_tenants": 3, "stories_by_agent_status": {"pending": 1}}}).into()
        }
        ("GET", "/admin/audit") => list(&[
            json!({"id": S21, "tenant_slug": "acme", "entity_type": "tenant", "action": "tenant_suspended",
            "actor_label": "superadmin:root", "entity_id": P1, "inserted_at": "2026-01-01T00:00:00.000000Z"}),
        ]),
        ("GET", "/admin/violators") => {
            list(&[json!({"id": S21, "tenant_id": P1, "violation_type": "orphaned_agent_ref",
            "entity_type": "api_key", "entity_id": P2, "status": "pending", "detail": {"name": "\u{1b}[31mk"}})])
        }
        ("POST", path) if path.starts_with("/admin/violators/") => {
            json!({"data": {"id": S21, "status": "resolved"}}).into()
        }
        ("GET", "/tenants/me") => json!({"tenant": tenant(P1, "acme", "active")}).into(),
        ("POST", "/projects") => (201, json!({"project": {"id": P2}})).into(),
        (_, path) if path.starts_with("/admin/") => error(404, "Not found"),
        _ => one_project(request),
    }
}

#[test]
fn what_cannot_be_meant_is_not_sent() {
    let world = World::new(server);
    for words in [
        "admin",
        "admin tenant",
        "admin suspend",
        "admin tenants --status none",
        "admin violators --status none",
        "admin resolve",
        "admin resolve mine",
        "admin impersonate",
        "admin impersonate acme",
        "admin impersonate acme --as user",
        "admin impersonate acme --as king -- project list",
        "admin impersonate acme get",
        "admin impersonate acme post",
        "admin impersonate acme get /projects {}",
        "admin impersonate acme -- nothing of the kind",
        "admin impersonate acme -- project",
        "admin impersonate acme -- operator check",
        "admin impersonate acme -- serve",
        "admin impersonate acme -- project list --format none",
    ] {
        let run = world.run(words);
        assert_eq!(run.code, 2, "{words}: {run:?}");
    }
    let usage = world.run("admin impersonate acme").stderr;
    assert!(usage.contains("loopctl admin impersonate <tenant_id> get|post <path> [json_body]"), "{usage}");
    assert!(usage.contains("[--as user|orchestrator|agent] -- <command>"), "{usage}");
    // Help needs no server either.
    let help = world.run("admin impersonate acme -- project list --help");
    assert!(help.code == 0 && help.stdout.contains("Usage: loopctl project list"), "{help:?}");
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn tenants_are_named_by_id_or_exact_slug() {
    let world = World::new(server);
    for (words, status) in [("tenant", "active"), ("suspend", "suspended"), ("activate", "active")] {
        let run = world.run(&format!("admin {words} acme"));
        assert_eq!(run.json()["tenant"]["status"], status, "{words}");
        let mut lines = world.lines();
        let method = if words == "tenant" { "GET" } else { "POST" };
        let rest = if words == "tenant" { String::new() } else { format!("/{words}") };
        assert_eq!(lines.pop().unwrap(), format!("{method} /api/v1/admin/tenants/{P1}{rest}"));
        assert!(lines.pop().unwrap().starts_with("GET /api/v1/admin/tenants?search=acme"));
        world.run(&format!("admin {words} {P1}"));
        assert_eq!(world.lines().len(), lines.len() + 3, "an id is not looked for");
    }
    let unknown = world.run("admin suspend acm");
    assert_eq!(unknown.code, 5);
    assert!(unknown.stderr.contains("Tenant acm not found"), "{unknown:?}");
    assert!(world.requests().iter().all(|request| request.header("x-impersonate-tenant").is_none()));
}

#[test]
fn lists_are_tables_for_people_and_bodies_for_programs() {
    let world = World::new(server);
    let human = world.run("admin tenants --search ac --status active --format human").stdout;
    assert!(human.starts_with("name ") && human.contains("acme-two"), "{human}");
    assert!(human.lines().next().unwrap().contains("  projects "), "{human}");
    let last = || world.lines().pop().unwrap();
    assert!(last().contains("status=active&search=ac"), "{}", last());
    assert_eq!(world.run("admin tenants --limit 1 --page 2").json()["data"][1]["slug"], "acme");
    assert_eq!(last(), "GET /api/v1/admin/tenants?limit=1&page=2");
    assert_eq!(world.run("admin stats").json()["stats"]["total_tenants"], 3);
    assert!(world.run("admin stats --format human").stdout.contains("total tenants: "));
    let audit = world.run("admin audit --tenant acme --action tenant_suspended --format human").stdout;
    assert!(audit.starts_with("tenant ") && audit.contains("acme"), "{audit}");
    assert_eq!(last(), format!("GET /api/v1/admin/audit?tenant_id={P1}&action=tenant_suspended"));
    // A project is of one tenant, and this is of all.
    world.run_with("admin audit", &[("LOOPCTL_PROJECT", "my-app")], "");
    assert_eq!(last(), "GET /api/v1/admin/audit");
    let violators = world.run("admin violators --type orphaned_agent_ref --status all --format human").stdout;
    assert!(violators.contains("orphaned_agent_ref") && !violators.contains('\u{1b}'), "{violators}");
    assert!(last().contains("violation_type=orphaned_agent_ref&status=all"), "{}", last());
    for step in ["resolve", "ignore"] {
        let words = ["admin", step, S21, "--note", "by hand"];
        assert_eq!(world.run_words(&words, &[], "").json()["data"]["status"], "resolved");
        let request = world.requests().pop().unwrap();
        assert_eq!(request.line(), format!("POST /api/v1/admin/violators/{S21}/{step}"));
        assert_eq!(request.body, json!({"note": "by hand"}));
        world.run(&format!("admin {step} {S21}"));
        assert_eq!(world.requests().pop().unwrap().body, json!({"note": ""}));
    }
}

/// Every request of the command says so, what finds ids as well; what finds the tenant does not.
#[test]
fn commands_are_run_inside_a_tenant() {
    let world = World::new(server);
    let as_whom = |request: &Request| {
        ["x-impersonate-tenant", "x-effective-role"].map(|name| request.header(name).map(str::to_owned))
    };
    let inside = |role: Option<&str>| [Some(P1.to_owned()), role.map(str::to_owned)];
    let run = world.run("admin impersonate acme --as agent -- claim 2.1 --project my-app");
    assert_eq!(run.code, 0, "{run:?}");
    let requests = world.requests();
    assert_eq!(as_whom(&requests[0]), [None, None]);
    assert!(
        requests.len() > 2 && requests[1..].iter().all(|request| as_whom(request) == inside(Some("agent")))
    );
    for (words, line, role) in [
        ("admin impersonate acme -- project list", "GET /api/v1/projects?page_size=100&page=1", None),
        ("admin impersonate acme project list", "GET /api/v1/projects?page_size=100&page=1", None),
        ("admin impersonate acme --as user get /api/v1/tenants/me", "GET /api/v1/tenants/me", Some("user")),
        ("admin impersonate acme get tenants/me?a=b", "GET /api/v1/tenants/me?a=b", None),
        ("admin impersonate acme post /projects", "POST /api/v1/projects", None),
    ] {
        assert_eq!(world.run(words).code, 0, "{words}");
        let last = world.requests().pop().unwrap();
        assert_eq!((last.line().as_str(), as_whom(&last)), (line, inside(role)), "{words}");
    }
    let words = ["admin", "impersonate", P1, "post", "/projects", "{\"name\": \"p\"}"];
    world.run_words(&words, &[], "");
    assert_eq!(world.requests().pop().unwrap().body, json!({"name": "p"}));
    // Options of either line count, those of the inner one more.
    let human = world.run("--format human admin impersonate acme -- project list").stdout;
    assert!(human.starts_with("name "), "{human}");
    let json = world.run("--format human admin impersonate acme -- project list --format json");
    assert!(json.json()["data"].is_array());
    assert_eq!(world.run("admin impersonate nobody -- project list").code, 5);
}

#[test]
fn a_halt_is_ended_with_a_reason_or_what_was_signed() {
    let world = World::new(|request| match request.path.ends_with("/clear-halt") {
        true => json!({"data": {"id": P1, "status": "halt_cleared", "custody_halted_at": null}}).into(),
        false => server(request),
    });
    let sent = |words: &[&str]| {
        let run = world.run_words(&[&["admin", "clear-halt", "acme"], words].concat(), &[], r#"{"id": "c"}"#);
        assert_eq!(run.json()["data"]["status"], "halt_cleared", "{run:?}");
        let request = world.requests().pop().unwrap();
        assert_eq!(request.path, format!("/api/v1/admin/tenants/{P1}/clear-halt"));
        request.body
    };
    assert_eq!(sent(&["--reason", "Seen to"]), json!({"override_reason": "Seen to"}));
    assert_eq!(sent(&["--assertion", r#"{"id":"a"}"#]), json!({"webauthn_assertion": {"id": "a"}}));
    assert_eq!(sent(&["--assertion", "-"]), json!({"webauthn_assertion": {"id": "c"}}));
    let before = world.lines().len();
    for words in ["", "--reason=", "--assertion []", "--assertion {"] {
        let run = world.run(&format!("admin clear-halt acme {words}"));
        assert_eq!(run.code, 2, "{words}: {run:?}");
    }
    assert_eq!(world.lines().len(), before);
    let human = world.run("admin clear-halt acme --reason r --format human").stdout;
    assert!(human.contains("halt cleared"), "{human}");
}
