//! Several stories at once.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::support::{Answer, Request, Run, World, error};
use crate::{P1, S21, body_of, one_project, story};

fn id(n: usize) -> String {
    format!("0192bbbb-0000-7000-8000-{n:012}")
}

/// A project with stories 1.1 to 1.120; a step of story `1.<n>` fails when `fails` says so.
fn many(fails: impl Fn(usize) -> bool) -> impl Fn(&Request) -> Answer {
    move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v1/stories") => {
            let rows: Vec<Value> = (1..=120).map(|n| story(&id(n), &format!("1.{n}"))).collect();
            json!({"data": rows, "meta": {"total_count": 120, "limit": 500, "offset": 0}}).into()
        }
        ("POST", path) if path.starts_with("/api/v1/stories/bulk/") => {
            let ids = request.body["story_ids"].as_array().into_iter().flatten();
            let items =
                request.body["stories"].as_array().into_iter().flatten().map(|item| &item["story_id"]);
            let results: Vec<Value> = ids.chain(items).map(|id| result(id, &fails)).collect();
            if results.iter().any(|result| result["status"] == "success") {
                return json!({ "results": results }).into();
            }
            let error = json!({"status": 422, "message": "No story succeeded"});
            (422, json!({"results": results, "error": error})).into()
        }
        _ => one_project(request),
    }
}

fn result(id: &Value, fails: impl Fn(usize) -> bool) -> Value {
    let n = id.as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    if fails(n) {
        json!({"story_id": id, "status": "error", "code": "invalid_transition", "reason": "Story is pending",
               "hints": ["Contract it first.", "See its history."]})
    } else {
        json!({"story_id": id, "status": "success"})
    }
}

/// `1.1 1.2 …` as arguments.
fn numbers(range: std::ops::RangeInclusive<usize>) -> String {
    range.fold(String::new(), |mut text, n| {
        let _ = write!(text, " US-1.{n}");
        text
    })
}

fn claim(world: &World, range: std::ops::RangeInclusive<usize>, more: &str) -> Run {
    world.run(&format!("claim{} --project my-app {more}", numbers(range)))
}

#[test]
fn several_stories_are_claimed_together() {
    let world = World::new(many(|_| false));
    let run = claim(&world, 1..=3, "");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let requests = world.requests();
    let lines: Vec<String> = requests.iter().map(Request::line).collect();
    assert_eq!(
        lines[1..],
        [
            format!("GET /api/v1/stories?project_id={P1}&number=1.1&limit=500&offset=0"),
            "POST /api/v1/stories/bulk/claim".to_owned()
        ],
        "a server without the filter has shown all"
    );
    assert_eq!(requests[2].body, json!({"story_ids": [id(1), id(2), id(3)]}));
    assert_eq!(run.json()["results"][2], json!({"story_id": id(3), "status": "success"}));
}

#[test]
fn the_exit_code_says_whether_some_or_all_failed() {
    let world = World::new(many(|n| n == 2));
    let run = claim(&world, 1..=3, "--format human");
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 1 of 3 stories failed\n"));
    let expected = "  1.1  success
  1.2  error: Story is pending (invalid_transition)
  1.3  success
hint: Contract it first.
hint: See its history.
";
    assert_eq!(run.stdout, expected);
    let hints = |run: &Run| run.stdout.lines().filter(|line| line.starts_with("hint: ")).count();
    let all = World::new(many(|_| true));
    assert_eq!(hints(&claim(&all, 1..=3, "--format human")), 2, "each is said once");
    let csv = claim(&world, 2..=3, "--format csv").stdout;
    assert_eq!(
        csv,
        "story,status,code,reason\n1.2,error,invalid_transition,Story is pending\n1.3,success,,\n"
    );

    let world = World::new(many(|_| true));
    let run = claim(&world, 1..=2, "");
    assert_eq!((run.code, run.stderr.as_str()), (7, "Error: 2 of 2 stories failed\n"));
    assert_eq!(run.json()["results"][1]["code"], "invalid_transition");
}

#[test]
fn more_than_a_batch_is_sent_in_parts_and_answered_as_one() {
    let world = World::new(many(|n| n > 50 && n <= 100));
    let run = claim(&world, 1..=120, "");
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 50 of 120 stories failed\n"));
    let sizes: Vec<usize> = world
        .requests()
        .iter()
        .filter_map(|request| Some(request.body["story_ids"].as_array()?.len()))
        .collect();
    assert_eq!(sizes, [50, 50, 20], "a part that failed as a whole does not stop the others");
    assert_eq!(run.json()["error"], Value::Null, "some succeeded");
    let results = run.json()["results"].as_array().unwrap().clone();
    let order: Vec<&Value> = results.iter().map(|result| &result["story_id"]).collect();
    assert_eq!(order, (1..=120).map(|n| json!(id(n))).collect::<Vec<_>>().iter().collect::<Vec<_>>());
}

#[test]
fn what_was_done_before_a_failure_is_shown() {
    let world = World::new(|request| {
        let first = request.body["story_ids"][0] == id(1).as_str();
        if request.method == "POST" && !first { error(403, "no") } else { many(|_| false)(request) }
    });
    let run = claim(&world, 1..=120, "");
    assert_eq!(run.code, 4, "{run:?}");
    assert_eq!(run.json()["results"].as_array().unwrap().len(), 50);
    assert_eq!(world.requests().iter().filter(|request| request.method == "POST").count(), 2);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines[0], "Error: Server returned 403: no");
    let left = lines.last().unwrap();
    assert!(left.starts_with("70 of 120 stories: not done: 1.51, 1.52, "), "{run:?}");
    assert!(left.ends_with(", 1.120"), "{run:?}");
}

#[test]
fn what_may_have_happened_is_named() {
    let world = World::new(|request| {
        let second = request.body["story_ids"][0] == id(51).as_str();
        if second { error(502, "gone") } else { many(|_| false)(request) }
    });
    let run = claim(&world, 1..=52, "--format human");
    assert_eq!(run.code, 10, "{run:?}");
    let expected = "\
Error: Server returned 502: gone
Sent, outcome unknown: look before repeating.
2 of 52 stories: outcome unknown or not sent: 1.51, 1.52
";
    assert_eq!(run.stderr, expected);
    // The server knows what became of its own transaction.
    for (outcome, left) in [("unchanged", "not done"), ("unknown", "outcome unknown or not sent")] {
        let world = World::new(move |request| {
            let second = request.body["story_ids"][0] == id(51).as_str();
            let body = json!({"error": {"status": 503, "message": "away", "outcome": outcome}});
            if second { (503, body).into() } else { many(|_| false)(request) }
        });
        let run = claim(&world, 1..=52, "--format human");
        let expected = format!("Error: Server returned 503: away\n2 of 52 stories: {left}: 1.51, 1.52\n");
        assert_eq!((run.code, run.stderr), (10, expected));
    }
    // Nothing happened to stories of a request that was refused.
    let world = World::new(|request| match request.method.as_str() {
        "POST" => error(403, "no"),
        _ => many(|_| false)(request),
    });
    let run = claim(&world, 1..=2, "--format human");
    assert_eq!((run.code, run.stderr.lines().next()), (4, Some("Error: Server returned 403: no")));
    assert!(!run.stderr.contains("stories"), "{run:?}");
}

/// The first request with all results is for 1.1 to 1.50, the second for the rest.
#[test]
fn a_first_part_that_failed_does_not_make_the_whole_a_failure() {
    let world = World::new(many(|n| n <= 50));
    let run = claim(&world, 1..=51, "");
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 50 of 51 stories failed\n"));
    let body = run.json();
    assert_eq!((&body["error"], body["results"].as_array().unwrap().len()), (&Value::Null, 51));
    let world = World::new(many(|_| true));
    let run = claim(&world, 1..=51, "");
    assert_eq!((run.code, &run.json()["error"]["status"]), (7, &json!(422)), "all of it failed");
}

#[test]
fn a_story_counts_once_however_often_it_is_named() {
    let world = World::new(many(|_| false));
    let run = world.run(&format!("claim{} 1.1 {} --project my-app", numbers(1..=51), id(2)));
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stderr, "Some stories are named more than once; each counts once\n");
    let sent: Vec<Value> = world
        .requests()
        .iter()
        .filter_map(|request| request.body["story_ids"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(sent, (1..=51).map(|n| json!(id(n))).collect::<Vec<_>>());
}

#[test]
fn a_few_stories_are_searched_one_by_one_and_many_in_the_list() {
    let filtering = |request: &Request| match request.query.split_once("number=1.") {
        Some((_, rest)) => {
            let n: usize = rest.split('&').next().unwrap().parse().unwrap();
            json!({"data": [story(&id(n), &format!("1.{n}"))], "meta": {"total_count": 1, "limit": 500, "offset": 0}})
                .into()
        }
        None => many(|_| false)(request),
    };
    let searches = |range| {
        let world = World::new(filtering);
        assert_eq!(claim(&world, range, "").code, 0);
        world.requests().into_iter().filter(|request| request.path == "/api/v1/stories").collect::<Vec<_>>()
    };
    let few = searches(1..=10);
    assert_eq!(few.len(), 10);
    assert!(few[9].query.contains("number=1.10&"), "{:?}", few[9]);
    let many = searches(1..=11);
    assert_eq!(many.len(), 1);
    assert!(!many[0].query.contains("number="), "{many:?}");
}

#[test]
fn unknown_stories_among_several_fail_by_themselves() {
    let world = World::new(many(|_| false));
    let run = world.run("claim 9.9 1.1 9.8 US-9.9 1.2 --project my-app");
    let expected = "Some stories are named more than once; each counts once\nError: 2 of 4 stories failed\n";
    assert_eq!((run.code, run.stderr.as_str()), (6, expected));
    assert_eq!(body_of(&world, "/bulk/claim"), json!({"story_ids": [id(1), id(2)]}));
    let body = run.json();
    assert_eq!(body["results"][1], json!({"story_id": id(2), "status": "success"}));
    let reason = "Story not found in project my-app";
    let unknown =
        json!({"story_id": null, "number": "9.9", "status": "error", "code": "not_found", "reason": reason});
    assert_eq!((&body["results"][2], &body["error"]), (&unknown, &Value::Null));
    let run = world.run("verify 1.1 9.9 --summary ok --project my-app --format csv");
    assert_eq!(
        run.stdout,
        format!("story,status,code,reason\n1.1,success,,\n9.9,error,not_found,{reason}\n")
    );

    // Failures of both kinds are all of them.
    let world = World::new(many(|_| true));
    let run = world.run("claim 1.1 9.9 --project my-app");
    assert_eq!((run.code, run.stderr.as_str()), (7, "Error: 2 of 2 stories failed\n"));
    assert_eq!(run.json()["error"]["message"], "No story succeeded");

    let world = World::new(many(|_| false));
    let run = world.run("claim 9.9 9.8 --project my-app");
    assert_eq!((run.code, run.stderr.as_str()), (7, "Error: 2 of 2 stories failed\n"));
    assert_eq!(run.json()["error"]["code"], "nothing_processed");
    // One is refused as by every command for one.
    let run = world.run("mark-complete 9.9 --summary before --project my-app");
    assert_eq!((run.code, run.stderr.as_str()), (5, "Error: Story 9.9 not found in project my-app\n"));
    assert!(world.requests().iter().all(|request| request.method == "GET"), "nothing is sent");

    // What was refused as a whole did nothing, also nothing to show.
    let world = World::new(|request| match request.method.as_str() {
        "POST" => error(403, "no"),
        _ => many(|_| false)(request),
    });
    let run = world.run("claim 1.1 9.9 --project my-app --format human");
    assert_eq!((run.code, run.stdout.as_str()), (4, ""));
    assert_eq!(world.run("claim 1.1 non+sense").code, 2);
    // Ids need no project and no search.
    let world = World::new(many(|_| false));
    world.run(&format!("claim {} {}", id(1), id(2)));
    assert_eq!(world.lines(), ["POST /api/v1/stories/bulk/claim"]);
}

#[test]
fn verify_reject_and_mark_complete_say_the_same_of_each_story() {
    let world = World::new(many(|_| false));
    world.run("verify 1.1 1.2 --summary ok --findings {\"a\":1} --project my-app");
    let item = |n| json!({"story_id": id(n), "result": "pass", "review_type": "manual", "summary": "ok", "findings": {"a": 1}});
    assert_eq!(body_of(&world, "/bulk/verify"), json!({"stories": [item(1), item(2)]}));
    world.run("reject 1.1 1.2 --reason no --project my-app");
    let item = |n| json!({"story_id": id(n), "reason": "no"});
    assert_eq!(body_of(&world, "/bulk/reject"), json!({"stories": [item(1), item(2)]}));
    // This step has no form for a single story.
    let run = world.run("mark-complete 1.7 --summary before --project my-app --format human");
    assert_eq!(run.stdout, "  1.7  success\n");
    let item = json!({"story_id": id(7), "summary": "before", "review_type": "pre_existing"});
    assert_eq!(body_of(&world, "/bulk/mark-complete"), json!({"stories": [item]}));

    let world = World::new(many(|_| false));
    for words in [
        "verify 1.1 1.2 --summary ok --commit abc",
        "verify 1.1 1.2 --result fail --summary s",
        "reject 1.1 1.2 --reason +",
        "mark-complete 1.1",
        "mark-complete --summary s",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn one_story_keeps_its_own_endpoint() {
    let world = World::new(one_project);
    world.run("verify 2.1 --summary ok --commit abc");
    assert_eq!(
        body_of(&world, &format!("/stories/{S21}/verify")),
        json!({"result": "pass", "review_type": "manual", "summary": "ok", "commit_sha": "abc"})
    );
}

#[test]
fn an_epic_is_verified_as_a_whole() {
    let answer = |errors: Value| {
        move |request: &Request| match request.path.as_str() {
            path if path.ends_with("/verify-all") => {
                let count = errors.as_array().unwrap().len();
                json!({"verified_count": 3, "skipped_count": count, "total_eligible": 3 + count, "errors": errors}).into()
            }
            _ => one_project(request),
        }
    };
    let world = World::new(answer(json!([])));
    let run = world.run(&format!("verify-all {P1} --summary ok"));
    assert_eq!((run.code, &run.json()["verified_count"]), (0, &json!(3)));
    let request = world.requests().pop().unwrap();
    assert_eq!(request.line(), format!("POST /api/v1/epics/{P1}/verify-all"));
    assert_eq!(request.body, json!({"review_type": "manual", "summary": "ok", "result": "pass"}));

    let world = World::new(answer(
        json!([{"story_id": S21, "number": "1.2", "code": "review_not_conducted", "reason": "no review",
                "hints": ["Review it."]}]),
    ));
    let words = "--summary ok --review-type code --result partial --findings [] --format human";
    let run = world.run(&format!("verify-all {P1} {words}"));
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 1 of 4 stories failed\n"));
    let expected = "\
Verified: 3 of 4 reported stories
  1.2  error: no review (review_not_conducted)
hint: Review it.
";
    assert_eq!(run.stdout, expected);
    let sent = body_of(&world, "/verify-all");
    assert_eq!(sent, json!({"review_type": "code", "summary": "ok", "result": "partial", "findings": []}));
}
