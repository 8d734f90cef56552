//! What agents say that their work has used: reports, corrections of them, and what a story has cost.

mod api;
mod changes;
mod record;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use api::TokenUsage;
pub(crate) use record::{NewUsage, write};
pub(crate) use store::{STATEMENTS, TOLD_OF_WORK, ToldOfWork, UsageSums, UsageTotals};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Token Efficiency";
        /// Reports what a session of work on a story has used.
        ///
        /// It is recorded as what the agent of the key says, for any story in any state, and never refused because of a budget. Each call
        /// is another report: send an `Idempotency-Key` to repeat one safely.
        POST "/api/v1/token-usage" => api::create, 404 NotFound "the story is not there", 422 AgentRequired "the key is not bound to an agent";
        /// What was reported of a story, newest first, and all of it together.
        ///
        /// Corrections are reports of their own, and counted; deleted ones are left out.
        GET "/api/v1/stories/{story_id}/token-usage" => api::list;
        /// Takes a report, with its corrections, out of all sums.
        ///
        /// It is kept for 30 days more, without being shown.
        DELETE "/api/v1/token-usage/{id}" => changes::delete,
            422 ValidationFailed "without this correction others would take back more than was reported";
        /// Adds to a report, or takes from it: the report stays as it is, and the correction is one of its own.
        ///
        /// No amount of a report and its corrections together falls below 0.
        POST "/api/v1/token-usage/{id}/correction" => changes::correct;
    }
}
