//! UI test runs and their findings (file 03 §11).
//!
//! Two families of paths serve the same runs, each in its own dialect: `/projects/:project_id/ui-tests…` (the code's)
//! and `/projects/:id/ui_test_runs`, `/ui_test_runs/:id…` (the seed's). `code_api` and `seed_api` are their handlers;
//! what a dialect says is in `dialect`, what a body must hold and what it counts for in `rules`, and what is done, once
//! for both, in `actions`.

mod actions;
mod code_api;
mod dialect;
mod rules;
mod run;
mod seed_api;
mod store;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;

pub(crate) use store::STATEMENTS;

/// The routes of this resource.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(code_api::start, code_api::list))
        .routes(routes!(code_api::show))
        .routes(routes!(code_api::add_finding))
        .routes(routes!(code_api::complete))
        .routes(routes!(seed_api::start, seed_api::list))
        .routes(routes!(seed_api::show))
        .routes(routes!(seed_api::add_finding))
        .routes(routes!(seed_api::complete))
}
