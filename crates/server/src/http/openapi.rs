//! The OpenAPI document: read from the routes that are mounted, and from nothing else.

use axum::http::Method;
use loopctl_core::request::Member;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer::IDEMPOTENCY_KEY;
use super::endpoint::{Endpoint, Operation, Session};
use super::error::ApiError;
use super::rate;

/// What keys are known as among what lets somebody in.
const KEY: &str = "BearerAuth";

/// What the parameter is known as by which requests may be repeated.
const REPEATABLE: &str = "IdempotencyKey";

/// What the answer is known as to one request too many.
const TOO_MANY: &str = "RateLimitError";

/// The error envelope.
#[derive(Serialize, JsonSchema)]
struct Refusal {
    error: ApiError,
}

/// The document of these routes.
pub(crate) fn document<S: Clone + Send + Sync + 'static>(endpoints: &[Endpoint<S>], version: &str) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let refusal = Value::from(schemas.subschema_for::<Refusal>());
    let mut paths: Map<String, Value> = Map::new();
    let mut bodies = Map::new();
    for endpoint in endpoints {
        for path in endpoint.paths() {
            let operation = operation(endpoint, path, &mut schemas, &mut bodies, &refusal);
            let methods = paths.entry(path).or_insert_with(|| json!({}));
            methods[endpoint.method.as_str().to_ascii_lowercase()] = operation;
        }
    }
    let mut definitions = schemas.take_definitions(true);
    definitions.extend(bodies);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "loopctl",
            "description": "A state store for AI coding agents that build software in loops.",
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": version,
        },
        "servers": [{"url": "/"}, {"url": "http://localhost:4000", "description": "As it is when nothing else is said"}],
        "security": [{KEY: []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "headers": rate::described(),
            "responses": {TOO_MANY: {
                "description": "Too many requests within this minute; `retry_after_seconds` and `Retry-After` say when to try again",
                "headers": rate::references(),
                "content": {"application/json": {"schema": refusal}},
            }},
            "parameters": {REPEATABLE: {
                "name": IDEMPOTENCY_KEY,
                "in": "header",
                "required": false,
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "A key of the client's choice for this request, such as a UUID. Sent again with the same key, it is not \
                    done again, and an answer with 2xx is given again, with `Idempotent-Replayed: true` and without secrets \
                    (`omitted` names them). Another request under the key is 422 `idempotency_key_reused`; while the same is \
                    still being done, it is 409 `idempotency_in_progress`.",
            }},
            "securitySchemes": {
                KEY: {"type": "http", "scheme": "bearer", "description": "An API key."},
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-loopctl",
                    "description": "What POST /sign-in gives a browser; on a server without TLS the cookie is called after its port.",
                },
            },
        },
    })
}

fn operation<S: Clone + Send + Sync + 'static>(
    endpoint: &Endpoint<S>,
    path: &str,
    schemas: &mut SchemaGenerator,
    bodies: &mut Map<String, Value>,
    refusal: &Value,
) -> Value {
    let described = endpoint.operation(schemas);
    let about = endpoint.about();
    let (summary, rest) = about.split_once("\n\n").unwrap_or((&about, ""));
    let mut operation = json!({
        "tags": [endpoint.tag],
        "operationId": operation_id(&endpoint.method, path),
        "summary": summary.replace('\n', " "),
        "parameters": parameters(&endpoint.method, path, &described),
        "responses": responses(&described, refusal),
        "security": security(&described),
    });
    if !path.starts_with("/api/") {
        told_as_pages(&mut operation["responses"], refusal);
    }
    if !rest.is_empty() {
        operation["description"] = rest.replace('\n', " ").into();
    }
    if described.takes_keys() {
        operation["x-loopctl-roles"] = json!(described.roles);
    }
    if let Some((name, schema)) = described.body {
        let reference = json!({"$ref": format!("#/components/schemas/{name}")});
        operation["requestBody"] = json!({"content": {"application/json": {"schema": reference}}});
        bodies.insert(name, schema.into());
    }
    operation
}

/// Who prefers pages reads refusals as such, but for those of the API.
fn told_as_pages(responses: &mut Value, refusal: &Value) {
    for response in responses.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if response["content"]["application/json"]["schema"] == *refusal {
            response["content"]["text/html"] = json!({"schema": {"type": "string"}});
        }
    }
}

/// What lets somebody in: one of these.
fn security(operation: &Operation<'_>) -> Value {
    let (key, session, nothing) = (json!({KEY: []}), json!({"session": []}), json!({}));
    match (operation.takes_keys(), operation.session) {
        (false, None) => json!([]),
        (true, None) => json!([key]),
        (true, Some(_)) => json!([key, session]),
        (false, Some(Session::Needed)) => json!([session]),
        (false, Some(Session::Taken)) => json!([nothing, session]),
    }
}

fn operation_id(method: &Method, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1").split(|c: char| !c.is_ascii_alphanumeric());
    let words = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
    format!("{}_{words}", method.as_str().to_ascii_lowercase()).trim_end_matches('_').to_owned()
}

fn parameters(method: &Method, path: &str, operation: &Operation<'_>) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let schema = if operation.path_ids {
        json!({"type": "string", "format": "uuid"})
    } else {
        json!({"type": "string"})
    };
    let in_path = names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": schema}));
    let in_query = operation.query.iter().map(|member| parameter("query", member));
    let in_headers = operation.headers.iter().map(|member| parameter("header", member));
    let repeatable = operation.takes_keys() && *method != Method::GET;
    let key = repeatable.then(|| json!({"$ref": format!("#/components/parameters/{REPEATABLE}")}));
    in_path.chain(in_query).chain(in_headers).chain(key).collect()
}

fn parameter(place: &str, Member { name, description, schema, required }: &Member) -> Value {
    let mut parameter = json!({"name": name, "in": place, "required": required, "schema": schema});
    if !description.is_empty() {
        parameter["description"] = (*description).into();
    }
    parameter
}

fn responses(operation: &Operation<'_>, refusal: &Value) -> Value {
    let mut responses = Map::new();
    let is_counted = operation.takes_keys() || operation.session.is_some();
    for (status, answer) in &operation.answers {
        if *status == 429 && is_counted {
            let reference =
                json!({"$ref": format!("#/components/responses/{TOO_MANY}"), "description": answer.about});
            responses.insert(status.to_string(), reference);
            continue;
        }
        let mut response = json!({"description": answer.about});
        let schema = match (&answer.schema, answer.refuses) {
            (Some(schema), true) => Some(json!({"anyOf": [schema, refusal]})),
            (Some(schema), false) => Some(json!(schema)),
            (None, refuses) => refuses.then(|| refusal.clone()),
        };
        if let Some(schema) = schema {
            response["content"] = json!({answer.content_type: {"schema": schema}});
        }
        for (content_type, schema) in &answer.also {
            response["content"][content_type] = json!({"schema": schema});
        }
        if is_counted {
            response["headers"] = rate::references();
        }
        responses.insert(status.to_string(), response);
    }
    let schema = match &operation.failure {
        Some(schema) => json!({"anyOf": [schema, refusal]}),
        None => refusal.clone(),
    };
    let failed = json!({
        "description": "The server could not do its work: 500, or 503 to be tried again",
        "content": {"application/json": {"schema": schema}},
    });
    responses.insert("default".to_owned(), failed);
    Value::Object(responses)
}
