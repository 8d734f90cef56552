//! `webhook`: what is sent, and what people and programs are shown.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};
use crate::{P1, P2, S21, list, one_project};

const SECRET: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e7abcd";

fn webhook() -> Value {
    json!({"id": P2, "url": "https://ci.example/hook", "events": ["story.verified", "story.rejected"], "project_id": null,
           "active": true, "consecutive_failures": 3, "last_delivery_at": null})
}

fn delivery() -> Value {
    json!({"id": S21, "event_type": "story.verified", "status": "exhausted", "attempts": 6, "delivered_at": null,
           "error": "HTTP 500: \u{1b}[31mno", "response_status": 500, "latency_ms": 12, "response_excerpt": "no",
           "last_attempt_at": null, "next_attempt_at": null, "inserted_at": "2026-01-01T00:00:00.000000Z"})
}

fn server(request: &Request) -> Answer {
    let enqueued = json!({"webhook_event_id": S21, "status": "pending", "message": "Test event created"});
    match (request.method.as_str(), request.path.strip_prefix("/api/v1").unwrap()) {
        ("POST", "/webhooks") => {
            let mut created = webhook();
            created["signing_secret"] = json!(SECRET);
            (201, json!({"webhook": created})).into()
        }
        ("GET", "/webhooks") => list(&[webhook()]),
        ("GET", path) if path.ends_with("/deliveries") => list(&[delivery()]),
        ("GET" | "PATCH", path) if path.starts_with("/webhooks/") => json!({"webhook": webhook()}).into(),
        ("POST", path) if path.starts_with("/webhooks/") => enqueued.into(),
        ("DELETE", path) if path.starts_with("/webhooks/") => (204, Value::Null).into(),
        _ => one_project(request),
    }
}

fn sent(words: &str) -> (String, Value) {
    let world = World::new(server);
    let run = world.run(words);
    assert_eq!(run.code, 0, "{run:?}");
    let request = world.requests().pop().unwrap();
    (request.line(), request.body)
}

#[test]
fn what_cannot_be_meant_is_not_sent() {
    let world = World::new(server);
    for words in [
        "webhook",
        "webhook create --url https://a.example",
        "webhook create --events story.verified",
        "webhook show",
        "webhook show mine",
        "webhook update mine --active true",
        &format!("webhook update {P2}"),
        &format!("webhook update {P2} --active perhaps"),
        &format!("webhook redeliver {P2}"),
        &format!("webhook redeliver {P2} mine"),
        "webhook delete 7",
    ] {
        let run = world.run(words);
        assert_eq!(run.code, 2, "{words}: {run:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_webhook_is_created_and_its_secret_is_shown_once() {
    let world = World::new(server);
    let run =
        world.run("webhook create --url https://ci.example/hook --events story.verified,+story.rejected,");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.json()["webhook"]["signing_secret"], SECRET);
    assert!(run.stdout.matches(SECRET).count() == 1 && !run.stderr.contains(SECRET));
    assert!(run.stderr.contains("save the signing secret now"), "{run:?}");
    let request = world.requests().pop().unwrap();
    let body = json!({"url": "https://ci.example/hook", "events": ["story.verified", "story.rejected"]});
    assert_eq!((request.line(), request.body), ("POST /api/v1/webhooks".to_owned(), body));
    let (_, body) = sent("webhook create --url https://a.example --events epic.completed --project my-app");
    assert_eq!(body["project_id"], P1);
    let words = "webhook create --url https://a.example --events epic.completed --project none";
    let run = world.run_with(words, &[("LOOPCTL_PROJECT", "my-app")], "");
    assert_eq!((run.code, world.requests().pop().unwrap().body.get("project_id")), (0, None));
}

#[test]
fn each_command_is_its_request() {
    let (line, body) =
        sent(&format!("webhook update {P2} --url https://b.example --events a,b --active false"));
    assert_eq!(line, format!("PATCH /api/v1/webhooks/{P2}"));
    assert_eq!(body, json!({"url": "https://b.example", "events": ["a", "b"], "active": false}));
    assert_eq!(sent(&format!("webhook update {P2} --project my-app")).1, json!({"project_id": P1}));
    assert_eq!(sent(&format!("webhook update {P2} --project none")).1, json!({"project_id": null}));
    // What is configured changes no webhook.
    let world = World::new(server);
    let words = format!("webhook update {P2} --active true");
    assert_eq!(world.run_with(&words, &[("LOOPCTL_PROJECT", "my-app")], "").code, 0);
    assert_eq!(world.requests().pop().unwrap().body, json!({"active": true}));
    for (words, line) in [
        ("webhook list --limit 5".to_owned(), "GET /api/v1/webhooks?limit=5".to_owned()),
        (format!("webhook show {P2}"), format!("GET /api/v1/webhooks/{P2}")),
        (format!("webhook test {P2}"), format!("POST /api/v1/webhooks/{P2}/test")),
        (
            format!("webhook deliveries {P2} --status exhausted --event-type story.verified --limit 5"),
            format!(
                "GET /api/v1/webhooks/{P2}/deliveries?status=exhausted&event_type=story.verified&limit=5"
            ),
        ),
        (
            format!("webhook redeliver {P2} {S21}"),
            format!("POST /api/v1/webhooks/{P2}/deliveries/{S21}/redeliver"),
        ),
        (format!("webhook delete {P2}"), format!("DELETE /api/v1/webhooks/{P2}")),
    ] {
        assert_eq!(sent(&words).0, line);
    }
}

#[test]
fn people_read_tables_and_sentences() {
    let world = World::new(server);
    let human = |words: &str| {
        let run = world.run(&format!("{words} --format human"));
        assert_eq!(run.code, 0, "{run:?}");
        run.stdout
    };
    let listed = human("webhook list");
    for part in ["https://ci.example/hook\n", "events: story.verified, story.rejected\n", "state:  ", P2] {
        assert!(listed.contains(part), "{listed}");
    }
    let deliveries = human(&format!("webhook deliveries {P2}"));
    assert!(deliveries.contains("exhausted") && deliveries.contains("HTTP 500: "), "{deliveries}");
    assert!(!deliveries.contains('\u{1b}'), "what a receiver says moves no cursor: {deliveries:?}");
    assert_eq!(human(&format!("webhook delete {P2}")), format!("Webhook {P2} deleted\n"));
    assert!(human(&format!("webhook test {P2}")).contains("pending\n"));
    // And programs JSON.
    let run = world.run(&format!("webhook delete {P2}"));
    let expected = json!({"status": "deleted", "id": P2, "message": format!("Webhook {P2} deleted")});
    assert_eq!(run.json(), expected);
}
