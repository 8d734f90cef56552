//! Stories: lists, detail, what planners change of them, the ready queue and what blocks the rest (file 03 §5, §8).
//! What moves a story is in `trust_loop`.

mod api;
mod change;
mod create;
mod criteria;
mod queue;
mod row;
mod store;
mod text;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::routes::also_put;

pub(crate) use criteria::{CriteriaList, STATEMENTS as CRITERIA_STATEMENTS, write_criteria};
pub(crate) use row::Story;
pub(crate) use store::{LOCK_STORY, STATEMENTS};
pub(crate) use text::{StoryText, criteria_value};

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list))
        .routes(routes!(api::list_of_epic, create::create))
        .routes(routes!(create::create_by_number))
        .routes(also_put(routes!(api::show, change::update, change::delete), change::update))
        .routes(routes!(api::acceptance_criteria))
        .routes(routes!(queue::ready))
        .routes(routes!(queue::ready_in_project))
        .routes(routes!(queue::blocked))
        .routes(routes!(queue::blocked_in_project))
}
