//! The pages that anybody may read: what loopctl is, how it is used, and what has to be said. They are the same for everybody.

mod documents;
mod home;
mod pages;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::{App, Endpoint};
use crate::http::endpoints;

pub(crate) use pages::Site;

/// The pages.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Pages";
        /// What loopctl is, what it refuses and why, and how to start.
        GET "/home" => home::show;
        /// How to set coding agents to work with loopctl: the first of the documents.
        GET "/docs" => documents::guide;
        /// A document.
        GET "/docs/{name}" => documents::show;
        /// On which terms this server is used.
        GET "/terms" => documents::terms;
        /// What this server knows of people.
        GET "/privacy" => documents::privacy;
    }
}

/// What browsers and crawlers ask for by themselves, and the drawings of the documents.
pub(crate) fn files(router: Router<App>) -> Router<App> {
    router
        .route("/robots.txt", get(robots))
        .route("/favicon.ico", get(favicon))
        .route("/drawings/{name}", get(documents::drawing))
}

async fn robots() -> impl IntoResponse {
    const ROBOTS: &str = "User-agent: *\nDisallow: /api/\nDisallow: /tenants/\nDisallow: /account\n";
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], ROBOTS)
}

/// Browsers look here where a page names no icon.
async fn favicon() -> impl IntoResponse {
    const ICON: &[u8] = include_bytes!("favicon.ico");
    ([(header::CONTENT_TYPE, "image/x-icon"), (header::CACHE_CONTROL, "public, max-age=86400")], ICON)
}
