//! How people create a tenant over the network: by enrolling authenticators. There is no other way, and no password.

mod api;
mod audit_key;
mod page;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use page::LEARN_MORE;
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Signup";
        /// The page on which people create a tenant.
        GET "/signup" => page::page;
        /// A challenge to enrol an authenticator with.
        ///
        /// For one enrolment, within 5 minutes; the next authenticator needs another one.
        POST "/signup/challenge" => api::challenge, 429 RateLimited "too many of this address within an hour";
        /// Creates a tenant with its authenticators and its first key.
        ///
        /// The raw key is shown this once. What fails leaves nothing behind, and the challenges as they were.
        POST "/signup" => api::sign_up,
            422 NoAuthenticators "no authenticator is enrolled",
            422 TooManyAuthenticators "more than 5 authenticators",
            422 InvalidAttestation "an authenticator did not sign this, or not for this challenge",
            422 SlugTaken "another tenant has the slug",
            422 EmailTaken "another tenant has the address",
            429 RateLimited "too many of this address within an hour";
    }
}
