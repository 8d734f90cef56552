//! Checkpoints of orchestrators with optimistic versions, and their history (file 02 §8).

mod api;
mod history;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The key when none is named.
const DEFAULT_KEY: &str = "main";

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::save, api::load)).routes(routes!(history::history))
}
