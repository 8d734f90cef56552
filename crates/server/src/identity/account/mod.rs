//! What a tenant's owner does in a browser: see to the authenticators, and make a key when the first one is lost.

mod api;
mod page;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use page::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Sessions";
        /// The page of whoever has signed in: the tenant and its authenticators.
        GET "/account" => page::page;
        /// Creates a key of role `user`, for an owner who has lost theirs.
        ///
        /// Needs an assertion, besides the session. The raw key is shown this once.
        POST "/account/keys" => api::create_key,
            401 WebauthnRequired "the assertion of an authenticator is missing",
            401 WebauthnFailed "the assertion is not one of this tenant's, or was used before",
            422 ApiKeyLimitReached "the tenant has as many keys as it may have";
    }
}
