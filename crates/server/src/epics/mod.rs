//! Epics (file 03 §4).

mod api;
mod changes;
mod store;
mod text;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::routes::also_put;

pub(crate) use store::{EPIC_PROJECT, STATEMENTS};
pub(crate) use text::EpicText;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(changes::create, api::list))
        .routes(also_put(routes!(api::show, changes::update, changes::delete), changes::update))
        .routes(routes!(api::progress))
}
