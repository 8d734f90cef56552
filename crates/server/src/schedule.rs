//! The one list of what is done in the background, and when.

use chrono::Weekday;
use loopctl_core::json::JsonText;
use loopctl_core::schedule::{Backoff, Schedule};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::audit::partitions;
use crate::db::{Db, Login, Sql, statements};
use crate::jobs::{Job, JobError, Kind, Queue, Scope, Task};
use crate::knowledge::extraction::{self, Extraction};
use crate::knowledge::{Knowledge, embeddings, ingestion, work};
use crate::{cost, webhooks};

statements! {
    PRUNE_JOBS -> i64 = "select prune_jobs($1)";
    PRUNE_WEBAUTHN_CHALLENGES -> i64 = "select prune_webauthn_challenges($1)";
    PRUNE_ADDRESS_ATTEMPTS -> i64 = "
        with old as (
            delete from address_attempts where (kind, address) in (
                select kind, address from address_attempts where last_at <= statement_timestamp() - interval '1 hour'
                order by last_at limit $1::integer for update skip locked)
            returning 1
        )
        select count(*) from old";
    PRUNE_RATE_WINDOWS -> i64 = "select prune_rate_windows($1)";
    PRUNE_MEASURED_POINTS -> i64 = "select prune_measured_points($1)";
    PRUNE_SESSIONS -> i64 = "select prune_sessions($1)";
    PRUNE_PENDING_TENANTS -> Uuid = "select prune_pending_tenants()";
    PRUNE_KNOWLEDGE_JOBS -> i64 = "select prune_knowledge_jobs($1)";
    PRUNE_ARTICLE_ACCESS -> i64 = "select prune_article_access($1, $2, $3)";
    PRUNE_IDEMPOTENCY_KEYS -> i64 = "select prune_idempotency_keys($1)";
}

/// The queue of what keeps the database in order.
const MAINTENANCE: &str = "maintenance";

/// After a failure of what is done regularly anyway.
const BACKOFF: Backoff = Backoff::Doubling { first: Duration::from_secs(30), most: Duration::from_secs(900) };

/// What is forgotten by one statement.
const BATCH: i32 = 1000;

/// What only servers do: they know who makes vectors.
pub(crate) const ONLY_BY_SERVERS: [&str; 2] = [EMBED_WHAT_LACKS, EMBED_SYSTEM_ARTICLES];
const EMBED_WHAT_LACKS: &str = "embed_what_lacks";
const EMBED_SYSTEM_ARTICLES: &str = "embed_system_articles";

/// What is about days that `period_start` and `period_end` can name.
pub(crate) const OF_DAYS: [&str; 2] = [COST_ROLLUP, COST_ANOMALIES];
const COST_ROLLUP: &str = "cost_rollup";
const COST_ANOMALIES: &str = "cost_anomalies";

/// What jobs are done with.
#[derive(Clone)]
pub(crate) struct Tools {
    /// The application's connections.
    pub(crate) db: Db,
    /// The login that owns the tables.
    pub(crate) owner: Login,
    /// What drafts are made with.
    pub(crate) extraction: Arc<Extraction>,
    /// What articles mean.
    pub(crate) knowledge: Knowledge,
    /// Where further jobs come.
    pub(crate) jobs: Queue,
}

/// What forgets, batch by batch, what a statement finds to be over.
macro_rules! pruning {
    ($name:literal, $schedule:expr, $batch:ident) => {
        Kind { schedule: Some($schedule), ..maintenance($name, |tools, _| Box::pin(prune(tools, $batch))) }
    };
}

/// Everything that is done in the background. Settings of this process become what the jobs of a schedule are told, whichever
/// process runs them.
pub(crate) fn kinds(settings: Settings) -> Vec<Kind<Tools>> {
    let mut kinds = of_every_process(settings);
    kinds.extend(of_vectors());
    kinds
}

/// What of it a process does that makes vectors as `knowledge` says. One that makes none leaves that to those which do: it would only
/// take their jobs.
pub(crate) fn kinds_with(settings: Settings, knowledge: &Knowledge) -> Vec<Kind<Tools>> {
    if knowledge.meaning.model().is_some() { kinds(settings) } else { of_every_process(settings) }
}

fn of_every_process(settings: Settings) -> Vec<Kind<Tools>> {
    let retention = json!({"retention_days": settings.audit_retention_days});
    let access = json!({"retention_days": settings.access_retention_days});
    vec![
        Kind {
            schedule: Some(Schedule::Daily { hour: 2, minute: 0 }),
            at_start: true,
            args: JsonText::from(retention),
            needs_owner: true,
            ..maintenance("audit_partitions", |tools, job| Box::pin(audit_partitions(tools, job)))
        },
        pruning!("prune_jobs", Schedule::Hourly { minute: 20 }, PRUNE_JOBS),
        pruning!("idempotency_cleanup", Schedule::Hourly { minute: 0 }, PRUNE_IDEMPOTENCY_KEYS),
        pruning!("prune_webauthn_challenges", Schedule::Every { minutes: 5 }, PRUNE_WEBAUTHN_CHALLENGES),
        pruning!("prune_address_attempts", Schedule::Every { minutes: 5 }, PRUNE_ADDRESS_ATTEMPTS),
        pruning!("prune_rate_windows", Schedule::Hourly { minute: 50 }, PRUNE_RATE_WINDOWS),
        pruning!("prune_measured_points", Schedule::Hourly { minute: 30 }, PRUNE_MEASURED_POINTS),
        pruning!("prune_sessions", Schedule::Hourly { minute: 40 }, PRUNE_SESSIONS),
        Kind {
            schedule: Some(Schedule::Every { minutes: 5 }),
            ..maintenance("prune_pending_tenants", |tools, _| Box::pin(prune_pending_tenants(tools)))
        },
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Daily { hour: 3, minute: 0 }),
            ..maintenance("webhook_cleanup", |tools, job| Box::pin(webhook_cleanup(tools, job)))
        },
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Daily { hour: 2, minute: 0 }),
            ..maintenance(COST_ROLLUP, |tools, job| Box::pin(cost_rollup(tools, job)))
        },
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Daily { hour: 2, minute: 5 }),
            ..maintenance(COST_ANOMALIES, |tools, job| Box::pin(cost_anomalies(tools, job)))
        },
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Weekly { day: Weekday::Sun, hour: 3, minute: 0 }),
            ..maintenance("usage_archival", |tools, job| Box::pin(usage_archival(tools, job)))
        },
        pruning!("prune_knowledge_jobs", Schedule::Hourly { minute: 10 }, PRUNE_KNOWLEDGE_JOBS),
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Daily { hour: 3, minute: 30 }),
            args: JsonText::from(access),
            ..maintenance("article_access_retention", |tools, job| {
                Box::pin(article_access_retention(tools, job))
            })
        },
        on_texts(work::INGESTION, |tools, job| Box::pin(content_ingestion(tools, job))),
        on_texts(work::REVIEWS, |tools, job| Box::pin(review_knowledge(tools, job))),
    ]
}

/// What is done about the vectors of articles, by those who make them.
fn of_vectors() -> Vec<Kind<Tools>> {
    vec![
        on_texts(embeddings::EMBEDDING, |tools, job| Box::pin(article_embedding(tools, job))),
        on_texts(embeddings::LINKING, |tools, job| Box::pin(article_linking(tools, job))),
        Kind {
            scope: Scope::EachTenant,
            schedule: Some(Schedule::Hourly { minute: 55 }),
            at_start: true,
            ..maintenance(EMBED_WHAT_LACKS, |tools, job| Box::pin(embed_what_lacks(tools, job)))
        },
        Kind {
            scope: Scope::Server,
            needs_owner: true,
            ..on_texts(embeddings::EMBEDDING_OF_SYSTEM, |tools, job| {
                Box::pin(system_article_embedding(tools, job))
            })
        },
        Kind {
            schedule: Some(Schedule::Hourly { minute: 55 }),
            at_start: true,
            needs_owner: true,
            ..maintenance(EMBED_SYSTEM_ARTICLES, |tools, _| Box::pin(embed_system_articles(tools)))
        },
    ]
}

/// What the server that was started last says of background jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// For how many days entries of the log are kept; whole months are dropped, so it may be a month more.
    pub audit_retention_days: u16,
    /// For how many days it is known which articles were read.
    pub access_retention_days: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { audit_retention_days: 90, access_retention_days: 400 }
    }
}

fn maintenance(
    name: &'static str,
    run: fn(Tools, Job) -> futures_util::future::BoxFuture<'static, Result<Value, JobError>>,
) -> Kind<Tools> {
    Kind {
        name,
        queue: MAINTENANCE,
        scope: Scope::Server,
        schedule: None,
        at_start: false,
        args: JsonText::empty_object(),
        attempts: 3,
        backoff: BACKOFF,
        needs_owner: false,
        run,
    }
}

/// What is made of texts, for whoever asks for it.
fn on_texts(
    task: Task,
    run: fn(Tools, Job) -> futures_util::future::BoxFuture<'static, Result<Value, JobError>>,
) -> Kind<Tools> {
    let Task { name, queue, attempts } = task;
    Kind { queue, scope: Scope::EachTenant, attempts, backoff: Backoff::Quartic, ..maintenance(name, run) }
}

async fn audit_partitions(tools: Tools, job: Job) -> Result<Value, JobError> {
    let days = retention_days(&job, Settings::default().audit_retention_days);
    partitions::keep(&tools.owner, i32::from(days)).await.map_err(|error| JobError(error.to_string()))
}

/// For how many days something is kept, as its job is told.
fn retention_days(job: &Job, default: u16) -> u16 {
    let days = job.args.to_value()["retention_days"].as_u64().and_then(|days| u16::try_from(days).ok());
    days.filter(|days| *days > 0).unwrap_or(default)
}

/// Forgets which articles were read longer ago than it is to be known, batch by batch.
async fn article_access_retention(tools: Tools, job: Job) -> Result<Value, JobError> {
    let days = i32::from(retention_days(&job, Settings::default().access_retention_days));
    let mut pruned = 0;
    loop {
        let params = &[&job.tenant_id as _, &days as _, &BATCH as _];
        let count = tools.db.without_tenant(PRUNE_ARTICLE_ACCESS, params).await?.unwrap_or_default();
        pruned += count;
        if count < i64::from(BATCH) {
            return Ok(json!({"pruned": pruned}));
        }
    }
}

async fn content_ingestion(tools: Tools, job: Job) -> Result<Value, JobError> {
    ingestion::ingest(&tools.db, &tools.extraction, job).await
}

async fn article_embedding(tools: Tools, job: Job) -> Result<Value, JobError> {
    embeddings::embed(&tools.db, &tools.jobs, &tools.knowledge, job).await
}

async fn article_linking(tools: Tools, job: Job) -> Result<Value, JobError> {
    embeddings::link(&tools.db, &tools.knowledge, job).await
}

async fn embed_what_lacks(tools: Tools, job: Job) -> Result<Value, JobError> {
    embeddings::embed_what_lacks(&tools.db, &tools.jobs, &tools.knowledge, job).await
}

async fn system_article_embedding(tools: Tools, job: Job) -> Result<Value, JobError> {
    embeddings::embed_of_system(&tools.db, &tools.owner, &tools.knowledge, job).await
}

async fn embed_system_articles(tools: Tools) -> Result<Value, JobError> {
    embeddings::embed_what_lacks_of_system(&tools.db, &tools.jobs, &tools.knowledge).await
}

async fn review_knowledge(tools: Tools, job: Job) -> Result<Value, JobError> {
    extraction::learn(&tools.db, &tools.extraction, job).await
}

/// Forgets what is over, batch by batch.
async fn prune(tools: Tools, batch: Sql<i64>) -> Result<Value, JobError> {
    let mut pruned = 0;
    loop {
        let count = tools.db.without_tenant(batch, &[&BATCH]).await?.unwrap_or_default();
        pruned += count;
        if count < i64::from(BATCH) {
            return Ok(json!({"pruned": pruned}));
        }
    }
}

/// Forgets tenants whose enrolment did not come to its end. Signing up is one transaction, so there are none but by other hands.
async fn prune_pending_tenants(tools: Tools) -> Result<Value, JobError> {
    let pruned = tools.db.all_without_tenant(PRUNE_PENDING_TENANTS, &[]).await?;
    if !pruned.is_empty() {
        tracing::info!(tenants = ?pruned, "tenants were forgotten whose enrolment did not come to its end");
    }
    Ok(json!({"pruned": pruned}))
}

async fn webhook_cleanup(tools: Tools, job: Job) -> Result<Value, JobError> {
    let deleted = webhooks::cleanup(&tools.db, job.tenant_id).await?;
    Ok(json!({"deleted": deleted}))
}

async fn cost_rollup(tools: Tools, job: Job) -> Result<Value, JobError> {
    cost::summaries::roll_up(&tools.db, job.tenant_id, &job.args).await
}

async fn cost_anomalies(tools: Tools, job: Job) -> Result<Value, JobError> {
    cost::anomalies::detect(&tools.db, job.tenant_id, &job.args).await
}

async fn usage_archival(tools: Tools, job: Job) -> Result<Value, JobError> {
    cost::retention::archive(&tools.db, job.tenant_id, &job.args).await.map_err(JobError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_is_explained_to_operators() {
        let explained = loopctl_docs::page("operations").unwrap().html();
        for kind in kinds(Settings::default()) {
            assert!(explained.contains(&format!("<code>{}</code>", kind.name)), "{}", kind.name);
        }
    }
}
