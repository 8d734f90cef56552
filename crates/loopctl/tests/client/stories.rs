//! Finding stories and moving them through the trust loop.

use serde_json::{Value, json};

use crate::support::{Request, World};
use crate::{P1, P2, S21, body_of, list, one_project, project, story};

#[test]
fn a_conflict_shows_code_and_hints() {
    let world = World::new(|request| match request.method.as_str() {
        "POST" => {
            let error = json!({"status": 409, "message": "Cannot report your own implementation",
                "code": "self_report_blocked", "hints": ["a different agent must call report"]});
            (409, json!({ "error": error })).into()
        }
        _ => one_project(request),
    });
    let run = world.run("report US-2.1 --format human");
    assert_eq!(run.code, 6);
    assert!(run.stderr.contains("hint: a different agent must call report"), "{run:?}");
    assert!(run.stderr.contains("code: self_report_blocked"), "{run:?}");
}

#[test]
fn a_story_number_is_found_through_the_filter() {
    let world = World::new(one_project);
    let run = world.run("claim US-2.1");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(
        world.lines(),
        [
            "GET /api/v1/projects?status=active&page_size=100&page=1".to_owned(),
            format!("GET /api/v1/stories?project_id={P1}&number=2.1&limit=500&offset=0"),
            format!("POST /api/v1/stories/{S21}/claim"),
        ]
    );
    assert_eq!(run.json()["story"]["id"], S21);
    let missing = world.run("claim US-9.9 --project my-app");
    assert_eq!(missing.code, 5);
    assert_eq!(missing.stderr, "Error: Story 9.9 not found in project my-app\n");
    assert_eq!(world.run("claim non+sense").code, 2);
}

#[test]
fn a_story_number_is_found_on_a_later_page_of_a_server_without_filter() {
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/stories" => {
            let offset: usize = request
                .query
                .split('&')
                .find_map(|pair| pair.strip_prefix("offset="))
                .unwrap()
                .parse()
                .unwrap();
            let rows: Vec<Value> = (offset..(offset + 2).min(5))
                .map(|n| {
                    story(
                        if n == 4 { S21 } else { P2 },
                        &if n == 4 { "2.1".to_owned() } else { format!("1.{n}") },
                    )
                })
                .collect();
            json!({"data": rows, "meta": {"total_count": 5, "limit": 2, "offset": offset}}).into()
        }
        _ => one_project(request),
    });
    let run = world.run("claim 2.1 --project my-app");
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(world.lines().last().unwrap(), &format!("POST /api/v1/stories/{S21}/claim"));
    assert_eq!(world.run("claim 9.9 --project my-app").code, 5);
}

#[test]
fn with_two_projects_a_number_needs_to_know_which() {
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/projects" => list(&[project(P1, "My App", "my-app"), project(P2, "Other", "other")]),
        _ => one_project(request),
    });
    let run = world.run("status 2.1");
    assert_eq!(run.code, 2);
    assert_eq!(run.stderr, "Error: Story number '2.1' needs --project (projects: my-app, other)\n");
    // By slug, by name in other letters, by environment.
    for (words, environment) in [
        ("status 2.1 --project my-app", vec![]),
        ("--project my+app status US-2.1", vec![]),
        ("status us_2.1", vec![("LOOPCTL_PROJECT", "My App")]),
    ] {
        let run = world.run_with(words, &environment, "");
        assert_eq!(run.code, 0, "{run:?}");
    }
    assert_eq!(world.run("next --project nowhere").code, 5);
    let alone = world.run("status");
    assert_eq!(alone.code, 2);
    assert!(alone.stderr.starts_with("Error: Usage: loopctl status"), "{alone:?}");
}

#[test]
fn contract_echoes_title_and_number_of_criteria() {
    let world = World::new(one_project);
    let run = world.run("contract 2.1");
    assert_eq!(body_of(&world, "/contract"), json!({"story_title": "Story 2.1", "ac_count": 2}));
    assert_eq!(run.stderr, "Story: Story 2.1\nAcceptance Criteria: 2\n");
    assert_eq!(run.json()["story"]["id"], S21);
    let human = world.run("contract 2.1 --format human");
    assert!(
        human.stdout.starts_with("Story: Story 2.1\nAcceptance Criteria: 2\n2.1  Story 2.1\n\nstatus: "),
        "{human:?}"
    );
    assert!(human.stdout.ends_with("next: loopctl claim 2.1\n"), "{human:?}");
    let world = World::new(one_project);
    world.run("contract 2.1 --skip-check");
    assert_eq!(body_of(&world, "/contract"), json!({"skip_contract_check": true}));
}

#[test]
fn verify_and_reject_check_their_words_before_sending() {
    let world = World::new(one_project);
    for (words, expected) in [
        (
            "verify 2.1 --result maybe",
            "invalid value 'maybe' for '--result <RESULT>': Valid results: pass, partial",
        ),
        ("verify 2.1 --result fail", "Use: loopctl reject"),
        ("verify 2.1", "--summary"),
        ("reject 2.1", "--reason"),
        ("reject 2.1 --reason +", "--reason must not be blank"),
        ("report 2.1 --artifact {oops", "Invalid JSON in --artifact"),
        ("report 2.1 --artifact [1]", "must be an object"),
    ] {
        let run = world.run(words);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.stderr.starts_with("Error: ") && run.stderr.contains(expected), "{run:?}");
    }
    assert_eq!(world.lines(), [""; 0]);

    world.run("verify US-2.1 --result pass --summary All+ACs+met");
    assert_eq!(
        body_of(&world, "/verify"),
        json!({"result": "pass", "review_type": "manual", "summary": "All ACs met"})
    );
    world.run("reject 2.1 --reason --broken-- --findings {\"a\":1}");
    assert_eq!(body_of(&world, "/reject"), json!({"reason": "--broken--", "findings": {"a": 1}}));
    world.run("review-complete 2.1 --review-type enhanced --findings-count 2 --fixes-count 2 --summary ok");
    assert_eq!(
        body_of(&world, "/review-complete"),
        json!({"review_type": "enhanced", "findings_count": 2, "fixes_count": 2, "summary": "ok"})
    );
    world.run_with("report 2.1 --artifact -", &[], r#"{"path":"a.rs"}"#);
    assert_eq!(body_of(&world, "/report"), json!({"artifact": {"path": "a.rs"}}));
}

#[test]
fn nothing_ready_is_no_failure() {
    let world = World::new(one_project);
    assert_eq!(world.run("next").json()["data"], json!([]));
    let human = world.run("next --format human --project my-app --limit 3");
    assert_eq!(human.code, 0);
    assert!(human.stdout.starts_with("No stories are ready"), "{human:?}");
    let last = world.lines().pop().unwrap();
    assert_eq!(last, format!("GET /api/v1/stories/ready?project_id={P1}&limit=3"));
    world.run("pending --project my-app");
    let last = world.lines().pop().unwrap();
    assert!(last.contains("agent_status=reported_done&verified_status=unverified"), "{last}");
}

#[test]
fn what_is_stale_is_listed_and_says_why() {
    let stale = || {
        let mut story = story(S21, "2.1");
        let more = [
            ("verification_source", json!("loop")),
            ("contract_stale", json!(false)),
            ("verification_stale", json!(true)),
        ];
        story.as_object_mut().unwrap().extend(more.map(|(key, value)| (key.to_owned(), value)));
        story
    };
    let world = World::new(move |request| match request.path.as_str() {
        "/api/v1/stories" => {
            json!({"data": [stale()], "meta": {"total_count": 1, "limit": 500, "offset": 0}}).into()
        }
        path if path == format!("/api/v1/stories/{S21}") => json!({"story": stale()}).into(),
        _ => one_project(request),
    });
    let list = world.run("story list --stale --format human");
    assert!(
        world.lines().last().unwrap().contains(&format!("project_id={P1}&stale=true")),
        "{:?}",
        world.lines()
    );
    assert!(list.stdout.contains(" (stale)\n"), "{list:?}");
    // Among others, its status is marked where people read it.
    for command in ["story list", "pending"] {
        let among = world.run(&format!("{command} --format human"));
        assert_eq!(among.stdout.matches("stale").count(), 1, "{among:?}");
    }
    assert!(!world.run("story list --format csv").stdout.contains("stale"));
    let shown = world.run("story show 2.1 --format human").stdout;
    let words = " title or criteria have changed since they were verified\n";
    assert!(shown.contains(words), "{shown}");
    assert_eq!(world.run("story show 2.1").json()["story"]["verification_stale"], true);
}

#[test]
fn refusals_of_custody_say_what_to_do() {
    let world = World::new(|request| match request.method.as_str() {
        "PATCH" => {
            let error = json!({"message": "Cannot change title or criteria of your own implementation",
                "code": "self_criteria_blocked", "hints": ["Ask a user."], "story_id": S21,
                "context": {"held": [{"from": "2026-11-28T13:00:00.000000Z", "until": null}]}});
            (409, json!({ "error": error })).into()
        }
        "POST" => {
            let error = json!({"message": "Title or acceptance criteria have changed since the review",
                "code": "criteria_changed", "hints": ["Review again"]});
            (422, json!({ "error": error })).into()
        }
        _ => one_project(request),
    });
    let changed = world.run("verify 2.1 --summary ok");
    assert_eq!(changed.code, 7);
    assert!(changed.stderr.ends_with("  hint: Review again\n  code: criteria_changed\n"), "{changed:?}");
    let own = world.run("story update 2.1 --title Less --format human");
    assert_eq!(own.code, 6);
    let held = format!("  story_id: {S21}\n  held: since 2026-11-28T13:00:00.000000Z\n  hint: Ask a user.\n");
    assert!(own.stderr.contains(&held), "{own:?}");
}

#[test]
fn the_status_of_a_project_is_a_picture_with_its_cost() {
    let world = World::new(|request| {
        match request.path.as_str() {
        path if path.ends_with("/progress") => {
            json!({"progress": {"total_stories": 4, "total_epics": 2, "epics_completed": 1, "verification_percentage": 25.0,
                "stories_by_agent_status": {"pending": 3, "reported_done": 1},
                "stories_by_verified_status": {"unverified": 3, "verified": 1, "rejected": 0},
                "verified_in_loop": 0, "verified_adopted": 1,
                "estimated_hours_total": 12, "estimated_hours_completed": 4.5}})
            .into()
        }
        path if path.contains("/analytics/") => {
            json!({"data": {"total_cost_millicents": 250_000, "total_input_tokens": 1_000_000, "total_output_tokens": 500_000}})
                .into()
        }
        _ => one_project(request),
    }
    });
    let expected = "\
Project: my-app

Verified  [########......................] 25.0%  (1 of 4 stories)
          0 in the loop, 1 adopted (imported, backfilled or marked complete)
Epics     1 of 2 completed
Hours     4.5 of 12 verified

Work
  pending            3  #######################
  reported done      1  ########

Verification
  unverified         3  #######################
  verified           1  ########
  rejected           0

Cost: $2.50  |  Tokens: 1.5M
";
    assert_eq!(world.run("status --project my-app --format human").stdout, expected);
    let asked = world.lines().len();
    assert_eq!(world.run("status --project my-app").json()["progress"]["total_stories"], 4);
    assert_eq!(world.lines().len(), asked + 2, "json needs no cost");
}

#[test]
fn long_lists_can_be_paged() {
    let world = World::new(one_project);
    let last = |words: &str| {
        world.run(words);
        world.lines().pop().unwrap()
    };
    assert_eq!(last("next --limit 5 --page 2"), "GET /api/v1/stories/ready?limit=5&page=2");
    assert_eq!(last("project list --page 2"), "GET /api/v1/projects?page_size=100&page=2");
    assert!(last("pending --project my-app --limit 10 --page 3").ends_with("&limit=10&offset=20"));
    assert_eq!(world.run("next --page 0").code, 2);
    // The server sends no more rows than that: the next page begins behind those it did send.
    for command in ["pending", "story list"] {
        assert!(
            last(&format!("{command} --project my-app --limit 1000 --page 2"))
                .ends_with("&limit=500&offset=500")
        );
    }
}

#[test]
fn a_page_behind_the_last_is_not_called_nothing() {
    let behind = |request: &Request| match request.path.as_str() {
        "/api/v1/projects" => one_project(request),
        "/api/v1/stories" => {
            json!({"data": [], "meta": {"total_count": 42, "limit": 20, "offset": 1960}}).into()
        }
        _ => json!({"data": [], "meta": {"page": 99, "page_size": 20, "total_count": 42, "total_pages": 3}})
            .into(),
    };
    let world = World::new(behind);
    for words in ["next", "blocked", "pending", &format!("artifacts {S21}"), &format!("verifications {S21}")]
    {
        let run = world.run(&format!("{words} --limit 20 --page 99 --project my-app --format human"));
        assert_eq!(run.stdout, "Nothing here: page 99 of 3, 42 total\n", "{words}");
    }
}

#[test]
fn whoever_is_stopped_by_a_budget_reads_by_which() {
    let world = World::new(|request| match request.path.strip_prefix(&format!("/api/v1/stories/{S21}/")) {
        Some("claim" | "report") => {
            let context = json!({"budget_id": P1, "scope_type": "per_story", "scope_id": P1, "target_type": "story",
                "target_id": S21});
            (409, json!({"error": {"status": 409, "message": "Conflict: no", "code": "budget_exhausted", "context": context}})).into()
        }
        _ => one_project(request),
    });
    for words in ["claim 2.1", "report US-2.1"] {
        let run = world.run(&format!("{words} --format human"));
        let budget = format!("\n  budget: {P1} (per_story of story 2.1)\n  code: budget_exhausted\n");
        assert!(run.code == 6 && run.stderr.contains(&budget), "{run:?}");
    }
}
