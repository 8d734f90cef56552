//! Import of a work breakdown into a project: one transaction, everything or nothing.
//!
//! What may be imported is decided by `loopctl_core::import`; here it is read under the project's lock (`api`), written
//! in batches (`write`), and told (`audit`).

mod api;
mod audit;
mod store;
mod write;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Import/Export";
        /// Imports epics, stories and dependencies: all of them or none.
        POST "/api/v1/projects/{id}/import" => api::import, 409 "numbers exist; use merge=true";
    }
}
