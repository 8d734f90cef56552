//! `GET /health` (file 04 §8) and the discovery document (file 01 §2.3).

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::db::statements;
use crate::{App, VERSION};

statements! {
    PING = "select 1";
}

/// The whole answer must come within 5 seconds, also when the database hangs.
const BUDGET: Duration = Duration::from_millis(4500);

/// The routes of this module.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(discovery))
        .route("/", axum::routing::get(root))
}

/// Whether the server can do its work.
#[utoipa::path(get, path = "/health", tag = "Health", security(()),
    responses((status = 200, description = "Everything works"), (status = 503, description = "The database does not answer")))]
async fn health(State(app): State<App>) -> (StatusCode, Json<Value>) {
    let ping = app.db.without_tenant(PING, &[]);
    let database = matches!(tokio::time::timeout(BUDGET, ping).await, Ok(Ok(_)));
    let (status, word) =
        if database { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    let database = if database { "ok" } else { "error" };
    // `oban` is the wire name of the job runner's check. There are no jobs yet that could fail.
    let checks = json!({"database": database, "oban": "ok", "jobs": "ok"});
    (status, Json(json!({"status": word, "version": VERSION, "checks": checks})))
}

/// Where to go from here.
#[utoipa::path(get, path = "/api/v1", tag = "Discovery", security(()),
    responses((status = 200, description = "Links to the documentation")))]
async fn discovery() -> Json<Value> {
    Json(json!({
        "name": "loopctl",
        "version": VERSION,
        "docs": "/api/v1/openapi",
        "swagger_ui": "/swaggerui",
        "health": "/health",
    }))
}

/// `GET /` sends everybody to the discovery document (decision 13; there is no page to prefer yet).
async fn root() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/api/v1/")]).into_response()
}
