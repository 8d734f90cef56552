//! What a handler asks of the database for its caller: always the caller's tenant, and nothing else.

use super::{Change, Committed, Identity};
use crate::db::{Batch, ListSql, Params, Row, Sql};
use crate::http::{ApiError, ApiResult, List, Page};

impl Identity {
    /// Runs statements for the caller's tenant, in one round trip.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn read<B: Batch>(&self, batch: B) -> ApiResult<B::Answer> {
        Ok(self.app.db.read(self.tenant_id, batch).await?)
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// 404 when there is none; or when the database fails.
    pub(crate) async fn find<R: Row>(&self, sql: Sql<R>, params: Params<'_>) -> ApiResult<R> {
        self.read(sql.with(params)).await?.into_iter().next().ok_or_else(ApiError::not_found)
    }

    /// A page of a list. `filters` are the parameters of its count, the tenant among them.
    ///
    /// # Errors
    /// 404 when there is not what the list is part of; or when the database fails.
    pub(crate) async fn list<R: Row>(
        &self,
        list: &ListSql<R>,
        filters: Params<'_>,
        page: &Page,
    ) -> ApiResult<List<R>> {
        let mut params = filters.to_vec();
        params.push(&page.size);
        params.push(&page.skip);
        let (count, data) = self.read((list.count.with(filters), list.rows.with(&params))).await?;
        let count = count.first().filter(|count| count.known).ok_or_else(ApiError::not_found)?;
        Ok(List { data, meta: page.meta(count.total) })
    }

    /// Runs `work` as one unit: a tenant transaction in which everything happens or nothing. It ends with
    /// [`Change::commit`]; an error, or a client that hangs up, takes everything back. It may be begun anew when another
    /// transaction got in the way, so it must not keep anything outside.
    ///
    /// # Errors
    /// Those of `work`, or when the database fails.
    pub(crate) async fn change<'a, T, F>(&'a self, mut work: impl FnMut(Change<'a>) -> F) -> ApiResult<T>
    where
        F: Future<Output = ApiResult<Committed<T>>>,
    {
        let done = self.app.db.transaction(self.tenant_id, |tx| work(Change::new(tx, self))).await;
        done.map(Committed::into_value)
    }
}
