//! Background jobs: who runs what, how often, and what is left of it. Kinds and queues of a test are its own, on the database of
//! the server of all tests, which does not know them.

mod failures;
mod partitions;
mod queue;
mod schedules;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use loopctl_core::json::JsonText;
use loopctl_core::schedule::{Backoff, Schedule};
use loopctl_server::config::Database;
use loopctl_server::jobs::{Alone, Job, JobError, Kind, Pace, Scope};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{PATIENCE, connect, server, unique};

/// The database of the server of all tests.
pub(crate) fn database() -> Database {
    Database { owner: server().owner.clone(), app: server().app.clone(), cluster: None }
}

/// What jobs of a test have done: each one's id, tenant and attempt.
#[derive(Default)]
struct Probe {
    begun: Mutex<Vec<(Uuid, Uuid, i32)>>,
    /// Those that were dropped before their end.
    dropped: Mutex<Vec<Uuid>>,
}

impl Probe {
    fn begun(&self) -> Vec<(Uuid, Uuid, i32)> {
        self.begun.lock().unwrap().clone()
    }
}

/// Told on drop, unless forgotten.
struct Running(Arc<Probe>, Uuid);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dropped.lock().unwrap().push(self.1);
    }
}

/// Does what its arguments say.
fn act(probe: Arc<Probe>, job: Job) -> BoxFuture<'static, Result<Value, JobError>> {
    probe.begun.lock().unwrap().push((job.id, job.tenant_id, job.attempt));
    let act = job.args.to_value()["act"].as_str().unwrap_or("succeed").to_owned();
    assert!(act != "panic at once", "boom");
    Box::pin(async move {
        let running = Running(probe, job.id);
        let outcome = match act.as_str() {
            "fail" => Err(JobError("out of order".to_owned())),
            "fail once" if job.attempt == 1 => Err(JobError("not yet".to_owned())),
            "panic" => panic!("boom"),
            "hang" => std::future::pending().await,
            "hang once" if job.attempt == 1 => std::future::pending().await,
            _ => Ok(json!({"attempt": job.attempt})),
        };
        std::mem::forget(running);
        outcome
    })
}

/// A kind of a test's own.
struct Sort {
    name: &'static str,
    schedule: Option<Schedule>,
    scope: Scope,
    attempts: i32,
}

impl Sort {
    fn new() -> Self {
        let name: &'static str = Box::leak(unique("kind").into_boxed_str());
        Self { name, schedule: None, scope: Scope::Server, attempts: 3 }
    }

    fn kind(&self) -> Kind<Arc<Probe>> {
        Kind {
            name: self.name,
            queue: self.name,
            scope: self.scope,
            schedule: self.schedule,
            at_start: false,
            args: JsonText::empty_object(),
            attempts: self.attempts,
            backoff: Backoff::Doubling { first: Duration::from_millis(20), most: Duration::from_millis(50) },
            needs_owner: false,
            run: act,
        }
    }

    /// A worker for it that never looks by itself: it must be told, or know the time.
    fn worker(&self, probe: &Arc<Probe>) -> Alone {
        self.worker_at(probe, Pace { lease: Duration::from_secs(60), poll: Duration::from_secs(3600) })
    }

    fn worker_at(&self, probe: &Arc<Probe>, pace: Pace) -> Alone {
        let alone = Alone::new(&database()).unwrap();
        alone.begin(&database(), vec![self.kind()], |_| Arc::clone(probe), pace, self.schedule.is_some());
        alone
    }

    async fn enqueue(&self, alone: &Alone, tenant_id: Uuid, act: &str) -> Uuid {
        let args = JsonText::from(json!({"act": act}));
        alone.enqueue(tenant_id, &self.kind(), &args, None).await.unwrap().unwrap()
    }

    /// Its jobs as the database holds them, in the order in which they were enqueued.
    async fn rows(&self, owner: &Client) -> Vec<Value> {
        let sql = "select to_jsonb(j) from jobs j where kind = $1 order by inserted_at, id";
        owner.query(sql, &[&self.name]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Waits until all of them are in this state; them.
    async fn all_are(&self, state: &str, count: usize) -> Vec<Value> {
        let owner = connect(&server().owner).await;
        let mut rows = Vec::new();
        let waiting = async {
            loop {
                rows = self.rows(&owner).await;
                if rows.len() == count && rows.iter().all(|row| row["state"] == state) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(in_time.is_ok(), "{count} {state}: {rows:#?}");
        rows
    }
}
