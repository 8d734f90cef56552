//! What is done regularly: on time, once, and for whom it is meant.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use loopctl_core::json::JsonText;
use loopctl_core::schedule::Schedule;
use loopctl_server::jobs::{Alone, Kind, Pace, Scope};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Probe, Sort, database};
use crate::support::{Tenant, connect, rounds, server, until};

fn daily() -> Option<Schedule> {
    Some(Schedule::Daily { hour: 2, minute: 0 })
}

/// Makes a schedule of a test known before its workers come, due at this time.
async fn plan(owner: &Client, kind: &str, due: &str) {
    let sql = "insert into job_schedules (kind, args, next_at) values ($1, '{}', now() + $2::text::interval)
               on conflict (kind) do update set next_at = excluded.next_at";
    owner.execute(sql, &[&kind, &due]).await.unwrap();
}

async fn forget(owner: &Client, kind: &str) {
    owner.execute("delete from job_schedules where kind = $1", &[&kind]).await.unwrap();
}

/// However many servers there are, and also for what was missed for days.
#[tokio::test]
async fn a_schedule_fires_once() {
    let sort = Sort { schedule: daily(), ..Sort::new() };
    let (probe, owner) = (Arc::new(Probe::default()), connect(&server().owner).await);
    let pace = Pace { lease: Duration::from_secs(60), poll: Duration::from_millis(20) };
    let workers = [(); 3].map(|()| sort.worker_at(&probe, pace));
    for round in 1..=rounds(5) {
        // Not before the workers have planned it, which takes what is due later for an older plan.
        let planned = "select from job_schedules where kind = $1";
        while owner.query_opt(planned, &[&sort.name]).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        plan(&owner, sort.name, "-9 days").await;
        sort.all_are("completed", round).await;
        let sql = "select next_at > now() and next_at < now() + interval '25 hours' and last_fired_at <= last_started_at
                          and last_started_at <= last_success_at and last_error is null
                   from job_schedules where kind = $1";
        // It is noted along with the job.
        assert!(owner.query_one(sql, &[&sort.name]).await.unwrap().get::<_, bool>(0), "round {round}");
    }
    assert_eq!(probe.begun().len(), rounds(5));
    for worker in workers {
        worker.stop().await;
    }
    forget(&owner, sort.name).await;
}

/// A worker that looks once an hour is there in time, because it knows when.
#[tokio::test]
async fn a_schedule_fires_on_time() {
    let sort = Sort { schedule: daily(), ..Sort::new() };
    let (probe, owner) = (Arc::new(Probe::default()), connect(&server().owner).await);
    plan(&owner, sort.name, "300 milliseconds").await;
    let worker = sort.worker(&probe);
    let rows = sort.all_are("completed", 1).await;
    let early = "select last_fired_at < $2::text::timestamptz from job_schedules where kind = $1";
    let at = rows[0]["inserted_at"].as_str().unwrap();
    assert!(!owner.query_one(early, &[&sort.name, &at]).await.unwrap().get::<_, bool>(0));
    worker.stop().await;
    forget(&owner, sort.name).await;
}

#[tokio::test]
async fn a_failure_is_told_with_the_schedule() {
    let sort = Sort { schedule: daily(), attempts: 1, ..Sort::new() };
    let (probe, owner) = (Arc::new(Probe::default()), connect(&server().owner).await);
    plan(&owner, sort.name, "-1 second").await;
    // Jobs are told what the worker says that came last.
    let kind = Kind { args: JsonText::from(json!({"act": "fail"})), ..sort.kind() };
    let alone = Alone::new(&database()).unwrap();
    alone.begin(&database(), vec![kind], |_| Arc::clone(&probe), Pace::default(), true);
    sort.all_are("discarded", 1).await;
    let sql = "select last_error, last_success_at is null from job_schedules where kind = $1";
    let row = owner.query_one(sql, &[&sort.name]).await.unwrap();
    assert_eq!((row.get::<_, String>(0), row.get(1)), ("out of order".to_owned(), true));
    alone.stop().await;
    forget(&owner, sort.name).await;
}

/// One job for every active tenant; twice, as long as the first is not finished, is once.
#[tokio::test]
async fn what_concerns_tenants_is_done_for_each() {
    let (one, two, away) = (Tenant::new().await, Tenant::new().await, Tenant::new().await);
    let owner = connect(&server().owner).await;
    let suspend = "update tenants set status = 'suspended' where id = $1::text::uuid";
    owner.execute(suspend, &[&away.id]).await.unwrap();
    let sort = Sort { schedule: daily(), scope: Scope::EachTenant, ..Sort::new() };
    let fan_out = "select fan_out_jobs($1, $1, '{}', 3)";
    let first: i64 = owner.query_one(fan_out, &[&sort.name]).await.unwrap().get(0);
    assert!(first >= 2);
    plan(&owner, sort.name, "-1 second").await;
    let probe = Arc::new(Probe::default());
    let pace = Pace { lease: Duration::from_secs(60), poll: Duration::from_millis(20) };
    let worker = sort.worker_at(&probe, pace);
    let ours: Vec<Uuid> = [&one, &two, &away].map(|tenant| tenant.id.parse().unwrap()).to_vec();
    until("both are served", || {
        let served: BTreeSet<_> = probe.begun().iter().map(|(_, tenant, _)| *tenant).collect();
        served.contains(&ours[0]) && served.contains(&ours[1])
    })
    .await;
    worker.stop().await;
    assert!(probe.begun().iter().all(|(_, tenant, _)| *tenant != ours[2] && !tenant.is_nil()));
    owner.execute("delete from jobs where kind = $1", &[&sort.name]).await.unwrap();
    forget(&owner, sort.name).await;
}
