//! Import of a work breakdown into a project (file 03 §9): one transaction, everything or nothing.
//!
//! What may be imported is decided by `loopctl_core::import`; here it is read under the project's lock
//! (`api`), written in batches (`write`), and told (`audit`).

mod api;
mod audit;
mod store;
mod write;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this module.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::import))
}
