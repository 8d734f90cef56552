//! Projects (file 03 §3).

mod api;
mod lock;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use lock::{STATEMENTS as LOCK_STATEMENTS, lock_project};
pub(crate) use store::{STATEMENTS, by_status, percentage, status_counts};

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(api::create, api::list))
        .routes(routes!(api::show))
        .routes(routes!(api::progress))
}
