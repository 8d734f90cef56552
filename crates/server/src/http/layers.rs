//! What happens around every request: path tidying, request id, one log line, common headers.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;
use loopctl_core::code::Code;
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use tracing::Instrument as _;
use uuid::Uuid;

use super::body::{LARGE_BODY_LIMIT, LAST_PAUSE};
use super::error::{ApiError, Refused};
use super::fair::{Fair, Stay};
use super::rate::Noted;
use crate::db::LARGEST_ANSWER;
use crate::metrics;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const PRIVATE: HeaderValue = HeaderValue::from_static("max-age=0, private, must-revalidate");

/// The other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// Trailing and doubled slashes do not matter. Runs before routing.
pub(crate) fn tidy_path(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && (path.ends_with('/') || path.contains("//")) {
        let tidy: String =
            path.split('/').filter(|part| !part.is_empty()).flat_map(|part| ["/", part]).collect();
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = if tidy.is_empty() { "/" } else { &tidy };
        // Removing slashes from a valid path leaves a valid path; if not, the request stays as it came.
        if let Ok(uri) = format!("{path}{query}").parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// Gives the request its id and its log line, counts it, and the response its common headers.
pub(crate) async fn observe(State(fair): State<Fair>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request
        .headers()
        .get(REQUEST_ID)
        .filter(|value| (20..=200).contains(&value.len()))
        .cloned()
        .or_else(|| HeaderValue::from_str(&Uuid::now_v7().to_string()).ok());
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", |path| path.as_str()).to_owned();
    let (method, peer) = (known(request.method()), request.extensions().get::<Peer>().copied());
    let span = tracing::info_span!(
        "request",
        request_id = request_id.as_ref().and_then(|id| id.to_str().ok()),
        remote_ip = peer.map(|Peer(address)| tracing::field::display(address)),
        method,
        route,
        tenant_id = tracing::field::Empty,
        key_id = tracing::field::Empty,
        role = tracing::field::Empty,
    );
    let milliseconds = |took: Duration| took.as_secs_f64() * 1000.0;
    let left = scopeguard::guard((), |()| {
        let _in_span = span.enter();
        tracing::info!(duration_ms = milliseconds(started.elapsed()), "the client left before its answer");
        metrics::abandoned(&route, method);
    });
    let noted = Noted::default();
    request.extensions_mut().insert(noted.clone());
    // What a request has others ask within the server is a part of its stay.
    let outer = request.extensions().get::<Stay>().cloned();
    let stay = outer.clone().unwrap_or_else(|| {
        let stay = Stay::new(fair, peer.map(|Peer(address)| address));
        if matches!(method, "GET" | "HEAD") { stay.asking(request.uri()) } else { stay }
    });
    request.extensions_mut().insert(stay.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let size = |response: &Response| response.body().size_hint().exact().unwrap_or_default() as usize;
    match refused(&response) {
        _ if outer.is_some() => {}
        // The answer to HEAD has no body.
        None if method == "GET" => stay.expect(size(&response)),
        Some(Refused { code: Code::AnswerTooLarge, .. }) => stay.expect(LARGEST_ANSWER),
        Some(Refused { is_large: true, .. }) => stay.expect_large(),
        _ => {}
    }
    if let Err(error) = stay.admit_answer(size(&response), matches!(method, "GET" | "HEAD")).await {
        response = error.into_response();
    }
    if outer.is_none() {
        stay.answered(size(&response), is_overload(&response));
    }
    response.extensions_mut().insert(stay);
    ScopeGuard::into_inner(left);
    let took = started.elapsed();
    span.in_scope(|| {
        tracing::info!(status = response.status().as_u16(), duration_ms = milliseconds(took), "answered");
    });
    metrics::answered(&route, method, response.status(), took);
    let headers = response.headers_mut();
    if let Some(id) = request_id {
        headers.insert(REQUEST_ID, id);
    }
    if headers.get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json") {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    noted.tell(headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.entry(header::CACHE_CONTROL).or_insert(PRIVATE);
    response
}

/// Why an answer refuses something, if it does.
fn refused(response: &Response) -> Option<&Refused> {
    response.extensions().get()
}

fn is_overload(response: &Response) -> bool {
    refused(response).is_some_and(|refused| refused.code == Code::Overloaded)
}

/// A method is any word that a client can think of: in the log it would be the client's, and so would a series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// How long an answer waits for the rest of its request.
const DRAIN: Duration = Duration::from_secs(2);
/// The same for one that says that there is no room: to send megabytes again at once helps nobody.
const SLOW_DRAIN: Duration = Duration::from_secs(6);

/// Reads what was left unread of a body, up to a bound, before the answer goes out: a client that is cut off
/// while it sends (a wrong key with a large import) does not get to read the answer.
pub(crate) async fn drain(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that expects to be asked sends nothing before we do.
    if request.headers().contains_key(header::EXPECT) {
        let response = next.run(request).await;
        return if response.status().is_success() { response } else { closing(response) };
    }
    let stay = Stay::of(&request);
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body.into_data_stream()));
    let chunks = || {
        let body = Arc::clone(&body);
        poll_fn(move |context| body.lock().unwrap_or_else(PoisonError::into_inner).poll_next_unpin(context))
    };
    let response = next.run(Request::from_parts(parts, Body::from_stream(chunks()))).await;
    let mut slowly = is_overload(&response).then(|| stay.give_up());
    let patience = if slowly.is_some() { SLOW_DRAIN } else { DRAIN };
    let mut rest = chunks();
    let reading = async {
        let mut bytes = 0_usize;
        loop {
            match rest.next().await {
                None => return true,
                Some(Ok(chunk)) if bytes <= 4 * LARGE_BODY_LIMIT => {
                    bytes = bytes.saturating_add(chunk.len());
                    if let Some(unread) = &mut slowly {
                        unread.take(chunk.len()).await;
                    }
                }
                Some(_) => return false,
            }
        }
    };
    let read = tokio::select! {
        read = timeout(patience, reading) => read.unwrap_or(false),
        () = stay.ended(LAST_PAUSE) => false,
    };
    if read { response } else { closing(response) }
}

/// An answer to a request that was not read to its end: the connection is good for no other, and the client is told.
fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A panic is a bug; the client gets the envelope, the log gets the reason, the server goes on.
pub(crate) fn on_panic(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let reason = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    tracing::error!(reason, "a handler panicked");
    ApiError::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_few() {
        for (sent, told) in [("GET", "GET"), ("PATCH", "PATCH"), ("get", "other"), ("BREW", "other")] {
            assert_eq!(known(&sent.parse().unwrap()), told);
        }
    }
}
