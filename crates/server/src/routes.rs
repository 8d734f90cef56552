//! The one list of routes. OpenAPI is read from what is mounted here, never written twice.

use axum::Extension;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, get};
use serde_json::Value;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::{App, Endpoint};
use crate::discovery::Told;
use crate::http::{ApiError, Fair, Front, layers, tls};
use crate::{
    audit, cost, discovery, evidence, health, identity, knowledge, mcp, plan, scrape, site, skills,
    trust_loop, web, webhooks,
};

/// The service behind the port: paths are tidied before they are routed.
pub(crate) type Service = MapRequest<Router, fn(Request) -> Request>;

fn endpoints() -> Vec<Endpoint> {
    [
        site::routes(),
        discovery::routes(),
        health::routes(),
        identity::signup::routes(),
        identity::onboarding::routes(),
        identity::sessions::routes(),
        identity::account::routes(),
        identity::tenants::routes(),
        identity::authenticators::routes(),
        identity::audit_key::routes(),
        identity::keys::routes(),
        identity::agents::routes(),
        identity::admin::routes(),
        plan::projects::routes(),
        plan::imports::routes(),
        plan::exports::routes(),
        plan::epics::routes(),
        plan::stories::routes(),
        plan::dependencies::routes(),
        trust_loop::routes(),
        evidence::artifacts::routes(),
        evidence::orchestrator_state::routes(),
        evidence::ui_tests::routes(),
        cost::usage::routes(),
        cost::budgets::routes(),
        skills::routes(),
        knowledge::articles::routes(),
        knowledge::links::routes(),
        knowledge::analytics::routes(),
        knowledge::ingestion::routes(),
        knowledge::pipeline::routes(),
        knowledge::index::routes(),
        knowledge::lint::routes(),
        knowledge::search::routes(),
        knowledge::export::routes(),
        knowledge::system::routes(),
        cost::analytics::routes(),
        cost::anomalies::routes(),
        cost::measured::routes(),
        audit::routes(),
        webhooks::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The whole server for one application state. `named` is the URL by which clients reach it, if somebody has named one.
pub(crate) fn service(app: App, named: Option<&str>) -> Service {
    let told = Told::of(endpoints, named);
    let router = Router::new()
        .route("/", get(discovery::root))
        .route("/metrics", get(scrape::metrics))
        .route("/assets/{name}", get(web::assets))
        .route("/swaggerui/{name}", get(discovery::swagger_file));
    let router = site::files(router);
    let router = endpoints().into_iter().fold(router, |router, endpoint| endpoint.mount(router));
    let front = Front { public_url: app.public_url.clone(), trusted_proxies: app.trusted_proxies.clone() };
    // A known path with another method is as unknown as an unknown path.
    let router = router
        .method_not_allowed_fallback(not_found)
        .fallback(not_found)
        .layer(Extension(told))
        .layer(Extension(site::Site::of(app.public_url.clone())));
    let fair = app.fair.clone();
    let router = surrounded(router, front.clone(), fair.clone()).with_state(app.clone());
    // Tools call everything else, and not each other.
    let tools = Router::new()
        .route(mcp::PATH, any(mcp::answer))
        .route(mcp::METADATA, get(mcp::metadata))
        .route(&format!("{}{}", mcp::METADATA, mcp::PATH), get(mcp::metadata))
        .layer(Extension(mcp::Rest(router.clone())));
    MapRequest::new(router.merge(surrounded(tools, front, fair).with_state(app)), layers::tidy_path)
}

/// What happens around every request.
fn surrounded(router: Router<App>, front: Front, fair: Fair) -> Router<App> {
    router
        .layer(CatchPanicLayer::custom(layers::on_panic))
        .layer(from_fn(web::refused_pages))
        .layer(from_fn(layers::drain))
        .layer(from_fn_with_state(front, tls::secure))
        .layer(from_fn_with_state(fair, layers::observe))
}

/// The OpenAPI document of everything that is mounted.
pub fn openapi() -> Value {
    discovery::described(&endpoints())
}

async fn not_found() -> ApiError {
    ApiError::not_found()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::SchemaGenerator;

    use super::*;

    /// A body is known by its name alone: two types of one name would be one in the document.
    #[test]
    fn every_schema_has_a_name_of_its_own() {
        let mut answers = SchemaGenerator::default();
        let mut bodies = BTreeMap::new();
        for endpoint in endpoints() {
            if let Some((name, schema)) = endpoint.operation(&mut answers).body {
                let known = bodies.entry(name).or_insert_with(|| schema.clone());
                assert_eq!(*known, schema, "{} {}", endpoint.method, endpoint.path);
            }
        }
        let document = openapi();
        let answers = answers.take_definitions(true);
        assert!(bodies.len() > 20 && answers.len() > 50);
        for name in bodies.keys() {
            assert!(!answers.contains_key(name), "{name}");
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
