//! What fails, panics, hangs, or loses its worker.

use std::sync::Arc;
use std::time::Duration;

use loopctl_server::jobs::Pace;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Probe, Sort};
use crate::support::{connect, server, until};

#[tokio::test]
async fn what_fails_is_tried_again_and_then_given_up() {
    let (sort, probe) = (Sort::new(), Arc::new(Probe::default()));
    let worker = sort.worker(&probe);
    let id = sort.enqueue(&worker, Uuid::nil(), "fail").await;
    let rows = sort.all_are("discarded", 1).await;
    let row = &rows[0];
    assert_eq!((&row["attempt"], &row["last_error"]), (&json!(3), &json!("out of order")), "{row:#}");
    assert_eq!((&row["lease"], &row["result"]), (&Value::Null, &Value::Null));
    assert!(row["completed_at"].is_string());
    assert_eq!(probe.begun(), [1, 2, 3].map(|attempt| (id, Uuid::nil(), attempt)));

    sort.enqueue(&worker, Uuid::nil(), "fail once").await;
    let owner = connect(&server().owner).await;
    owner.execute("delete from jobs where id = $1", &[&id]).await.unwrap();
    let rows = sort.all_are("completed", 1).await;
    let row = &rows[0];
    assert_eq!((&row["attempt"], &row["last_error"]), (&json!(2), &json!("not yet")), "{row:#}");
    assert_eq!(row["result"], json!({"attempt": 2}));
    worker.stop().await;
}

/// Whether it does so in its first breath or later: the worker goes on.
#[tokio::test]
async fn a_panic_is_the_failure_of_one_job() {
    let (sort, probe) = (Sort { attempts: 1, ..Sort::new() }, Arc::new(Probe::default()));
    let worker = sort.worker(&probe);
    sort.enqueue(&worker, Uuid::nil(), "panic").await;
    sort.enqueue(&worker, Uuid::nil(), "panic at once").await;
    for row in sort.all_are("discarded", 2).await {
        assert_eq!(row["last_error"], "it panicked: boom", "{row:#}");
    }
    let owner = connect(&server().owner).await;
    owner.execute("delete from jobs where kind = $1", &[&sort.name]).await.unwrap();
    sort.enqueue(&worker, Uuid::nil(), "succeed").await;
    sort.all_are("completed", 1).await;
    worker.stop().await;
}

/// A worker that was not heard of for longer than its lease: another one takes the job, and what the first one comes to is not
/// kept. As soon as it notices, it stops.
#[tokio::test]
async fn whoever_loses_the_lease_loses_the_job() {
    let (sort, first, second) = (Sort::new(), Arc::new(Probe::default()), Arc::new(Probe::default()));
    let pace = Pace { lease: Duration::from_secs(2), poll: Duration::from_millis(100) };
    let slow = sort.worker_at(&first, pace);
    let id = sort.enqueue(&slow, Uuid::nil(), "hang once").await;
    until("it runs", || !first.begun().is_empty()).await;
    let owner = connect(&server().owner).await;
    // It lives for longer than its lease, because that is renewed.
    let leased = || async {
        let sql = "select leased_until > attempted_at + interval '3 seconds' from jobs where id = $1";
        owner.query_one(sql, &[&id]).await.unwrap().get::<_, Option<bool>>(0) == Some(true)
    };
    let renewed = async {
        while !leased().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, renewed).await.expect("it is renewed");
    // Somebody else has it: the first one is told when it wants to renew.
    let taken = "update jobs set lease = gen_random_uuid(), leased_until = '-infinity' where id = $1";
    owner.execute(taken, &[&id]).await.unwrap();
    let other = sort.worker_at(&second, pace);
    let rows = sort.all_are("completed", 1).await;
    assert_eq!((&rows[0]["attempt"], &rows[0]["result"]), (&json!(2), &json!({"attempt": 2})));
    assert_eq!(rows[0]["last_error"], "its worker was lost: the lease has expired");
    until("the first one stops", || *first.dropped.lock().unwrap() == [id]).await;
    slow.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_loses_its_last_worker_is_given_up() {
    let (sort, probe) = (Sort { attempts: 1, ..Sort::new() }, Arc::new(Probe::default()));
    let worker = sort.worker(&probe);
    let id = sort.enqueue(&worker, Uuid::nil(), "hang").await;
    until("it runs", || !probe.begun().is_empty()).await;
    let owner = connect(&server().owner).await;
    let sql = "update jobs set leased_until = '-infinity' where id = $1 returning lease";
    let lease: Uuid = owner.query_one(sql, &[&id]).await.unwrap().get(0);
    owner.execute("select rescue_jobs()", &[]).await.unwrap();
    let rows = sort.all_are("discarded", 1).await;
    assert_eq!(rows[0]["last_error"], "its worker was lost: the lease has expired");
    // Whatever its worker comes to, now or when somebody else has it.
    let finish = "select finish_job($1, $2, $3, null, '{}', 0)";
    let late = owner.query_one(finish, &[&Uuid::nil(), &id, &lease]).await.unwrap();
    assert_eq!(late.get::<_, Option<String>>(0), None);
    let again = "update jobs set state = 'executing', completed_at = null, lease = gen_random_uuid(),
                                 leased_until = now() + interval '1 hour' where id = $1";
    owner.execute(again, &[&id]).await.unwrap();
    let late = owner.query_one(finish, &[&Uuid::nil(), &id, &lease]).await.unwrap();
    assert_eq!(late.get::<_, Option<String>>(0), None);
    assert_eq!(sort.rows(&owner).await[0]["state"], "executing");
    owner.execute("delete from jobs where id = $1", &[&id]).await.unwrap();
    worker.stop().await;
}

/// What has not come to its end when its process ends is given back, as if it had not been begun.
#[tokio::test]
async fn what_is_unfinished_is_given_back() {
    let (sort, probe) = (Sort::new(), Arc::new(Probe::default()));
    let worker = sort.worker(&probe);
    let id = sort.enqueue(&worker, Uuid::nil(), "hang once").await;
    until("it runs", || !probe.begun().is_empty()).await;
    worker.stop().await;
    let rows = sort.all_are("available", 1).await;
    assert_eq!((&rows[0]["attempt"], &rows[0]["lease"]), (&json!(0), &Value::Null), "{rows:#?}");
    assert_eq!(*probe.dropped.lock().unwrap(), [id]);
}
