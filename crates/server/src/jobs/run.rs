//! One attempt of one job: runs it, and records what came of it.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use loopctl_core::json::JsonText;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::store::{Claimed, FAN_OUT, FINISH};
use super::{Job, JobError, Kind, Scope};
use crate::db::{AsJson, Db, DbError};
use crate::metrics;

/// As many bytes as the table takes of an error or a result.
const MOST: usize = 4096;

/// How often the end of a job is told to a database that is away, and how long after the last time. Afterwards its lease ends,
/// and it is run again.
const TOLD: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a job that was taken, to its end.
pub(super) async fn attempt<C>(kind: &Kind<C>, context: C, db: &Db, claimed: Claimed) {
    let (began, attempt) = (Instant::now(), claimed.attempt);
    let outcome = if kind.scope == Scope::EachTenant && claimed.tenant_id.is_nil() {
        fan_out(kind, db, &claimed.args).await
    } else {
        let Claimed { id, tenant_id, ref args, .. } = claimed;
        let job = Job { id, tenant_id, args: args.clone(), attempt };
        // Made in there as well: also what fails before it first waits is a failure of this job alone.
        let run = AssertUnwindSafe(async move { (kind.run)(context, job).await });
        run.catch_unwind().await.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    };
    let took = began.elapsed();
    let again = kind.backoff.after(attempt.unsigned_abs(), rand::random());
    let error = outcome.as_ref().err().map(|JobError(error)| storable(error));
    let finished = finish(db, &claimed, &outcome, error.as_deref(), again).await;
    let state = finished.as_ref().map_or(None, Option::as_deref).unwrap_or("lost");
    metrics::job_ended(kind.name, state.to_owned(), took);
    let (took_ms, most) = (took.as_millis(), claimed.max_attempts);
    match (finished, error) {
        (Err(error), _) => {
            tracing::error!(%error, "the end of a job could not be recorded: it will be run again")
        }
        (Ok(None), _) => {
            tracing::warn!(
                "a job was taken from this worker before it had ended: what came of it is not kept"
            )
        }
        (Ok(Some(_)), None) => tracing::info!(took_ms, "a job has ended"),
        (Ok(Some(state)), Some(error)) if state == "retryable" => {
            let again_in = again.as_secs();
            tracing::warn!(error, most, again_in, "a job has failed, and is tried again");
        }
        (Ok(Some(_)), Some(error)) => {
            tracing::error!(error, most, "a job has failed for the last time, and is given up")
        }
    }
}

async fn fan_out<C>(kind: &Kind<C>, db: &Db, args: &JsonText) -> Result<Value, JobError> {
    let added = db.without_tenant(FAN_OUT, &[&kind.name, &kind.queue, &AsJson(args), &kind.attempts]).await?;
    Ok(json!({"jobs": added.unwrap_or_default()}))
}

async fn finish(
    db: &Db,
    job: &Claimed,
    outcome: &Result<Value, JobError>,
    error: Option<&str>,
    again: Duration,
) -> Result<Option<String>, DbError> {
    let result = outcome.as_ref().ok().filter(|result| !result.is_null()).cloned().map(JsonText::from);
    // PostgreSQL writes it with blanks.
    let result = result.filter(|result| 2 * result.as_str().len() < MOST);
    let (result, again) = (result.as_ref().map(AsJson), again.as_secs_f64());
    let mut told = 1;
    loop {
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&job.tenant_id, &job.id, &job.lease, &error, &result, &again];
        match db.without_tenant(FINISH, &params).await {
            Ok(finished) => return Ok(finished.and_then(|finished| finished.state)),
            Err(error) if error.is_unavailable() && told < TOLD => {
                told += 1;
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> JobError {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string);
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    JobError(format!("it panicked: {}", said.unwrap_or_default()))
}

/// A text as the table takes it.
fn storable(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    text[..text.floor_char_boundary(MOST)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_room_in_the_table() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        let long = storable(&"é".repeat(5000));
        assert_eq!((long.len(), long.chars().count()), (4096, 2048));
        assert_eq!(storable(&format!("x{}", "é".repeat(5000))).len(), 4095);
    }
}
