//! When which days are counted.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use loopctl_core::json::JsonText;
use serde_json::{Value, json};
use uuid::Uuid;

use super::store::{COUNT_DAY, HOLD_DAY, NEXT_DAY, NEXT_TO_COUNT, STALE_DAYS, UNMARK_DAY};
use crate::cost::period::{TenantAndTime, days, told};
use crate::db::{Db, DbError};
use crate::jobs::JobError;

/// Counts the days that a job names: first what was marked, and, where no days are named, what was left out since the last day that was
/// counted, yesterday in any case. Says which days that were.
///
/// # Errors
/// When it names too many days, or the database fails; then the days before stay counted.
pub(crate) async fn roll_up(db: &Db, tenant_id: Uuid, args: &JsonText) -> Result<Value, JobError> {
    let named = days(args)?;
    let Some(tenant) = TenantAndTime::of_job(db, tenant_id, args).await? else {
        return Ok(told(&BTreeSet::new(), json!({"summaries": 0})));
    };
    let (mut counted, mut summaries) = (BTreeSet::new(), 0);
    for day in db.read(tenant_id, STALE_DAYS.with(&[])).await? {
        summaries += recount(db, tenant_id, day).await?;
        counted.insert(day);
    }
    for day in named.iter().flatten() {
        summaries += recount(db, tenant_id, *day).await?;
        counted.insert(*day);
    }
    let mut next = if named.is_none() { first_left_out(db, tenant_id, &tenant).await? } else { None };
    while let Some(day) = next {
        if counted.insert(day) {
            summaries += recount(db, tenant_id, day).await?;
        }
        next = day_after(db, tenant_id, day.succ_opt()).await?;
    }
    Ok(told(&counted, json!({"summaries": summaries})))
}

/// The first day with reports that was not counted when it was over, or yesterday.
async fn first_left_out(
    db: &Db,
    tenant_id: Uuid,
    tenant: &TenantAndTime,
) -> Result<Option<NaiveDate>, DbError> {
    let next = db.read(tenant_id, NEXT_TO_COUNT.with(&[])).await?.into_iter().next().flatten();
    let first = next.map_or(NaiveDate::default(), |next| next.min(tenant.yesterday()));
    day_after(db, tenant_id, Some(first)).await
}

async fn day_after(db: &Db, tenant_id: Uuid, from: Option<NaiveDate>) -> Result<Option<NaiveDate>, DbError> {
    let Some(from) = from else { return Ok(None) };
    Ok(db.read(tenant_id, NEXT_DAY.with(&[&from])).await?.into_iter().next().flatten())
}

/// Counts the reports of a day, unless some of them are gone for good; how many summaries that are.
///
/// # Errors
/// When the database fails; then nothing is changed.
pub(in crate::cost) async fn recount(db: &Db, tenant_id: Uuid, day: NaiveDate) -> Result<i64, DbError> {
    let work = async |mut tx: crate::db::Tx| {
        let is_open = tx.one(HOLD_DAY, &[&day]).await?;
        if !is_open {
            return Ok(0);
        }
        tx.execute(UNMARK_DAY, &[&day]).await?;
        let counted = tx.commit(&COUNT_DAY.with(&[&day])).await?;
        Ok::<_, DbError>(counted.first().copied().unwrap_or_default())
    };
    db.transaction(tenant_id, work).await
}
