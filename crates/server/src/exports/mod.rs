//! Export of a project as a document that can be imported again (file 03 §10).
//!
//! The document is read in one snapshot and sent while it is read: `store` reads it page by page, `document` puts
//! `records` together, and `stream` hands it to the client, who may be slow or gone.

mod api;
mod document;
mod records;
mod store;
mod stream;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::export))
}
