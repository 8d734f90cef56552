//! For how long usage is kept: what is too old leaves all sums but the summaries, and what was deleted for 30 days is gone.
//!
//! Each batch is a transaction of its own, and each pass does what it can: one that fails is tried again later.

mod store;

use loopctl_core::json::JsonText;
use serde_json::{Value, json};
use uuid::Uuid;

use self::store::{
    ARCHIVE_ANOMALIES, DAYS_TO_PURGE, LOCK_STORIES_OF_REPORTS, PICK_OLD, PURGE, Picked, RETIRE,
    UNCOUNTED_DAYS,
};
use super::period::TenantAndTime;
use super::summaries::recount;
use crate::db::{Db, DbError, Params, Tx};
use crate::events::{self, Attribution, Event};

pub(crate) use store::STATEMENTS;

/// Archives what a tenant no longer keeps. Says how much that was.
///
/// # Errors
/// What failed, once the rest is done.
pub(crate) async fn archive(db: &Db, tenant_id: Uuid, args: &JsonText) -> Result<Value, String> {
    let tenant =
        TenantAndTime::of_job(db, tenant_id, args).await.map_err(|error: DbError| error.to_string())?;
    let Some(tenant) = tenant else { return Ok(json!({})) };
    let mut failures = Vec::new();
    let mut passed = |pass: &str, outcome: Result<i64, DbError>| {
        outcome.unwrap_or_else(|error| {
            tracing::warn!(pass, %error, "usage could not be archived");
            failures.push(format!("{pass}: {error}"));
            0
        })
    };
    let hard_deleted = passed("purge", purge(db, tenant_id).await);
    let days = tenant.token_data_retention_days;
    let (mut soft_deleted, mut archived) = (0, 0);
    if let Some(days) = days {
        soft_deleted = passed("soft delete", retire(db, tenant_id, days).await);
        archived = passed("archive anomalies", archive_anomalies(db, tenant_id, days).await);
    }
    let told = json!({
        "retention_days": days,
        "reports_soft_deleted": soft_deleted,
        "reports_hard_deleted": hard_deleted,
        "anomalies_archived": archived,
    });
    if hard_deleted + soft_deleted + archived > 0 {
        let event = Event::new("token_data_archival", tenant_id, "archival_run", told.clone());
        let event = told
            .as_object()
            .into_iter()
            .flatten()
            .fold(event, |event, (key, value)| event.meta(key, value.clone()));
        let work = async |tx: Tx| {
            let by = Attribution::system("usage_archival");
            events::record(tx, &by, vec![event.clone()], None).await
        };
        if let Err(error) = db.transaction(tenant_id, work).await {
            failures.push(format!("audit entry: {error}"));
        }
    }
    if failures.is_empty() { Ok(told) } else { Err(failures.join("; ")) }
}

/// Forgets what was deleted long ago. Days of which reports were only too old are not recounted from then on: what was marked is
/// counted once more before.
async fn purge(db: &Db, tenant_id: Uuid) -> Result<i64, DbError> {
    let mut purged = 0;
    loop {
        for day in db.read(tenant_id, DAYS_TO_PURGE.with(&[])).await? {
            recount(db, tenant_id, day).await?;
        }
        let batch = db.write(tenant_id, PURGE.with(&[])).await?.first().copied().unwrap_or_default();
        purged += batch;
        if batch == 0 {
            return Ok(purged);
        }
    }
}

/// Takes what is too old out of all sums, once its days are counted.
async fn retire(db: &Db, tenant_id: Uuid, days: i32) -> Result<i64, DbError> {
    let mut retired = 0;
    loop {
        for day in db.read(tenant_id, UNCOUNTED_DAYS.with(&[&days])).await? {
            recount(db, tenant_id, day).await?;
        }
        let work = async |mut tx: Tx| {
            let picked = tx.all(PICK_OLD, &[&days]).await?;
            let (ids, stories): (Vec<_>, Vec<_>) =
                picked.iter().map(|Picked { id, story_id }| (*id, *story_id)).unzip();
            // Stories come before their reports, as everywhere.
            tx.execute(LOCK_STORIES_OF_REPORTS, &[&stories]).await?;
            let params: Params<'_> = &[&ids];
            let retired = tx.commit(&RETIRE.with(params)).await?;
            Ok::<_, DbError>(retired.first().copied().unwrap_or_default())
        };
        let batch = db.transaction(tenant_id, work).await?;
        retired += batch;
        if batch == 0 {
            return Ok(retired);
        }
    }
}

async fn archive_anomalies(db: &Db, tenant_id: Uuid, days: i32) -> Result<i64, DbError> {
    let mut archived = 0;
    loop {
        let batch = db.write(tenant_id, ARCHIVE_ANOMALIES.with(&[&days])).await?;
        let batch = batch.first().copied().unwrap_or_default();
        archived += batch;
        if batch == 0 {
            return Ok(archived);
        }
    }
}
