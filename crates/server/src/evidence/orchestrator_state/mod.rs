//! Checkpoints of orchestrators with optimistic versions, and their history.

mod api;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Orchestrator";
        /// Saves a checkpoint, if nobody has saved another since the version that it names.
        PUT "/api/v1/orchestrator/state/{project_id}" => api::save,
            409 VersionConflict "another version is saved than the one named; `current_version` says which";
        /// The latest checkpoint under a key.
        GET "/api/v1/orchestrator/state/{project_id}" => api::load;
        /// The saves under a key, newest first.
        ///
        /// Reaches back as far as the audit log is kept.
        GET "/api/v1/orchestrator/state/{project_id}/history" => api::history;
    }
}
