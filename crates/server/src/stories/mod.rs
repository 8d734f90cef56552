//! Stories: lists, detail, the ready queue and what blocks the rest (file 03 §5, §8). What moves a story is
//! in `trust_loop`.

mod api;
mod criteria;
mod queue;
mod row;
mod store;
mod text;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use criteria::{CriteriaList, STATEMENTS as CRITERIA_STATEMENTS, write_criteria};
pub(crate) use row::Story;
pub(crate) use store::STATEMENTS;
pub(crate) use text::{StoryText, criteria_value};

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::list))
        .routes(routes!(api::list_of_epic))
        .routes(routes!(api::show))
        .routes(routes!(api::acceptance_criteria))
        .routes(routes!(queue::ready))
        .routes(routes!(queue::blocked))
}
