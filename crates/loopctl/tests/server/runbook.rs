//! What the runbook says in SQL and in a shell is what it does.

use std::collections::BTreeMap;
use std::process::Command;

use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::containers::compose::repository;
use crate::containers::postgres::postgresql;
use crate::support::{Daemon, PATIENCE, Run, Scratch, call_with, client, run, run_on};

/// The SQL of a section.
fn sql(document: &str, heading: &str) -> String {
    block(document, heading, "sql")
}

/// The block of a section that is of this kind.
fn block(document: &str, heading: &str, kind: &str) -> String {
    let text = std::fs::read_to_string(repository(document)).unwrap();
    let section = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("{heading}")).1;
    let block = section.split_once(&format!("```{kind}\n")).unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

/// How many rows each table has that knows tenants: those of this tenant, and all others.
async fn rows(owner: &Client, tenant: &str) -> BTreeMap<String, (i64, i64)> {
    let tables = "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
                  where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace = 'public'::regnamespace";
    let mut counts = BTreeMap::new();
    for row in owner.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        // Work of the background comes and goes.
        if table == "jobs" {
            continue;
        }
        let sql = format!(
            "select count(*) filter (where tenant_id = '{tenant}'), count(*) filter (where tenant_id <> '{tenant}') from {table}"
        );
        let row = owner.query_one(&sql, &[]).await.unwrap();
        counts.insert(table, (row.get(0), row.get(1)));
    }
    counts
}

/// A server that writes nothing by itself: vectors of the articles that come along would be in the log.
fn serve(dir: &std::path::Path) -> Daemon {
    let data_dir = ("LOOPCTL_DATA_DIR", dir.to_str().unwrap());
    Daemon::start_with(&[data_dir, ("LOOPCTL_EMBEDDINGS", "off")])
}

/// A tenant with something of everything that is easily had: its id and its key.
async fn tenant(dir: &std::path::Path, base: &str, slug: &str) -> (String, String) {
    let made =
        run_on(dir, &format!("operator tenant create --name {slug} --slug {slug} --email o@{slug}.test"))
            .json();
    let told = |value: &Value| value.as_str().unwrap().to_owned();
    let (id, key) = (told(&made["tenant"]["id"]), told(&made["api_key"]["raw_key"]));
    // It brings along what any client does TLS with.
    let http = client();
    let repeatable =
        HeaderMap::from_iter([("idempotency-key".parse().unwrap(), HeaderValue::from_static("once"))]);
    let once = reqwest::Client::builder().default_headers(repeatable).timeout(PATIENCE).build().unwrap();
    let post = async |http: &reqwest::Client, path: &str, body: Value| {
        let (status, told) =
            call_with(http, "POST", &format!("{base}/api/v1{path}"), Some(&key), Some(&body)).await.unwrap();
        assert!(status < 300, "{path}: {status} {told}");
        told
    };
    let project = post(&once, "/projects", json!({"name": slug, "slug": slug})).await;
    let stories = json!([{"number": "1.1", "title": "One", "acceptance_criteria": [{"id": "AC-1", "description": "holds"}]}, {"number": "1.2", "title": "Two", "depends_on": ["1.1"]}]);
    let plan = json!({"epics": [{"number": 1, "title": "First", "stories": stories}]});
    post(&http, &format!("/projects/{}/import", told(&project["project"]["id"])), plan).await;
    post(&http, "/webhooks", json!({"url": "https://hooks.example.com/", "events": ["story.verified"]}))
        .await;
    post(&http, "/skills", json!({"name": "s", "prompt_text": "Do it."})).await;
    (id, key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_removed_with_all_that_is_its_own_and_nothing_else() {
    let dir = Scratch::new();
    let server = serve(dir.path());
    let (gone, gone_key) = tenant(dir.path(), &server.base, "acme").await;
    let (_, key) = tenant(dir.path(), &server.base, "other").await;
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let remove = sql("docs/runbook.md", "A tenant is to be removed");

    // One that is still let in is not removed.
    assert!(owner.batch_execute(&remove).await.is_err());
    let root = run_on(dir.path(), "operator superadmin create-key --name root").json();
    let root = root["api_key"]["raw_key"].as_str().unwrap();
    run(&format!("admin suspend acme --server {} --api-key {root}", server.base), &[]).json();
    let before = rows(&owner, &gone).await;
    for table in ["api_keys", "stories", "webhooks", "skills", "idempotency_keys", "audit_log", "audit_heads"]
    {
        assert!(before[table].0 > 0, "{table}: {before:?}");
    }
    owner.batch_execute(&remove).await.unwrap();

    let after = rows(&owner, &gone).await;
    for (table, (of_it, of_others)) in &after {
        assert_eq!(*of_it, 0, "{table}");
        assert_eq!(*of_others, before[table].1, "{table}");
    }
    // The log is again as it was.
    let denied = owner.batch_execute("delete from audit_log").await.unwrap_err();
    assert!(denied.as_db_error().is_some_and(|error| error.message().contains("not allowed")), "{denied:?}");
    let me = format!("{}/api/v1/tenants/me", server.base);
    assert_eq!(call_with(&client(), "GET", &me, Some(&gone_key), None).await.unwrap().0, 401);
    assert_eq!(call_with(&client(), "GET", &me, Some(&key), None).await.unwrap().0, 200);
    run_on(dir.path(), "operator check").json();

    // And what tells of sizes.
    let sizes = owner.query(&sql("docs/production.md", "How large"), &[]).await.unwrap();
    assert!(sizes.iter().any(|row| row.get::<_, &str>(0) == "audit_log"), "{sizes:?}");
    server.stop();
}

/// One file for each table that has something of it, a row a line; without secrets, and without a row of anybody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_given_everything_of_its_own_and_nothing_else() {
    let dir = Scratch::new();
    let server = serve(dir.path());
    let (id, _) = tenant(dir.path(), &server.base, "acme").await;
    tenant(dir.path(), &server.base, "other").await;
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);

    let recipe = block("docs/runbook.md", "Everything of a tenant, for the tenant", "sh not-run");
    let to = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", &recipe]).current_dir(to.path());
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([postgresql()].into_iter().chain(std::env::split_paths(&inherited)));
    command.env("PATH", path.unwrap()).env("PGHOST", dir.path().join("run"));
    command.env("PGUSER", "loopctl_owner").env("PGDATABASE", "loopctl");
    Run::of(command.output().unwrap()).success();

    let mut told = BTreeMap::new();
    for entry in std::fs::read_dir(to.path().join("acme")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        told.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), rows);
    }
    let tenants = told.remove("tenants").unwrap();
    assert_eq!((tenants.len(), &tenants[0]["slug"]), (1, &json!("acme")), "{tenants:?}");
    let kept = rows(&owner, &id).await;
    let secret = ["tenant_secrets", "sessions", "webauthn_challenges", "idempotency_keys", "rate_windows"];
    for (table, (count, _)) in kept.iter().filter(|(table, _)| !secret.contains(&table.as_str())) {
        let told = told.remove(table).unwrap_or_default();
        assert_eq!(told.len() as i64, *count, "{table}");
        assert!(told.iter().all(|row| row["tenant_id"] == id.as_str()), "{table}: {told:?}");
    }
    assert!(told.is_empty(), "{told:?}");
    assert!(["stories", "audit_log", "webhooks"].iter().all(|table| kept[*table].0 > 0), "{kept:?}");
    server.stop();
}
