//! What is kept instead of being found out, found out once more: readiness and queues, sums and counts, and of the log its positions
//! and the hashes of its entries. All of it as one transaction sees it: nobody has to stop for it.

mod counters;
mod log;
mod readiness;

use serde::Serialize;
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};
use uuid::Uuid;

use super::{OperatorError, tenant_id};
use crate::db::migrate::{connect, is_above_tenants};
use crate::db::{DbError, Login};

/// How many differences are told.
const TOLD: i64 = 100;

/// What a check has found.
#[derive(Debug, Default, Serialize)]
pub struct Check {
    /// How many stories there are.
    pub stories: i64,
    /// How many epics.
    pub epics: i64,
    /// How many entries the log has.
    pub log_entries: i64,
    /// How many differences there are.
    pub different: i64,
    /// The first 100 of them.
    pub differences: Vec<Difference>,
}

impl Check {
    fn note(&mut self, difference: Difference) {
        self.different += 1;
        self.tell(difference);
    }

    /// Tells of a difference that is counted elsewhere, as long as few are told.
    fn tell(&mut self, difference: Difference) {
        if self.differences.len() < usize::try_from(TOLD).unwrap_or_default() {
            self.differences.push(difference);
        }
    }
}

/// A record of which something else is kept than is found.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// What it is: `story`, `epic`, `usage_by_day` (of a story), `usage_by_agent` (of an epic), `ui_test_run`, `log_entry`, or `log_head`
    /// (of a tenant).
    pub entity: String,
    /// Whose.
    pub tenant_id: Uuid,
    /// Which.
    pub id: Uuid,
    /// What is kept, as JSON; None where nothing is.
    pub kept: Option<String>,
    /// What should be.
    pub found: String,
}

impl Difference {
    /// What a row tells that has `tenant_id`, `id`, `kept` and `found`.
    fn read(entity: String, row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            entity,
            tenant_id: row.try_get("tenant_id")?,
            id: row.try_get("id")?,
            kept: row.try_get("kept")?,
            found: row.try_get("found")?,
        })
    }
}

/// Compares what is kept with what it was made of, of a tenant or of all. It only reads, and may run beside a server at work.
///
/// # Errors
/// When the database fails.
pub async fn check(owner: &Login, tenant: Option<Uuid>) -> Result<Check, OperatorError> {
    check_and_tell(owner, tenant, |_| {}).await
}

/// As [`check`], which tells `progress` from time to time what it has found so far.
///
/// # Errors
/// When the database fails.
pub async fn check_and_tell(
    owner: &Login,
    tenant: Option<Uuid>,
    progress: impl FnMut(&Check),
) -> Result<Check, OperatorError> {
    let mut client = above_tenants(owner).await?;
    let mut check = Check::default();
    let seen = as_of_one_moment(&mut client).await?;
    readiness::compare(&seen, tenant, &mut check).await?;
    counters::compare(&seen, tenant, &mut check).await?;
    log::compare(&seen, tenant, &mut check, progress).await?;
    seen.rollback().await.map_err(DbError::from)?;
    Ok(check)
}

/// What a check of the log alone has found.
#[derive(Debug, Serialize)]
pub struct LogCheck {
    /// How many entries there are.
    pub entries: i64,
    /// How many differences there are.
    pub different: i64,
    /// The first 100 of them.
    pub differences: Vec<Difference>,
}

/// Looks through the log of a tenant (id or slug), or of all: that no position is missing, that each head is its log's end, and that
/// each entry is what its hash says. From time to time `progress` is told how many entries were looked at.
///
/// # Errors
/// When there is no such tenant, or the database fails.
pub async fn verify_log(
    owner: &Login,
    tenant: Option<&str>,
    mut progress: impl FnMut(i64),
) -> Result<LogCheck, OperatorError> {
    let mut client = above_tenants(owner).await?;
    let tenant = match tenant {
        Some(tenant) => Some(tenant_id(&client, tenant).await?),
        None => None,
    };
    let mut check = Check::default();
    let seen = as_of_one_moment(&mut client).await?;
    log::compare(&seen, tenant, &mut check, |check| progress(check.log_entries)).await?;
    seen.rollback().await.map_err(DbError::from)?;
    let Check { log_entries: entries, different, differences, .. } = check;
    Ok(LogCheck { entries, different, differences })
}

/// A connection that sees the records of every tenant.
///
/// # Errors
/// When the login does not, or the database fails.
async fn above_tenants(owner: &Login) -> Result<Client, OperatorError> {
    if !is_above_tenants(owner).await? {
        // It would see nothing, and say that all is well.
        let message = "this login sees no tenant's records: set ADMIN_DATABASE_URL to one that does (superuser, or BYPASSRLS)";
        return Err(OperatorError::Invalid(message.to_owned()));
    }
    Ok(connect(owner).await?)
}

/// A transaction that sees all as it is now, and changes nothing.
async fn as_of_one_moment(client: &mut Client) -> Result<Transaction<'_>, DbError> {
    let seen = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(seen.start().await?)
}

/// Notes what a statement yields, which is differences: whose, of what, what is kept and what should be, and how many there are of them
/// in all.
async fn note_all(
    seen: &Transaction<'_>,
    entity: &str,
    differences: &str,
    tenant: Option<Uuid>,
    check: &mut Check,
) -> Result<(), DbError> {
    let rows = seen.query(differences, &[&TOLD, &tenant]).await?;
    // Each row says how many there are, those beyond the limit as well.
    let all: Option<i64> = rows.first().map(|row| row.try_get("different")).transpose()?;
    check.different += all.unwrap_or_default();
    for row in rows {
        check.tell(Difference::read(entity.to_owned(), &row)?);
    }
    Ok(())
}
