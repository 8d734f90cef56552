//! Artifact reports: what agents say they produced (file 02 §7.1).

mod api;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use api::{ArtifactReport, NewArtifact};
pub(crate) use store::{STATEMENTS, insert};

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(api::create, api::list))
}
