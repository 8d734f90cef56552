//! Superadmins who act as such: not inside a tenant that a header names, but on all of them, or on one that a path names.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use uuid::Uuid;

use super::caller::{count, describe_key, find, note_key, take_room};
use super::identity::Shown;
use super::ticket::Ticket;
use super::{Access, App, Exact, Identity, Superadmin};
use crate::db::{Batch, ListSql, Params, Row};
use crate::http::{ApiError, ApiResult, Input, List, Operation, Page};

type OnlySuperadmins = Exact<(Superadmin,)>;

/// A superadmin who works on no tenant, or on all of them. What the other headers say of one does not count here.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) app: App,
    shown: Shown,
    ticket: Option<Arc<Ticket>>,
}

impl Admin {
    /// The same superadmin at work on one tenant, which the path names and not a header: as themselves, whatever the tenant's status.
    /// What they change is a change of that tenant, by the same steps as every other, and told in its own log.
    ///
    /// # Errors
    /// 404 when there is no such tenant; or when the database fails.
    pub(crate) async fn in_tenant(self, tenant_id: Uuid) -> ApiResult<Identity> {
        enter(self.app, self.shown, self.ticket, tenant_id).await
    }

    /// Runs statements that see all tenants, in one round trip. `$1` is `tenant_id`, and means what they make of it.
    ///
    /// # Errors
    /// 503 where the server has no login that may; or when the database fails.
    pub(crate) async fn read<B: Batch>(&self, tenant_id: Uuid, batch: B) -> ApiResult<B::Answer> {
        let read = self.app.admin.read(tenant_id, batch).await?;
        read.ok_or_else(ApiError::admin_database_missing)
    }

    /// A page of a list of all tenants' rows. `filters` are the parameters of its count after `$1`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) async fn list<R: Row>(
        &self,
        list: &ListSql<R>,
        tenant_id: Uuid,
        filters: Params<'_>,
        page: &Page,
    ) -> ApiResult<List<R>> {
        let params = [filters, &[&page.size, &page.skip]].concat();
        let (count, data) = self.read(tenant_id, (list.count.with(filters), list.rows.with(&params))).await?;
        Ok(List { data, meta: page.meta(count.first().map_or(0, |count| count.total)) })
    }
}

/// See [`Admin::in_tenant`].
pub(super) async fn enter(
    app: App,
    Shown { key_hash, .. }: Shown,
    ticket: Option<Arc<Ticket>>,
    tenant_id: Uuid,
) -> ApiResult<Identity> {
    let shown = Shown { key_hash, target: Some(tenant_id) };
    let found = app.identities.find(&app.db, &shown.key_hash, shown.target).await?;
    // Revoked since a moment ago.
    let found = found.ok_or_else(ApiError::invalid_api_key)?;
    if found.tenant_id != shown.target {
        return Err(ApiError::not_found());
    }
    Ok(Identity::of(app, &found, found.role, tenant_id, None, shown, ticket))
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    App: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = App::from_ref(state);
        let (found, shown) = find(parts, &app, None).await?;
        note_key(&found, found.role);
        count(parts, &app, &found).await?;
        take_room(parts, found.key_id, None).await?;
        OnlySuperadmins::check(found.role)?;
        let ticket = Ticket::of(parts)?;
        Ok(Self { app, shown, ticket })
    }
}

impl Input for Admin {
    fn describe(operation: &mut Operation<'_>) {
        describe_key::<OnlySuperadmins>(operation);
    }
}
