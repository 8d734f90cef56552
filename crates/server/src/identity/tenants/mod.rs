//! The caller's tenant and its settings.

mod api;
mod settings;
mod store;

use crate::app::Endpoint;
use crate::db::{DbError, Tx};
use crate::http::endpoints;

pub(crate) use api::{NAME, TAKEN, check_email, check_slug, taken_field};
pub(super) use api::{TenantUpdateRequest, apply, checked};
pub(crate) use settings::{
    Limit, MAX_API_KEYS, MAX_PROJECTS, MAX_WEBHOOK_FAILURES, MAX_WEBHOOKS, WEBHOOK_RETENTION_DAYS,
    multipliers,
};
pub(super) use store::LOCK_TENANT;
pub(crate) use store::{SHOW_TENANT, STATEMENTS, Tenant};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Tenants";
        /// The caller's tenant, and which key is calling.
        GET "/api/v1/tenants/me" => api::show;
        /// Changes the caller's tenant.
        ///
        /// Settings are merged key by key; null removes a key.
        PATCH "/api/v1/tenants/me" => api::update;
    }
}

/// A counting limit of the tenant, whose row is locked until the transaction ends: what is counted after this
/// cannot be overtaken.
pub(crate) async fn locked_limit(tx: &mut Tx, limit: Limit) -> Result<i64, DbError> {
    let tenant = tx.one(LOCK_TENANT, &[]).await?;
    Ok(limit.of(&tenant.settings))
}

/// The same, as it is at the moment.
pub(crate) async fn limit(tx: &mut Tx, limit: Limit) -> Result<i64, DbError> {
    let tenant = tx.one(SHOW_TENANT, &[]).await?;
    Ok(limit.of(&tenant.settings))
}

/// Locks the tenant's row until the transaction ends: what is counted of it after this cannot be overtaken.
pub(crate) async fn lock(tx: &mut Tx) -> Result<(), DbError> {
    tx.one(LOCK_TENANT, &[]).await.map(drop)
}
