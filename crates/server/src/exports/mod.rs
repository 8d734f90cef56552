//! Export of a project as a document that can be imported again (file 03 §10).

mod store;

use utoipa_axum::router::OpenApiRouter;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
