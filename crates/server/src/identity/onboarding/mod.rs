//! The first steps of a tenant, for whoever has just signed up.

mod page;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use page::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Signup";
        /// The page of a tenant's first steps, and which of them are done.
        ///
        /// For 15 minutes, with the token that signing up gave; without it leads elsewhere.
        GET "/tenants/{tenant_id}/onboarding" => page::page;
    }
}
