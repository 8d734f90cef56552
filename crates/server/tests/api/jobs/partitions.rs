//! The partitions of the log: made ahead, dropped when their time is over, beside readers and writers. Each test has a database to
//! itself, because the log is everybody's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopctl_server::operator::{JobRun, run_job};
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::{Value, json};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::support::{Caller, Tenant, connect, own_database};

/// A server that leaves jobs to the test, and its owner.
async fn quiet() -> (Server, Client) {
    let options = ServeOptions { jobs: false, ..ServeOptions::local(own_database()) };
    let server = Server::start(&options).await.unwrap();
    let owner = connect(&server.database.owner).await;
    (server, owner)
}

/// The name of the partition of so many months from now.
async fn month(owner: &Client, ahead: i32) -> String {
    let sql = "select to_char(date_trunc('month', now() at time zone 'utc') + make_interval(months => $1),
                              '\"audit_log_y\"YYYY\"m\"MM')";
    owner.query_one(sql, &[&ahead]).await.unwrap().get(0)
}

/// As if the server had been there all the time.
async fn add_month(owner: &Client, ahead: i32) -> String {
    let name = month(owner, ahead).await;
    let bounds = "select (date_trunc('month', now() at time zone 'utc') + make_interval(months => $1))::text || '+00',
                         (date_trunc('month', now() at time zone 'utc') + make_interval(months => $1 + 1))::text || '+00'";
    let bounds = owner.query_one(bounds, &[&ahead]).await.unwrap();
    let (from, to): (String, String) = (bounds.get(0), bounds.get(1));
    let create = format!("create table {name} partition of audit_log for values from ('{from}') to ('{to}')");
    owner.batch_execute(&create).await.unwrap();
    name
}

/// Writes an entry as if it had come so many months ago.
async fn enter(owner: &Client, months: i32) {
    let sql = "insert into audit_log (id, tenant_id, position, entity_type, entity_id, action, actor_type, leaf_hash,
                                      inserted_at)
               values (gen_random_uuid(), gen_random_uuid(), 1, 'story', gen_random_uuid(), 'created', 'system',
                       decode(repeat('00', 32), 'hex'), now() - make_interval(months => $1))";
    owner.execute(sql, &[&months]).await.unwrap();
}

async fn partitions(owner: &Client) -> Vec<String> {
    let sql =
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'audit_log'::regclass order by 1";
    owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn run(server: &Server) -> JobRun {
    run_job(&server.database, "audit_partitions", None, &serde_json::Map::new()).await.unwrap()
}

async fn health(server: &Server) -> Value {
    let nobody = Caller::nobody().at(&format!("http://{}", server.address));
    nobody.get("//health").await.expect(200)
}

#[tokio::test]
async fn months_are_made_ahead_and_dropped_behind() {
    let (server, owner) = quiet().await;
    let (old, older) = (add_month(&owner, -5).await, add_month(&owner, -6).await);
    let recent = add_month(&owner, -1).await;
    for months in [5, 6, 1] {
        enter(&owner, months).await;
    }
    // Its month has no partition, and never had.
    enter(&owner, 30).await;
    // Detached by somebody who wants to keep it.
    let kept = add_month(&owner, -7).await;
    owner.batch_execute(&format!("alter table audit_log detach partition {kept}")).await.unwrap();
    assert_eq!(health(&server).await["checks"]["partitions"], "ok");
    let mut ahead = Vec::new();
    for months in 1..=3 {
        ahead.push(month(&owner, months).await);
        owner.batch_execute(&format!("drop table {}", ahead[months as usize - 1])).await.unwrap();
    }
    let seen = health(&server).await;
    assert_eq!((&seen["checks"]["partitions"], &seen["status"]), (&json!("error"), &json!("ok")), "{seen}");

    let first = run(&server).await;
    assert_eq!((first.state.as_str(), &first.error), ("completed", &None));
    let result = first.result.unwrap();
    assert_eq!(result, json!({"created": ahead, "dropped": [older, old], "in_default_partition": 1}));
    let this = month(&owner, 0).await;
    let mut expected = vec!["audit_log_default".to_owned(), recent.clone(), this];
    expected.extend_from_slice(&ahead);
    assert_eq!(partitions(&owner).await, expected);
    let left = "select count(*) from audit_log where inserted_at < now() - interval '20 days'";
    assert_eq!(owner.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 2, "the stray and last month's");
    owner.execute(&format!("select from {kept}"), &[]).await.unwrap();
    assert_eq!(health(&server).await["checks"]["partitions"], "ok");
    let floor = "select to_char(audit_log_floor() at time zone 'utc', '\"audit_log_y\"YYYY\"m\"MM')";
    assert_eq!(owner.query_one(floor, &[]).await.unwrap().get::<_, String>(0), recent);

    // Again, and again by two at once: there is nothing left to do.
    let (again, beside) = tokio::join!(run(&server), run(&server));
    for run in [again, beside] {
        assert_eq!(run.error, None);
        assert_eq!(run.result.unwrap(), json!({"created": [], "dropped": [], "in_default_partition": 1}));
    }
    assert_eq!(partitions(&owner).await, expected);

    // What was made by the job is closed like what was made by a migration.
    let app = connect(&server.database.app).await;
    // (Last month's is the test's own.)
    for table in expected.iter().filter(|table| **table != recent) {
        let error = owner.batch_execute(&format!("truncate {table}")).await.expect_err(table);
        let message = error.as_db_error().unwrap().message();
        assert!(message.contains("TRUNCATE on audit_log is not allowed"), "{table}: {message}");
        for sql in
            [format!("select from {table}"), format!("drop table {table}"), format!("truncate {table}")]
        {
            let refused = app.batch_execute(&sql).await.expect_err(&sql);
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
        }
    }
    server.stop().await.unwrap();
}

/// The job is told for how long by the server that was started last.
#[tokio::test]
async fn the_retention_is_what_the_server_says() {
    let (server, owner) = quiet().await;
    let (old, ancient) = (add_month(&owner, -5).await, add_month(&owner, -14).await);
    let told = "insert into job_schedules (kind, args, next_at) values ('audit_partitions', $1, now())
                on conflict (kind) do update set args = excluded.args";
    owner.execute(told, &[&json!({"retention_days": 365})]).await.unwrap();
    assert_eq!(run(&server).await.result.unwrap()["dropped"], json!([ancient]));
    owner.execute(told, &[&json!({"retention_days": 1})]).await.unwrap();
    assert_eq!(run(&server).await.result.unwrap()["dropped"], json!([old]));
    server.stop().await.unwrap();
}

/// Whoever reads the log for long keeps its partitions from being dropped, and the job says so. But nobody waits behind it: others
/// write and read all the while.
#[tokio::test]
async fn a_reader_holds_up_nobody() {
    let (server, mut owner) = quiet().await;
    let old = add_month(&owner, -5).await;
    let base = format!("http://{}", server.address);
    let tenant = Arc::new(Tenant::at(&server.database.owner, &base).await);
    let project = format!("/projects/{}", tenant.project().await);
    let reader = owner.transaction().await.unwrap();
    reader.execute("select from audit_log", &[]).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (tenant, over) = (Arc::clone(&tenant), Arc::clone(&over));
        async move {
            let mut written = 0;
            while !over.load(Ordering::Relaxed) {
                let name = json!({"name": format!("number {written}")});
                tenant.user.patch(&project, name).await.expect(200);
                tenant.user.get("/audit").await.expect(200);
                written += 1;
            }
            written
        }
    });
    let failed = run(&server).await;
    over.store(true, Ordering::Relaxed);
    let written: usize = writing.await.unwrap();
    println!("{written} changes were made while the job tried");
    assert_eq!(failed.state, "discarded");
    let error = failed.error.unwrap();
    assert!(error.contains("in use all the time") && error.contains(&old), "{error}");
    // It tries eight times, with half a second in between, in which whatever has waited goes on.
    assert!(written > 8, "{written}");
    reader.commit().await.unwrap();
    assert_eq!(run(&server).await.result.unwrap()["dropped"], json!([old]));
    let entries = tenant.user.get("/audit").await.expect(200)["meta"]["total_count"].clone();
    assert_eq!(entries, written + 3, "its own two, the project's, and one of each change");
    server.stop().await.unwrap();
}
