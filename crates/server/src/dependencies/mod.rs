//! Dependencies between epics and between stories, and the graph that they form (file 03 §7, §8.3).

mod api;
mod graph;
mod level;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use level::{EPICS, STORIES};
pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::create_between_epics))
        .routes(routes!(api::delete_between_epics))
        .routes(routes!(api::list_of_project))
        .routes(routes!(api::create_between_stories))
        .routes(routes!(api::delete_between_stories))
        .routes(routes!(api::list_of_epic))
        .routes(routes!(graph::show))
}
