//! API keys.

mod api;
mod rotation;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use api::{ApiKeyResponse, NAME, add_for_owner};
pub(crate) use store::{STATEMENTS, insert_key};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Auth";
        /// Creates a key for this tenant.
        ///
        /// The raw key is shown this once. Superadmin keys are not to be had over the network.
        POST "/api/v1/api_keys" => api::create, 422 ApiKeyLimitReached "the tenant has as many keys as it may have";
        /// The tenant's keys, newest first.
        ///
        /// All of them, unless a paging parameter is sent.
        GET "/api/v1/api_keys" => api::list;
        /// Revokes a key from the next request on.
        ///
        /// Repeating it changes nothing.
        DELETE "/api/v1/api_keys/{id}" => api::revoke;
        /// Puts a new key in the place of an old one, which works on for a while.
        ///
        /// The new one has the name, role and agent of the old one, does not expire, and is shown this once. A key is rotated
        /// once; its grace period is never longer than the old key would have lived.
        POST "/api/v1/api_keys/{id}/rotate" => rotation::rotate,
            422 KeyRevoked "the key was revoked", 422 KeySuperseded "the key was rotated before";
    }
}
