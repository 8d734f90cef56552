//! The one list of routes. OpenAPI is read from what is mounted here, never written twice.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::middleware::from_fn;
use axum::routing::MethodRouter;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::http::{ApiError, layers};
use crate::{
    App, agents, artifacts, dependencies, epics, events, exports, health, imports, keys, orchestrator_state,
    projects, stories, tenants, trust_loop, ui_tests,
};

/// The service behind the port: paths are tidied before they are routed.
pub(crate) type Service = MapRequest<Router, fn(Request) -> Request>;

fn api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(health::routes())
        .merge(tenants::routes())
        .merge(keys::routes())
        .merge(agents::routes())
        .merge(projects::routes())
        .merge(imports::routes())
        .merge(exports::routes())
        .merge(epics::routes())
        .merge(stories::routes())
        .merge(dependencies::routes())
        .merge(trust_loop::routes())
        .merge(artifacts::routes())
        .merge(orchestrator_state::routes())
        .merge(ui_tests::routes())
        .merge(events::routes())
}

/// The whole server for one application state.
pub(crate) fn service(app: App) -> Service {
    let (router, _) = api().split_for_parts();
    // A known path with another method is as unknown as an unknown path (file 01 §1.6).
    let router = router
        .method_not_allowed_fallback(not_found)
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(layers::on_panic))
        .layer(from_fn(layers::drain))
        .layer(from_fn(layers::observe))
        .with_state(app);
    MapRequest::new(router, layers::tidy_path)
}

/// The document of everything that is mounted.
pub fn openapi() -> OpenApi {
    api().split_for_parts().1
}

/// A handler under a second path, which the document lists like the first.
pub(crate) fn alias(path: &str, route: UtoipaMethodRouter<App>) -> UtoipaMethodRouter<App> {
    let (schemas, mut paths, methods): (_, _, MethodRouter<App>) = route;
    let items = std::mem::take(&mut paths.paths);
    paths.paths.extend(items.into_values().map(|item| (path.to_owned(), item)));
    (schemas, paths, methods)
}

/// A route whose `PATCH` handler answers `PUT` in the same way (file 01 §1.2), which the document does not list
/// (decision 19).
pub(crate) fn also_put<H: Handler<T, App>, T: 'static>(
    route: UtoipaMethodRouter<App>,
    patch: H,
) -> UtoipaMethodRouter<App> {
    let (schemas, paths, methods) = route;
    (schemas, paths, methods.put(patch))
}

async fn not_found() -> ApiError {
    ApiError::not_found()
}
