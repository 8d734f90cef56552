//! Where a client begins that knows no more than an address, and perhaps has a key: what there is to call and who may, what moves a
//! story, and where the rest is. All of it is made of what is mounted and of the table that the server runs on.

mod lifecycle;
mod mounted;
mod swagger;
mod told;
mod well_known;

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::VERSION;
use crate::app::Endpoint;
use crate::http::{endpoints, prefers_html};

pub(crate) use mounted::described;
pub(crate) use swagger::file as swagger_file;
pub(crate) use told::Told;
pub(crate) use well_known::told_pages;

/// The routes of this module.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Discovery";
        /// Where to go from here.
        GET "/api/v1" => start;
        /// This document: every route with its parameters, bodies, answers and refusals.
        ///
        /// Whose keys a route takes is in `x-loopctl-roles`.
        GET "/api/v1/openapi" => mounted::openapi;
        /// Every route in one line each, and whether the calling key may use it.
        GET "/api/v1/routes" => mounted::list;
        /// What moves a story: from where to where, who may, and what is refused with which code.
        ///
        /// It is the table that decides, with everything that it can answer.
        GET "/api/v1/lifecycle" => lifecycle::show;
        /// This document, as a page to read and to try things on.
        GET "/swaggerui" => swagger::page;
        /// Leads to `/swaggerui`.
        GET "/swagger" => swagger::elsewhere;
        /// What an agent can know of the server before it has a key.
        GET "/.well-known/loopctl" => well_known::show;
        /// The schema of that.
        GET "/.well-known/loopctl/schema.json" => well_known::schema;
    }
}

#[derive(Serialize, JsonSchema)]
struct Start {
    name: &'static str,
    version: &'static str,
    /// What a call is let in by; the path of whoever has no key yet is `signup`.
    authentication: &'static str,
    /// The OpenAPI document.
    docs: &'static str,
    swagger_ui: &'static str,
    health: &'static str,
    /// Every route, and whether the key that asks may use it.
    routes: &'static str,
    /// What moves a story.
    lifecycle: &'static str,
    /// The stories that can be worked on now: where an agent begins.
    ready_stories: &'static str,
    /// Where an agent key registers its agent, once.
    register: &'static str,
    /// An implementer's way, to read.
    guide: &'static str,
    /// Every error code, to read.
    errors: &'static str,
    well_known: &'static str,
    /// Where a tenant begins.
    signup: &'static str,
}

async fn start() -> Json<Start> {
    Json(Start {
        name: "loopctl",
        version: VERSION,
        authentication: "Authorization: Bearer lc_...",
        docs: "/api/v1/openapi",
        swagger_ui: "/swaggerui",
        health: "/health",
        routes: "/api/v1/routes",
        lifecycle: "/api/v1/lifecycle",
        ready_stories: "/api/v1/stories/ready",
        register: "/api/v1/agents/register",
        guide: "/docs/agents",
        errors: "/docs/errors",
        well_known: "/.well-known/loopctl",
        signup: "/signup",
    })
}

/// `GET /` sends people to the front page, and everybody else to where the API begins.
pub(crate) async fn root(headers: HeaderMap) -> Response {
    let there = if prefers_html(&headers) { "/home" } else { "/api/v1/" };
    (StatusCode::FOUND, [(header::LOCATION, there), (header::VARY, "accept")]).into_response()
}
