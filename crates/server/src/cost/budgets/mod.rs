//! What may be spent, who is told when it is, and what is refused then.

mod alerts;
mod api;
mod held;
mod refusals;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use alerts::{STATEMENTS as ALERT_STATEMENTS, save_levels, told};
pub(crate) use held::{
    DEFAULT_STORY_BUDGET, FREE_RESERVATIONS, Held, LOCK_BUDGETS, STATEMENTS as HELD_STATEMENTS, SetAside,
    USE_RESERVATIONS, set_aside,
};
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Token Efficiency";
        /// Sets what may be spent for a story, an epic or a project, by an agent, or for each story or epic or by each agent of a project.
        ///
        /// `"enforcement": "block"` refuses to report stories as done once more was spent. With `reserve_millicents`, a claim sets
        /// that much aside, and is refused when a blocking budget has not enough left.
        POST "/api/v1/token-budgets" => api::create, 404 NotFound "what it is to be of is not there",
            409 BudgetExists "the scope has a budget";
        /// Budgets, newest first, with what was spent of each.
        ///
        /// Of one scope (`scope_type` and `scope_id`) it says besides how much that may cost, and where that comes from.
        GET "/api/v1/token-budgets" => api::list;
        /// One budget, with what was spent of it.
        GET "/api/v1/token-budgets/{id}" => api::show;
        /// Changes limits.
        ///
        /// Whoever raises or removes a limit of a blocking budget, or has it only warn, needs a user key. What was told of the
        /// budget can be told again once a limit or the threshold is another.
        PATCH + also_put "/api/v1/token-budgets/{id}" => api::update;
        /// Removes a budget. What was spent stays recorded.
        DELETE "/api/v1/token-budgets/{id}" => api::delete;
    }
}
