//! `GET /health`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::VERSION;
use crate::app::{App, Endpoint};
use crate::db::{DbError, Row, statements};
use crate::http::{Operation, Output, endpoints};

statements! {
    LOOK_AHEAD -> Ahead = "select {*}";
}

/// What the database says of things to come.
#[derive(Row)]
pub(crate) struct Ahead {
    /// Whether something that is done regularly has been due for long.
    #[row(sql = "exists (select from job_schedules
                         where kind = any($1) and next_at < clock_timestamp() - interval '10 minutes')")]
    overdue: bool,
    /// Whether the log has a partition for the coming month, on whatever day of this one. Without it the coming month's entries
    /// go into the default partition.
    #[row(sql = "coalesce(audit_log_ceiling() > (date_trunc('month', clock_timestamp() at time zone 'utc')
                                                + interval '1 month') at time zone 'utc', false)")]
    has_partitions: bool,
}

/// The whole answer must come within 5 seconds, also when the database hangs.
const BUDGET: Duration = Duration::from_millis(4500);

/// The routes of this module.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Health";
        /// Whether the server can do its work.
        GET "/health" => health;
    }
}

#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok` or `degraded`.
    status: &'static str,
    version: &'static str,
    checks: Checks,
}

/// Each `ok` or `error`; the database also `read_only`, when its disk is full or takes no writing, and partitions `unknown`, when
/// it does not answer.
#[derive(Serialize, JsonSchema)]
struct Checks {
    database: &'static str,
    /// The job runner of this process, under its older name: whether it is at work, and what is regular is not long overdue.
    oban: &'static str,
    /// The same.
    jobs: &'static str,
    /// Whether the audit log has partitions for the coming month. Nothing fails without.
    partitions: &'static str,
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = if self.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

impl Output for Health {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Self>(200, "Everything works");
        operation.answer::<Self>(
            503,
            "The database does not answer, or cannot be written to, or jobs are not done",
        );
    }
}

async fn health(State(app): State<App>) -> Health {
    let look = async {
        let takes_writes = app.pulse.takes_writes().await?;
        let ahead = app.pulse.without_tenant(LOOK_AHEAD, &[&app.jobs.schedules()]).await?;
        Ok::<_, DbError>((takes_writes, ahead))
    };
    let (database, ahead) = match tokio::time::timeout(BUDGET, look).await {
        Ok(Ok((true, ahead))) => ("ok", ahead),
        Ok(Ok((false, ahead))) => ("read_only", ahead),
        _ => ("error", None),
    };
    let overdue = ahead.as_ref().is_some_and(|ahead| ahead.overdue);
    let jobs = if app.jobs.is_alive() && !overdue { "ok" } else { "error" };
    let partitions = match ahead {
        Some(Ahead { has_partitions: true, .. }) => "ok",
        Some(_) => "error",
        None => "unknown",
    };
    let status = if (database, jobs) == ("ok", "ok") { "ok" } else { "degraded" };
    Health { status, version: VERSION, checks: Checks { database, oban: jobs, jobs, partitions } }
}
