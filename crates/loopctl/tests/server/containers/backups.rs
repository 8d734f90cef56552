//! A drill: data, a backup while it changes, the database lost, and everything that was acknowledged before the backup is there again.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::stack::Stack;
use super::{a_tenant, get};
use crate::support::{Run, call_with};

/// How many rows each table has, by the owner of all of them.
async fn rows(stack: &Stack) -> BTreeMap<String, i64> {
    let superuser = stack.superuser(&stack.database()).await;
    // What is not logged is not in a backup either: counters of the minute.
    let sql =
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
               and relpersistence = 'p'";
    let mut counts = BTreeMap::new();
    for row in superuser.query(sql, &[]).await.unwrap() {
        let table: String = row.get(0);
        let count = superuser.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap();
        counts.insert(table, count.get(0));
    }
    counts
}

/// Logs whose positions are not 1, 2, 3, …
async fn logs_with_gaps(stack: &Stack) -> i64 {
    let sql = "select count(*) from (select from audit_log group by tenant_id
               having min(position) <> 1 or max(position) <> count(*) or count(distinct position) <> count(*)) as gaps";
    stack.superuser(&stack.database()).await.query_one(sql, &[]).await.unwrap().get(0)
}

fn backup(stack: &Stack, dir: &Path) -> PathBuf {
    let environment = [
        ("ADMIN_DATABASE_URL".to_owned(), stack.admin_url("ecto")),
        ("BACKUP_DIR".to_owned(), dir.display().to_string()),
        ("BACKUP_REMOTE".to_owned(), dir.join("elsewhere").display().to_string()),
    ];
    let made = Run::of(stack.script("deploy/backup.sh", &environment.into()).output().unwrap());
    made.success();
    let file = PathBuf::from(made.stdout.trim());
    assert!(dir.join("elsewhere").join(file.file_name().unwrap()).is_file(), "{made:?}");
    file
}

fn restore(stack: &Stack, options: &[&str], file: &Path) -> Run {
    let environment = [("ADMIN_DATABASE_URL".to_owned(), stack.admin_url("postgres"))];
    Run::of(stack.script("deploy/restore.sh", &environment.into()).args(options).arg(file).output().unwrap())
}

/// What a program makes of something.
fn through(program: &str, options: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap().stdout
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_comes_back_with_it() {
    let stack = Stack::start().await;
    stack.serve();
    let user = a_tenant(&stack, "drill");
    let http = stack.http();
    let settings = json!({"settings": {"rate_limit_requests_per_minute": 1_000_000}});
    let (status, _) =
        call_with(&http, "PATCH", &stack.url("/api/v1/tenants/me"), Some(&user), Some(&settings))
            .await
            .unwrap();
    assert_eq!(status, 200);
    let project = json!({"name": "Drill", "slug": "drill"});
    let (_, made) =
        call_with(&http, "POST", &stack.url("/api/v1/projects"), Some(&user), Some(&project)).await.unwrap();
    let epics = stack.url(&format!("/api/v1/projects/{}/epics", made["project"]["id"].as_str().unwrap()));

    // Epic after epic, each once the one before is acknowledged.
    let (acknowledged, enough) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = tokio::spawn({
        let (acknowledged, enough) = (Arc::clone(&acknowledged), Arc::clone(&enough));
        let (http, epics, user) = (http.clone(), epics.clone(), user.clone());
        async move {
            while !enough.load(Ordering::SeqCst) {
                let number = acknowledged.load(Ordering::SeqCst) + 1;
                let body = json!({"number": number, "title": format!("Epic {number}")});
                let (status, told) =
                    call_with(&http, "POST", &epics, Some(&user), Some(&body)).await.unwrap();
                assert_eq!(status, 201, "{told}");
                acknowledged.store(number, Ordering::SeqCst);
            }
        }
    });
    while acknowledged.load(Ordering::SeqCst) < 20 {
        assert!(!writer.is_finished());
        tokio::task::yield_now().await;
    }
    let dir = stack.dir().join("backups");
    let before = acknowledged.load(Ordering::SeqCst);
    let under_load = tokio::task::block_in_place(|| backup(&stack, &dir));
    let after = acknowledged.load(Ordering::SeqCst);
    enough.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    stack.stop();
    let counts = rows(&stack).await;
    // Names are of seconds: another directory, so that this one cannot have the same.
    let quiet = backup(&stack, &stack.dir().join("quiet"));

    // Nothing is left.
    let superuser = stack.superuser("postgres").await;
    let name = stack.database();
    superuser.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
    superuser.batch_execute(&format!("create database {name}")).await.unwrap();
    stack.init(&name).success();
    restore(&stack, &[], &quiet).success();
    assert_eq!(rows(&stack).await, counts);

    // What is there is not overwritten by accident, and not by half a backup.
    assert!(restore(&stack, &[], &under_load).failure(1).contains("--replace"));
    let half = stack.dir().join("half.sql.gz");
    let whole = std::fs::read(&under_load).unwrap();
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    assert!(restore(&stack, &["--replace"], &half).failure(1).contains("not a whole backup"));
    assert_eq!(rows(&stack).await, counts);
    // Nor does one that fails half-way leave anything behind: it is one transaction, what was thrown away included.
    let broken = stack.dir().join("broken.sql.gz");
    let dump = through("gzip", &["-d"], &whole);
    let fails = through(
        "gzip",
        &[],
        &[&dump, b"select 1 / 0;\n-- PostgreSQL database dump complete\n".as_slice()].concat(),
    );
    std::fs::write(&broken, fails).unwrap();
    assert!(restore(&stack, &["--replace"], &broken).failure(3).contains("division by zero"));
    assert_eq!(rows(&stack).await, counts);

    restore(&stack, &["--replace"], &under_load).success();
    assert_eq!(logs_with_gaps(&stack).await, 0);
    assert_eq!(stack.exec("migrate").json()["migrations_applied"], json!([]));
    stack.exec("loopctl operator check").json();
    stack.serve();
    let health: Value = get(&stack, "/health", "*/*").await.json().await.unwrap();
    assert_eq!(health["status"], "ok", "{health}");
    let (status, listed) = call_with(&http, "GET", &epics, Some(&user), None).await.unwrap();
    let there = listed["meta"]["total_count"].as_u64().and_then(|count| usize::try_from(count).ok());
    assert!(
        status == 200 && there.is_some_and(|there| (before..=after + 1).contains(&there)),
        "{before} {there:?} {after}"
    );
    // And it is written to again.
    let body = json!({"number": 1_000_000, "title": "Afterwards"});
    let (status, told) = call_with(&http, "POST", &epics, Some(&user), Some(&body)).await.unwrap();
    assert_eq!(status, 201, "{told}");
    stack.stop();
}
