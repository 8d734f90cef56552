//! Rows and SQL of jobs. What goes through all tenants is done by functions of the database, with its owner's rights.

use chrono::{DateTime, Utc};
use loopctl_core::json::JsonText;
use uuid::Uuid;

use crate::db::{Row, statements};

/// A job that was taken.
#[derive(Debug, Row)]
pub(crate) struct Claimed {
    pub(super) tenant_id: Uuid,
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) args: JsonText,
    pub(super) attempt: i32,
    pub(super) max_attempts: i32,
    pub(super) lease: Uuid,
}

/// In how many seconds the next job is due, and the next schedule; less than none: it is.
#[derive(Debug, Row)]
pub(crate) struct Ahead {
    pub(super) due_in: Option<f64>,
    pub(super) fires_in: Option<f64>,
}

/// A schedule whose time has come.
#[derive(Debug, Row)]
pub(crate) struct Due {
    pub(super) kind: String,
    pub(super) next_at: DateTime<Utc>,
    #[row(sql = "clock_timestamp()")]
    pub(super) now: DateTime<Utc>,
}

/// A job that was taken from a worker that is gone.
#[derive(Debug, Row)]
pub(crate) struct Rescued {
    pub(super) kind: String,
    pub(super) attempt: i32,
    pub(super) state: String,
}

/// What has become of a job.
#[derive(Debug, Row)]
pub(crate) struct Outcome {
    /// One of the contract's words.
    pub(crate) state: String,
    pub(crate) last_error: Option<String>,
    pub(crate) result: Option<JsonText>,
}

/// The state of a job whose attempt has ended; None: it is somebody else's by now.
#[derive(Debug, Row)]
pub(crate) struct Finished {
    #[row(sql = "finish_job($1, $2, $3, $4, $5, $6)")]
    pub(super) state: Option<String>,
}

#[derive(Debug, Row)]
pub(crate) struct Renewed {
    #[row(sql = "renew_jobs($1, $2)")]
    pub(super) kept: Vec<Uuid>,
}

statements! {
    /// None where one with the same key is unfinished.
    ENQUEUE -> Uuid = "
        insert into jobs (tenant_id, id, queue, kind, args, max_attempts, unique_key)
        values ($1, $2, $3, $4, $5, $6, $7)
        on conflict (tenant_id, kind, unique_key)
            where unique_key is not null and state in ('available', 'executing', 'retryable') do nothing
        returning id";
    /// The same of many, each with a key.
    ENQUEUE_EACH = "
        insert into jobs (tenant_id, id, queue, kind, args, max_attempts, unique_key)
        select $1, each.id, $2, $3, each.args, $4, each.key
        from unnest($5::uuid[], $6::jsonb[], $7::text[]) as each (id, args, key)
        on conflict (tenant_id, kind, unique_key)
            where unique_key is not null and state in ('available', 'executing', 'retryable') do nothing";
    OUTCOME -> Outcome = "select {*} from jobs where tenant_id = $1 and id = $2";
    DATABASE_NOW -> DateTime<Utc> = "select clock_timestamp()";
    AHEAD -> Ahead = "select {*} from jobs_ahead($1, $2, $3)";
    CLAIM -> Claimed = "select {*} from claim_jobs($1, $2, $3, $4, $5)";
    RENEW -> Renewed = "select {*}";
    RELEASE = "select release_jobs($1)";
    FINISH -> Finished = "select {*}";
    RESCUE -> Rescued = "select {*} from rescue_jobs()";
    PLAN = "select plan_jobs($1, $2, $3)";
    DUE_SCHEDULES -> Due = "
        select {*} from job_schedules where kind = any($1) and next_at <= clock_timestamp()";
    FIRE -> bool = "select fire_schedule($1, $2, $3, $4, $5)";
    FAN_OUT -> i64 = "select fan_out_jobs($1, $2, $3, $4)";
}
