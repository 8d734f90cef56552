//! Dependencies between epics and between stories, and the graph that they form (file 03 §7, §8.3).

mod store;

use utoipa_axum::router::OpenApiRouter;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
}
