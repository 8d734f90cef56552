//! `api METHOD PATH [JSON]` for everything without a command of its own, `routes`, which names it, and `health`.

use clap::Args;
use reqwest::Method;

use crate::context::Context;
use crate::error::{Error, ServerError};
use crate::json_argument;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// GET, POST, PUT, PATCH or DELETE
    method: String,
    /// Path below /api/v1, or a whole path from /api, /health or /.well-known; may carry a query
    path: String,
    /// Body: JSON, @file or -
    #[arg(value_name = "JSON")]
    body: Option<String>,
}

pub(crate) async fn call(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let name = arguments.method.to_ascii_uppercase();
    super::one_of("method", &name, &["GET", "POST", "PUT", "PATCH", "DELETE"])?;
    let method = Method::from_bytes(name.as_bytes()).map_err(|error| Error::Usage(error.to_string()))?;
    let path = full_path(&arguments.path)?;
    let body = arguments.body.map(|body| json_argument::read("the body", &body)).transpose()?;
    let answer = context.open_client()?.raw(method, &path, body.as_ref()).await?;
    match answer["data"].as_array().map(|rows| columns(rows)) {
        Some(columns) if !context.output.is_json() => {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            context.output.list(&answer, &columns, "No rows.")
        }
        _ if answer.is_null() => Ok(()),
        _ => {
            // An answer with a single member is that member in an envelope.
            let only = answer
                .as_object()
                .filter(|members| members.len() == 1)
                .and_then(|members| members.keys().next());
            context.output.object(&answer, only.map_or("", String::as_str))
        }
    }
}

fn full_path(path: &str) -> Result<String, Error> {
    if path.contains("://") {
        return Err(Error::Usage("PATH must not contain a server; use --server".to_owned()));
    }
    let path = format!("/{}", path.trim_start_matches('/'));
    let whole = ["/api/", "/health", "/.well-known/"].iter().any(|prefix| path.starts_with(prefix));
    Ok(if whole { path } else { format!("/api/v1{path}") })
}

/// The members of the first row: what a table of unknown rows shows.
fn columns(rows: &[serde_json::Value]) -> Vec<String> {
    rows.first().and_then(|row| row.as_object()).map(|row| row.keys().cloned().collect()).unwrap_or_default()
}

/// What there is behind `api`, and what of it is open to this key.
pub(crate) async fn routes(context: &Context) -> Result<(), Error> {
    let body = context.client()?.get("/routes", &[]).await?;
    context.output.list(&body, &["method", "path", "allowed", "description"], "No routes.")
}

pub(crate) async fn health(context: &Context) -> Result<(), Error> {
    let (status, body) = context.open_client()?.probe("/health").await?;
    // An unhealthy server still says what is wrong with it.
    if body.is_object() {
        context.output.object(&body, "")?;
    }
    match status {
        200..=299 if body.is_object() => Ok(()),
        200..=299 => Err(Error::not_json()),
        _ => Err(Error::Server(ServerError::new(status, body))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_below_the_api_unless_they_are_whole() {
        let full = |path| full_path(path).unwrap();
        assert_eq!(full("stories/ready?limit=1"), "/api/v1/stories/ready?limit=1");
        assert_eq!(full("/projects"), "/api/v1/projects");
        assert_eq!(full("/api/v1/tenants/me"), "/api/v1/tenants/me");
        assert_eq!(full("/health"), "/health");
        assert!(full_path("https://elsewhere/api/v1/x").is_err());
    }
}
