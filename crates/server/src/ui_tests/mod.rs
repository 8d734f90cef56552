//! UI test runs and their findings, in two dialects (file 03 §11).

mod store;

use utoipa_axum::router::OpenApiRouter;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
