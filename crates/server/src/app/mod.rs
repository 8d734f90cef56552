//! What every handler works with: the application ([`App`]), who calls ([`Caller`]), and the unit of work ([`Change`]).

mod caller;
mod change;
mod secret;

use std::sync::Arc;

use crate::db::{Batch, Db, ListSql, Params, Row, Sql};
use crate::http::{ApiError, ApiResult, List, Page};

pub(crate) use caller::{
    Access, Agent, Any, AtLeast, Caller, Exact, Identity, Orchestrator, STATEMENTS, Superadmin, User,
};
pub(crate) use change::{Change, Committed};
pub(crate) use secret::{hash_key, key_prefix, new_raw_key};

/// A route of this server.
pub(crate) type Endpoint = crate::http::Endpoint<App>;

/// What every handler can reach. Holds no state of its own: run as many servers as you like.
#[derive(Clone)]
pub(crate) struct App {
    /// The application's connections.
    pub(crate) db: Db,
    /// How clients reach this server, without a trailing slash; links in answers start with it.
    pub(crate) public_url: Arc<str>,
}

impl App {
    /// Runs statements for the caller's tenant, in one round trip.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn read<B: Batch>(&self, caller: &Identity, batch: B) -> ApiResult<B::Answer> {
        Ok(self.db.read(caller.tenant_id, batch).await?)
    }

    /// The one row of a statement.
    ///
    /// # Errors
    /// 404 when there is none; or when the database fails.
    pub(crate) async fn find<R: Row>(
        &self,
        caller: &Identity,
        sql: Sql<R>,
        params: Params<'_>,
    ) -> ApiResult<R> {
        self.read(caller, sql.with(params)).await?.into_iter().next().ok_or_else(ApiError::not_found)
    }

    /// A page of a list. `filters` are the parameters of its count, the tenant among them.
    ///
    /// # Errors
    /// 404 when there is not what the list is part of; or when the database fails.
    pub(crate) async fn list<R: Row>(
        &self,
        caller: &Identity,
        list: &ListSql<R>,
        filters: Params<'_>,
        page: &Page,
    ) -> ApiResult<List<R>> {
        let mut params = filters.to_vec();
        params.push(&page.size);
        params.push(&page.skip);
        let (count, data) = self.read(caller, (list.count.with(filters), list.rows.with(&params))).await?;
        let count = count.first().filter(|count| count.known).ok_or_else(ApiError::not_found)?;
        Ok(List { data, meta: page.meta(count.total) })
    }

    /// Runs `work` as one unit: a tenant transaction in which everything happens or nothing. It ends with
    /// [`Change::commit`]; an error, or a client that hangs up, takes everything back. It may be begun anew when another
    /// transaction got in the way, so it must not keep anything outside.
    ///
    /// # Errors
    /// Those of `work`, or when the database fails.
    pub(crate) async fn change<'a, T, F>(
        &self,
        caller: &'a Identity,
        mut work: impl FnMut(Change<'a>) -> F,
    ) -> ApiResult<T>
    where
        F: Future<Output = ApiResult<Committed<T>>>,
    {
        let done = self.db.transaction(caller.tenant_id, |tx| work(Change::new(tx, caller))).await;
        done.map(Committed::into_value)
    }
}
