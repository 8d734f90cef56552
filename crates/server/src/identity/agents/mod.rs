//! Agents.

mod api;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Agents";
        /// Registers the one agent of this key and binds the key to it.
        POST "/api/v1/agents/register" => api::register, 409 KeyAlreadyBound "the key has its agent already";
        /// The tenant's agents.
        GET "/api/v1/agents" => api::list;
        /// One agent.
        GET "/api/v1/agents/{id}" => api::show;
    }
}
