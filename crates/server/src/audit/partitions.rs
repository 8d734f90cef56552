//! The log's partitions: those of the coming months are made, those of months past the retention are dropped.
//!
//! PostgreSQL does not detach concurrently from a table that has a default partition ("cannot detach partitions concurrently when
//! a default partition exists", up to version 18 at least), and that one is the net below every write. So a partition is dropped
//! at once, with the log to itself for a moment: as little as that takes, readers are not waited for. While one is, whoever comes
//! next waits behind us, so we wait a little, go away, and come back, more patiently each time, for half a second at most. What
//! is dropped and detached in one is whole or gone: there is no state between, in which a crash could leave it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::db::migrate::connect;
use crate::db::{DbError, Login};

/// For how many months after this one there are partitions.
const AHEAD: i32 = 3;

/// Any number will do as long as every loopctl uses the same.
const LOCK: i64 = 0x0061_7564_6974_706d;

/// How long one waits for another who is at the same work.
const TURN: &str = "set lock_timeout = '60s'; set statement_timeout = '10min'";

/// How long the log is waited for, time after time, and how long in between.
const PATIENCE: [u64; 8] = [10, 20, 50, 100, 200, 500, 500, 500];
const PAUSE: Duration = Duration::from_millis(500);

/// Rows in the default partition are counted up to here.
const COUNTED: i64 = 10_000;

/// Partitions by their names, oldest first, with whether their month has been past the retention for a month.
const PARTITIONS: &str = r#"
    select c.relname::text as name,
           to_date(substr(c.relname, 12), 'YYYY"m"MM')
               < date_trunc('month', (now() - make_interval(days => $1)) at time zone 'utc') as is_old
    from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'public.audit_log'::regclass and c.relname ~ '^audit_log_y\d{4}m\d{2}$'
    order by 1"#;

/// Sees to the partitions, with the login that owns them, and tells what was made and dropped. May be done any number of times, and
/// several at once take turns.
///
/// # Errors
/// When the database fails, or the log was not to be had; whatever else there was to do is done then.
pub(crate) async fn keep(owner: &Login, retention_days: i32) -> Result<Value, PartitionError> {
    let client = connect(owner).await?;
    client.batch_execute(TURN).await?;
    // It goes with the connection.
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    let before = partitions(&client, retention_days).await?;
    let missing = create(&client).await?;
    let mut dropped = Vec::new();
    let mut kept = Vec::new();
    for (name, is_old) in &before {
        if *is_old {
            if drop_partition(&client, name).await? { &mut dropped } else { &mut kept }.push(name.as_str());
        }
    }
    let after = partitions(&client, retention_days).await?;
    let created: Vec<_> =
        after.iter().filter(|partition| !before.contains(partition)).map(|(name, _)| name).collect();
    let strays = strays(&client).await?;
    if !dropped.is_empty() {
        tracing::info!(partitions = dropped.join(", "), retention_days, "months of the log were dropped");
    }
    if missing.is_empty() && kept.is_empty() {
        return Ok(json!({"created": created, "dropped": dropped, "in_default_partition": strays}));
    }
    let names = [missing.iter().map(String::as_str).collect(), kept].concat();
    Err(PartitionError::Busy(names.join(", ")))
}

/// Why the partitions are not as they should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PartitionError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// Somebody has been reading the log all the time.
    #[error("the log was in use all the time, so these partitions could not be made or dropped: {0}")]
    Busy(String),
}

impl From<tokio_postgres::Error> for PartitionError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Db(error.into())
    }
}

async fn partitions(client: &Client, retention_days: i32) -> Result<Vec<(String, bool)>, DbError> {
    let rows = client.query(PARTITIONS, &[&retention_days]).await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("is_old")?))).collect()
}

/// Makes what is missing; says what could not be had.
async fn create(client: &Client) -> Result<Vec<String>, DbError> {
    let mut missing = Vec::new();
    for _ in PATIENCE {
        let row = client.query_one("select ensure_audit_partitions($1) as missing", &[&AHEAD]).await?;
        missing = row.try_get("missing")?;
        if missing.is_empty() {
            break;
        }
        sleep(PAUSE).await;
    }
    Ok(missing)
}

/// Drops a partition of the log; whether the log was to be had. The name is one that the catalogue has told.
async fn drop_partition(client: &Client, name: &str) -> Result<bool, DbError> {
    for patience in PATIENCE {
        // One request is one transaction.
        let dropped = client
            .batch_execute(&format!("set local lock_timeout = '{patience}ms'; drop table public.{name}"))
            .await;
        match dropped {
            Ok(()) => return Ok(true),
            Err(error) => match error.code() {
                Some(code)
                    if *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED =>
                {
                    sleep(PAUSE).await;
                }
                _ => return Err(error.into()),
            },
        }
    }
    Ok(false)
}

/// How many rows came when their month had no partition, up to a bound. They are never altered, which includes moving them, and
/// whoever dropped the table would drop the net: so they stay, past the retention as well, and an operator is told.
async fn strays(client: &Client) -> Result<i64, DbError> {
    let sql = "select count(*) as strays, min(inserted_at)::text as since
               from (select inserted_at from only audit_log_default limit $1) found";
    let row = client.query_one(sql, &[&COUNTED]).await?;
    let (strays, since): (i64, Option<String>) = (row.try_get("strays")?, row.try_get("since")?);
    if let Some(since) = since {
        tracing::warn!(
            strays,
            since,
            "entries of the log are in its default partition, and stay there, past the retention as well: when they came, \
             their month had no partition"
        );
    }
    Ok(strays)
}
