//! Background jobs: a queue in the database, and who works it off. What the jobs do is others' business; the list of all of
//! them is `schedule`.
//!
//! A job is enqueued in the transaction of what it is for. Workers of any number of processes take what is due, each job for the
//! length of a lease, which they renew while it runs: what a process had that was killed is another's when the lease is over. So a
//! job runs at least once, and whatever it does must be safe to be done again.

mod alone;
mod queue;
mod run;
mod store;
mod worker;

use std::time::Duration;

use futures_util::future::BoxFuture;
use loopctl_core::json::JsonText;
use loopctl_core::schedule::{Backoff, Schedule};
use serde_json::Value;
use uuid::Uuid;

use crate::db::DbError;

pub use alone::Alone;
pub use queue::Queue;
pub(crate) use store::{Outcome, STATEMENTS};
pub(crate) use worker::{Worker, owns_tables};

/// Something that is done in the background, once or regularly. `C` is what it is done with.
pub struct Kind<C> {
    /// What it is called, in the tables, the log and on the command line.
    pub name: &'static str,
    /// Kinds of one queue share the places of a worker, and take none of another's.
    pub queue: &'static str,
    /// For whom.
    pub scope: Scope,
    /// When, if regularly.
    pub schedule: Option<Schedule>,
    /// Whether also whenever a worker starts.
    pub at_start: bool,
    /// What jobs of the schedule are told.
    pub args: JsonText,
    /// How often it is tried, at least once.
    pub attempts: i32,
    /// How long after a failure.
    pub backoff: Backoff,
    /// Whether it needs the login that owns the tables.
    pub needs_owner: bool,
    /// Does it. What it answers is kept with the job, if that is short.
    pub run: fn(C, Job) -> BoxFuture<'static, Result<Value, JobError>>,
}

/// A kind of job, as those know it who enqueue it.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    /// What it is called.
    pub name: &'static str,
    /// Kinds of one queue share the places of a worker.
    pub queue: &'static str,
    /// How often it is tried, at least once.
    pub attempts: i32,
}

impl<C> Kind<C> {
    /// As those know it who enqueue it.
    pub fn task(&self) -> Task {
        Task { name: self.name, queue: self.queue, attempts: self.attempts }
    }
}

/// Whose business a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The server's: its jobs are of no tenant.
    Server,
    /// Each tenant's: its schedule enqueues a job for every active one.
    EachTenant,
}

/// A job, for whoever runs it.
#[derive(Debug)]
pub struct Job {
    /// Which.
    pub id: Uuid,
    /// Whose; the nil UUID: nobody's.
    pub tenant_id: Uuid,
    /// What it was told.
    pub args: JsonText,
    /// How often it was begun, this time included.
    pub attempt: i32,
}

/// Why a job failed. Operators read it, so it holds no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JobError(pub String);

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        Self(error.to_string())
    }
}

/// How often a worker looks, and for how long it takes what it has found.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long a job is a worker's that is not heard of any more.
    pub lease: Duration,
    /// How long it takes at most until a worker notices what another process has enqueued.
    pub poll: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { lease: Duration::from_secs(60), poll: Duration::from_secs(1) }
    }
}

/// Jobs of one queue that a process runs at the same time, in a pool that is large enough.
const PLACES: usize = 5;
