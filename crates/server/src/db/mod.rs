//! PostgreSQL: connections, tenant transactions, migrations.

mod error;
pub mod migrate;
mod statements;
mod tx;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, ToSql, Type, to_sql_checked};
use tokio_postgres::{NoTls, Row};
use uuid::Uuid;

pub use error::DbError;
pub(crate) use statements::statements;
pub use tx::{Statement, Tx};

/// How long a request waits for a free connection before it is answered with 503.
const POOL_WAIT: Duration = Duration::from_secs(10);

/// Nobody waits for ever for a lock that somebody forgot, and nobody holds one for ever. A large import takes
/// seconds.
const SESSION_OPTIONS: &str =
    "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s";

/// The application's connections. Tenant tables are reached through [`Db::tenant`] alone, as `loopctl_app` and under
/// row-level security, whatever login the pool has.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    /// A turn for every snapshot that may be open.
    snapshots: Arc<Semaphore>,
}

impl Db {
    /// A pool of at most `size` connections; none is opened yet.
    ///
    /// # Errors
    /// When the pool cannot be built from this configuration.
    pub fn new(mut config: tokio_postgres::Config, size: usize) -> Result<Self, DbError> {
        let options = [config.get_options().unwrap_or_default(), SESSION_OPTIONS].join(" ");
        config.options(options.trim());
        // `Fast` only asks whether the connection is open. That is enough: a transaction that was not finished
        // is rolled back before its connection returns to the pool (see `Tx`).
        let manager =
            Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(POOL_WAIT))
            .build()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let snapshots = Arc::new(Semaphore::new((size / 2).max(1)));
        Ok(Self { pool, snapshots })
    }

    /// A transaction bound to one tenant: the only way to tenant tables.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn tenant(&self, tenant_id: Uuid) -> Result<Tx, DbError> {
        Ok(Tx::new(self.pool.get().await?, tenant_id))
    }

    /// As [`Self::tenant`], for answers too large to be read at once: it only reads, and all its statements see the
    /// database at the same moment. It stays open for as long as a client takes to read on, so snapshots may hold
    /// half of the connections, and the others serve everybody else.
    ///
    /// # Errors
    /// When too many snapshots are open for too long, or no connection is to be had.
    pub async fn snapshot(&self, tenant_id: Uuid) -> Result<Tx, DbError> {
        let turn = timeout(POOL_WAIT, Arc::clone(&self.snapshots).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok);
        let turn = turn.ok_or_else(|| DbError::Pool("every turn for a snapshot is taken".to_owned()))?;
        Ok(Tx::snapshot(self.pool.get().await?, tenant_id, turn))
    }

    /// Runs one statement outside any transaction and tenant, as the pool's login: for authentication, which comes
    /// before a tenant is known, and for questions about the database itself.
    ///
    /// # Errors
    /// When no connection is to be had, or the statement fails.
    pub async fn without_tenant(
        &self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, DbError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query_opt(&statement, params).await?)
    }
}

/// A point in time as the wire wants it: UTC, microseconds, `Z` (file 01 §1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub DateTime<Utc>);

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        DateTime::<Utc>::from_sql(ty, raw).map(Self)
    }

    fn accepts(ty: &Type) -> bool {
        <DateTime<Utc> as FromSql>::accepts(ty)
    }
}

impl ToSql for Timestamp {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut tokio_postgres::types::private::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <DateTime<Utc> as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

/// Reads a column that holds one of an enumeration's words.
///
/// # Errors
/// When the column is missing, or holds a word that `parse` does not know.
pub fn word<T>(row: &Row, column: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, DbError> {
    let text: &str = row.try_get(column)?;
    parse(text).ok_or_else(|| DbError::Unexpected(format!("column {column} holds {text:?}")))
}
