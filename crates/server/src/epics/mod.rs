//! Epics (file 03 §4).

mod api;
mod store;
mod text;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use store::STATEMENTS;
pub(crate) use text::EpicText;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::list)).routes(routes!(api::show)).routes(routes!(api::progress))
}
