//! Damaged payloads: whatever comes, the answer is a success or names what is wrong.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Map, Value, json};

use super::{Rows, epic_with, rows, rows_of};
use crate::support::{Tenant, connect, rounds, seed, server, text};

const MUTATIONS: usize = 300;

fn valid() -> Value {
    json!({
        "epics": [
            {"number": 1, "title": "One", "description": "d", "phase": "p0", "position": 0, "metadata": {"a": [1, {}]},
             "depends_on_epics": [],
             "stories": [
                {"number": "1.1", "title": "Login", "description": "d", "estimated_hours": 4, "metadata": {"b": null},
                 "acceptance_criteria": [{"id": "AC-1", "criterion": "c"},
                     {"id": "AC-2", "description": "d", "verification_criterion": {"type": "test", "path": "t"}}],
                 "initial_agent_status": "reported_done", "initial_verified_status": "pass"},
                {"number": "1.2", "title": "Logout", "depends_on_stories": ["1.1"], "estimated_hours": "1.5"},
                {"number": 3, "title": "Three"}]},
            {"number": "2", "title": "Two", "depends_on_epics": [1], "stories": [{"number": "2.1", "title": "S"}]}],
        "story_dependencies": [{"story": "2.1", "depends_on": "1.2"}],
        "epic_dependencies": [{"epic": 2, "depends_on": 1}],
    })
}

/// The paths to all places in a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                places(item, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                places(item, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn nested(depth: usize, array: bool) -> Value {
    (0..depth).fold(json!(1), |inner, _| if array { json!([inner]) } else { json!({"n": inner}) })
}

fn strange(rng: &mut StdRng) -> Value {
    let texts = [
        "",
        " ",
        "\t\n",
        "0",
        "-1",
        "1.1",
        "2.1",
        "99.99",
        "1.1.1",
        "US-1.1",
        "１.１",
        "true",
        "null",
        "pass",
        "bogus",
        "\u{FEFF}",
        "\u{1F980}\u{200D}",
        "\u{202E}x",
        "a\u{0}b",
        "\\u0000",
        "'; drop table stories; --",
        "%00",
        "{}",
        "9999999999",
        "1e400",
        "NaN",
        "Infinity",
        "0x10",
        "1_000",
        "+1",
        "٣",
    ];
    match rng.random_range(0..12) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => json!([0, -1, 1, 2, 3, i64::MAX, i64::MIN][rng.random_range(0..7)]),
        3 => json!(u64::MAX),
        4 => json!([0.5, -0.0, 1e308, 5e-324, -1e-300, 1.1][rng.random_range(0..6)]),
        5 | 6 => json!(texts.choose(rng).unwrap()),
        7 => json!("x".repeat([255, 256, 500, 501, 3000, 50_001][rng.random_range(0..6)])),
        8 => nested(rng.random_range(1..110), rng.random_bool(0.5)),
        9 => json!(["1.1", 1, null, {}, []]),
        10 => json!({"number": "1.1", "title": "S", "type": "bogus"}),
        _ => {
            let letters: String = (0..rng.random_range(1..40)).map(|_| rng.random::<char>()).collect();
            json!(letters)
        }
    }
}

fn mutate(payload: &mut Value, rng: &mut StdRng) {
    let mut found = Vec::new();
    places(payload, "", &mut found);
    let path = found.choose(rng).unwrap().clone();
    let other = found.choose(rng).unwrap().clone();
    let copy = payload.pointer(&other).cloned().unwrap_or_default();
    let place = payload.pointer_mut(&path).unwrap();
    match (rng.random_range(0..6), place) {
        (0, Value::Array(items)) if !items.is_empty() => {
            let at = rng.random_range(0..items.len());
            items.remove(at);
        }
        (1, Value::Array(items)) if !items.is_empty() => {
            let twin = items.choose(rng).unwrap().clone();
            items.push(twin);
        }
        (0 | 1, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(rng.random_range(0..members.len())).unwrap().clone();
            members.remove(&name);
        }
        (2, Value::Object(members)) => {
            members.insert(rng.random::<char>().to_string(), strange(rng));
        }
        (3, place) => *place = copy,
        (4, place) => *place = json!([place.clone()]),
        (_, place) => *place = strange(rng),
    }
}

/// Every rule of imports and of the body's reading, by how its message looks.
fn names_path_or_rule(message: &str) -> bool {
    let rules = [
        "epics must be an array",
        "payload exceeds maximum of ",
        "epics[",
        "story_dependencies",
        "epic_dependencies",
        "Duplicate epic number: ",
        "Duplicate story number: ",
        "Import conflicts with existing data.",
        "Unresolved dependency reference: ",
        "Cycle detected: ",
        "Cross-level deadlock: ",
        "Request body must be a JSON object",
        "Bad Request: JSON nested too deeply at ",
    ];
    rules.iter().any(|rule| message.starts_with(rule))
        || (message.starts_with("Validation failed: ") && message.ends_with(" contains U+0000"))
}

#[tokio::test]
async fn damaged_payloads_are_imported_or_refused_by_name() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let tenant = Tenant::new().await;
    let raise = json!({"settings": {"max_projects": 10_000}});
    tenant.user.patch("/tenants/me", raise).await.expect(200);
    let client = connect(&server().owner).await;
    let mut project = tenant.project().await;
    let (mut imported, mut refused) = (0, 0);
    for number in 0..rounds(MUTATIONS) {
        let mut payload = valid();
        for _ in 0..rng.random_range(1..3) {
            mutate(&mut payload, &mut rng);
        }
        let what = || format!("LOOPCTL_TEST_SEED={seed}, mutation {number}: {payload}");
        let merging = if rng.random_bool(0.3) { "?merge=true" } else { "" };
        let before = rows_of(&client, &project).await;
        let reply = tenant.user.post(&format!("/projects/{project}/import{merging}"), payload.clone()).await;
        match reply.status {
            200 | 201 => {
                imported += 1;
                // What was let in can be read again.
                for path in [
                    format!("/stories?project_id={project}&limit=500"),
                    format!("/projects/{project}/epics"),
                    format!("/projects/{project}/progress"),
                    format!("/stories/blocked?project_id={project}"),
                ] {
                    let read = tenant.user.get(&path).await;
                    assert_eq!(read.status, 200, "{path} after {}", what());
                }
                if rng.random_bool(0.9) {
                    project = tenant.project().await;
                }
            }
            400 | 409 | 422 => {
                refused += 1;
                let status = reply.status;
                let message = text(&reply.expect(status)["error"]["message"]);
                assert!(names_path_or_rule(&message), "{message:?} for {}", what());
                assert_eq!(rows_of(&client, &project).await, before, "{}", what());
            }
            status => panic!("{status} {:#} for {}", reply.body, what()),
        }
    }
    assert!(imported > 20 && refused > 100, "{imported} imported, {refused} refused with seed {seed}");
    tenant.keeps_count().await;
}

/// Around the parser's own limit of 128 levels: what is stored can be read, the rest is refused.
#[tokio::test]
async fn deep_metadata_is_readable_or_refused() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let mut stored = 0;
    for (index, depth) in (1..=130).rev().step_by(3).chain([1000, 100_000]).enumerate() {
        let number = format!("{}.1", index + 1);
        for (metadata, criteria) in [("{\"n\":", false), ("[", true)] {
            let close = if criteria { "]" } else { "}" };
            let deep = format!("{}1{}", metadata.repeat(depth), close.repeat(depth));
            let (number, fields) = if criteria {
                (format!("{}.2", index + 1), format!("\"acceptance_criteria\": [{{\"x\": {deep}}}]"))
            } else {
                (number.clone(), format!("\"metadata\": {deep}"))
            };
            let body = format!(
                "{{\"epics\": [{{\"number\": 1, \"title\": \"E\", \"stories\": \
                 [{{\"number\": \"{number}\", \"title\": \"S\", {fields}}}]}}]}}"
            );
            let path = format!("/projects/{project}/import?merge=true");
            let request = tenant.user.request(reqwest::Method::POST, &path);
            let request = request.header("content-type", "application/json").body(body);
            let reply = tenant.user.send(request).await;
            if reply.status == 200 {
                stored += 1;
                let id = tenant.story_id(&project, &number).await;
                for path in [format!("/stories/{id}"), format!("/stories/{id}/history")] {
                    let read = tenant.user.get(&path).await;
                    assert_eq!(read.status, 200, "{depth}: {:#}", read.body);
                }
                // Changing it puts old and new into the audit log.
                let change = json!({"number": number, "metadata": {}, "acceptance_criteria": []});
                let reply = super::merge(&tenant.user, &project, epic_with(json!([change]))).await;
                reply.expect(200);
                let read = tenant.user.get(&format!("/stories/{id}/history")).await;
                assert_eq!(read.status, 200, "{depth}: {:#}", read.body);
            } else {
                let error = reply.expect_error(400, "bad_request");
                let message = text(&error["message"]);
                assert!(message.starts_with("Bad Request: JSON nested too deeply at "), "{depth}");
            }
        }
    }
    assert!(stored > 70, "{stored}");
    assert_ne!(rows(&project).await, Rows::default());
    tenant.keeps_count().await;
}

/// Numbers at the edges of what JSON, floating point and PostgreSQL hold.
#[tokio::test]
async fn huge_numbers_are_stored_or_refused() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    for (index, number) in [
        "1e308",
        "-1e308",
        "5e-324",
        "123456789012345678901234567890",
        "-0",
        "-0.0",
        "1E+2",
        "0.1e-5",
        "18446744073709551616",
        "99999999999999999999999999999.99",
        "1e29",
        "1e28",
        "1e-29",
        "1e-400",
    ]
    .into_iter()
    .enumerate()
    {
        for (name, part) in [("estimated_hours", 1), ("metadata", 2)] {
            let value = if name == "metadata" { format!("{{\"n\": {number}}}") } else { number.to_owned() };
            let body = format!(
                "{{\"epics\": [{{\"number\": 1, \"title\": \"E\", \"stories\": \
                 [{{\"number\": \"{index}.{part}\", \"title\": \"S\", \"{name}\": {value}}}]}}]}}"
            );
            let path = format!("/projects/{project}/import?merge=true");
            let request = tenant.user.request(reqwest::Method::POST, &path);
            let request = request.header("content-type", "application/json").body(body);
            let reply = tenant.user.send(request).await;
            if reply.status == 200 {
                let id = tenant.story_id(&project, &format!("{index}.{part}")).await;
                let story = tenant.user.get(&format!("/stories/{id}")).await.expect(200);
                if name == "metadata" {
                    let sent: Map<String, Value> = serde_json::from_str(&value).unwrap();
                    let read = story["story"]["metadata"]["n"].as_f64().unwrap();
                    let sent = sent["n"].as_f64().unwrap();
                    assert!((read - sent).abs() <= sent.abs() * 1e-15, "{number}: {read}");
                } else {
                    assert!(story["story"]["estimated_hours"].is_string(), "{number}");
                }
            } else {
                let message = text(&reply.expect(422)["error"]["message"]);
                assert!(message.starts_with(&format!("epics[0].stories[0].{name}: ")), "{number}: {message}");
            }
        }
    }
    let progress = tenant.user.get(&format!("/projects/{project}/progress")).await.expect(200);
    assert!(progress["progress"]["estimated_hours_total"].is_number());
    tenant.keeps_count().await;
}
