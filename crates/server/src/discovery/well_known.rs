//! What an agent can know before it has a key: where the rules are written, and what to talk to the server with.

use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Value, json};

use super::mounted::Document;
use super::told::Told;
use crate::VERSION;
use crate::http::{ApiResult, Asked, Fixed, Operation, Output, Unless};

/// Where loopctl is at home. A server whose operator has named no URL for its clients names this one, whatever host it is asked by.
const HOME: &str = "https://loopctl.com";

const SCHEMA: &str = "application/schema+json";

/// What every later version will still have.
const REQUIRED: [&str; 6] = [
    "spec_version",
    "mcp_server",
    "audit_signing_key_url",
    "capability_scheme_url",
    "chain_of_custody_spec_url",
    "system_articles_endpoint",
];

/// What is told.
#[derive(Serialize, JsonSchema)]
pub(super) struct WellKnown {
    /// The version of this document's form.
    spec_version: &'static str,
    mcp_server: McpServer,
    /// The public key that a tenant's log is to be signed with; it is not signed yet.
    #[schemars(extend("format" = "uri-template"))]
    audit_signing_key_url: String,
    #[schemars(extend("format" = "uri"))]
    capability_scheme_url: String,
    #[schemars(extend("format" = "uri"))]
    chain_of_custody_spec_url: String,
    #[schemars(extend("format" = "uri"))]
    discovery_bootstrap_url: String,
    #[schemars(extend("format" = "uri"))]
    required_agent_pattern_url: String,
    #[schemars(extend("format" = "uri"))]
    system_articles_endpoint: String,
    contact: &'static str,
}

/// The package with which agents talk to the server.
#[derive(Serialize, JsonSchema)]
struct McpServer {
    name: &'static str,
    /// The version that comes with this build, and is the build's own.
    npm_version: &'static str,
    #[schemars(extend("format" = "uri"))]
    repository_url: String,
}

impl WellKnown {
    /// Of a server that clients reach by this URL, if somebody has named one.
    fn of(public_url: Option<&str>) -> Self {
        let base = public_url.unwrap_or(HOME).trim_end_matches('/');
        let at = |path: &str| format!("{base}{path}");
        Self {
            spec_version: "2",
            mcp_server: McpServer {
                name: "loopctl-mcp-server",
                npm_version: VERSION,
                repository_url: at("/docs/mcp"),
            },
            audit_signing_key_url: at("/api/v1/tenants/{tenant_id}/audit_public_key"),
            capability_scheme_url: at("/wiki/capability-tokens"),
            chain_of_custody_spec_url: at("/wiki/chain-of-custody"),
            discovery_bootstrap_url: at("/wiki/agent-bootstrap"),
            required_agent_pattern_url: at("/wiki/agent-pattern"),
            system_articles_endpoint: at("/api/v1/articles/system"),
            contact: "operator@loopctl.com",
        }
    }
}

/// The pages that every server tells of, by their paths.
pub(crate) fn told_pages() -> Vec<String> {
    let WellKnown {
        capability_scheme_url,
        chain_of_custody_spec_url,
        discovery_bootstrap_url,
        required_agent_pattern_url,
        ..
    } = WellKnown::of(None);
    let urls = [
        capability_scheme_url,
        chain_of_custody_spec_url,
        discovery_bootstrap_url,
        required_agent_pattern_url,
    ];
    urls.into_iter().map(|url| url.trim_start_matches(HOME).to_owned()).collect()
}

pub(super) fn document(public_url: Option<&str>) -> Fixed<WellKnown> {
    Fixed::json(&json!(WellKnown::of(public_url)), "application/json", "public, max-age=3600")
}

pub(super) async fn show(told: Told, asked: Asked) -> Unless<WellKnown> {
    told.documents().well_known.unless(&asked)
}

pub(super) fn document_of_schema() -> Fixed<Document> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<WellKnown>();
    schema.insert("$id".to_owned(), format!("{HOME}/.well-known/loopctl/schema.json").into());
    schema.insert("required".to_owned(), json!(REQUIRED));
    Fixed::json(&Value::from(schema), SCHEMA, "public, max-age=86400")
}

/// A schema, which has a content type of its own.
pub(super) struct Schema(Unless<Document>);

impl IntoResponse for Schema {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

impl Output for Schema {
    fn describe(operation: &mut Operation<'_>) {
        Unless::<Document>::describe(operation);
        operation.answer_as(200, SCHEMA);
    }
}

pub(super) async fn schema(told: Told, asked: Asked) -> ApiResult<Schema> {
    Ok(Schema(told.documents().well_known_schema.get().await?.unless(&asked)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_nobody_has_named_is_told_by_its_home() {
        for (named, base) in [(None, HOME), (Some("https://loop.example/"), "https://loop.example")] {
            let url = WellKnown::of(named).audit_signing_key_url;
            assert_eq!(url, format!("{base}/api/v1/tenants/{{tenant_id}}/audit_public_key"));
        }
    }
}
