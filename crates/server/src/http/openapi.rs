//! The OpenAPI document: read from the routes that are mounted, and from nothing else.

mod shared;

use axum::http::Method;
use loopctl_core::code::Code;
use loopctl_core::request::Member;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::endpoint::{Answer, Endpoint, Operation, Session};
use super::error::ApiError;
use super::headers::{self, Header};

/// What keys are known as among what lets somebody in.
const KEY: &str = "BearerAuth";

/// What is refused, in the word and in a sentence.
#[derive(Serialize, JsonSchema)]
struct ErrorResponse {
    error: ApiError,
}

/// What any route may be answered when it is not its fault: the status, the code, and when.
const FAILURES: [(u16, Code, &str); 10] = [
    (500, Code::InternalError, "a defect of the server"),
    (503, Code::DatabaseUnavailable, "the database cannot be reached"),
    (503, Code::DeadlineExceeded, "it took too long and was stopped"),
    (503, Code::Overloaded, "the tenant's other requests take all the room that it may have"),
    (503, Code::StorageUnavailable, "the database cannot write"),
    (503, Code::SecretsKeyMissing, "the server has no key to encrypt secrets with"),
    (503, Code::WebauthnUnavailable, "authenticators cannot sign for the address of the server"),
    (500, Code::AuditKeyStorageFailed, "the key of a new tenant's log cannot be kept"),
    (503, Code::Stopping, "the server is about to stop"),
    (408, Code::RequestTimeout, "the body did not arrive in time"),
];

const DESCRIPTION: &str = "\
A state store for AI coding agents that build software in loops. It keeps what agents claim (`agent_status`) apart from what was verified \
(`verified_status`); whoever did the work can never sign it off.

**Keys.** Every request but the public ones carries an API key, as `Authorization: Bearer lc_…`. `x-loopctl-roles` names the roles of the \
keys that an operation takes.

**Errors.** Whatever is refused is told in an `ErrorResponse`: `code` is a stable word, `message` a sentence, and `hints`, where there \
are any, say what to do next. `x-loopctl-codes` of a response names the codes that come with its status.

**Pages.** Lists take `page` and `page_size`, or `limit` and `offset`, and tell in `meta` where they are. Lists that grow without bound \
give a `next_cursor` as well.

**Repetitions.** Whatever changes something takes an `Idempotency-Key`: sent again with the same key, it is answered as before and not \
done again.";

/// The document of these routes. `tags` are the groups that they belong to, each with a sentence; `examples` are answers and bodies, by
/// method and path.
pub(crate) fn document<S: Clone + Send + Sync + 'static>(
    endpoints: &[Endpoint<S>],
    version: &str,
    tags: &[(&str, &str)],
    examples: &Map<String, Value>,
) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let envelope = Value::from(schemas.subschema_for::<ErrorResponse>());
    let mut paths: Map<String, Value> = Map::new();
    let mut bodies = Map::new();
    for endpoint in endpoints {
        for path in endpoint.paths() {
            let mut operation = operation(endpoint, path, &mut schemas, &mut bodies, &envelope);
            let method = endpoint.method.as_str();
            if let Some(recorded) = examples.get(&format!("{method} {path}")) {
                show(&mut operation, recorded);
            }
            let methods = paths.entry(path).or_insert_with(|| json!({}));
            methods[method.to_ascii_lowercase()] = operation;
        }
    }
    let mut definitions = schemas.take_definitions(true);
    definitions.extend(bodies);
    let (parameters, responses) = (shared::parameters(&mut paths), shared::responses(&mut paths));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "loopctl",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
            "version": version,
        },
        "servers": [{"url": "/"}, {"url": "http://localhost:4000", "description": "As it is when nothing else is said"}],
        "security": [{KEY: []}],
        "tags": tags.iter().map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": definitions,
            "headers": headers::described(),
            "responses": responses,
            "parameters": parameters,
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
    envelope: &Value,
) -> Value {
    let described = endpoint.operation(schemas);
    let about = endpoint.about();
    let (summary, rest) = about.split_once("\n\n").unwrap_or((&about, ""));
    let mut operation = json!({
        "tags": [endpoint.tag],
        "operationId": operation_id(&endpoint.method, path),
        "summary": summary.replace('\n', " "),
        "parameters": parameters(path, &described),
        "responses": responses(&described, envelope),
        "security": security(&described),
    });
    if !path.starts_with("/api/") {
        told_as_pages(&mut operation["responses"], envelope);
    }
    if !rest.is_empty() {
        operation["description"] = rest.replace('\n', " ").into();
    }
    if described.takes_keys() {
        operation["x-loopctl-roles"] = json!(described.roles);
    }
    if let Some((name, schema)) = described.body {
        let reference = shared::schema(&name);
        let required = schema.get("required").is_some();
        operation["requestBody"] =
            json!({"required": required, "content": {"application/json": {"schema": reference}}});
        for content_type in described.body_also {
            let bytes = json!({"schema": {"type": "string", "format": "binary"}});
            operation["requestBody"]["content"][content_type] = bytes;
        }
        let mut schema = schema.into();
        shared::name_nested(&mut schema, bodies);
        bodies.insert(name, schema);
    }
    operation
}

/// Who prefers pages reads refusals as such, but for those of the API.
fn told_as_pages(responses: &mut Value, envelope: &Value) {
    for response in responses.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if response["content"]["application/json"]["schema"] == *envelope {
            response["content"]["text/html"] = json!({"schema": {"type": "string"}});
        }
    }
}

/// Shows what was once sent and answered.
fn show(operation: &mut Value, recorded: &Value) {
    let mut put = |place: &str, example: &Value| {
        if let Some(content) = operation.pointer_mut(place) {
            content["example"] = example.clone();
        }
    };
    if let Some(body) = recorded.get("request") {
        put("/requestBody/content/application~1json", body);
    }
    for (status, body) in recorded["answers"].as_object().into_iter().flatten() {
        put(&format!("/responses/{status}/content/application~1json"), body);
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

fn parameters(path: &str, operation: &Operation<'_>) -> Vec<Value> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let schema = |name| {
        if operation.path_integers.contains(&name) {
            return json!({"type": "integer"});
        }
        if operation.path_ids {
            json!({"type": "string", "format": "uuid"})
        } else {
            json!({"type": "string"})
        }
    };
    let in_path =
        names.map(|name| json!({"name": name, "in": "path", "required": true, "schema": schema(name)}));
    let in_query = operation.query.iter().map(|member| parameter("query", member));
    let in_headers = operation.headers.iter().map(|member| parameter("header", member));
    in_path.chain(in_query).chain(in_headers).collect()
}

fn parameter(place: &str, Member { name, description, schema, required }: &Member) -> Value {
    let mut parameter = json!({"name": name, "in": place, "required": required, "schema": schema});
    if !description.is_empty() {
        parameter["description"] = (*description).into();
    }
    parameter
}

fn responses(operation: &Operation<'_>, envelope: &Value) -> Value {
    let is_counted = operation.takes_keys() || operation.session.is_some();
    let counted: &[&Header] =
        if is_counted { &[&headers::LIMIT, &headers::REMAINING, &headers::RESET] } else { &[] };
    let mut responses = Map::new();
    for (status, answer) in &operation.answers {
        responses.insert(status.to_string(), response(*status, answer, counted, envelope));
    }
    let schema = match &operation.failure {
        Some(schema) => json!({"anyOf": [schema, envelope]}),
        None => envelope.clone(),
    };
    let failures = FAILURES.map(|(status, code, when)| (code, format!("{status}, {when}")));
    let failed = json!({
        "description": format!("The server could not do its work. {}", sentences(&failures)),
        "content": {"application/json": {"schema": schema}},
        "headers": headers::references([&headers::REQUEST_ID, &headers::RETRY_AFTER].into_iter().chain(counted.iter().copied())),
        "x-loopctl-codes": FAILURES.map(|(_, code, _)| code),
    });
    responses.insert("default".to_owned(), failed);
    Value::Object(responses)
}

fn response(status: u16, answer: &Answer, counted: &[&Header], envelope: &Value) -> Value {
    // A status that is listed is none of the default any more.
    let failures = FAILURES.iter().filter(|(of, ..)| *of == status && !answer.refusals.is_empty());
    let failures = failures.map(|(_, code, when)| (*code, (*when).to_owned()));
    let mut told = answer.refusals.clone();
    told.extend(failures.filter(|(code, _)| !answer.refusals.iter().any(|(known, _)| known == code)));
    let refusals = sentences(&told);
    let description = [answer.about.as_str(), &refusals].into_iter().filter(|part| !part.is_empty());
    let always = std::iter::once(&headers::REQUEST_ID);
    let headers = always.chain(counted.iter().copied()).chain(answer.headers.iter().copied());
    let mut response = json!({
        "description": description.collect::<Vec<_>>().join(". "),
        "headers": headers::references(headers),
    });
    let schema = match (&answer.schema, answer.refusals.is_empty()) {
        (Some(schema), false) => Some(json!({"anyOf": [schema, envelope]})),
        (Some(schema), true) => Some(json!(schema)),
        (None, false) => Some(envelope.clone()),
        (None, true) => None,
    };
    if let Some(schema) = schema {
        response["content"] = json!({answer.content_type: {"schema": schema}});
    }
    for (content_type, schema) in &answer.also {
        response["content"][content_type] = json!({"schema": schema});
    }
    if !answer.refusals.is_empty() {
        response["x-loopctl-codes"] = told.iter().map(|(code, _)| json!(code)).collect();
    }
    response
}

/// Each code, and in which case it is told.
fn sentences(refusals: &[(Code, impl AsRef<str>)]) -> String {
    let told = refusals.iter().map(|(code, when)| format!("`{code}`: {}", when.as_ref()));
    told.collect::<Vec<_>>().join("; ")
}
