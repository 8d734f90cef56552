//! PostgreSQL: connections, tenant transactions, migrations.

mod admin;
mod backends;
mod error;
mod line;
mod listening;
mod login;
pub mod migrate;
mod order;
mod pooler;
mod pools;
mod reading;
mod row;
mod shares;
mod sql;
mod time;
mod tls;
mod tx;
mod users;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Client, Object};
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use uuid::Uuid;

use crate::life::Life;
use crate::metrics::{PoolState, Usage, Waits};

pub(crate) use admin::{AdminDb, STATEMENTS as ADMIN_STATEMENTS};
pub(crate) use backends::APP_ROLE;
pub use error::DbError;
pub(crate) use listening::listen;
pub use login::Login;
pub(crate) use loopctl_macros::Row;
pub use pooler::{NotDirect, check_direct};
pub(crate) use pools::most_connections;
use pools::{End, Pools};
pub(crate) use reading::{LARGEST_ANSWER, OTHER_LARGE};
pub use row::{Column, Row, RowReader, RowTypes};
pub(crate) use shares::{Share, Shares};
pub(crate) use sql::{ListSql, around_columns, column, fitting, statements, weighed};
pub use sql::{Named, Params, Sql, Statement};
pub use time::Timestamp;
pub(crate) use tokio_postgres::types::Json as AsJson;
pub use tx::{Batch, Tx};
use tx::{Fate, Kind};
pub(crate) use users::HEAVY;
use users::{Held, Users};

/// How long a request waits for a free connection before it is answered with 503.
const POOL_WAIT: Duration = Duration::from_secs(10);

/// As long as PostgreSQL lets a statement wait for a lock, and we whoever waits for another of their tenant.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How long a statement may go unanswered: a little longer than PostgreSQL lets it run. A database that has said nothing by
/// then says nothing any more.
pub(crate) const DEADLINE: Duration = Duration::from_secs(65);

/// How long a statement that nobody waits for may keep its connection.
const ABANDONED: Duration = Duration::from_secs(1);

/// Why somebody who waited for a project may not begin.
const AT_WORK: &str = "others are at work on the plan of this project";

/// How often work is begun that another transaction or a migration may get in the way of.
const ATTEMPTS: usize = 3;

statements! {
    IS_WRITABLE -> bool = "select current_setting('transaction_read_only') = 'off'";
    /// Needs room, for a moment.
    TRY_WRITING = "select try_writing()";
}

/// The application's connections. Tenant tables are reached through a [`Tx`] alone, as `loopctl_app` and under
/// row-level security, whatever login the pool has.
#[derive(Debug, Clone)]
pub struct Db(Arc<Parts>);

/// What it is made of. Every request has it several times, and a pointer is cheaper than all of this.
#[derive(Debug, Clone)]
pub struct Parts {
    pools: Pools,
    users: Users,
    /// Whoever changes the shape of a project's plan, one at a time.
    projects: Shares,
    /// How long a statement may go unanswered.
    deadline: Duration,
    /// What takes a transaction back outlives the request that gave it up.
    life: Life,
    /// Whether the last thing that was known of the database's disk is that it takes no more.
    storage_failed: Arc<AtomicBool>,
    /// Who writes to which tenant's log.
    turns: Shares,
    /// How long it is waited for.
    waits: Waits,
    /// Who keeps it busy.
    usage: Usage,
}

impl Deref for Db {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
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
        login.begin_sessions_as_wanted();
        Ok(Self::of(Parts {
            pools: Pools::new(login, size)?,
            users: Users::of(size),
            projects: Shares::turns(),
            deadline,
            life,
            storage_failed: Arc::default(),
            turns: Shares::turns(),
            waits: Waits::new(),
            usage: Usage::default(),
        }))
    }

    fn of(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// The same over connections of its own, which nobody else waits for.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn beside(&self, size: usize) -> Result<Self, DbError> {
        let pools = self.pools.beside(size)?;
        Ok(Self::of(Parts { pools, ..Parts::clone(self) }))
    }

    /// The same for jobs, which have at most `most` of the connections at the same time, whoever's they are. They wait for each other
    /// before they wait for a connection, so nobody of them may need a second one while having one.
    pub(crate) fn for_jobs(&self, most: usize) -> Self {
        self.used_by(self.users.jobs(most))
    }

    /// The same for superadmins at work in a tenant, whose requests do not stand in the line of those that they may have come to stop.
    pub(crate) fn for_superadmins(&self) -> Self {
        self.used_by(self.users.superadmins())
    }

    /// The same for what writes thousands of rows.
    pub(crate) fn for_long(&self) -> Self {
        self.used_by(self.users.at_length())
    }

    /// The same for one whose answer is likely to be large, when it is the turn of the tenant to have such a one read. The turn lasts as
    /// long as what is returned.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(crate) async fn in_turn(&self, tenant_id: Uuid) -> Result<Self, DbError> {
        let turn = self.wait(self.users.large.line(tenant_id, OTHER_LARGE).turn()).await?;
        Ok(self.used_by(self.users.in_turn(turn)))
    }

    fn used_by(&self, users: Users) -> Self {
        Self::of(Parts { users, ..Parts::clone(self) })
    }

    /// Closes the connections that nobody uses, and the others when they come back. Whoever asks for one is refused.
    pub(crate) fn close(&self) {
        self.pools.close();
    }

    /// Those whose transactions are under way, or wait.
    pub(crate) fn served(&self) -> Shares {
        self.users.connections.clone()
    }

    /// Who keeps it busy, and whatever else is counted by tenant.
    pub(crate) fn usage(&self) -> Usage {
        self.usage.clone()
    }

    /// The connections as they are now, without those for what takes long.
    pub(crate) fn pool_state(&self) -> PoolState {
        let status = self.pools.usual.status();
        let used = status.size.saturating_sub(status.available);
        let waiting = status.waiting + self.users.waiting();
        PoolState { idle: status.available, used, most: status.max_size, waiting }
    }

    /// Waits for what others have. Requests that would have to when the process ends are not begun any more; jobs are given back by
    /// whoever has begun them.
    async fn wait<T>(&self, what: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        if self.users.are_jobs() {
            return what.await;
        }
        self.life.wait(what).await.unwrap_or(Err(DbError::Stopping))
    }

    /// A connection, when there is one.
    async fn client(&self) -> Result<Client, DbError> {
        self.wait(async { Ok(self.waits.for_connection(self.pools.usual.get()).await?) }).await
    }

    /// A transaction bound to one tenant: the only way to tenant tables.
    ///
    /// # Errors
    /// When no connection is to be had.
    async fn tenant(&self, tenant_id: Uuid, kind: Kind) -> Result<Tx, DbError> {
        let mut held = self.wait(self.users.admit(tenant_id, kind)).await?;
        let pool = if self.users.stand_aside(kind) { &self.pools.aside } else { &self.pools.usual };
        let getting = async {
            held.place = self.users.let_in(tenant_id, kind).await?;
            Ok(pool.get().await?)
        };
        let client = self.wait(self.waits.for_connection(getting)).await?;
        self.users.begin();
        Ok(Tx::open(kind, client, tenant_id, self.clone(), held))
    }

    /// Runs statements that only read in a transaction of their own, in one round trip, and again where that may help.
    ///
    /// # Errors
    /// When no connection is to be had, or a statement fails.
    pub async fn read<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Kind::Reading, "", |tx| tx.commit(&batch)).await
    }

    /// As [`Self::read`], for a part of what is not read for an answer, and is as large as it is.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn read_part<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Kind::Part, "", |tx| tx.commit(&batch)).await
    }

    /// As [`Self::read`], for a page of a list.
    ///
    /// # Errors
    /// As [`Self::read`], and when it would be larger than an answer may be.
    pub(crate) async fn list<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Kind::Listing, "", |tx| tx.commit(&batch)).await
    }

    /// As [`Self::read`], for statements that write.
    ///
    /// # Errors
    /// As [`Self::read`]; nothing is changed then.
    pub async fn write<B: Batch>(&self, tenant_id: Uuid, batch: B) -> Result<B::Answer, DbError> {
        self.attempts(tenant_id, Kind::Writing, "", |tx| tx.commit(&batch)).await
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
        self.attempts(tenant_id, Kind::Writing, first, work).await
    }

    async fn attempts<T, E, F>(
        &self,
        tenant_id: Uuid,
        kind: Kind,
        first: &str,
        mut work: impl FnMut(Tx) -> F,
    ) -> Result<T, E>
    where
        E: From<DbError>,
        F: Future<Output = Result<T, E>>,
    {
        let (mut lost, mut in_turn) = (0, None);
        loop {
            let tx = self.tenant(tenant_id, kind).await?.beginning_with(first).having(in_turn.take());
            let fate = tx.fate();
            let outcome = self.in_time(kind, &fate, work(tx)).await;
            if outcome.is_ok() {
                return outcome;
            }
            if let Some(line) = fate.waits_for() {
                // Here, where it has no connection.
                in_turn = Some(self.wait(line.turn()).await?);
            } else if fate.is_lost() && lost + 1 < ATTEMPTS {
                lost += 1;
            } else {
                return outcome;
            }
        }
    }

    /// Stops what takes too long. What has become of a commit that is under way is worth waiting for, though: it has a deadline of its
    /// own.
    async fn in_time<T, E: From<DbError>>(
        &self,
        kind: Kind,
        fate: &Fate,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let patience = self.users.patience(kind);
        // Apart: work within work would be larger than a stack.
        let mut work = Box::pin(work);
        match timeout(patience, work.as_mut()).await {
            Ok(outcome) => outcome,
            Err(_) if fate.is_committing() => work.await,
            Err(_) => Err(DbError::TooLong(patience).into()),
        }
    }

    /// A transaction for answers too large to be read at once: it only reads, and all its statements see the
    /// database at the same moment. It stays open for as long as it takes to read, so snapshots have connections for what takes long.
    ///
    /// # Errors
    /// When too many snapshots are open for too long, or no connection is to be had.
    pub async fn snapshot(&self, tenant_id: Uuid) -> Result<Tx, DbError> {
        self.tenant(tenant_id, Kind::Snapshot).await
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

    /// Lets others have a connection again, once `last` has been answered and what may be under way before it, and closes one that takes
    /// longer than this: then PostgreSQL takes back what was begun. What is `held` is given back with it.
    fn give_back(&self, client: Client, end: End, patience: Duration, held: Held) {
        if tokio::runtime::Handle::try_current().is_err() {
            drop(Object::take(client));
            return;
        }
        let db = self.clone();
        self.life.complete(async move {
            let is_done = matches!(timeout(patience, db.pools.bring_back(&client, end)).await, Ok(Ok(())));
            if db.users.at_length || !is_done {
                drop(Object::take(client));
            } else {
                drop(client);
            }
            // Others are let in when it is there.
            drop(held);
        });
    }

    async fn run_alone<R: Row>(&self, sql: Sql<R>, params: Params<'_>) -> Result<Vec<R>, DbError> {
        // Whoever gives up on the answer must not hand the connection on: the next one would wait for it.
        let mut held = Held::default();
        held.keep(self.users.admit_job().await);
        let end = End { cancels: false, last: "" };
        let give_back = |(client, held)| self.give_back(client, end, ABANDONED, held);
        let held = scopeguard::guard((self.client().await?, held), give_back);
        let rows = self.waits.for_answer(line::ask(&held.0, self.deadline, sql.text, params)).await;
        let (client, _held) = ScopeGuard::into_inner(held);
        if let Err(error) = &rows {
            self.note(error);
        }
        if rows.as_ref().is_err_and(DbError::is_silence) {
            drop(Object::take(client));
        }
        rows?.iter().map(|row| R::read(&mut RowReader::new(row))).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn nowhere() -> Db {
        let login = Login::of_socket(tokio_postgres::Config::new()).unwrap();
        Db::new(login, 10, DEADLINE, Life::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_too_long_is_stopped_unless_it_is_being_committed() {
        let (db, second) = (nowhere(), Duration::from_secs(1));
        let stopped = async |db: &Db, kind: Kind| {
            let began = Instant::now();
            let outcome = db.in_time::<(), DbError>(kind, &Fate::default(), std::future::pending()).await;
            assert!(matches!(outcome, Err(DbError::TooLong(_))));
            began.elapsed().as_secs()
        };
        assert_eq!(stopped(&db, Kind::Reading).await, 10);
        assert_eq!(stopped(&db, Kind::Writing).await, 30);
        assert_eq!(stopped(&db.for_long(), Kind::Writing).await, 120);
        let fate = Fate::default();
        let committing = async {
            fate.commits();
            tokio::time::sleep(60 * second).await;
            Ok::<_, DbError>(())
        };
        db.in_time(Kind::Writing, &fate, committing).await.unwrap();
        let of_a_job = async {
            tokio::time::sleep(3600 * second).await;
            Ok::<_, DbError>(())
        };
        db.for_jobs(1).in_time(Kind::Writing, &Fate::default(), of_a_job).await.unwrap();
    }
}
