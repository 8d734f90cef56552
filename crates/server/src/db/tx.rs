//! Transactions that cost few round trips and cannot leak.
//!
//! `BEGIN`, the tenant setting and the first statement travel together, and so do the last statements and
//! `COMMIT`. A transaction that is dropped unfinished, because a rule refused, a statement failed or the
//! client hung up, is rolled back before its connection can serve anybody else.

use std::pin::pin;

use deadpool_postgres::{Client, Object};
use futures_util::future::{join_all, maybe_done};
use futures_util::poll;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement as Prepared};
use uuid::Uuid;

use super::DbError;

/// One statement with its parameters, to be sent in a batch.
#[derive(Clone, Copy)]
pub struct Statement<'a> {
    /// A named constant of the resource's `store.rs`.
    pub sql: &'static str,
    /// The values of `$1`, `$2`, …
    pub params: &'a [&'a (dyn ToSql + Sync)],
}

/// An open transaction. Dropping it rolls it back.
pub struct Tx {
    /// None once the transaction is finished.
    client: Option<Client>,
    /// What opens the transaction, until it has been sent with the first statement.
    begin: Option<String>,
    /// A snapshot's turn, which ends with it.
    turn: Option<OwnedSemaphorePermit>,
}

impl Tx {
    pub(super) fn new(client: Client, tenant_id: Uuid) -> Self {
        Self::open("BEGIN", client, tenant_id, None)
    }

    /// Only reads, and every statement sees the database as the first one did.
    pub(super) fn snapshot(client: Client, tenant_id: Uuid, turn: OwnedSemaphorePermit) -> Self {
        Self::open("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", client, tenant_id, Some(turn))
    }

    fn open(begin: &str, client: Client, tenant_id: Uuid, turn: Option<OwnedSemaphorePermit>) -> Self {
        // Connections may log in as anybody (one superuser login in development); what runs inside a
        // transaction always runs as the application role. Both settings end with the transaction.
        let begin =
            format!("{begin}; SET LOCAL ROLE loopctl_app; SET LOCAL loopctl.tenant_id = '{tenant_id}'");
        Self { client: Some(client), begin: Some(begin), turn }
    }

    /// Runs statements in this order, in one round trip once they are prepared, and returns each one's rows.
    ///
    /// # Errors
    /// The first failure; the transaction is then good for nothing but being dropped.
    pub async fn run(&mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, DbError> {
        let prepared = prepare(self.client()?, statements).await?;
        // From here on the transaction is open, or lost: nothing may run on it as if it had not begun.
        let begin = self.begin.take();
        send(self.client()?, begin.as_deref(), statements, &prepared, None).await
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn query(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DbError> {
        let rows = self.run(&[Statement { sql, params }]).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// Runs one statement that yields at most one row.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn query_opt(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// Runs one statement that always yields a row.
    ///
    /// # Errors
    /// As [`Self::run`], and when there is no row.
    pub async fn query_one(
        &mut self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, DbError> {
        let row = self.query_opt(sql, params).await?;
        row.ok_or_else(|| DbError::Unexpected("a statement that always yields a row yielded none".to_owned()))
    }

    /// Runs the last statements and commits, in one round trip.
    ///
    /// # Errors
    /// The first failure; nothing is committed then.
    pub async fn finish(mut self, statements: &[Statement<'_>]) -> Result<Vec<Vec<Row>>, DbError> {
        let prepared = prepare(self.client()?, statements).await?;
        let begin = self.begin.take();
        let rows = send(self.client()?, begin.as_deref(), statements, &prepared, Some("COMMIT")).await?;
        self.client = None;
        Ok(rows)
    }

    /// Runs one last statement and commits.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub async fn finish_query(
        self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, DbError> {
        Ok(self.finish(&[Statement { sql, params }]).await?.into_iter().next().unwrap_or_default())
    }

    /// Runs one last statement that yields at most one row, and commits.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub async fn finish_opt(
        self,
        sql: &'static str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.finish_query(sql, params).await?.into_iter().next())
    }

    /// Runs the two statements of a list, commits, and returns the row of `count` and the rows of `list`.
    ///
    /// # Errors
    /// As [`Self::finish`], and when `count` yields no row.
    pub async fn finish_list(
        self,
        count: Statement<'_>,
        list: Statement<'_>,
    ) -> Result<(Row, Vec<Row>), DbError> {
        let mut answers = self.finish(&[count, list]).await?.into_iter();
        let count = answers.next().and_then(|rows| rows.into_iter().next());
        match (count, answers.next()) {
            (Some(count), Some(rows)) => Ok((count, rows)),
            _ => Err(DbError::Unexpected("a count without a row".to_owned())),
        }
    }

    /// Makes PostgreSQL plan anew what this connection runs from here on, foreign-key checks included.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn forget_plans(&mut self) -> Result<(), DbError> {
        Ok(self.client()?.batch_execute("DISCARD PLANS").await?)
    }

    fn client(&self) -> Result<&Client, DbError> {
        self.client.as_ref().ok_or_else(|| DbError::Unexpected("transaction used after its end".to_owned()))
    }
}

async fn prepare(client: &Client, statements: &[Statement<'_>]) -> Result<Vec<Prepared>, DbError> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        prepared.push(client.prepare_cached(statement.sql).await?);
    }
    Ok(prepared)
}

/// Sends everything before it waits for anything: requests on one connection are answered in order. `COMMIT` goes
/// out only when every statement has: one that could not even be encoded must not be committed around.
async fn send(
    client: &Client,
    begin: Option<&str>,
    statements: &[Statement<'_>],
    prepared: &[Prepared],
    commit: Option<&str>,
) -> Result<Vec<Vec<Row>>, DbError> {
    let control = async |sql: Option<&str>| match sql {
        Some(sql) => client.batch_execute(sql).await,
        None => Ok(()),
    };
    let mut begun = pin!(maybe_done(control(begin)));
    // The first poll sends.
    let _ = poll!(&mut begun);
    let mut answers: Vec<_> = statements
        .iter()
        .zip(prepared)
        .map(|(statement, prepared)| Box::pin(maybe_done(client.query(prepared, statement.params))))
        .collect();
    for answer in &mut answers {
        let _ = poll!(answer.as_mut());
        if let Some(Err(_)) = answer.as_mut().output_mut() {
            break;
        }
    }
    let unsent = answers.iter_mut().any(|answer| matches!(answer.as_mut().output_mut(), Some(Err(_))));
    let committed = control(commit.filter(|_| !unsent));
    let (_, _, committed) = futures_util::join!(&mut begun, join_all(answers.iter_mut()), committed);
    begun.take_output().unwrap_or(Ok(()))?;
    let rows = answers.iter_mut().filter_map(|answer| answer.as_mut().take_output());
    let rows = rows.collect::<Result<Vec<_>, _>>().inspect_err(|error| {
        if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) {
            // "cached plan must not change result type": a migration has passed by under this connection.
            client.statement_cache.clear();
        }
    })?;
    committed?;
    Ok(rows)
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.begin.is_some() {
            return; // Nothing was sent: the connection is as clean as it came.
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let turn = self.turn.take();
                runtime.spawn(async move {
                    let _until_rolled_back = turn;
                    if client.batch_execute("ROLLBACK").await.is_err() {
                        // Not to be trusted any more: closing it makes PostgreSQL roll back.
                        drop(Object::take(client));
                    }
                });
            }
            Err(_) => drop(Object::take(client)),
        }
    }
}
