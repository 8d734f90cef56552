//! What people read in place of the page that they asked for.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
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
    if path == "/api" || path.starts_with("/api/") {
        return next.run(request).await;
    }
    // What it would rather read is thought about only when it is refused.
    let accepted = request.headers().get_all(header::ACCEPT).iter();
    let accepted: HeaderMap = accepted.map(|value| (header::ACCEPT, value.clone())).collect();
    let mut response = next.run(request).await;
    let Some(refused) = response.extensions_mut().remove::<Refused>() else { return response };
    if prefers_html(&accepted) {
        response = as_page(refused, &response);
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn as_page(Refused { code, message, .. }: Refused, refused: &Response) -> Response {
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::ApiError;

    async fn ask(path: &str, accept: &'static str) -> (Response, String) {
        let refuse = get(async || ApiError::too_many_requests("Too many <of them>", 7));
        let router = Router::new().route("/page", refuse.clone()).route("/api/page", refuse);
        let router = router.layer(from_fn(refused_pages));
        let request =
            Request::builder().uri(path).header(header::ACCEPT, accept).body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (Response::from_parts(parts, Body::empty()), String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_page_has_the_status_and_the_headers_of_the_refusal() {
        let (page, html) = ask("/page", "text/html").await;
        assert_eq!(page.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(page.headers()[header::RETRY_AFTER], HeaderValue::from(7));
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(page.headers()[header::VARY], "accept");
        assert_eq!(page.headers().get_all(header::CONTENT_TYPE).iter().count(), 1);
        assert!(
            html.contains("Too many &#60;of them&#62;") && html.contains("/docs/errors#rate_limited"),
            "{html}"
        );
    }

    #[tokio::test]
    async fn programs_and_whoever_calls_the_api_get_json() {
        for (path, accept) in [("/page", "*/*"), ("/api/page", "text/html")] {
            let (refused, json) = ask(path, accept).await;
            assert_eq!(refused.headers()[header::CONTENT_TYPE], "application/json", "{path}");
            assert!(json.contains("\"code\":\"rate_limited\""), "{json}");
        }
    }
}
