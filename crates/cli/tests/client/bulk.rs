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
            let status = if results.iter().any(|result| result["status"] == "success") { 200 } else { 422 };
            (status, json!({ "results": results })).into()
        }
        _ => one_project(request),
    }
}

fn result(id: &Value, fails: impl Fn(usize) -> bool) -> Value {
    let n = id.as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    if fails(n) {
        json!({"story_id": id, "status": "error", "code": "invalid_transition", "reason": "Story is pending"})
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
            format!("GET /api/v1/stories?project_id={P1}&limit=500&offset=0"),
            "POST /api/v1/stories/bulk/claim".to_owned()
        ],
        "one search for all"
    );
    assert_eq!(requests[2].body, json!({"story_ids": [id(1), id(2), id(3)]}));
    assert_eq!(run.json()["results"][2], json!({"story_id": id(3), "status": "success"}));
}

#[test]
fn the_exit_code_says_whether_some_or_all_failed() {
    let world = World::new(many(|n| n == 2));
    let run = claim(&world, 1..=3, "--format human");
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 1 of 3 stories failed\n"));
    let expected = "\
story  status   code                reason
-----  -------  ------------------  ----------------
1.1    success
1.2    error    invalid_transition  Story is pending
1.3    success
";
    assert_eq!(run.stdout, expected);
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
}

#[test]
fn an_unknown_story_among_several_stops_everything() {
    let world = World::new(many(|_| false));
    let run = world.run("claim 1.1 9.9 9.8 --project my-app");
    assert_eq!((run.code, run.stderr.as_str()), (5, "Error: Stories 9.9, 9.8 not found in project my-app\n"));
    assert!(world.requests().iter().all(|request| request.method == "GET"));
    assert_eq!(world.run("claim 1.1 nonsense").code, 2);
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
    assert_eq!(run.stdout, "story  status   code  reason\n-----  -------  ----  ------\n1.7    success\n");
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
    assert_eq!(request.body, json!({"review_type": "manual", "summary": "ok"}));

    let world = World::new(answer(
        json!([{"story_id": S21, "number": "1.2", "code": "review_not_conducted", "reason": "no review"}]),
    ));
    let words = "--summary ok --review-type code --result partial --findings [] --format human";
    let run = world.run(&format!("verify-all {P1} {words}"));
    assert_eq!((run.code, run.stderr.as_str()), (6, "Error: 1 of 4 stories failed\n"));
    let expected = "\
Verified: 3 of 4 reported stories
number  code                  reason
------  --------------------  ---------
1.2     review_not_conducted  no review
";
    assert_eq!(run.stdout, expected);
    let sent = body_of(&world, "/verify-all");
    assert_eq!(sent, json!({"review_type": "code", "summary": "ok", "result": "partial", "findings": []}));
}
