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
        POST "/api/v1/projects/{id}/import" => api::import,
            409 ImportConflict "numbers are there already, and `merge` is not set",
            409 SelfCriteriaBlocked "a merge would change a story that the key is bound to an implementer of",
            422 InvalidImport "it contradicts itself, or the plan that is there",
            422 NotPreExisting "it would bring as done what an agent has touched",
            422 StoryLimitReached "the project has as many stories as it may have";
    }
}
