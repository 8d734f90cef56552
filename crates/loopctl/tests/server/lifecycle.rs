//! `serve` with its own PostgreSQL, and the operator's commands beside it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::support::{Daemon, PATIENCE, Scratch, call, is_alive, postgres_pid, run, run_on, wait_for};

const TENANT: &str = "operator tenant create --name Acme --slug acme --email ops@acme.test";

#[tokio::test]
async fn a_server_starts_from_nothing_and_takes_postgres_with_it() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let (status, health) = call("GET", &format!("{}/health", server.base), None, None).await.unwrap();
    assert_eq!((status, &health["checks"]["database"]), (200, &json!("ok")), "{health}");
    let postgres = postgres_pid(dir.path()).unwrap();
    assert!(is_alive(postgres));

    server.stop();
    assert!(!is_alive(postgres), "PostgreSQL has outlived its server");
    assert_eq!(postgres_pid(dir.path()), None);
}

/// Whoever listens on `::` is found by either kind of address.
#[tokio::test]
async fn every_address_is_those_of_both_kinds() {
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let server = Daemon::start_with(&[data_dir, ("LOOPCTL_LISTEN", "::")]);
    let port = server.base.rsplit(':').next().unwrap();
    // A machine may have no IPv6; then it is found by the other kind.
    let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for host in ["127.0.0.1"].into_iter().chain(has_ipv6.then_some("[::1]")) {
        let (status, health) =
            call("GET", &format!("http://{host}:{port}/health"), None, None).await.unwrap();
        assert_eq!((status, &health["status"]), (200, &json!("ok")), "{host}: {health}");
        // It is one machine, by whatever address it asks.
        assert_eq!(call("GET", &format!("http://{host}:{port}/metrics"), None, None).await.unwrap().0, 200);
    }
    server.stop();
}

#[test]
fn a_second_server_names_the_first() {
    let dir = Scratch::new();
    let first = Daemon::start(dir.path());
    let second = run_on(dir.path(), "serve --port 0");
    let message = second.failure(1);
    let named = format!("another loopctl server (pid {}) already uses", first.pid());
    assert!(message.contains(&named) && message.contains("LOOPCTL_DATA_DIR"), "{message}");
    assert!(message.contains(dir.path().to_str().unwrap()), "{message}");
    // And it has not harmed the first.
    assert!(is_alive(postgres_pid(dir.path()).unwrap()));
    first.stop();
}

#[test]
fn programs_that_cannot_be_used_are_named_by_their_setting() {
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let failed = run("serve --port 0", &[data_dir, ("LOOPCTL_PG_BIN", "/nowhere")]);
    let message = failed.failure(1);
    assert!(message.contains("LOOPCTL_PG_BIN points to /nowhere"), "{message}");
}

#[tokio::test]
async fn operators_work_beside_a_server_and_without_one() {
    let dir = Scratch::new();
    // Without a server: the command starts PostgreSQL, and stops it again.
    let first = run_on(dir.path(), TENANT);
    // A mistyped directory would get a database, too, and not without a word.
    let made = format!("note: there was no loopctl data in {}: it was made", dir.path().display());
    assert!(first.stderr.contains(&made), "{}", first.stderr);
    let created = first.json();
    let first_key = created["api_key"]["raw_key"].as_str().unwrap();
    assert_eq!(created["tenant"]["slug"], "acme");
    assert_eq!(postgres_pid(dir.path()), None, "PostgreSQL still runs");
    assert_eq!(run_on(dir.path(), "migrate").stderr, "", "it is there already");

    let server = Daemon::start(dir.path());
    let me = format!("{}/api/v1/tenants/me", server.base);
    let (status, body) = call("GET", &me, Some(first_key), None).await.unwrap();
    assert_eq!((status, &body["tenant"]["slug"]), (200, &json!("acme")), "{body}");

    // Beside the server.
    let again = run_on(dir.path(), TENANT);
    assert!(again.failure(2).contains("slug has already been taken"), "{again:?}");
    let command = "operator tenant create --name Other --slug other --email ops@other.test";
    let other = run_on(dir.path(), command).json();
    let other_key = other["api_key"]["raw_key"].as_str().unwrap();
    let (_, body) = call("GET", &me, Some(other_key), None).await.unwrap();
    assert_eq!(body["tenant"]["slug"], "other", "{body}");

    let superadmin = run_on(dir.path(), "operator superadmin create-key --name root").json();
    let super_key = superadmin["api_key"]["raw_key"].as_str().unwrap();
    assert_eq!(superadmin["api_key"]["role"], "superadmin");
    let http = reqwest::Client::new();
    let impersonated = http
        .get(&me)
        .bearer_auth(super_key)
        .header("X-Impersonate-Tenant", other["tenant"]["id"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(impersonated.status(), 200);

    // A tenant's key is none of these, and a key that is revoked stays so.
    let id = superadmin["api_key"]["id"].as_str().unwrap();
    let tenants = other["api_key"]["id"].as_str().unwrap();
    run_on(dir.path(), &format!("operator superadmin revoke-key {tenants}")).failure(2);
    run_on(dir.path(), "operator superadmin revoke-key root").failure(2);
    let stats = format!("{}/api/v1/admin/stats", server.base);
    assert_eq!(call("GET", &stats, Some(super_key), None).await.unwrap().0, 200);
    let revoked = run_on(dir.path(), &format!("operator superadmin revoke-key {id}")).json();
    let again = run_on(dir.path(), &format!("operator superadmin revoke-key {id}")).json();
    assert!(revoked["api_key"]["revoked_at"].is_string());
    assert_eq!(again["api_key"]["revoked_at"], revoked["api_key"]["revoked_at"]);
    // A server may remember it for a moment.
    let refused = async { while call("GET", &stats, Some(super_key), None).await.unwrap().0 != 401 {} };
    tokio::time::timeout(PATIENCE, refused).await.expect("it is refused");
    let listed = run_on(dir.path(), "operator superadmin list-keys").json();
    let keys = listed["api_keys"].as_array().unwrap();
    assert_eq!((keys.len(), &keys[0]["id"], &keys[0]["name"]), (1, &json!(id), &json!("root")), "{listed}");
    assert!(keys[0]["revoked_at"].is_string() && keys[0].get("raw_key").is_none(), "{listed}");
    server.stop();
}

/// Whether stories are ready is kept. An operator can have it counted.
#[tokio::test]
async fn a_check_tells_what_is_kept_otherwise_than_it_should_be() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let created = run_on(dir.path(), TENANT).json();
    let key = created["api_key"]["raw_key"].as_str();
    let at = |path: &str| format!("{}/api/v1/{path}", server.base);
    let (_, project) =
        call("POST", &at("projects"), key, Some(&json!({"name": "P", "slug": "pp"}))).await.unwrap();
    let import = at(&format!("projects/{}/import", project["project"]["id"].as_str().unwrap()));
    let plan = json!({"epics": [{"number": 1, "title": "E", "stories": [{"number": "1.1", "title": "S"}]}]});
    assert_eq!(call("POST", &import, key, Some(&plan)).await.unwrap().0, 201);

    let mut fine = run_on(dir.path(), "operator check").json();
    let entries = fine["check"]["log_entries"].take();
    assert!(entries.as_u64().is_some_and(|entries| entries > 5), "{entries}");
    let expected = json!({"stories": 1, "epics": 1, "log_entries": null, "different": 0, "differences": []});
    assert_eq!(fine, json!({"check": expected}));

    let mut log = run_on(dir.path(), "operator audit verify --tenant acme").json();
    assert!(log["audit"]["entries"].take().as_u64() > Some(5), "{log}");
    assert_eq!(log, json!({"audit": {"entries": null, "different": 0, "differences": []}}));
    let human = run_on(dir.path(), "operator audit verify --format human");
    assert!(human.stdout.contains("different: 0\n\nAll is as it should be.\n"), "{human:?}");
    let nobody = run_on(dir.path(), "operator audit verify --tenant nobody");
    assert!(nobody.failure(2).contains("there is no tenant"), "{nobody:?}");

    const SCAN: &str = "operator violators scan";
    assert_eq!(run_on(dir.path(), SCAN).json(), json!({"scan": {"new": 0, "pending": 0, "violations": []}}));

    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    owner.batch_execute("update epic_states set open = 0").await.unwrap();
    let wrong = run_on(dir.path(), "operator check");
    assert!(wrong.stderr.contains("1 records are kept otherwise than they should be"), "{}", wrong.stderr);
    let told: serde_json::Value = serde_json::from_str(&wrong.stdout).unwrap();
    let difference = &told["check"]["differences"][0];
    assert_eq!((&told["check"]["different"], &difference["entity"]), (&json!(1), &json!("epic")), "{told}");
    assert!(difference["found"].as_str().unwrap().contains(r#""open": 1"#), "{told}");
    assert!(difference["kept"].as_str().unwrap().contains(r#""open": 0"#), "{told}");
    wrong.failure(1);

    // The log alone does not know that, but what is done to the log.
    assert_eq!(run_on(dir.path(), "operator audit verify").json()["audit"]["different"], 0);
    for forged in [
        "update audit_log set actor_label = 'somebody else' where position = 2",
        "delete from audit_log where position = 3",
    ] {
        owner.batch_execute(&format!("set session_replication_role = replica; {forged}")).await.unwrap();
        let verified = run_on(dir.path(), "operator audit verify");
        let told: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
        assert!(told["audit"]["different"].as_u64() > Some(0), "{forged}: {told}");
        assert_eq!(told["audit"]["differences"][0]["entity"], "log_entry", "{forged}");
        assert!(verified.failure(1).contains("of the log are otherwise than they should be"), "{verified:?}");
        let human = run_on(dir.path(), "operator audit verify --format human").stdout;
        assert!(human.contains("\nentity:    log_entry\n"), "{human}");
    }
    owner.batch_execute("set session_replication_role = default").await.unwrap();

    // Found once, and told until somebody has seen to it.
    let forged = "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role, inserted_at)
                  select gen_random_uuid(), id, 'idle', repeat('0', 64), 'lc_idle', 'agent', now() - interval '2 days' from tenants";
    owner.batch_execute(forged).await.unwrap();
    for (new, scan) in [(1, "operator audit discover-violators"), (0, SCAN)] {
        let found = run_on(dir.path(), scan);
        let told: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        assert_eq!((&told["scan"]["new"], &told["scan"]["pending"]), (&json!(new), &json!(1)), "{told}");
        assert_eq!(told["scan"]["violations"][0]["violation_type"], "nil_agent_non_user_key");
        assert!(found.stderr.contains("1 records ought not to be there"), "{}", found.stderr);
        found.failure(1);
    }
    let human = run_on(dir.path(), &format!("{SCAN} --format human"));
    assert!(human.stdout.contains("nil_agent_non_user_key") && human.stdout.starts_with("new:"), "{human:?}");
    human.failure(1);
    server.stop();
}

#[test]
fn commands_on_the_database_print_in_the_format_that_is_wanted() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let human = run_on(dir.path(), &format!("{TENANT} --format human"));
    assert!(human.stdout.starts_with("Acme\n\nslug: ") && human.stdout.contains("\nraw key: "), "{human:?}");
    assert_eq!(human.stderr, "Save the raw key now: it is not shown again.\n");
    let csv = run_on(dir.path(), "operator superadmin create-key --name root --format csv");
    assert!(csv.stdout.starts_with("id,raw_key,key_prefix,role,name,inserted_at\n"), "{csv:?}");
    for (words, human, csv) in [
        ("migrate", "articles written: 0\n", "migrations_applied,articles_written\n"),
        ("operator superadmin list-keys", "name  begins with  used  id\n", "id,name,key_prefix,"),
        ("operator secrets reencrypt", "\nAll can be read.\n", "dry_run,current,"),
        ("operator jobs list", "kind ", "kind,schedule,"),
        (
            "operator violators scan",
            "\nNothing was found that ought not to be there.\n",
            "new,pending,violations\n",
        ),
        ("operator wiki check-links", "\nAll links lead somewhere.\n", "articles,followed,broken,links\n"),
        ("operator audit verify", "\nAll is as it should be.\n", "entries,different,differences\n"),
        (
            "operator check",
            "\nAll is as it should be.\n",
            "stories,epics,log_entries,different,differences\n",
        ),
    ] {
        run_on(dir.path(), words).json();
        for (format, told) in [("human", human), ("csv", csv)] {
            let run = run_on(dir.path(), &format!("{words} --format {format}"));
            assert!(run.code == 0 && run.stdout.contains(told), "{words}: {run:?}");
            // Whatever shows on a terminal that it goes on.
            assert_eq!(run.stderr, "", "{words}");
        }
    }
    let csv =
        run_on(dir.path(), "operator tenant create --name B --slug bb --email b@b.test --format csv").stdout;
    let mut lines = csv.lines().map(|line| line.split(',').count());
    assert!(csv.starts_with("tenant.id,tenant.name,") && lines.next() == lines.next(), "{csv}");
    server.stop();
}

#[test]
fn a_server_does_not_outlive_its_postgres() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    kill(Pid::from_raw(postgres_pid(dir.path()).unwrap()), Signal::SIGKILL).unwrap();
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("PostgreSQL"), "{log}");
    // The next start recovers.
    Daemon::start(dir.path()).stop();
}

#[test]
fn postgres_does_not_outlive_a_killed_server() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let postgres = postgres_pid(dir.path()).unwrap();
    server.signal(Signal::SIGKILL);
    server.wait();
    wait_for("end of PostgreSQL", || (!is_alive(postgres)).then_some(()));
    Daemon::start(dir.path()).stop();
}

#[test]
fn ctrl_c_stops_like_sigterm() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    server.signal(Signal::SIGINT);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(postgres_pid(dir.path()), None);
}
