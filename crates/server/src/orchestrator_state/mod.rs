//! Checkpoints of orchestrators with optimistic versions, and their history (file 02 §8).

mod store;

use utoipa_axum::router::OpenApiRouter;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
