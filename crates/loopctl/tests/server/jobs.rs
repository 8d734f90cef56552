//! Background jobs of real processes: `serve`, `worker`, `operator jobs`, and what is left of them when one is killed.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::{Daemon, PATIENCE, Scratch, call, run, run_on};

async fn connect(dir: &Path, user: &str) -> Client {
    let url = format!("postgres:///loopctl?host={}&user={user}", dir.join("run").display());
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until the job of this kind is in this state and at this attempt; all jobs of the kind.
async fn wait_until(client: &Client, kind: &str, state: &str, attempt: i32) -> Vec<(String, i32)> {
    let look = async {
        loop {
            let rows =
                client.query("select state, attempt from jobs where kind = $1", &[&kind]).await.unwrap();
            let rows: Vec<(String, i32)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            if rows.contains(&(state.to_owned(), attempt)) {
                return rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("no {kind} {state} {attempt}"))
}

#[track_caller]
fn job<'a>(list: &'a Value, kind: &str) -> &'a Value {
    list["jobs"].as_array().unwrap().iter().find(|job| job["kind"] == kind).unwrap()
}

#[tokio::test]
async fn an_operator_sees_jobs_and_runs_them() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let owner = connect(dir.path(), "loopctl_owner").await;
    // Whenever a server starts.
    wait_until(&owner, "audit_partitions", "completed", 1).await;
    let list = run_on(dir.path(), "operator jobs list").json();
    let partitions = job(&list, "audit_partitions");
    assert_eq!(partitions["schedule"], "daily at 02:00 UTC");
    for time in ["next_at", "last_started_at", "last_success_at"] {
        assert!(partitions[time].as_str().unwrap().ends_with('Z'), "{time}: {partitions}");
    }
    assert_eq!((&partitions["last_error"], &partitions["failed"]), (&Value::Null, &json!(0)));
    assert_eq!(job(&list, "prune_jobs")["last_started_at"], Value::Null);

    let table = run_on(dir.path(), "operator jobs list --format human").stdout;
    assert!(table.starts_with("kind ") && table.contains("hourly at :20"), "{table}");

    let ran = run_on(dir.path(), "operator jobs run audit_partitions").json();
    let done = json!({"created": [], "dropped": [], "in_default_partition": 0});
    assert_eq!((&ran["job"]["state"], &ran["job"]["result"]), (&json!("completed"), &done), "{ran}");
    // Of some days, and told by a file.
    run_on(dir.path(), "operator tenant create --name Acme --slug acme --email ops@acme.test").json();
    let rollup = "operator jobs run cost_rollup --tenant acme";
    let rolled = run_on(dir.path(), &format!("{rollup} --from 2026-11-01 --to 2026-11-02")).json();
    let days = &rolled["job"]["result"];
    assert_eq!(
        (&days["period_start"], &days["period_end"]),
        (&json!("2026-11-01"), &json!("2026-11-02")),
        "{rolled}"
    );
    let file = dir.path().join("args.json");
    std::fs::write(&file, r#"{"period_start": "2026-11-03"}"#).unwrap();
    let rolled = run_on(dir.path(), &format!("{rollup} --args @{}", file.display())).json();
    assert_eq!(rolled["job"]["result"]["period_start"], "2026-11-03", "{rolled}");
    let human = run_on(dir.path(), "operator jobs run prune_jobs --format human");
    assert!(human.stdout.contains(" completed\n"), "{human:?}");
    let (status, health) = call("GET", &format!("{}/health", server.base), None, None).await.unwrap();
    assert_eq!(
        (status, &health["checks"]["jobs"], &health["checks"]["oban"]),
        (200, &json!("ok"), &json!("ok"))
    );

    for (command, code, told) in [
        ("operator jobs run everything", 2, "there are audit_partitions, prune_jobs"),
        ("operator jobs run prune_jobs --tenant acme", 2, "leave out --tenant"),
        ("operator jobs run prune_jobs --from 2026-11-01", 2, "leave out --from and --to"),
        ("operator jobs run cost_rollup --from yesterday", 2, "--from <DAY>"),
        ("operator jobs run cost_rollup --to 2026-11-01", 2, "--from <DAY>"),
        ("operator jobs run cost_rollup --from 2026-11-02 --to 2026-11-01", 2, "must not be before"),
        ("operator jobs run cost_rollup --args @/no/such/file", 2, "Cannot read /no/such/file for --args"),
        ("serve --audit-retention-days 0", 2, "--audit-retention-days"),
    ] {
        let refused = run_on(dir.path(), command);
        assert!(refused.failure(code).contains(told), "{command}: {refused:?}");
    }
    // One that fails.
    owner.batch_execute("alter function prune_jobs(integer) rename to prune_jobs_away").await.unwrap();
    let failed = run_on(dir.path(), "operator jobs run prune_jobs");
    assert!(
        failed.failure(1).contains("Error: prune_jobs failed: database: function prune_jobs"),
        "{failed:?}"
    );
    owner.batch_execute("alter function prune_jobs_away(integer) rename to prune_jobs").await.unwrap();
    server.stop();
}

/// A server that leaves jobs to a worker, and one that is killed in the middle of a job. The other one has it when its lease is
/// over, and not before.
#[tokio::test]
async fn a_killed_worker_loses_its_job_to_another() {
    let dir = Scratch::new();
    let data_dir = dir.path().to_str().unwrap().to_owned();
    let environment = [("LOOPCTL_DATA_DIR", data_dir.as_str())];
    let server = Daemon::start_with(&[environment[0], ("RUN_WORKERS", "false")]);
    let (status, _) = call("GET", &format!("{}/health", server.base), None, None).await.unwrap();
    assert_eq!(status, 200, "it is not to do any");
    let owner = connect(dir.path(), "loopctl_owner").await;
    // Whoever is at work on the partitions has this lock.
    let lock = "select pg_advisory_lock(x'006175646974706d'::bigint)".to_owned();
    owner.batch_execute(&lock).await.unwrap();

    let first = Daemon::work(&environment);
    let rows = wait_until(&owner, "audit_partitions", "executing", 1).await;
    assert_eq!(rows.len(), 1);
    first.signal(Signal::SIGKILL);
    first.wait();
    let since: std::time::SystemTime = owner.query_one("select clock_timestamp()", &[]).await.unwrap().get(0);
    let second = Daemon::work(&environment);
    // It is there, and does not touch what is another's.
    let looks = "select from pg_stat_activity where query like '%jobs_ahead%' and backend_start > $1";
    let look = async {
        while owner.query(looks, &[&since]).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it looks for work");
    assert_eq!(wait_until(&owner, "audit_partitions", "executing", 1).await.len(), 1);
    owner.batch_execute("update jobs set leased_until = '-infinity' where lease is not null").await.unwrap();
    wait_until(&owner, "audit_partitions", "executing", 2).await;
    owner.batch_execute(&lock.replace("pg_advisory_lock", "pg_advisory_unlock")).await.unwrap();
    let rows = wait_until(&owner, "audit_partitions", "completed", 2).await;
    assert_eq!(rows.len(), 1, "both workers wanted it at their start, and it is one");
    assert!(second.log().contains("a job has lost its worker, and is tried again"), "{}", second.log());
    second.stop();
    server.stop();
}

/// With the login of requests alone, what the owner of the tables must do is left to others, and that is said.
#[tokio::test]
async fn what_needs_the_owner_is_left_to_the_owner() {
    let dir = Scratch::new();
    let host =
        Daemon::start_with(&[("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap()), ("RUN_WORKERS", "0")]);
    let owner = connect(dir.path(), "loopctl_owner").await;
    let url =
        |user: &str| format!("postgres:///loopctl?host={}&user={user}", dir.path().join("run").display());
    let (app, admin) = (url("loopctl_app"), url("loopctl_owner"));
    let lesser = Daemon::start_with(&[("DATABASE_URL", &app)]);
    owner.batch_execute("insert into job_schedules (kind, args, next_at) values ('prune_jobs', '{}', now() - interval '1 hour')
                         on conflict (kind) do update set next_at = excluded.next_at").await.unwrap();
    wait_until(&owner, "prune_jobs", "completed", 1).await;
    let log = lesser.log();
    assert_eq!(log.matches("set ADMIN_DATABASE_URL").count(), 1, "{log}");
    let (status, health) = call("GET", &format!("{}/health", lesser.base), None, None).await.unwrap();
    assert_eq!((status, &health["checks"]["jobs"]), (200, &json!("ok")));
    let none = owner.query("select from jobs where kind = 'audit_partitions'", &[]).await.unwrap();
    assert!(none.is_empty());
    // Another one can.
    let environment = [("DATABASE_URL", app.as_str()), ("ADMIN_DATABASE_URL", admin.as_str())];
    let refused = run("operator jobs run audit_partitions", &environment[..1]);
    assert!(refused.failure(2).contains("ADMIN_DATABASE_URL"), "{refused:?}");
    let worker = Daemon::work(&environment);
    wait_until(&owner, "audit_partitions", "completed", 1).await;
    worker.stop();
    lesser.stop();
    host.stop();
}
