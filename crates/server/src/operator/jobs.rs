//! Background jobs, as an operator sees them: what there is, and one of them at once.

use std::sync::Arc;

use loopctl_core::json::JsonText;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{OperatorError, tenant_id};
use crate::config::Database;
use crate::db::migrate::connect;
use crate::db::{DbError, Timestamp};
use crate::jobs::{Alone, Kind, Outcome, Pace, Scope, owns_tables};
use crate::knowledge::Knowledge;
use crate::knowledge::extraction::Extraction;
use crate::schedule::{OF_DAYS, ONLY_BY_SERVERS, Settings, Tools, kinds};

/// What is done in the background, with what has become of it.
#[derive(Debug, Serialize)]
pub struct JobKind {
    /// Its name.
    pub kind: String,
    /// When it is done, in words; None: not regularly.
    pub schedule: Option<String>,
    /// When it is due next; None: no server has planned it yet.
    pub next_at: Option<Timestamp>,
    /// When it was begun last by its schedule.
    pub last_started_at: Option<Timestamp>,
    /// When it succeeded last.
    pub last_success_at: Option<Timestamp>,
    /// Why it has failed since.
    pub last_error: Option<String>,
    /// Jobs that wait, be it for another attempt.
    pub waiting: i64,
    /// Jobs under way.
    pub running: i64,
    /// Jobs that were given up within a week.
    pub failed: i64,
    /// For how many seconds the first one has been due that waits.
    pub oldest_due_seconds: Option<f64>,
}

/// What came of a job.
#[derive(Debug, Serialize)]
pub struct JobRun {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// `completed`, or how it ended otherwise.
    pub state: String,
    /// What it has to say.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
}

const KIND: &str = "
    select s.next_at, s.last_started_at, s.last_success_at, s.last_error,
           coalesce(q.waiting, 0)::bigint as waiting, coalesce(q.running, 0)::bigint as running,
           coalesce(q.failed, 0)::bigint as failed, q.oldest_due
    from (select $1::text as kind) k
         left join job_schedules s on s.kind = k.kind
         left join (select kind, sum(jobs) filter (where state in ('available', 'retryable')) as waiting,
                           sum(jobs) filter (where state = 'executing') as running,
                           sum(jobs) filter (where state in ('discarded', 'cancelled')) as failed,
                           max(oldest_due) as oldest_due
                    from job_queue_stats() group by kind) q on q.kind = k.kind";

/// All kinds of jobs.
///
/// # Errors
/// When the database fails.
pub async fn list_jobs(database: &Database) -> Result<Vec<JobKind>, OperatorError> {
    let client = connect(&database.owner).await?;
    let mut list = Vec::new();
    for kind in kinds(Settings::default()) {
        let row = client.query_one(KIND, &[&kind.name]).await.map_err(DbError::from)?;
        let read = || -> Result<_, tokio_postgres::Error> {
            Ok(JobKind {
                kind: kind.name.to_owned(),
                schedule: kind.schedule.map(|schedule| schedule.to_string()),
                next_at: row.try_get("next_at")?,
                last_started_at: row.try_get("last_started_at")?,
                last_success_at: row.try_get("last_success_at")?,
                last_error: row.try_get("last_error")?,
                waiting: row.try_get("waiting")?,
                running: row.try_get("running")?,
                failed: row.try_get("failed")?,
                oldest_due_seconds: row.try_get("oldest_due")?,
            })
        };
        list.push(read().map_err(DbError::from)?);
    }
    Ok(list)
}

/// Runs a job now, once, and waits for its end; a server at work may be the one that does it. It is told what those of the schedule
/// are told, and besides what `told` has, which is an object. `tenant` is an id or a slug.
///
/// # Errors
/// When there is no such kind or tenant, or the database fails. That the job fails is what it answers.
pub async fn run_job(
    database: &Database,
    name: &str,
    tenant: Option<&str>,
    told: &Map<String, Value>,
) -> Result<JobRun, OperatorError> {
    let kinds = kinds(Settings::default());
    let names = kinds.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let kind = kinds
        .into_iter()
        .find(|kind| kind.name == name)
        .ok_or_else(|| OperatorError::Invalid(format!("there is no job {name:?}; there are {names}")))?;
    if kind.schedule.is_none() {
        return Err(OperatorError::Invalid(format!("{name} is only done for what asks for it")));
    }
    if ONLY_BY_SERVERS.contains(&name) {
        return Err(OperatorError::Invalid(format!(
            "{name} is only done by servers and workers, which know who makes vectors: each does it at its start, and every hour"
        )));
    }
    if tenant.is_some() && kind.scope == Scope::Server {
        return Err(OperatorError::Invalid(format!("{name} is of no tenant: leave out --tenant")));
    }
    if !OF_DAYS.contains(&name) && told.keys().any(|key| key == "period_start" || key == "period_end") {
        return Err(OperatorError::Invalid(format!("{name} is of no days: leave out --from and --to")));
    }
    let client = connect(&database.owner).await?;
    let tenant_id = match tenant {
        None => Uuid::nil(),
        Some(tenant) => tenant_id(&client, tenant).await?,
    };
    let planned = client
        .query_opt("select args::text as args from job_schedules where kind = $1", &[&kind.name])
        .await
        .map_err(DbError::from)?;
    let mut args = match planned {
        Some(row) => {
            row.try_get::<_, String>("args").map_err(DbError::from)?.parse::<Value>().unwrap_or_default()
        }
        None => kind.args.to_value(),
    };
    if let Value::Object(args) = &mut args {
        args.extend(told.clone());
    }
    let kind = Kind { attempts: 1, ..kind };
    if kind.needs_owner && !owns_tables(&database.owner).await? {
        return Err(OperatorError::Invalid(format!(
            "{name} needs the login that owns the tables: set ADMIN_DATABASE_URL to the one that migrates"
        )));
    }
    let alone = Alone::new(database)?;
    let outcome = run_alone(&alone, database, kind, tenant_id, &args.into()).await;
    alone.stop().await;
    let Some((id, outcome)) = outcome? else {
        return Err(OperatorError::Invalid(format!("the job {name} is gone")));
    };
    let error = outcome.last_error.filter(|_| outcome.state != "completed");
    let result = outcome.result.map(|result| result.to_value());
    Ok(JobRun { id, kind: name.to_owned(), state: outcome.state, result, error })
}

async fn run_alone(
    alone: &Alone,
    database: &Database,
    kind: Kind<Tools>,
    tenant_id: Uuid,
    args: &JsonText,
) -> Result<Option<(Uuid, Outcome)>, DbError> {
    let Some(id) = alone.enqueue(tenant_id, &kind, args, None).await? else { return Ok(None) };
    let extraction = Arc::new(Extraction::none());
    let (owner, jobs) = (database.owner.clone(), alone.queue.clone());
    let tools = |db| Tools { db, owner, extraction, knowledge: Knowledge::default(), jobs };
    alone.begin(database, vec![kind], tools, Pace::default(), false);
    Ok(alone.outcome(tenant_id, id).await?.map(|outcome| (id, outcome)))
}
