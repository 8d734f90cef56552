//! `audit` and `changes`: what is asked for, what is shown, and following on while a server comes and goes.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Answer, EVENTS, Request, World, error};
use crate::{P1, list, one_project};

fn change(n: usize) -> Value {
    json!({"id": format!("change-{n}"), "entity_type": "story", "entity_id": format!("story-{n}"),
           "action": "status_changed", "actor_type": "api_key", "actor_label": "agent:a",
           "new_state": {"agent_status": "contracted"}, "project_id": P1, "metadata": {},
           "inserted_at": at(n)})
}

fn at(n: usize) -> String {
    format!("2026-01-01T00:00:00.{n:06}Z")
}

/// The feed of so many changes, after whatever time is asked for.
fn feed(request: &Request, count: usize) -> Answer {
    if request.path != "/api/v1/changes" {
        return one_project(request);
    }
    let sent = |key: &str| {
        let mut pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| *name == key).map(|(_, value)| value.replace("%3A", ":"))
    };
    let since = sent("since").unwrap();
    let limit = sent("limit").and_then(|limit| limit.parse().ok()).unwrap_or(1000);
    let after: Vec<_> = (1..=count).filter(|n| at(*n) > since).collect();
    let shown: Vec<_> = after.iter().take(limit).copied().collect();
    let cursor = shown.last().map_or(since, |n| at(*n));
    let has_more = after.len() > shown.len();
    json!({"data": shown.into_iter().map(change).collect::<Vec<_>>(), "has_more": has_more,
           "next_since": has_more.then_some(&cursor), "cursor": cursor, "retention_floor": null})
    .into()
}

#[test]
fn times_and_filters_are_sent_as_the_server_reads_them() {
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/audit" => json!({"data": [], "meta": {"total_count": 0}}).into(),
        _ => one_project(request),
    });
    let words = "audit --project my-app --entity-type story --action created --actor-type system --entity e \
                 --since 2026-03-01 --until 2026-03-02 --page 2 --page-size 10";
    assert_eq!(world.run(words).code, 0);
    let asked = world.requests().pop().unwrap();
    assert_eq!(asked.path, "/api/v1/audit");
    let query = asked.query.replace("%3A", ":");
    for part in [
        &format!("project_id={P1}"),
        "entity_type=story",
        "action=created",
        "actor_type=system",
        "entity_id=e",
        "from=2026-03-01T00:00:00.000000Z",
        "to=2026-03-02T23:59:59.999999Z",
        "page=2",
        "page_size=10",
    ] {
        assert!(query.split('&').any(|sent| sent == part), "{part}: {query}");
    }
    // What is no time is not sent at all.
    let before = world.requests().len();
    for words in ["audit --since yesterday", "audit --until 2y", "changes --since never"] {
        let run = world.run(words);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("Invalid time"), "{run:?}");
    }
    assert_eq!(world.run("changes").code, 2, "since is required");
    assert_eq!(world.requests().len(), before);
}

#[test]
fn changes_are_one_answer_or_all_of_them() {
    let world = World::new(|request| feed(request, 7));
    let one = world.run("changes --since 2026-01-01 --limit 3").json();
    assert_eq!((&one["data"].as_array().unwrap().len(), &one["has_more"]), (&3, &json!(true)));
    let all = world.run("changes --since 2026-01-01 --limit 3 --all").json();
    let ids: Vec<_> = all["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, (1..=7).map(|n| json!(format!("change-{n}"))).collect::<Vec<_>>());
    assert_eq!(
        (&all["has_more"], &all["next_since"], &all["cursor"]),
        (&json!(false), &Value::Null, &json!(at(7)))
    );
    let human = world.run("--format human changes --since 2026-01-01 --limit 3");
    assert!(human.stdout.matches("  contracted\n").count() == 3, "{human:?}");
    assert!(human.stderr.contains("there are more"), "{human:?}");
    let csv = world.run("--format csv changes --since 2026-01-01 --all");
    assert_eq!(csv.stdout.lines().count(), 8, "{csv:?}");
    let none = world.run("--format human changes --since 2999-01-01");
    assert_eq!(none.stdout.trim(), "No changes.");
}

/// Each change once, on a line of its own, also when the stream ends, breaks off within a change, and when the server is away.
#[test]
fn a_stream_is_followed_from_where_it_ended() {
    let asked = AtomicUsize::new(0);
    let told = |number: usize| format!("id: {}\ndata: {}\n\n", at(number), change(number));
    let world = World::new(move |request| {
        if request.path != "/api/v1/changes/stream" {
            return one_project(request);
        }
        let expected = |number: usize| assert_eq!(request.header("last-event-id"), Some(at(number).as_str()));
        let events = |events: String| Answer(200, vec![(EVENTS, events)], json!({}));
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => events(format!("id: {}\n\n:\n\n{}{}", at(0), told(1), told(2))),
            1 => {
                expected(2);
                events(told(3) + "id: x\ndata: {\"id\"")
            }
            // Longer than the client tries by itself.
            2..=5 => error(503, "away"),
            6 => {
                expected(3);
                events(told(4) + &told(5))
            }
            _ => error(401, "Invalid API key"),
        }
    });
    let run = world.run("changes --since 2026-01-01 --entity-type story --follow");
    let seen: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seen, (1..=5).map(change).collect::<Vec<_>>());
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.stderr.contains("away") && run.stderr.contains("answers again"), "{run:?}");
    let streams = world.requests().into_iter().filter(|request| request.path.ends_with("/stream"));
    assert!(
        streams
            .map(|request| request.query)
            .all(|query| query.contains("entity_type=story") && !query.contains("limit"))
    );
}

/// Without a time it is what comes from now on, which the server knows best.
#[test]
fn a_stream_is_followed_from_now_on() {
    let asked = AtomicUsize::new(0);
    let world = World::new(move |request| {
        if request.path != "/api/v1/changes/stream" {
            return one_project(request);
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 => {
                assert_eq!(request.header("last-event-id"), None);
                Answer(200, vec![(EVENTS, format!("id: {}\n\n", at(4)))], json!({}))
            }
            _ => {
                assert_eq!(request.header("last-event-id"), Some(at(4).as_str()));
                error(401, "Invalid API key")
            }
        }
    });
    let run = world.run("changes --follow");
    assert_eq!((run.code, run.stdout.as_str()), (3, ""), "{run:?}");
    assert_eq!(world.run("changes").code, 2, "a page begins somewhere");
}

/// Where the server has no stream, it is asked from time to time.
#[test]
fn what_is_followed_is_seen_once_whatever_the_server_does() {
    let asked = AtomicUsize::new(0);
    let world = World::new(move |request| {
        if request.path == "/api/v1/changes/stream" {
            return error(404, "Not found");
        }
        if request.path != "/api/v1/changes" {
            return one_project(request);
        }
        match asked.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => feed(request, 3),
            // Longer than the client tries by itself.
            2..=6 => error(503, "away"),
            _ => feed(request, 5),
        }
    });
    let words = ["changes", "--since", "2026-01-01", "--limit", "2", "--follow"];
    let mut child = world.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<Value> = lines.take(5).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    // Nobody reads any more.
    let told = BufReader::new(child.stderr.take().unwrap());
    assert_eq!(seen, (1..=5).map(change).collect::<Vec<_>>());
    child.kill().unwrap();
    child.wait().unwrap();
    let told: Vec<_> = told.lines().map(Result::unwrap).collect();
    assert!(told.iter().any(|line| line.contains("away")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("answers again")), "{told:?}");
    // What will not pass ends it.
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/changes/stream" => error(401, "Invalid API key"),
        _ => one_project(request),
    });
    assert_eq!(world.run("changes --since 1h --follow").code, 3);
}

#[test]
fn what_was_spent_is_told_in_words() {
    let entries = [
        (
            "token_usage_report",
            "created",
            json!({"cost_millicents": 43_500, "total_tokens": 10_200, "model_name": "opus"}),
        ),
        (
            "token_budget",
            "threshold_crossed",
            json!({"utilization_pct": 85, "threshold_type": "warning", "budget_millicents": 10_000}),
        ),
        ("cost_anomaly", "detected", json!({"anomaly_type": "high_cost", "deviation_factor": "3.08"})),
    ];
    let rows = entries.map(|(entity_type, action, state)| {
        let mut row = change(1);
        row["entity_type"] = json!(entity_type);
        row["action"] = json!(action);
        row["new_state"] = state;
        row
    });
    let world = World::new(move |request| match request.path.as_str() {
        path if path.ends_with("/history") || path.ends_with("/audit") => list(&rows),
        _ => one_project(request),
    });
    for words in ["history 2.1", "audit"] {
        let csv = world.run(&format!("{words} --format csv")).stdout;
        let expected =
            ["\"$0.44, 10.2K tokens, opus\"", "warning at 85 % of $0.10", "\"high_cost, factor 3.08\""];
        for change in expected {
            assert!(csv.contains(&format!(",agent:a,{change},")), "{change}: {csv}");
        }
    }
}

/// A log of 230 entries to which one more comes with each answer: each that was there is read once.
#[test]
fn the_audit_log_is_read_to_its_end() {
    let grown = AtomicUsize::new(230);
    let world = World::new(move |request| {
        let path = request.path.as_str();
        if !path.ends_with("/audit") {
            return one_project(request);
        }
        let query = request.query.replace("%3A", ":");
        let sent = |key: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(name, _)| *name == key)
                .map(|(_, value)| value.to_owned())
        };
        let number = |key: &str| sent(key).and_then(|value| value.parse::<usize>().ok());
        let there = grown.fetch_add(1, Ordering::Relaxed);
        let entries: Vec<_> =
            (1..=there).rev().filter(|n| sent("to").is_none_or(|to| at(*n) <= to)).collect();
        let (size, page) = (number("page_size").unwrap_or(20), number("page").unwrap_or(1));
        let shown: Vec<Value> =
            entries.iter().skip(size * (page - 1)).take(size).map(|n| change(*n)).collect();
        json!({"data": shown, "meta": {"page": page, "page_size": size, "total_count": entries.len(),
               "total_pages": entries.len().div_ceil(size)}})
        .into()
    });
    for (words, extra) in [("audit --all --action status_changed", 0), ("admin audit --all", 4)] {
        let all = world.run(words).json();
        let ids: Vec<_> = all["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
        let expected: Vec<_> = (1..=230 + extra).rev().map(|n| json!(format!("change-{n}"))).collect();
        assert_eq!(ids, expected, "{words}");
        assert_eq!(all["meta"]["total_count"], 230 + extra);
    }
    // Also of what somebody wants until then: that may be later than now.
    let run = world.run("audit --all --until 2030-01-01");
    let ids: Vec<_> = run.json()["data"].as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids.len(), ids.iter().collect::<std::collections::HashSet<_>>().len(), "none twice");
    assert_eq!(world.run("audit --all --until 2020-01-01").json()["data"], json!([]));
    assert_eq!(world.run("audit --all --page 2").code, 2);
    assert_eq!(world.run("audit").json()["data"].as_array().unwrap().len(), 20);
}
