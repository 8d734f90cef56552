//! `/mcp`: the tools of `loopctl mcp` over HTTP. The key of a request decides which there are, and each call of a tool is a request of the
//! API by the same key, which goes the way of all requests.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Limited};
use loopctl_core::json::count_values;
use loopctl_mcp::api::{Api, Call, MOST_BYTES, Reply, Settings, Verb};
use loopctl_mcp::desk::Desk;
use loopctl_mcp::seats::Toolset;
use loopctl_mcp::server::McpServer;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::VERSION;
use crate::app::{App, Counted, SHOWN};
use crate::http::{RawBody, Stay};

/// Where it is.
pub(crate) const PATH: &str = "/mcp";
/// Where clients look up who lets them in.
pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource";

/// Of how many values a message may consist, and an answer of the API: each takes a hundred times as much room as its text, or more.
const MOST_VALUES: usize = 100_000;

/// The rest of the server, as whoever calls a tool reaches it.
#[derive(Debug, Clone)]
pub(crate) struct Rest(pub(crate) Router);

/// The API by the key of one request.
#[derive(Debug, Clone)]
struct Here {
    rest: Router,
    /// Who calls, and for whom.
    headers: HeaderMap,
    /// What is known of who has sent the request.
    known: Extensions,
    settings: Arc<Settings>,
}

impl Here {
    async fn ask(&self, call: Call) -> Result<Response, axum::http::Error> {
        let body = call.body.as_ref().map(Value::to_string);
        let mut request = Request::builder()
            .method(call.verb.method())
            .uri(call.target())
            .header(CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, Body::from))?;
        request.headers_mut().extend(self.headers.clone());
        *request.extensions_mut() = self.known.clone();
        let Ok(response) = self.rest.clone().oneshot(request).await;
        Ok(response)
    }

    /// What the API answered.
    async fn read(&self, response: Response, only_reads: bool) -> Reply {
        let status = response.status().as_u16();
        let Ok(collected) = Limited::new(response.into_body(), MOST_BYTES).collect().await else {
            return Reply::nothing(format!(
                "the answer has more than {MOST_BYTES} bytes: ask for less at once"
            ));
        };
        if status == StatusCode::NO_CONTENT.as_u16() {
            return Reply::without_content();
        }
        let bytes = collected.to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        let values = count_values(&text);
        if values > MOST_VALUES {
            return Reply::nothing(format!(
                "the answer has more than {MOST_VALUES} values: ask for less at once"
            ));
        }
        // Of what was done the client has to hear.
        if only_reads
            && let Some(stay) = self.known.get::<Stay>()
            && stay.admit_values(values).await.is_err()
        {
            return Reply::nothing(
                "the server has no room for the answer at this moment: try again in a moment",
            );
        }
        Reply {
            status,
            body: serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned())),
        }
    }
}

impl Api for Here {
    async fn call(&self, call: Call) -> Reply {
        let only_reads = matches!(call.verb, Verb::Get);
        match self.ask(call).await {
            Ok(response) => self.read(response, only_reads).await,
            Err(error) => Reply::nothing(error.to_string()),
        }
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Answers a message of the protocol, by whoever has a key.
pub(crate) async fn answer(
    Extension(Rest(rest)): Extension<Rest>,
    State(app): State<App>,
    request: Request,
) -> Response {
    let known = known_of(request.extensions());
    let is_of_caller =
        |name: &HeaderName| SHOWN.iter().any(|shown| name.as_str().eq_ignore_ascii_case(shown));
    let headers = request.headers().iter().filter(|(name, _)| is_of_caller(name));
    let headers = headers.map(|(name, value)| (name.clone(), value.clone())).collect();
    let settings = Settings { server: app.public_url.to_string(), ..Settings::default() };
    let mut here = Here { rest, headers, known, settings: Arc::new(settings) };
    let me = match here.ask(Call::me()).await {
        Ok(response) if response.status() == StatusCode::OK => here.read(response, true).await.body,
        Ok(refused) => return challenged(refused, &app.public_url),
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    // The message has been counted with this question.
    here.known.insert(Counted::default());
    let toolset = if wants_all(&request) {
        Toolset::All
    } else {
        Toolset::of_key(
            me["api_key"]["role"].as_str().unwrap_or_default(),
            me["api_key"]["agent_type"].as_str(),
        )
    };
    let request = match message(request).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let server = McpServer::new(Desk::new(here, toolset), VERSION);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MOST_BYTES)
        // Nobody gets here without a key, which no page that was led here by a trick can send.
        .disable_allowed_hosts()
        .with_allowed_origins([app.public_url.to_string()])
        .enforce_origin_validation();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    service.handle(request).await.map(Body::new)
}

/// A request whose body is one message, as far as can be seen; or what is answered to one that is none.
async fn message(request: Request) -> Result<Request, Response> {
    if request.method() != Method::POST {
        return Ok(request);
    }
    let refuse = |status: StatusCode, code: i32, message: &str| {
        let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
        (status, Json(error)).into_response()
    };
    let (parts, body) = request.into_parts();
    let bytes = match RawBody::read(Request::from_parts(parts.clone(), body), MOST_BYTES).await {
        Ok(read) => read.bytes,
        Err(error) if error.is_failure() => return Err(error.into_response()),
        Err(_) => {
            let why = format!(
                "Invalid Request: the body is broken off, too slow, or has more than {MOST_BYTES} bytes"
            );
            return Err(refuse(StatusCode::BAD_REQUEST, -32600, &why));
        }
    };
    // Nothing is made of it here: that is left to whoever answers it.
    let Ok(message) = serde_json::from_slice::<&RawValue>(&bytes) else {
        return Err(refuse(StatusCode::BAD_REQUEST, -32700, "Parse error"));
    };
    if !message.get().starts_with('{') {
        return Err(refuse(StatusCode::BAD_REQUEST, -32600, "Invalid Request: one message, and no batches"));
    }
    let values = count_values(message.get());
    if values > MOST_VALUES {
        let why = format!("Invalid Request: the message has more than {MOST_VALUES} values");
        return Err(refuse(StatusCode::BAD_REQUEST, -32600, &why));
    }
    if let Some(stay) = parts.extensions.get::<Stay>() {
        stay.admit_values(values).await.map_err(IntoResponse::into_response)?;
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Who sent a request, which holds for what it makes others ask as well.
fn known_of(extensions: &Extensions) -> Extensions {
    let mut known = Extensions::new();
    if let Some(peer) = extensions.get::<crate::http::Peer>() {
        known.insert(*peer);
    }
    if let Some(stay) = extensions.get::<Stay>() {
        known.insert(stay.clone());
    }
    known
}

fn wants_all(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "tools" && value == "all")
}

/// A refusal that says where it is written how to be let in.
fn challenged(mut refused: Response, public_url: &str) -> Response {
    if refused.status() == StatusCode::UNAUTHORIZED
        && let Ok(value) =
            HeaderValue::from_str(&format!("Bearer resource_metadata=\"{public_url}{METADATA}{PATH}\""))
    {
        refused.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    refused
}

/// `GET /.well-known/oauth-protected-resource`: what lets a client in is a key of a tenant, and no other server gives it one.
pub(crate) async fn metadata(State(app): State<App>) -> Json<Value> {
    let url = app.public_url.trim_end_matches('/');
    Json(json!({
        "resource": format!("{url}{PATH}"),
        "resource_name": "loopctl",
        "bearer_methods_supported": ["header"],
        "resource_documentation": format!("{url}/docs/mcp"),
    }))
}
