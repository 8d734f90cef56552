//! What superadmins see and do of all tenants. What the headers say of one does not count here.
//!
//! Lists and sums run over the owner's login, above row-level security. What concerns one tenant is asked and changed as everything
//! else in it is: in its own transaction, as the application's role, with the change in its own log.

mod halts;
mod stats;
mod tenants;
mod violators;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use halts::STATEMENTS as HALTS_STATEMENTS;
pub(crate) use stats::STATEMENTS as STATS_STATEMENTS;
pub(crate) use tenants::STATEMENTS as TENANTS_STATEMENTS;
pub(crate) use violators::STATEMENTS as VIOLATORS_STATEMENTS;

/// The routes of superadmins, beside the log of everybody, which is among the logs.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Admin";
        /// All tenants by name.
        GET "/api/v1/admin/tenants" => tenants::list, 503 AdminDatabaseMissing "the server has no login that may see all tenants";
        /// One tenant, with how much of everything it has.
        GET "/api/v1/admin/tenants/{id}" => tenants::show;
        /// Changes a tenant, as its own user keys may.
        ///
        /// Settings are merged key by key; null removes a key.
        PATCH "/api/v1/admin/tenants/{id}" => tenants::update;
        /// Suspends an active tenant: its keys are let in no more, from the next request on.
        POST "/api/v1/admin/tenants/{id}/suspend" => tenants::suspend,
            422 TenantStatusUnchanged "the tenant is suspended already",
            422 TenantStatusFinal "the tenant is neither active nor suspended";
        /// Activates a suspended tenant: its keys are let in again.
        POST "/api/v1/admin/tenants/{id}/activate" => tenants::activate,
            422 TenantStatusUnchanged "the tenant is active already",
            422 TenantStatusFinal "the tenant is neither active nor suspended";
        /// Ends the halt of a tenant's custody. Of a tenant that is not halted it changes nothing.
        ///
        /// Needs an assertion of one of the tenant's authenticators. A tenant that has none needs a reason, which its log tells.
        POST "/api/v1/admin/tenants/{id}/clear-halt" => halts::clear,
            401 WebauthnRequired "the assertion of an authenticator is missing",
            401 WebauthnFailed "the assertion is not one of this tenant's, or was used before";
        /// How much of everything there is, over all tenants.
        GET "/api/v1/admin/stats" => stats::show, 503 AdminDatabaseMissing "the server has no login that may see all tenants";
        /// What a scan has found that ought not to be there, newest first.
        ///
        /// `loopctl operator violators scan` looks for it.
        GET "/api/v1/admin/violators" => violators::list, 503 AdminDatabaseMissing "the server has no login that may see all tenants";
        /// Says of a violation that it is mended. Should it be found again, it is a new one.
        POST "/api/v1/admin/violators/{id}/resolve" => violators::resolve,
            422 ViolationNotPending "the violation was dealt with before", 503 AdminDatabaseMissing "the server has no login that may see all tenants";
        /// Says of a violation that it may stay as it is. It is not found again.
        POST "/api/v1/admin/violators/{id}/ignore" => violators::ignore,
            422 ViolationNotPending "the violation was dealt with before", 503 AdminDatabaseMissing "the server has no login that may see all tenants";
    }
}
