//! What is wrong with published knowledge: what has grown old, what hangs on nothing, what contradicts itself, what is missing, and
//! what has lost its source.

mod api;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Knowledge";
        /// What is wrong with what has been published.
        ///
        /// Each list ends after `max_per_category` items; the summary counts all. Of links that say `contradicts`, the newest 2000
        /// are looked at.
        GET "/api/v1/knowledge/lint" => api::lint, 400 BadRequest "a parameter is not the number that it should be";
        /// What is wrong with what has been published of a project and of the whole tenant.
        GET "/api/v1/projects/{project_id}/knowledge/lint" => api::lint_of_project,
            400 BadRequest "a parameter is not the number that it should be";
    }
}
