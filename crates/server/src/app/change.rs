//! The unit of work: every mutation is one.

use std::ops::{Deref, DerefMut};

use super::Identity;
use super::identities::Watch;
use crate::db::{Params, Row, Sql, Statement, Tx};
use crate::events::Event;
use crate::http::{Answer, ApiError, ApiResult};
use crate::metrics::Step;

/// A transaction of the caller's tenant, with what it has to tell. Statements run on it as on a [`Tx`].
pub(crate) struct Change<'a> {
    tx: Tx,
    events: Vec<Event>,
    /// What stories did.
    steps: Vec<Step>,
    /// Who changes something.
    pub(crate) caller: &'a Identity,
    /// Who began it: theirs is what is told, if nothing else is said.
    first: &'a Identity,
    /// What the change means for what is remembered of keys. It is the last to go, after the commit.
    keys: Watch<'a>,
}

/// What came of work that was committed, or that turned out to change nothing.
pub(crate) struct Committed<T>(T);

impl<T> Committed<T> {
    pub(super) fn into_value(self) -> T {
        self.0
    }
}

impl<'a> Change<'a> {
    pub(super) fn new(tx: Tx, caller: &'a Identity) -> Self {
        let keys = caller.app.identities.watch(caller.tenant_id);
        Self { tx, events: Vec::new(), steps: Vec::new(), caller, first: caller, keys }
    }

    /// The row of a statement.
    ///
    /// # Errors
    /// 404 when there is none; or when the database fails.
    pub(crate) async fn found<R: Row>(&mut self, sql: Sql<R>, params: Params<'_>) -> ApiResult<R> {
        self.tx.optional(sql, params).await?.ok_or_else(ApiError::not_found)
    }

    /// What is done from here on is this caller's doing, who is of the same tenant.
    pub(crate) fn act_for(&mut self, caller: &'a Identity) {
        self.caller = caller;
    }

    /// Notes what happened, in the order in which it did.
    pub(crate) fn tell(&mut self, events: impl IntoIterator<Item = Event>) {
        let known = self.events.len();
        self.events.extend(events);
        if !std::ptr::eq(self.caller, self.first) {
            for event in self.events.iter_mut().skip(known) {
                event.by.get_or_insert_with(|| self.caller.attribution());
            }
        }
        self.keys.notice(self.events.get(known..).unwrap_or_default());
    }

    /// Notes what a story did, which is counted with the commit.
    pub(crate) fn steps(&mut self, steps: impl IntoIterator<Item = Step>) {
        self.steps.extend(steps);
    }

    /// Keeps the answer for whoever may ask again, records what was told, as the last statement, and commits.
    ///
    /// # Errors
    /// When the database fails; then nothing is kept.
    pub(crate) async fn commit<T: Answer>(self, answer: T) -> ApiResult<Committed<T>> {
        self.end(None, answer).await
    }

    /// As [`Self::commit`], with a statement that comes after the record, in the tenant's turn: for what nobody else who writes to
    /// the log may be in the middle of.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(crate) async fn commit_with<T: Answer>(
        self,
        last: Statement<'_, ()>,
        answer: T,
    ) -> ApiResult<Committed<T>> {
        self.end(Some(last), answer).await
    }

    /// Ends work that nobody is told of, because it only counts, with a last statement that travels with `COMMIT`. It is not in the log,
    /// and does not wait for it.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub(crate) async fn commit_untold<T: Answer>(
        mut self,
        last: Statement<'_, ()>,
        answer: T,
    ) -> ApiResult<Committed<T>> {
        if let Some(ticket) = &self.first.ticket {
            ticket.keep(&mut self.tx, self.first, &answer).await?;
        }
        self.tx.commit(&last).await?;
        Ok(Committed(answer))
    }

    async fn end<T: Answer>(mut self, last: Option<Statement<'_, ()>>, answer: T) -> ApiResult<Committed<T>> {
        self.ends();
        if let Some(ticket) = &self.first.ticket {
            ticket.keep(&mut self.tx, self.first, &answer).await?;
        }
        let Identity { app, tenant_id, .. } = self.first;
        app.record_with(self.tx, *tenant_id, &self.first.attribution(), self.events, last).await?;
        self.steps.iter().for_each(Step::count);
        Ok(Committed(answer))
    }

    /// Ends work that had nothing to change.
    ///
    /// # Errors
    /// When the answer has to be kept, and the database fails.
    pub(crate) async fn unchanged<T: Answer>(mut self, answer: T) -> ApiResult<Committed<T>> {
        self.ends();
        if let Some(ticket) = &self.first.ticket {
            ticket.keep(&mut self.tx, self.first, &answer).await?;
            self.tx.commit(&()).await?;
        }
        Ok(Committed(answer))
    }

    /// Ends work that was refused, and takes back whatever it has written.
    pub(crate) fn refused<T>(self, value: T) -> Committed<T> {
        Committed(value)
    }

    fn ends(&mut self) {
        if self.events.is_empty() {
            self.keys.notice_repetition();
        }
    }
}

impl Deref for Change<'_> {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}
