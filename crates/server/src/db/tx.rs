//! Transactions that cost few round trips and cannot leak.
//!
//! `BEGIN`, the tenant setting and the first statement travel together, and so do the last statements and
//! `COMMIT`. A transaction that is dropped unfinished, because a rule refused, a statement failed or the
//! client hung up, is rolled back before its connection can serve anybody else.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Client, Object};
use futures_util::future::maybe_done;
use futures_util::poll;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Statement as Prepared;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::line::{in_time, prepare};
use super::reading::Reading;
use super::row::{Row, RowReader};
use super::shares::{Line, Share, Shares};
use super::sql::{Params, Sql, Statement};
use super::users::Held;
use super::{AT_WORK, Db, DbError, End};

/// Statements that are sent together and answered together.
pub trait Batch {
    /// Each one's rows.
    type Answer;

    /// The texts with their parameters, in order.
    fn statements(&self) -> Vec<(&'static str, Params<'_>)>;

    /// Reads the answers, one per statement.
    ///
    /// # Errors
    /// When a row is not what it should be.
    fn read(&self, answers: Answers) -> Result<Self::Answer, DbError>;
}

/// The rows of the statements of a batch, in order.
pub struct Answers(std::vec::IntoIter<Vec<tokio_postgres::Row>>);

impl Answers {
    fn next<R: Row>(&mut self) -> Result<Vec<R>, DbError> {
        let rows =
            self.0.next().ok_or_else(|| DbError::Unexpected("fewer answers than statements".to_owned()))?;
        // Each is gone when it is read: of what is large there is not all of it twice.
        rows.into_iter().map(|row| R::read(&mut RowReader::new(&row))).collect()
    }
}

impl<R: Row> Batch for Statement<'_, R> {
    type Answer = Vec<R>;

    fn statements(&self) -> Vec<(&'static str, Params<'_>)> {
        vec![(self.sql.text, self.params)]
    }

    fn read(&self, mut answers: Answers) -> Result<Vec<R>, DbError> {
        answers.next()
    }
}

macro_rules! batches {
    ($(($($row:ident $index:tt),*))+) => {$(
        impl<$($row: Row),*> Batch for ($(Statement<'_, $row>,)*) {
            type Answer = ($(Vec<$row>,)*);

            fn statements(&self) -> Vec<(&'static str, Params<'_>)> {
                vec![$((self.$index.sql.text, self.$index.params)),*]
            }

            #[allow(unused_mut, unused_variables, clippy::unused_unit)]
            fn read(&self, mut answers: Answers) -> Result<Self::Answer, DbError> {
                Ok(($(answers.next::<$row>()?,)*))
            }
        }
    )+};
}

batches! { () (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3) (A 0, B 1, C 2, D 3, E 4) }

/// Why somebody who waited to write to the log has not.
const WRITING: &str = "the tenant's other changes take too long";

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It writes.
    Writing,
    /// It only reads, which PostgreSQL sees to.
    Reading,
    /// It only reads a page of a list: no more than an answer may hold.
    Listing,
    /// It only reads a part of something that is not for an answer.
    Part,
    /// It only reads, and as whoever the connection's login is.
    ReadingAll,
    /// It only reads, and every statement sees the database as the first one did.
    Snapshot,
}

impl Kind {
    /// Whether it may write anything: then an answer to its `COMMIT` that is lost leaves its outcome unknown.
    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::Writing)
    }

    const fn begin(self) -> &'static str {
        match self {
            Self::Writing => "BEGIN",
            Self::Reading | Self::Listing | Self::Part | Self::ReadingAll => "BEGIN READ ONLY",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        }
    }
}

/// What has become of a transaction, for whoever began it: also when it is gone.
#[derive(Clone, Default)]
pub(super) struct Fate(Arc<Notes>);

#[derive(Default)]
struct Notes {
    lost: AtomicBool,
    committing: AtomicBool,
    waits_for: Mutex<Option<Line>>,
}

impl Fate {
    /// Whether it failed in a way that makes it worth another try.
    pub(super) fn is_lost(&self) -> bool {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Whether its `COMMIT` is on the way.
    pub(super) fn is_committing(&self) -> bool {
        self.0.committing.load(Ordering::Relaxed)
    }

    /// Its `COMMIT` is about to be sent.
    pub(super) fn commits(&self) {
        self.0.committing.store(true, Ordering::Relaxed);
    }

    /// Where it has to wait for a turn before it can be begun again.
    pub(super) fn waits_for(&self) -> Option<Line> {
        self.0.waits_for.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is begun again when its turn has come in this line. For now it fails.
    pub(super) fn wait_for(&self, line: Line) -> DbError {
        let why = line.why();
        *self.0.waits_for.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
        DbError::Overloaded(why)
    }
}

/// An open transaction of a tenant, who is `$1` in every statement: parameters begin with `$2`. Dropping it rolls it back, and stops
/// what it is at.
pub struct Tx {
    /// None once the transaction is finished.
    client: Option<Client>,
    /// `$1` of every statement.
    pub(super) tenant_id: Uuid,
    pub(super) kind: Kind,
    /// What opens the transaction, until it has been sent with the first statement.
    begin: Option<String>,
    /// Whether something was sent that has not been answered.
    is_asking: bool,
    /// What it has besides its connection.
    held: Held,
    fate: Fate,
    /// Whose connection it is.
    pub(super) db: Db,
}

impl Tx {
    pub(super) fn open(kind: Kind, client: Client, tenant_id: Uuid, db: Db, held: Held) -> Self {
        // Connections may log in as anybody (one superuser login in development); what runs inside a
        // transaction always runs as the application role. Both settings end with the transaction.
        let role = if db.pools.take_role() { "SET LOCAL ROLE loopctl_app; " } else { "" };
        let begin = match kind {
            Kind::ReadingAll => kind.begin().to_owned(),
            _ => format!("{}; {role}SET LOCAL loopctl.tenant_id = '{tenant_id}'", kind.begin()),
        };
        let (client, begin, fate) = (Some(client), Some(begin), Fate::default());
        Self { client, tenant_id, kind, begin, is_asking: false, held, fate, db }
    }

    /// With a turn that it has waited for.
    #[must_use]
    pub(super) fn having(mut self, turn: Option<Share>) -> Self {
        turn.iter().for_each(Share::begin);
        self.held.keep(turn);
        self
    }

    /// With SQL that goes with what begins it, and without which it is not begun; none when empty.
    #[must_use]
    pub(super) fn beginning_with(mut self, first: &str) -> Self {
        if let Some(begin) = self.begin.as_mut().filter(|_| !first.is_empty()) {
            begin.push_str("; ");
            begin.push_str(first);
        }
        self
    }

    /// Whether it has one of these shares of its tenant.
    pub(super) fn has(&self, shares: &Shares, of: Uuid) -> bool {
        self.held.has(shares, of)
    }

    pub(super) fn fate(&self) -> Fate {
        self.fate.clone()
    }

    /// Takes the turn of those who are about to lock a project, which lasts as long as the transaction. Whoever would have to wait for it
    /// does that without a connection: this fails, and the work is begun anew when its turn has come.
    ///
    /// # Errors
    /// When it is somebody else's turn.
    pub fn take_turn(&mut self, project_id: Uuid) -> Result<(), DbError> {
        let line = line_of(self.tenant_id, project_id);
        if !self.has(&self.db.projects, line) {
            let turn = self.db.projects.take_now(line, 1);
            let turn = turn.ok_or_else(|| self.fate.wait_for(self.db.projects.line(line, AT_WORK)))?;
            self.held.keep(Some(turn));
        }
        Ok(())
    }

    /// Runs statements in this order, in one round trip once they are prepared, and returns each one's rows.
    ///
    /// # Errors
    /// The first failure; the transaction is then good for nothing but being dropped.
    pub async fn batch<B: Batch>(&mut self, batch: B) -> Result<B::Answer, DbError> {
        self.send(&batch, None).await
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn all<R: Row>(&mut self, sql: Sql<R>, params: Params<'_>) -> Result<Vec<R>, DbError> {
        self.batch(sql.with(params)).await
    }

    /// Runs one statement that yields at most one row.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn optional<R: Row>(&mut self, sql: Sql<R>, params: Params<'_>) -> Result<Option<R>, DbError> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    /// Runs one statement that always yields a row.
    ///
    /// # Errors
    /// As [`Self::batch`], and when there is no row.
    pub async fn one<R: Row>(&mut self, sql: Sql<R>, params: Params<'_>) -> Result<R, DbError> {
        let row = self.optional(sql, params).await?;
        row.ok_or_else(|| DbError::Unexpected("a statement that always yields a row yielded none".to_owned()))
    }

    /// Runs one statement whose rows nobody looks at.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn execute(&mut self, sql: Sql<()>, params: Params<'_>) -> Result<(), DbError> {
        self.all(sql, params).await.map(drop)
    }

    /// Runs the last statements and commits, in one round trip.
    ///
    /// # Errors
    /// The first failure; nothing is committed then.
    pub async fn commit<B: Batch>(mut self, batch: &B) -> Result<B::Answer, DbError> {
        let answer = self.send(batch, Some("COMMIT")).await?;
        let client = self.client.take();
        if self.db.users.at_length {
            drop(client.map(Object::take));
        }
        Ok(answer)
    }

    /// As [`Self::commit`], when it is the turn of whoever writes to the tenant's log. The turn lasts until it is committed.
    ///
    /// # Errors
    /// As [`Self::commit`], and when the turn does not come.
    pub async fn commit_in_turn<B: Batch>(mut self, batch: &B) -> Result<B::Answer, DbError> {
        let turn = self.db.turns.turn(self.tenant_id).await;
        self.held.keep(Some(turn.ok_or(DbError::Overloaded(WRITING))?));
        self.commit(batch).await
    }

    async fn send<B: Batch>(&mut self, batch: &B, commit: Option<&str>) -> Result<B::Answer, DbError> {
        let (statements, waits) = (batch.statements(), self.db.waits.clone());
        self.is_asking = true;
        let began = Instant::now();
        let answers = waits.for_answer(self.exchange(&statements, commit)).await;
        // Of what is too much for an answer the rest is still coming.
        self.is_asking = matches!(answers, Err(DbError::TooLarge(_) | DbError::Overloaded(_)));
        self.db.usage.kept_database(self.tenant_id, began.elapsed());
        let answers = answers.inspect_err(|error| self.failed(error))?;
        batch.read(Answers(answers.into_iter()))
    }

    /// Notes what a failure means for the transaction.
    fn failed(&mut self, error: &DbError) {
        if error.is_transient() {
            self.fate.0.lost.store(true, Ordering::Relaxed);
        }
        self.db.note(error);
        if error.is_silence() {
            // Nothing will come of the connection any more, and a ROLLBACK would wait as long again.
            self.client.take().map(Object::take);
        }
    }

    async fn exchange(
        &mut self,
        statements: &[(&'static str, Params<'_>)],
        commit: Option<&str>,
    ) -> Result<Vec<Vec<tokio_postgres::Row>>, DbError> {
        let ended = || DbError::Unexpected("transaction used after its end".to_owned());
        let client = self.client.as_ref().ok_or_else(ended)?;
        let mut queries: Vec<Query<'_>> = Vec::with_capacity(statements.len());
        for (text, params) in statements {
            let tenant_id: &(dyn ToSql + Sync) = &self.tenant_id;
            let prepared = prepare(client, self.db.deadline, text).await?;
            queries.push((prepared, [&[tenant_id], *params].concat()));
        }
        // From here on the transaction is open, or lost: nothing may run on it as if it had not begun.
        let begin = self.begin.take();
        if commit.is_some() && self.kind.writes() {
            self.fate.commits();
        }
        let reading = Reading::of(self);
        let answers =
            send(client, self.db.deadline, begin.as_deref(), &queries, commit, self.kind.writes(), &reading)
                .await;
        self.held.keep(reading.into_turn());
        answers
    }

    /// Makes PostgreSQL plan anew what this connection runs from here on, foreign-key checks included.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn forget_plans(&mut self) -> Result<(), DbError> {
        let Some(client) = &self.client else { return Ok(()) };
        let done = in_time(self.db.deadline, client.batch_execute("DISCARD PLANS")).await;
        Ok(done.inspect_err(|error| self.failed(error))??)
    }
}

/// The line of those who wait for a project of a tenant. Who names another tenant's stands in one of their own.
fn line_of(tenant_id: Uuid, project_id: Uuid) -> Uuid {
    let digest = Sha256::new().chain_update(tenant_id).chain_update(project_id).finalize();
    Uuid::from_slice(digest.get(..16).unwrap_or_default()).unwrap_or_default()
}

/// A statement that the connection knows, with all of its parameters.
pub(super) type Query<'a> = (Prepared, Vec<&'a (dyn ToSql + Sync)>);

/// Sends everything before it waits for anything: requests on one connection are answered in order. `COMMIT` goes
/// out only when every statement has: one that could not even be encoded must not be committed around. Of one that
/// `writes`, an answer that is lost from then on leaves the outcome unknown.
async fn send(
    client: &Client,
    deadline: Duration,
    begin: Option<&str>,
    queries: &[Query<'_>],
    commit: Option<&str>,
    writes: bool,
    reading: &Reading,
) -> Result<Vec<Vec<tokio_postgres::Row>>, DbError> {
    let control = async |sql: Option<&str>| match sql {
        Some(sql) => client.batch_execute(sql).await,
        None => Ok(()),
    };
    let mut begun = pin!(maybe_done(control(begin)));
    // The first poll sends.
    let _ = poll!(&mut begun);
    let mut answers: Vec<_> =
        queries.iter().map(|query| Box::pin(maybe_done(reading.rows(client, query)))).collect();
    for answer in &mut answers {
        let _ = poll!(answer.as_mut());
        if let Some(Err(_)) = answer.as_mut().output_mut() {
            break;
        }
    }
    let unsent = answers.iter_mut().any(|answer| matches!(answer.as_mut().output_mut(), Some(Err(_))));
    // On a connection that is known to be closed it fails at once, and goes nowhere.
    let uncertain = writes && commit.is_some() && !unsent && !client.is_closed();
    let mut committed = pin!(maybe_done(control(commit.filter(|_| !unsent))));
    let _ = poll!(&mut committed);
    let received = async {
        // One after the other, as PostgreSQL answers them: each has the time that it may take by itself.
        in_time(deadline, &mut begun).await?;
        for answer in &mut answers {
            in_time(deadline, answer).await?;
        }
        in_time(deadline, &mut committed).await?;
        begun.take_output().unwrap_or(Ok(())).map_err(DbError::while_beginning)?;
        let rows = answers.iter_mut().filter_map(|answer| answer.as_mut().take_output());
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        committed.take_output().unwrap_or(Ok(()))?;
        Ok(rows)
    };
    received.await.map_err(|error: DbError| {
        if error.is_stale_plan() {
            client.statement_cache.clear();
        }
        if uncertain { error.while_committing() } else { error }
    })
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.begin.is_some() && !self.is_asking {
            return; // Nothing was sent: the connection is as clean as it came.
        }
        // What is being committed may come to its end: nobody could say any more what has become of it.
        let cancels = self.is_asking && !self.fate.is_committing();
        let end = End { cancels, last: "ROLLBACK" };
        self.db.give_back(client, end, self.db.deadline, std::mem::take(&mut self.held));
    }
}
