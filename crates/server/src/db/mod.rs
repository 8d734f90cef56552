//! PostgreSQL: connections, tenant transactions, migrations.

mod admin;
mod error;
mod line;
mod listening;
mod login;
pub mod migrate;
mod pooler;
mod row;
mod sql;
mod time;
mod tls;
mod turns;
mod tx;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use scopeguard::ScopeGuard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use crate::life::Life;
use crate::metrics::{PoolState, Waits};

pub(crate) use admin::{AdminDb, STATEMENTS as ADMIN_STATEMENTS};
pub use error::DbError;
pub(crate) use line::APP_ROLE;
pub(crate) use listening::listen;
pub use login::Login;
pub(crate) use loopctl_macros::Row;
pub use pooler::{NotDirect, check_direct};
pub use row::{Column, Row, RowReader, RowTypes};
pub(crate) use sql::{ListSql, around_columns, column, fitting, statements, weighed};
pub use sql::{Named, Params, Sql, Statement};
pub use time::Timestamp;
pub(crate) use tokio_postgres::types::Json as Jsonb;
pub(crate) use turns::{Turn, Turns};
pub use tx::{Batch, Tx};

/// How long a request waits for a free connection before it is answered with 503.
const POOL_WAIT: Duration = Duration::from_secs(10);

/// As long as PostgreSQL lets a statement wait for a lock, and we whoever waits for another of their tenant.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How long a statement may go unanswered: a little longer than PostgreSQL lets it run. A database that has said nothing by
/// then says nothing any more.
pub(crate) const DEADLINE: Duration = Duration::from_secs(65);

/// How long a statement that nobody waits for may keep its connection.
const ABANDONED: Duration = Duration::from_secs(1);

/// How often work is begun that another transaction or a migration may get in the way of.
const ATTEMPTS: usize = 3;

/// Nobody waits for ever for a lock that somebody forgot, and nobody holds one for ever. A large import takes
/// seconds.
const SESSION_OPTIONS: &str =
    "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s";

/// Has each session of a login begin with them.
fn with_session_options(login: &mut Login) {
    let options = [login.get_options().unwrap_or_default(), SESSION_OPTIONS].join(" ");
    login.options(options.trim());
}

statements! {
    IS_WRITABLE -> bool = "select current_setting('transaction_read_only') = 'off'";
    /// Needs room, for a moment.
    TRY_WRITING = "select try_writing()";
}

/// Opens one kind of transaction or another.
type Open = fn(Client, Uuid, Db) -> Tx;

/// The application's connections. Tenant tables are reached through a [`Tx`] alone, as `loopctl_app` and under
/// row-level security, whatever login the pool has.
#[derive(Debug, Clone)]
pub struct Db {
    pool: Pool,
    /// A turn for every snapshot that may be open.
    snapshots: Arc<Semaphore>,
    /// A turn for every connection that these users may have at the same time; None: all of them.
    share: Option<Arc<Semaphore>>,
    /// How long a statement may go unanswered.
    deadline: Duration,
    /// What takes a transaction back outlives the request that gave it up.
    life: Life,
    /// Whether the last thing that was known of the database's disk is that it takes no more.
    storage_failed: Arc<AtomicBool>,
    /// Who writes to which tenant's log.
    turns: Turns,
    /// Whether connections have another role than the application's.
    takes_role: Arc<AtomicBool>,
    /// How long it is waited for.
    waits: Waits,
}

impl Db {
    /// A pool of at most `size` connections; none is opened yet.
    ///
    /// # Errors
    /// When the pool cannot be built from this configuration.
    pub(crate) fn new(
        mut login: Login,
        size: usize,
        deadline: Duration,
        life: Life,
    ) -> Result<Self, DbError> {
        line::watch(&mut login);
        with_session_options(&mut login);
        let config = tokio_postgres::Config::clone(&login);
        // `Fast` only asks whether the connection is open. That is enough: a transaction that was not finished
        // is rolled back before its connection returns to the pool (see `Tx`).
        let takes_role = Arc::<AtomicBool>::default();
        let manager = Manager::from_connect(
            config,
            line::DialForRequests { login, takes_role: Arc::clone(&takes_role) },
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(POOL_WAIT))
            .build()
            .map_err(|error| DbError::Pool(error.to_string()))?;
        let snapshots = Arc::new(Semaphore::new((size / 2).max(1)));
        let turns = Turns::default();
        let waits = Waits::new();
        let storage_failed = Arc::default();
        Ok(Self { pool, snapshots, share: None, deadline, life, storage_failed, turns, takes_role, waits })
    }

    /// The same for users who have at most `most` of the connections at the same time, all of them together. They wait for each other
    /// before they wait for a connection, so nobody of them may need a second one while having one.
    pub(crate) fn shared_by(&self, most: usize) -> Self {
        Self { share: Some(Arc::new(Semaphore::new(most.max(1)))), ..self.clone() }
    }

    /// The turn of whoever has a share of the connections only.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match &self.share {
            Some(share) => Arc::clone(share).acquire_owned().await.ok(),
            None => None,
        }
    }

    /// Closes the connections that nobody uses, and the others when they come back. Whoever asks for one is refused.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// The connections as they are now.
    pub(crate) fn pool_state(&self) -> PoolState {
        let status = self.pool.status();
        let used = status.size.saturating_sub(status.available);
        PoolState { idle: status.available, used, most: status.max_size, waiting: status.waiting }
    }

    /// A connection, when there is one.
    async fn client(&self) -> Result<Client, DbError> {
        Ok(self.waits.for_connection(self.pool.get()).await?)
    }

    /// A transaction bound to one tenant: the only way to tenant tables.
    ///
    /// # Errors
    /// When no connection is to be had.
    async fn tenant(&self, tenant_id: Uuid, open: Open) -> Result<Tx, DbError> {
        let turn = self.turn().await;
        Ok(open(self.client().await?, tenant_id, self.clone()).holding(turn))
    }

    /// Runs statements that only read in a transaction of their own, in one round trip, and again where that may help.
    ///
    /// # Errors
    /// When no connection is to be had, or a statement fails.
    pub async fn read<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Tx::reading, "", |tx| tx.commit(&batch)).await
    }

    /// As [`Self::read`], for statements that write.
    ///
    /// # Errors
    /// As [`Self::read`]; nothing is changed then.
    pub async fn write<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Tx::new, "", |tx| tx.commit(&batch)).await
    }

    /// Runs `work` in a transaction, which it ends itself, and again where that may help: when the transaction lost a
    /// deadlock or a serialisation conflict, or a migration has passed by under its connection. Locks are taken in a
    /// fixed order, so this is the net below, not the method.
    ///
    /// # Errors
    /// The last failure of `work`, or when no connection is to be had.
    pub async fn transaction<T, E, F>(&self, tenant_id: Uuid, work: impl FnMut(Tx) -> F) -> Result<T, E>
    where
        E: From<DbError>,
        F: Future<Output = Result<T, E>>,
    {
        self.transaction_with("", tenant_id, work).await
    }

    /// As [`Self::transaction`], with SQL that goes along with what begins it.
    ///
    /// # Errors
    /// As [`Self::transaction`], and when that SQL fails: then nothing of the work was tried.
    pub(crate) async fn transaction_with<T, E, F>(
        &self,
        first: &str,
        tenant_id: Uuid,
        work: impl FnMut(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<DbError>,
        F: Future<Output = Result<T, E>>,
    {
        self.attempts(tenant_id, Tx::new, first, work).await
    }

    async fn attempts<T, E, F>(
        &self,
        tenant_id: Uuid,
        open: Open,
        first: &str,
        mut work: impl FnMut(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<DbError>,
        F: Future<Output = Result<T, E>>,
    {
        for _ in 1..ATTEMPTS {
            let tx = self.tenant(tenant_id, open).await?.beginning_with(first);
            let lost = tx.lost();
            match work(tx).await {
                Err(_) if lost.get() => {}
                outcome => return outcome,
            }
        }
        work(self.tenant(tenant_id, open).await?.beginning_with(first)).await
    }

    /// A transaction for answers too large to be read at once: it only reads, and all its statements see the
    /// database at the same moment. It stays open for as long as a client takes to read on, so snapshots may hold
    /// half of the connections, and the others serve everybody else.
    ///
    /// # Errors
    /// When too many snapshots are open for too long, or no connection is to be had.
    pub async fn snapshot(&self, tenant_id: Uuid) -> Result<Tx, DbError> {
        let turn = timeout(POOL_WAIT, Arc::clone(&self.snapshots).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok);
        let turn = turn.ok_or_else(|| DbError::Pool("every turn for a snapshot is taken".to_owned()))?;
        Ok(Tx::snapshot(self.client().await?, tenant_id, self.clone()).holding(Some(turn)))
    }

    /// Runs one statement outside any transaction and tenant, as the pool's login: for authentication, which comes
    /// before a tenant is known, and for questions about the database itself. No request's change is made this way, so a
    /// lost answer leaves nobody in doubt.
    ///
    /// # Errors
    /// When no connection is to be had, or the statement fails.
    pub async fn without_tenant<R: Row>(
        &self,
        sql: Sql<R>,
        params: Params<'_>,
    ) -> Result<Option<R>, DbError> {
        Ok(self.all_without_tenant(sql, params).await?.into_iter().next())
    }

    /// As [`Self::without_tenant`], and all of its rows.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn all_without_tenant<R: Row>(
        &self,
        sql: Sql<R>,
        params: Params<'_>,
    ) -> Result<Vec<R>, DbError> {
        for _ in 1..ATTEMPTS {
            match self.run_alone(sql, params).await {
                Err(error) if error.is_transient() => {}
                outcome => return outcome,
            }
        }
        self.run_alone(sql, params).await
    }

    /// Remembers a failure of the disk, for [`Self::takes_writes`].
    fn note(&self, error: &DbError) {
        if error.is_storage_failure() {
            self.storage_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the database can be written to, as far as is known: after a failure of its disk that is tried again each time.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn takes_writes(&self) -> Result<bool, DbError> {
        if !self.storage_failed.load(Ordering::Relaxed) {
            return Ok(self.run_alone(IS_WRITABLE, &[]).await?.first().copied().unwrap_or(true));
        }
        match self.run_alone(TRY_WRITING, &[]).await {
            Ok(_) => self.storage_failed.store(false, Ordering::Relaxed),
            Err(error) if error.is_storage_failure() => return Ok(false),
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// Lets others have a connection on which something may be under way, once that has been answered and `last` after it,
    /// and closes one that takes longer: then PostgreSQL takes back what was begun. `turn` ends with it.
    fn give_back(
        &self,
        client: Client,
        last: &'static str,
        patience: Duration,
        turn: Option<OwnedSemaphorePermit>,
    ) {
        if tokio::runtime::Handle::try_current().is_err() {
            drop(Object::take(client));
            return;
        }
        self.life.complete(async move {
            let _until_given_back = turn;
            if !matches!(timeout(patience, client.batch_execute(last)).await, Ok(Ok(()))) {
                drop(Object::take(client));
            }
        });
    }

    async fn run_alone<R: Row>(&self, sql: Sql<R>, params: Params<'_>) -> Result<Vec<R>, DbError> {
        // Whoever gives up on the answer must not hand the connection on: the next one would wait for it.
        let turn = self.turn().await;
        let give_back = |(client, turn)| self.give_back(client, "", ABANDONED, turn);
        let held = scopeguard::guard((self.client().await?, turn), give_back);
        let rows = self.waits.for_answer(line::ask(&held.0, self.deadline, sql.text, params)).await;
        let (client, _turn) = ScopeGuard::into_inner(held);
        if let Err(error) = &rows {
            self.note(error);
        }
        if rows.as_ref().is_err_and(DbError::is_silence) {
            drop(Object::take(client));
        }
        rows?.iter().map(|row| R::read(&mut RowReader::new(row))).collect()
    }
}
