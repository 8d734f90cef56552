//! The routes that are mounted: as an OpenAPI document, and as a list in which whoever calls finds what they may use.

use std::io;

use axum::Json;
use flate2::read::GzDecoder;
use loopctl_core::role::Role;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value};

use super::told::Told;
use crate::VERSION;
use crate::app::{Any, Endpoint, KeyHolder};
use crate::http::{ApiResult, Asked, Fixed, LOOK_AGAIN, Session, Unless, openapi as description};

/// A document that is described elsewhere.
pub(super) type Document = Map<String, Value>;

/// The groups that routes belong to, in the order in which they are read.
const TAGS: [(&str, &str); 25] = [
    (
        "Discovery",
        "What the server tells of itself: where to begin, what there is to call, what moves a story.",
    ),
    ("Pages", "What anybody may read: what loopctl is, and how it is used."),
    ("Health", "Whether the server works."),
    ("Signup", "How a tenant comes into being, by the touch of an authenticator."),
    ("Sessions", "How a tenant's owner signs in, on pages of this server."),
    (
        "Tenants",
        "The caller's tenant, its settings, its authenticators and the key that its log is to be signed with.",
    ),
    ("Auth", "API keys of the tenant."),
    ("Agents", "Who works: each agent registers with a key of its own."),
    ("Projects", "What is built, and how far it is."),
    ("Epics", "Parts of a project, and how far they are."),
    (
        "Stories",
        "Pieces of work with their acceptance criteria; which can be worked on now, and which wait for what.",
    ),
    ("Dependencies", "What comes before what, among stories and among epics."),
    ("Import/Export", "Whole plans, in and out."),
    ("Progress", "What moves a story from pending to verified, and back: one at a time, or many."),
    ("Artifacts", "What implementers say that they have made."),
    ("UI Tests", "Runs through a user interface, and what was found."),
    ("Orchestrator", "Checkpoints for the next session of an orchestrator."),
    ("Skills", "The prompts by which agents work, in versions, and what came of each of them."),
    (
        "Knowledge",
        "What is worth knowing beyond one story: articles of a tenant, and what the server explains to everybody.",
    ),
    ("Knowledge Analytics", "What is read of it, by whom and for what."),
    ("Knowledge Ingestion", "Drafts that are made of texts, pages and reviews."),
    (
        "Token Efficiency",
        "What work costs: what is reported of it, what was measured, what may be spent, and where it stands out.",
    ),
    ("Audit", "What happened: the log, the history of a story, the feed of changes and its stream."),
    ("Webhooks", "Who is told of what happens, and what became of it."),
    ("Admin", "What superadmins see and do of all tenants."),
];

/// What was really sent and answered, by method and path, as the walk over all routes has recorded it.
const EXAMPLES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/examples.json.gz"));

/// The OpenAPI document of these routes.
pub(crate) fn described(endpoints: &[Endpoint]) -> Value {
    // A test reads them.
    let examples = io::read_to_string(GzDecoder::new(EXAMPLES)).unwrap_or_default();
    let examples = serde_json::from_str(&examples).unwrap_or_default();
    description::document(endpoints, VERSION, &TAGS, &examples)
}

pub(super) fn document(endpoints: &[Endpoint]) -> Fixed<Document> {
    Fixed::json(&described(endpoints), "application/json", LOOK_AGAIN)
}

pub(super) async fn openapi(told: Told, asked: Asked) -> ApiResult<Unless<Document>> {
    Ok(told.documents().openapi.get().await?.unless(&asked))
}

/// A route in one line.
#[derive(Clone, Serialize, JsonSchema)]
pub(super) struct Route {
    method: String,
    /// With `:id` for what varies.
    path: String,
    description: String,
    /// The path of which this is another name.
    alias_of: Option<String>,
    /// The roles of the keys that it takes; none where keys are not looked at, because it is for everybody, or for whoever has
    /// signed in.
    roles: Vec<Role>,
    /// Whether the key that asks may use it.
    allowed: bool,
}

/// Every path of every route, in the order of the list. Allowed is what is allowed to everybody.
pub(super) fn routes_of(endpoints: &[Endpoint]) -> Vec<Route> {
    let mut schemas = SchemaSettings::draft2020_12().into_generator();
    endpoints.iter().flat_map(|endpoint| paths_of(endpoint, &mut schemas)).collect()
}

fn paths_of(endpoint: &Endpoint, schemas: &mut SchemaGenerator) -> Vec<Route> {
    let operation = endpoint.operation(schemas);
    let mut description = endpoint.about().split_whitespace().collect::<Vec<_>>().join(" ");
    if !operation.query.is_empty() {
        let names: Vec<_> = operation.query.iter().map(|member| format!("`{}`", member.name)).collect();
        description = format!("{description} Query: {}.", names.join(", "));
    }
    let path_of = |path: &str| path.replace('{', ":").replace('}', "");
    let route = |path: &'static str| Route {
        method: endpoint.method.to_string(),
        path: path_of(path),
        description: description.clone(),
        alias_of: (path != endpoint.path).then(|| path_of(endpoint.path)),
        roles: operation.roles.clone(),
        allowed: !operation.takes_keys() && operation.session != Some(Session::Needed),
    };
    endpoint.paths().map(route).collect()
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Routes {
    count: usize,
    routes: Vec<Route>,
}

pub(super) async fn list(holder: KeyHolder<Any>, told: Told) -> ApiResult<Json<Routes>> {
    let marked =
        |route: &Route| Route { allowed: route.allowed || holder.may_call(&route.roles), ..route.clone() };
    let routes: Vec<_> = told.documents().routes.get().await?.iter().map(marked).collect();
    Ok(Json(Routes { count: routes.len(), routes }))
}
