//! What people read in place of the page that they asked for.

use askama::Template;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use loopctl_core::code::Code;

use super::Page;
use crate::http::{Refused, prefers_html};

#[derive(Template)]
#[template(path = "web/refused.html")]
struct RefusedPage {
    status: StatusCode,
    title: &'static str,
    code: Code,
    message: String,
}

/// Refusals of what a browser asks for are pages. Below `/api` they never are: programs call there, whatever they say that they read.
pub(crate) async fn refused_pages(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_api = path == "/api" || path.starts_with("/api/");
    let wants_page = !is_api && prefers_html(request.headers());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refused>() {
        Some(refused) if wants_page => as_page(refused, &response),
        _ => response,
    }
}

fn as_page(Refused { code, message }: Refused, refused: &Response) -> Response {
    let status = refused.status();
    let page = Page(RefusedPage { status, title: title(status), code, message });
    let mut response = page.into_response();
    *response.status_mut() = status;
    for (name, value) in refused.headers() {
        if ![header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CACHE_CONTROL].contains(name) {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "This is not for you",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        status if status.is_server_error() => "Something is broken here",
        _ => "That cannot be done",
    }
}
