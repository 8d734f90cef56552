//! Exit codes, retries, and the commands that reach any path.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::{Answer, DRIP, NO_ANSWER, Request, World, error};
use crate::{S21, one_project};

#[test]
fn every_status_has_its_exit_code() {
    for (status, code) in
        [(400, 7), (401, 3), (403, 4), (404, 5), (409, 6), (422, 7), (500, 10), (413, 1), (302, 1)]
    {
        let world = World::new(move |_| error(status, "no"));
        let run = world.run("tenant info");
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(run.stdout, "");
        let lines: Vec<&str> = run.stderr.lines().collect();
        assert_eq!(lines[0], format!("Error: Server returned {status}: no"));
        assert_eq!(serde_json::from_str::<Value>(lines[1]).unwrap()["error"]["status"], status);
        let human = world.run("tenant info --format human");
        let hints = usize::from(matches!(status, 401 | 403 | 404));
        assert_eq!(human.stderr.lines().count(), 1 + hints, "{human:?}");
    }
}

#[test]
fn no_answer_is_a_network_failure() {
    let world = World::unconfigured();
    // A port on which nothing listens; one that was free a moment ago may have been given to another test since.
    let run = world.run("--server http://127.0.0.1:1 --api-key k tenant info");
    assert_eq!(run.code, 9, "{run:?}");
    assert!(run.stderr.starts_with("Error: Cannot reach http://127.0.0.1:"), "{run:?}");

    let slow = World::new(|_| {
        std::thread::sleep(std::time::Duration::from_secs(5));
        json!({}).into()
    });
    let run = slow.run("tenant info --timeout 1");
    assert_eq!(run.code, 9);
    assert!(run.stderr.contains("no answer within 1 s"), "{run:?}");
}

/// Whatever way the answer was lost, the write may have been carried out: it is sent again with the key that the server knows it by,
/// and when there is no answer at all, the message says so.
#[test]
fn a_write_without_an_answer_is_not_called_unsent() {
    let lost = [
        Answer(NO_ANSWER, Vec::new(), json!({})),
        Answer(200, vec![("Content-Length", "500".into())], json!({"tenant": {}})),
        Answer(200, vec![(DRIP, "500".into())], json!({"tenant": {}})),
    ];
    for Answer(status, headers, body) in lost {
        let world = World::new(move |_| Answer(status, headers.clone(), body.clone()));
        for words in
            ["tenant update --setting a=1", "agent register --name a --type implementer", "api delete /x"]
        {
            let before = world.lines().len();
            let run = world.run(&format!("{words} --timeout 1"));
            let sent = world.requests().split_off(before);
            assert_eq!((run.code, sent.len()), (9, 4), "{words}: {run:?}");
            let keys: Vec<_> = sent.iter().map(|request| request.header("idempotency-key")).collect();
            assert!(
                keys[0].is_some_and(|key| key.len() == 36) && keys.iter().all(|key| *key == keys[0]),
                "{keys:?}"
            );
            assert!(sent.iter().all(|request| request.body == sent[0].body));
            assert!(run.stderr.contains("Sent, outcome unknown: look before repeating"), "{words}: {run:?}");
            assert!(!run.stderr.contains("Cannot reach"), "{run:?}");
        }
    }
    // What was never sent is no riddle, and reading leaves none.
    let refused = "--server http://127.0.0.1:1 --api-key k tenant update --setting a=1";
    let silent = World::new(|_| Answer(NO_ANSWER, Vec::new(), json!({})));
    for run in [World::unconfigured().run(refused), silent.run("tenant info")] {
        assert!(run.code == 9 && run.stderr.starts_with("Error: Cannot reach http://127.0.0.1:"), "{run:?}");
    }
    assert_eq!(silent.lines().len(), 4, "reading is repeated");
    assert!(silent.requests().iter().all(|request| request.header("idempotency-key").is_none()));
    for (status, advised) in [(502, true), (503, false), (504, true)] {
        let proxy = World::new(move |_| error(status, "no"));
        let run = proxy.run("tenant update --setting a=1");
        assert_eq!((run.code, run.stderr.contains("outcome unknown")), (10, advised), "{run:?}");
    }
}

#[test]
fn reading_is_repeated_when_the_server_is_briefly_away() {
    let count = AtomicUsize::new(0);
    let world = World::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => error(503, "starting"),
        1 => Answer(429, vec![("Retry-After", "0".into())], json!({"error": {"message": "slow down"}})),
        _ => json!({"tenant": {"name": "Acme"}}).into(),
    });
    let run = world.run("tenant info");
    assert_eq!((run.code, world.lines().len()), (0, 3), "{run:?}");
    assert_eq!(run.json()["tenant"]["name"], "Acme");
}

/// A write whose answer was lost is settled by its key, whatever became of it.
#[test]
fn a_lost_answer_is_asked_for_again() {
    let count = AtomicUsize::new(0);
    let world = World::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer(NO_ANSWER, Vec::new(), json!({})),
        1 => (409, json!({"error": {"code": "idempotency_in_progress", "message": "wait"}})).into(),
        2 => error(503, "the outcome is unknown"),
        _ => json!({"tenant": {"name": "Acme"}}).into(),
    });
    let run = world.run("tenant update --setting a=1");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let requests = world.requests();
    assert!(
        requests.len() == 4
            && requests
                .iter()
                .all(|request| request.header("idempotency-key") == requests[0].header("idempotency-key"))
    );
    // A server that is away since does not know what became of it.
    let count = AtomicUsize::new(0);
    let lost = World::new(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Answer(NO_ANSWER, Vec::new(), json!({})),
        _ => error(503, "nothing was changed"),
    });
    let run = lost.run("tenant update --setting a=1");
    assert_eq!((run.code, lost.lines().len()), (9, 4), "{run:?}");
    assert!(run.stderr.contains("outcome unknown"), "{run:?}");
    // Another command is another write.
    let key = |request: &Request| request.header("idempotency-key").map(ToOwned::to_owned);
    world.run("tenant update --setting a=1");
    assert_ne!(key(&world.requests()[4]), key(&requests[0]));
    // What is refused is refused, also a conflict.
    for status in [400, 404, 409, 422, 500] {
        let world = World::new(move |_| error(status, "no"));
        world.run("tenant update --setting a=1");
        assert_eq!(world.lines().len(), 1, "{status}");
    }
}

#[test]
fn writing_is_repeated_when_the_server_is_away_or_busy() {
    let down = World::new(|_| error(503, "down"));
    let run = down.run("agent register --name a --type implementer");
    assert_eq!((run.code, down.lines().len()), (10, 4));
    let busy =
        World::new(|_| Answer(429, vec![("Retry-After", "0".into())], json!({"error": {"message": "busy"}})));
    let run = busy.run("agent register --name a --type implementer");
    assert_eq!((run.code, busy.lines().len()), (8, 4), "{run:?}");
    // Waiting raises no budget.
    let spent =
        json!({"error": {"status": 429, "code": "token_budget_exceeded", "message": "210 of 200 tokens"}});
    let blocked = World::new(move |request| match request.method.as_str() {
        "POST" => (429, spent.clone()).into(),
        _ => one_project(request),
    });
    let run = blocked.run(&format!("report {S21}"));
    assert_eq!((run.code, blocked.lines().len()), (8, 1), "{run:?}");
    assert!(run.stderr.starts_with("Error: Server returned 429: 210 of 200 tokens\n"), "{run:?}");
}

#[test]
fn health_needs_no_key_and_says_what_is_wrong() {
    let world = World::new(|_| (503, json!({"status": "degraded", "checks": {"database": "error"}})).into());
    world.configure(&json!({"server": world.address()}));
    let run = world.run("health");
    assert_eq!((run.code, world.lines()), (10, vec!["GET /health".to_owned()]));
    assert_eq!(run.json()["status"], "degraded");
}

#[test]
fn api_reaches_every_path() {
    let world = World::new(|request| json!({"echo": request.line(), "body": request.body}).into());
    let line = |words: &str| world.run(words).json()["echo"].as_str().unwrap().to_owned();
    assert_eq!(line("api get /stories/ready?limit=1"), "GET /api/v1/stories/ready?limit=1");
    assert_eq!(line("api DELETE /api/v1/skills/x"), "DELETE /api/v1/skills/x");
    let posted = world.run(r#"api post projects {"name":"x"}"#).json();
    assert_eq!(posted, json!({"echo": "POST /api/v1/projects", "body": {"name": "x"}}));
    assert_eq!(world.run("api brew /coffee").code, 2);
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let world = World::new(|_| json!({"tenant": {"name": "x".repeat(200_000)}}).into());
    let mut child = world.command(&["tenant", "info"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_answer_that_ends_too_early_was_cut_off() {
    let world = World::new(|_| Answer(200, vec![("Content-Length", "500".into())], json!({"tenant": {}})));
    let run = world.run("tenant update --setting a=1");
    assert!(run.code == 9 && run.stderr.starts_with("Error: No whole answer of http://"), "{run:?}");
    let run = world.run("tenant info");
    let cut = format!("Error: The answer of {} was cut off: ", world.address());
    assert!(run.code == 9 && run.stderr.starts_with(&cut), "{run:?}");
}

#[test]
fn an_error_is_one_line_whatever_it_holds() {
    let world = World::new(|_| error(422, "a\nb\u{1b}[2J\u{202e}c"));
    let run = world.run("tenant info --format human");
    assert_eq!(run.stderr, "Error: Server returned 422: a b\\x1b[2J\\u{202e}c\n");
    // Scripts get the body as it came.
    let body = world.run("tenant info").stderr.lines().nth(1).map(ToOwned::to_owned).unwrap();
    assert!(body.contains(r"a\nb\u001b[2J"), "{body}");
    let run = world.run_words(&["config", "get", "a\nb\u{1b}"], &[], "");
    assert_eq!((run.code, run.stderr.lines().count()), (2, 1), "{run:?}");
    let run = world.run_words(&["a\nb\u{1b}"], &[], "");
    assert_eq!((run.code, run.stderr.lines().next().unwrap()), (2, "Unknown command: a b\\x1b"));
}
