//! Stories whose cost stands out: found by a job, listed, and laid to rest by people.

mod api;
mod job;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use job::detect;
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Token Efficiency";
        /// Stories whose cost stands out, the newest first: those that nobody has resolved, unless others are asked for.
        GET "/api/v1/cost-anomalies" => api::list;
        /// The same, of one project.
        GET "/api/v1/projects/{id}/cost-anomalies" => api::list_of_project;
        /// Notes that somebody has looked at it.
        ///
        /// Repeating it changes nothing. What is resolved is not found again on the same day's usage.
        PATCH + also_put "/api/v1/cost-anomalies/{id}" => api::resolve;
    }
}
