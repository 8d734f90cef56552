//! What a handler asks of the database for its caller: always the caller's tenant, and nothing else.

use loopctl_core::role::Role;

use super::{Change, Committed, Identity};
use crate::db::{Batch, Db, ListSql, Params, Row, Sql, Timestamp, Tx};
use crate::http::{Answer, ApiError, ApiResult, Cursor, Feed, List, Meta, Page, Place, cut};

impl Identity {
    /// The connections that they share.
    fn db(&self) -> &Db {
        let is_superadmin = self.role == Role::Superadmin || self.impersonation.is_some();
        let shared = if is_superadmin { &self.app.db_of_superadmins } else { &self.app.db };
        self.in_turn.as_ref().unwrap_or(shared)
    }

    /// Runs statements for the caller's tenant (`$1`), in one round trip.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn read<B: Batch>(&self, batch: B) -> ApiResult<B::Answer> {
        Ok(self.db().read(self.tenant_id, batch).await?)
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// 404 when there is none; or when the database fails.
    pub(crate) async fn find<R: Row>(&self, sql: Sql<R>, params: Params<'_>) -> ApiResult<R> {
        self.read(sql.with(params)).await?.into_iter().next().ok_or_else(ApiError::not_found)
    }

    /// A page of a list. `filters` are the parameters of its count.
    ///
    /// # Errors
    /// 404 when there is not what the list is part of; or when the database fails.
    pub(crate) async fn list<R: Row>(
        &self,
        list: &ListSql<R>,
        filters: Params<'_>,
        page: &Page,
    ) -> ApiResult<List<R>> {
        let (total, data) = self.rows(list, filters, &[&page.size, &page.skip]).await?;
        Ok(List { data, meta: page.meta(total) })
    }

    /// A part of a list that grows without bound. After its filters, how many rows and how many before, the list takes the
    /// time of the row after which to read, which is null for a page. `time` tells a row's own.
    ///
    /// # Errors
    /// 400 for a malformed cursor, 404 when there is not what the list is part of; or when the database fails.
    pub(crate) async fn feed<R: Row>(
        &self,
        list: &ListSql<R>,
        filters: Params<'_>,
        place: &Place,
        time: impl Fn(&R) -> Timestamp,
    ) -> ApiResult<Feed<R>> {
        let (page, after) = (&place.page, place.after()?);
        let (size, skip) = (page.size.saturating_add(1), if after.is_some() { 0 } else { page.skip });
        let (total, mut data) = self.rows(list, filters, &[&size, &skip, &after]).await?;
        let more = cut(&mut data, page.size);
        let next_cursor = data.last().filter(|_| more).map(|row| Cursor::at(time(row)));
        let meta = page.meta(total);
        // Which page a cursor leads to is not known.
        let meta = if after.is_some() { Meta { page: 1, offset: 0, ..meta } } else { meta };
        Ok(Feed { data, meta, next_cursor })
    }

    /// How many rows a list has, and those from some place on.
    async fn rows<R: Row>(
        &self,
        list: &ListSql<R>,
        filters: Params<'_>,
        place: Params<'_>,
    ) -> ApiResult<(i64, Vec<R>)> {
        let params = [filters, place].concat();
        let statements = (list.count.with(filters), list.rows.with(&params));
        let (count, rows) = if list.is_weighed() {
            self.db().read(self.tenant_id, statements).await?
        } else {
            self.db().list(self.tenant_id, statements).await?
        };
        let count = count.first().filter(|count| count.known).ok_or_else(ApiError::not_found)?;
        Ok((count.total, rows))
    }

    /// Runs `work` as one unit: a tenant transaction in which everything happens or nothing. It ends with
    /// [`Change::commit`]; an error, or a client that hangs up, takes everything back. It may be begun anew when another
    /// transaction got in the way, so it must not keep anything outside.
    ///
    /// # Errors
    /// Those of `work`, or when the database fails.
    pub(crate) async fn change<'a, T, F>(&'a self, work: impl FnMut(Change<'a>) -> F) -> ApiResult<T>
    where
        T: Answer,
        F: Future<Output = ApiResult<Committed<T>>>,
    {
        self.change_on(self.db(), work).await
    }

    /// As [`Self::change`], for what writes thousands of rows: it may take longer.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn change_much<'a, T, F>(&'a self, work: impl FnMut(Change<'a>) -> F) -> ApiResult<T>
    where
        T: Answer,
        F: Future<Output = ApiResult<Committed<T>>>,
    {
        self.change_on(&self.db().for_long(), work).await
    }

    async fn change_on<'a, T, F>(&'a self, db: &Db, mut work: impl FnMut(Change<'a>) -> F) -> ApiResult<T>
    where
        T: Answer,
        F: Future<Output = ApiResult<Committed<T>>>,
    {
        let (mut _turn, mut first) = (None, String::new());
        if let Some(ticket) = &self.ticket {
            _turn = Some(ticket.turn(self).await?);
            first = ticket.claim(self);
        }
        let done = db.transaction_with(&first, self.tenant_id, |tx| work(Change::new(tx, self))).await;
        match (done, &self.ticket) {
            (Err(error), Some(ticket)) if error.is_repetition() => {
                // Nobody takes a key without keeping the answer.
                let kept = ticket.replay(self).await?.ok_or_else(ApiError::internal)?;
                Err(ApiError::replayed(kept))
            }
            (done, _) => done.map(Committed::into_value),
        }
    }

    /// Answers a request that makes several changes, each of which does nothing again when it is made again. As long as it goes on,
    /// its twins wait.
    ///
    /// # Errors
    /// Those of `work`; the answer that was given before, which ends the handler; 409 and 422 as for any change; or when the database
    /// fails before anything was done.
    pub(crate) async fn answer_several<T: Answer>(
        &self,
        work: impl Future<Output = ApiResult<T>>,
    ) -> ApiResult<T> {
        let Some(ticket) = &self.ticket else { return work.await };
        let _turn = ticket.turn(self).await?;
        if let Some(kept) = ticket.take(self).await? {
            return Err(ApiError::replayed(kept));
        }
        let answer = work.await?;
        let keep = async |mut tx: Tx| {
            ticket.keep(&mut tx, self, &answer).await?;
            Ok::<_, ApiError>(tx.commit(&()).await?)
        };
        // What was done is done, whether its answer can be kept or not.
        if self.app.db.transaction(self.tenant_id, keep).await.is_err() {
            tracing::warn!(
                "an answer could not be kept: repeated, the request says that there was nothing left to do"
            );
        }
        Ok(answer)
    }
}
