//! Every route that writes, and every way to send it something that is not what it should be: it is refused as a whole, or done
//! as a whole, and never half or without a word.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::steps::{Step, steps};
use super::{World, short};
use crate::conformance::{OPERATIONS, Operation};
use crate::isolation::{Everything, everything_of, expect_unchanged};
use crate::support::{PATIENCE, Reply, server, unique};

const CONTENT_TYPES: [Option<&str>; 4] =
    [Some("application/json"), Some("application/x-www-form-urlencoded"), Some("text/plain"), None];

/// Not JSON, or JSON that nobody can have meant.
const BROKEN: [&str; 12] = [
    "{\"title\": \"new\",}",
    "{'title': 'new'}",
    "{\"title\": \"new\"",
    "{title: \"new\"}",
    "{\"title\": NaN}",
    "{\"title\": \"\\ud800\"}",
    "{\"title\": 1e400}",
    "{\"metadata\": {\"n\": -1e999}}",
    "{\"title\": \"a\", \"title\": \"b\"}",
    "{\"metadata\": {\"a\": 1, \"\\u0061\": 2}}",
    "\u{feff}{\"title\":",
    "[{\"title\"",
];

/// What some route takes, and may be given far too much of.
const LISTS: [&str; 10] = [
    "acceptance_criteria",
    "epics",
    "story_dependencies",
    "epic_dependencies",
    "story_ids",
    "stories",
    "findings",
    "steps",
    "console_errors",
    "metadata",
];

/// Just below the limit of a body.
const MUCH: usize = 2_000_000;

async fn send(
    step: &Step,
    method: Method,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Reply {
    let mut request = step.who.request(method, &step.path).body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    step.who.send(request).await
}

/// A connection on which a request was begun: all of its head, and of its body all but the last `left` bytes.
async fn begin(step: &Step, method: &Method, body: &str, left: usize) -> TcpStream {
    let key = step.who.key.as_ref().map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    let path = step.path.strip_prefix('/').filter(|path| path.starts_with('/'));
    let path = path.map_or_else(|| format!("/api/v1{}", step.path), str::to_owned);
    let headers: String =
        step.who.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let begun = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\n{key}{headers}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..body.len() - left]
    );
    let mut socket = TcpStream::connect(server().base.strip_prefix("http://").unwrap()).await.unwrap();
    socket.write_all(begun.as_bytes()).await.unwrap();
    socket
}

/// The beginning of a request, and then nothing.
async fn break_off(step: &Step, method: &Method) {
    begin(step, method, &step.body.to_string(), 1).await;
}

/// The whole of a request, of whose answer nothing is read: its status is only looked at where it waits.
async fn turn_away(step: &Step, method: &Method) {
    let body = if step.body.is_null() { String::new() } else { step.body.to_string() };
    let socket = begin(step, method, &body, 0).await;
    let mut waiting = [0; 12];
    while timeout(PATIENCE, socket.peek(&mut waiting)).await.expect("an answer").unwrap() < waiting.len() {}
    let status = format!("HTTP/1.1 {}", step.status);
    assert_eq!(String::from_utf8_lossy(&waiting), status, "{method} {}", step.path);
}

/// How many records of each kind a tenant has, but for what is made of articles in the background: nothing, if they are gone by then.
async fn records_of(world: &World) -> Vec<(String, usize)> {
    let of_meaning = |row: &Value| {
        let told = |member: &str| row[member].as_str().unwrap_or_default().to_owned();
        ["embedding", "linking"].contains(&told("queue").as_str())
            || told("action").starts_with("article.embedding_")
    };
    let mut counted = Vec::new();
    for (table, rows) in everything_of(&world.a.tenant.id).await {
        if table != "article_embeddings" {
            let rows = rows.as_array().unwrap();
            counted.push((table, rows.iter().filter(|row| !of_meaning(row)).count()));
        }
    }
    counted
}

/// What the route makes of all that. `done` is a request that would succeed.
async fn nothing_happens(world: &World, operation: &Operation, done: &Step) {
    let tenant = &world.a.tenant.id;
    let what = |body: &str| format!("{} {} with {:.60}", operation.method, operation.path, body);
    let before = everything_of(tenant).await;
    for body in BROKEN {
        for content_type in CONTENT_TYPES {
            let reply = send(done, operation.method(), content_type, body).await;
            assert_eq!(reply.status, 400, "{} as {content_type:?}: {:#}", what(body), reply.body);
            assert_eq!(reply.body["error"]["code"], "bad_request", "{}", what(body));
        }
    }
    break_off(done, &operation.method()).await;
    expect_unchanged(&everything_of(tenant).await, &before, &what("broken bodies"));
    for list in LISTS.into_iter().filter(|list| knows(operation, list)) {
        let body = format!("{{\"{list}\": [{}]}}", vec!["{}"; MUCH / 3].join(","));
        let reply = send(done, operation.method(), Some("application/json"), body).await;
        assert!(reply.status < 500, "{}: {:#}", what(list), reply.body);
        if reply.status >= 400 {
            expect_unchanged(&everything_of(tenant).await, &before, &what(list));
        }
    }
}

/// Whether the document lists a member of this name for the body.
fn knows(operation: &Operation, member: &str) -> bool {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(loopctl_server::openapi);
    let document = &*DOCUMENT;
    let method = operation.method.to_lowercase();
    let body =
        &document["paths"][&operation.path][method]["requestBody"]["content"]["application/json"]["schema"];
    let name = body["$ref"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    document["components"]["schemas"][name]["properties"].get(member).is_some()
}

/// The first call of a route that succeeds, after those before it were made.
async fn before_success(world: &World, operation: &Operation) -> Step {
    for step in steps(world, operation).await {
        if step.status < 300 {
            return step;
        }
        let request = super::request(&step.who, operation, &step.path, &step.body);
        step.who.send(request).await.expect(step.status);
    }
    panic!("{} {}: no step succeeds", operation.method, short(operation));
}

#[tokio::test]
async fn whatever_is_sent_is_done_whole_or_refused_whole() {
    // One in which nothing is to happen, one in which everything does, and one in which it does and nobody reads so.
    let (still, world, deaf) = (World::new().await, World::new().await, World::new().await);
    let writes =
        OPERATIONS.iter().filter(|operation| ["POST", "PATCH", "PUT"].contains(&operation.method.as_str()));
    let mut seen = 0;
    for operation in writes {
        let tried = steps(&still, operation).await;
        let done = tried.iter().find(|step| step.status < 300).expect("a step that succeeds");
        nothing_happens(&still, operation, done).await;
        let step = before_success(&deaf, operation).await;
        turn_away(&step, &operation.method()).await;
        // A mark before it and a key that nothing knows: nobody is refused for them, and all the rest is done.
        let step = before_success(&world, operation).await;
        let mut body = step.body.as_object().cloned().unwrap_or_else(Map::new);
        body.insert("nothing_knows_this".to_owned(), json!([1, {"a": null}]));
        let marked = format!("\u{feff}\n{}", Value::Object(body));
        let reply = send(&step, operation.method(), Some("application/x-www-form-urlencoded"), marked).await;
        assert_eq!(reply.status, step.status, "{} {}: {:#}", operation.method, short(operation), reply.body);
        let [read, unread] = [records_of(&world).await, records_of(&deaf).await];
        assert_eq!(unread, read, "{} {}, whose answer nobody reads", operation.method, short(operation));
        seen += 1;
    }
    assert!(seen > 35, "{seen} routes that write");
}

/// Everything that a tenant has, but for what becomes of its deliveries, which go on by themselves.
async fn all_but_deliveries(tenant_id: &str) -> Everything {
    const MOVES: [&str; 15] = [
        "consecutive_failures",
        "last_delivery_at",
        "struggling",
        "lease",
        "leased_until",
        "status",
        "attempts",
        "next_attempt_at",
        "last_attempt_at",
        "delivered_at",
        "error",
        "response_status",
        "latency_ms",
        "response_excerpt",
        "updated_at",
    ];
    let mut all = everything_of(tenant_id).await;
    for (table, rows) in &mut all {
        if table == "webhooks" || table == "webhook_events" {
            for row in rows.as_array_mut().unwrap() {
                row.as_object_mut().unwrap().retain(|name, _| !MOVES.contains(&name.as_str()));
            }
        }
    }
    all
}

/// Repeated with the key that it had, whatever succeeded is answered as before, and nothing happens.
#[tokio::test]
async fn whatever_was_done_is_answered_again_and_not_done_again() {
    let world = World::new().await;
    let tenant = &world.a.tenant.id;
    let mut seen = 0;
    // Whoever signs up has no key yet that they could repeat it by, and pages do not repeat what they ask for.
    let writes = |operation: &&Operation| operation.method != "GET" && operation.path.starts_with("/api/");
    for operation in OPERATIONS.iter().filter(writes) {
        let what = format!("{} {}", operation.method, short(operation));
        let step = before_success(&world, operation).await;
        let key = unique("key");
        let send = async || {
            let request = super::request(&step.who, operation, &step.path, &step.body);
            step.who.send(request.header("Idempotency-Key", &key)).await
        };
        let first = send().await;
        assert_eq!(
            (first.status, first.headers.get("idempotent-replayed")),
            (step.status, None),
            "{what}: {first:#?}"
        );
        let before = all_but_deliveries(tenant).await;
        let mut again = send().await;
        assert_eq!(
            again.headers.get("idempotent-replayed").map(|told| told.as_bytes()),
            Some(&b"true"[..]),
            "{what}"
        );
        let mut told = first.body.clone();
        if let Some(omitted) = again.body.as_object_mut().and_then(|body| body.remove("omitted")) {
            assert!(!omitted.as_array().unwrap().is_empty(), "{what}");
            forget_secrets(&mut told, omitted.as_array().unwrap());
        }
        assert_eq!((again.status, &again.body), (first.status, &told), "{what}");
        expect_unchanged(&all_but_deliveries(tenant).await, &before, &what);
        // Whatever else is asked for by this key is something else.
        let query = if step.path.contains('?') { "&else=1" } else { "?else=1" };
        let other = super::request(&step.who, operation, &format!("{}{query}", step.path), &step.body);
        let reused = step.who.send(other.header("Idempotency-Key", &key)).await;
        reused.expect_error(422, "idempotency_key_reused");
        expect_unchanged(&all_but_deliveries(tenant).await, &before, &what);
        seen += 1;
    }
    assert!(seen > 40, "{seen} routes that write");
}

fn forget_secrets(body: &mut Value, names: &[Value]) {
    if let Value::Object(members) = body {
        members.retain(|name, _| !names.contains(&json!(name)));
        members.values_mut().for_each(|value| forget_secrets(value, names));
    }
}
