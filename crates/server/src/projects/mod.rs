//! Projects (file 03 §3).

mod api;
mod changes;
mod fields;
mod lock;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::routes::also_put;

pub(crate) use lock::{LockedProject, STATEMENTS as LOCK_STATEMENTS, lock_project, lock_project_of};
pub(crate) use store::{PROJECT_KNOWN, STATEMENTS, by_status, percentage, status_counts};

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(changes::create, api::list))
        .routes(also_put(routes!(api::show, changes::update, changes::archive), changes::update))
        .routes(routes!(api::progress))
}
