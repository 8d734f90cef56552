//! Signing in to pages, with one of the tenant's authenticators, and out again.

mod api;
mod page;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Sessions";
        /// The page on which people sign in.
        GET "/sign-in" => page::page;
        /// A challenge to sign in with.
        ///
        /// For one sign-in, within 5 minutes. With the tenant's slug it names the tenant's authenticators, for those that do not know
        /// by themselves whom they belong to.
        POST "/sign-in/challenge" => api::challenge, 429 RateLimited "too many of this address within an hour";
        /// Signs in: the browser is given a cookie, which pages of this server alone can use.
        ///
        /// It is good for 12 hours, and no longer than the authenticator is one of the tenant's. It is no API key: what it opens are
        /// pages, and the routes of authenticators.
        POST "/sign-in" => api::sign_in,
            401 WebauthnRequired "the assertion of an authenticator is missing",
            401 WebauthnFailed "the assertion is nobody's, or was used before",
            403 TenantNotActive "the tenant is suspended",
            429 RateLimited "too many of this address within an hour";
        /// Signs out.
        POST "/sign-out" => api::sign_out;
    }
}
