//! `/mcp`: the protocol over HTTP, by people's and agents' keys.

mod cheats;
mod door;
mod skills;
mod steps;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Caller;

/// The last revision whose clients introduce themselves first, which need not be done here.
pub(crate) const OLD: &str = "2025-11-25";
/// The one without any state, in which every request says who asks.
const NEW: &str = "2026-07-28";

/// Sends a request of a revision; the whole answer.
pub(crate) async fn ask(caller: &Caller, path: &str, revision: &str, method: &str, params: Value) -> Value {
    let mut params = params;
    if revision == NEW {
        let meta = params.as_object_mut().unwrap().entry("_meta").or_insert_with(|| json!({}));
        meta["io.modelcontextprotocol/protocolVersion"] = json!(NEW);
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "tests", "version": "1"});
    }
    let mut request = caller
        .request(Method::POST, path)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", revision)
        .header("mcp-method", method);
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
        request = request.header("mcp-name", name);
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let response = request.json(&message).send().await.unwrap();
    let status = response.status();
    let body = response.text().await.unwrap();
    serde_json::from_str(&body).unwrap_or_else(|_| panic!("{method} {status}: {body}"))
}

/// What a request comes to.
async fn result(caller: &Caller, method: &str, params: Value) -> Value {
    let mut answer = ask(caller, "//mcp", NEW, method, params.clone()).await;
    assert!(answer["result"].is_object(), "{method} {params}: {answer:#}");
    answer["result"].take()
}

/// The code with which a request is refused.
async fn refused(caller: &Caller, path: &str, revision: &str, method: &str, params: Value) -> i64 {
    let answer = ask(caller, path, revision, method, params.clone()).await;
    answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method} {params}: {answer:#}"))
}
