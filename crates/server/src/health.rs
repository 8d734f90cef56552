//! `GET /health` and the discovery document.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::VERSION;
use crate::app::{App, Endpoint};
use crate::http::{Operation, Output, endpoints};

/// The whole answer must come within 5 seconds, also when the database hangs.
const BUDGET: Duration = Duration::from_millis(4500);

/// The routes of this module.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Health";
        /// Whether the server can do its work.
        GET "/health" => health;

        "Discovery";
        /// Where to go from here.
        GET "/api/v1" => discovery;
    }
}

#[derive(Serialize, JsonSchema)]
struct Health {
    /// `ok` or `degraded`.
    status: &'static str,
    version: &'static str,
    checks: Checks,
}

/// Each `ok` or `error`; the database also `read_only`, when its disk is full or takes no writing.
#[derive(Serialize, JsonSchema)]
struct Checks {
    database: &'static str,
    /// The wire name of the job runner's check. There are no jobs yet that could fail.
    oban: &'static str,
    jobs: &'static str,
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = if self.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

impl Output for Health {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<Self>(200, "Everything works");
        operation.answer::<Self>(503, "The database does not answer, or cannot be written to");
    }
}

async fn health(State(app): State<App>) -> Health {
    let (status, database) = match tokio::time::timeout(BUDGET, app.db.takes_writes()).await {
        Ok(Ok(true)) => ("ok", "ok"),
        Ok(Ok(false)) => ("degraded", "read_only"),
        _ => ("degraded", "error"),
    };
    Health { status, version: VERSION, checks: Checks { database, oban: "ok", jobs: "ok" } }
}

#[derive(Serialize, JsonSchema)]
struct Discovery {
    name: &'static str,
    version: &'static str,
    docs: &'static str,
    swagger_ui: &'static str,
    health: &'static str,
}

async fn discovery() -> Json<Discovery> {
    Json(Discovery {
        name: "loopctl",
        version: VERSION,
        docs: "/api/v1/openapi",
        swagger_ui: "/swaggerui",
        health: "/health",
    })
}

/// `GET /` sends everybody to the discovery document; there is no page to prefer yet.
pub(crate) async fn root() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "/api/v1/")]).into_response()
}
