//! The state of an orchestrator.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::support::{Answer, Request, World, error};
use crate::{P1, one_project};

/// A server that keeps the version as ours does.
fn saving(version: &AtomicU64, request: &Request) -> Answer {
    let stored = version.load(Ordering::SeqCst);
    let state = |version: u64| json!({"state": {"project_id": P1, "state_key": "main", "state_data": {"a": 1}, "version": version}});
    match request.method.as_str() {
        "GET" if request.path.ends_with("/history") => json!({"data": [
            {"version": 2, "state_data": {"note": "x".repeat(100)}, "saved_by": "orchestrator:main", "saved_at": "2026-01-02T00:00:00Z"},
            {"version": 1, "state_data": {}, "saved_by": "orchestrator:main", "saved_at": "2026-01-01T00:00:00Z"}],
            "meta": {"page": 1, "page_size": 25, "total_count": 2, "total_pages": 1}})
        .into(),
        "GET" if request.path.contains("/orchestrator/") && stored == 0 => error(404, "Not found"),
        "GET" if request.path.contains("/orchestrator/") => state(stored).into(),
        "PUT" if request.body["version"] == stored => {
            version.store(stored + 1, Ordering::SeqCst);
            state(stored + 1).into()
        }
        "PUT" => error(409, "Conflict"),
        _ => one_project(request),
    }
}

fn server() -> World {
    let version = AtomicU64::new(0);
    World::new(move |request| saving(&version, request))
}

/// Without a version the client looks up the current one; a version that is given is taken at its word.
#[test]
fn saving_twice_in_a_row_works_and_an_old_version_does_not() {
    let world = server();
    let save = |more: &str| world.run(&format!("state save --project my-app --data {{\"a\":1}} {more}"));
    assert_eq!(save("").json()["state"]["version"], 1);
    assert_eq!(save("").json()["state"]["version"], 2);
    let path = format!("/api/v1/orchestrator/state/{P1}");
    let requests = world.requests();
    assert_eq!(requests[1].line(), format!("GET {path}?state_key=main"));
    assert_eq!(requests[2].line(), format!("PUT {path}"));
    assert_eq!(requests[2].body, json!({"state_key": "main", "state_data": {"a": 1}, "version": 0}));
    assert_eq!(requests[5].body["version"], 1);

    let before = world.lines().len();
    let late = save("--version 1");
    assert_eq!(late.code, 6);
    assert!(late.stderr.contains("Somebody else saved in between"), "{late:?}");
    let asked = world.lines();
    assert_eq!(asked[before..].len(), 2, "no question for the version, no second attempt: {asked:?}");
}

#[test]
fn the_servers_own_advice_is_enough() {
    let world = World::new(|request| match request.method.as_str() {
        "PUT" => {
            (409, json!({"error": {"status": 409, "message": "Conflict", "hints": ["read it first"]}})).into()
        }
        _ => one_project(request),
    });
    let run = world.run("state save --project my-app --data {} --version 1 --format human");
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (6, "Error: Server returned 409: Conflict\n  hint: read it first\n")
    );
}

#[test]
fn data_comes_inline_from_a_file_or_from_standard_input() {
    let world = server();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"from":"file"}"#).unwrap();
    let last = || world.requests().pop().unwrap().body;
    world.run(&format!("state save --project my-app --key other --data @{}", file.path().display()));
    assert_eq!(last(), json!({"state_key": "other", "state_data": {"from": "file"}, "version": 0}));
    assert_eq!(world.lines()[1], format!("GET /api/v1/orchestrator/state/{P1}?state_key=other"));
    world.run_with("state save --project my-app --data - --version 1", &[], "{}");
    assert_eq!(last()["state_data"], json!({}));
    let world = server();
    for data in ["{oops", "[1]", "@/does/not/exist"] {
        let run = world.run(&format!("state save --project my-app --data {data}"));
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.contains("--data"), "{run:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_failed_question_for_the_version_saves_nothing() {
    let world = World::new(|request| match request.method.as_str() {
        "GET" if request.path.contains("/orchestrator/") => error(403, "no"),
        _ => one_project(request),
    });
    assert_eq!(world.run("state save --project my-app --data {}").code, 4);
    assert!(world.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn states_are_loaded_and_their_history_listed() {
    let world = server();
    let missing = world.run("state load --project my-app --key k");
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (5, "Error: No state 'k' is saved in project my-app. `loopctl state save` saves one\n")
    );
    world.run("state save --project my-app --data {}");
    let loaded = world.run("state load --project my-app --key main --format human").stdout;
    assert!(loaded.contains("state data: a: 1\nversion:    1\n"), "{loaded}");
    let history = world.run("state history --project my-app --limit 2 --page 1");
    assert_eq!(history.json()["data"][0]["state_data"]["note"].as_str().unwrap().len(), 100);
    let last = world.lines().pop().unwrap();
    assert_eq!(last, format!("GET /api/v1/orchestrator/state/{P1}/history?state_key=main&limit=2&page=1"));
    let human = world.run("state history --project my-app --format human").stdout;
    let short = format!("{{\"note\":\"{}...", "x".repeat(28));
    assert_eq!(
        human,
        format!(
            "\
version  saved       by                 state data
-------  ----------  -----------------  {}
      2  2026-01-02  orchestrator:main  {short}
      1  2026-01-01  orchestrator:main  {{}}
page 1 of 1, 2 total
",
            "-".repeat(80 - 40)
        )
    );
}
