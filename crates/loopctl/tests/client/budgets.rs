//! `budget` and `usage`: what is sent, and what is shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{Days, Utc};
use serde_json::{Value, json};

use crate::cost::on_one_day;
use crate::support::{Answer, Request, World, error};
use crate::{P1, P2, S21, list, one_project, project, story};

const EPIC: &str = "0192dddd-0000-7000-8000-000000000002";
const S71: &str = "0192bbbb-0000-7000-8000-000000000071";
const AGENT: &str = "0192eeee-0000-7000-8000-000000000001";

/// A story that is in no list.
const LOST: &str = "0192aaaa-0000-7000-8000-00000000000f";

fn budget(id: &str, scope: &str, scope_id: &str) -> Value {
    json!({"id": id, "scope_type": scope, "scope_id": scope_id, "budget_millicents": 500_000, "budget_dollars": "5.00",
        "current_spend_millicents": 142_000, "token_limit": null, "current_tokens": 1_500, "alert_threshold_pct": 80,
        "enforcement": "warn"})
}

fn server(request: &Request) -> Answer {
    let path = request.path.strip_prefix("/api/v1").unwrap();
    match (request.method.as_str(), path) {
        ("POST", "/token-budgets") => (201, json!({"token_budget": budget(P2, "project", P1)})).into(),
        // As a server that ignores filters.
        ("GET", "/token-budgets") => {
            let mut held = budget(P1, "story", LOST);
            held["reserved_millicents"] = json!(5_000);
            list(&[held, budget(P2, "project", P1)])
        }
        ("GET" | "PATCH", path) if path == format!("/token-budgets/{P2}") => {
            json!({"token_budget": budget(P2, "project", P1)}).into()
        }
        ("DELETE", path) if path == format!("/token-budgets/{P2}") => {
            json!({"token_budget": {"id": P2, "deleted": true}}).into()
        }
        ("GET", "/analytics/trends") => list(&[
            json!({"period": Utc::now().date_naive(), "total_cost_millicents": 71_000, "total_tokens": 5}),
        ]),
        ("GET", path) if path == format!("/projects/{P1}/epics") => {
            list(&[json!({"id": EPIC, "number": 2, "title": "E"})])
        }
        ("GET", "/agents") => json!({"agents": [{"id": AGENT, "name": "worker"}]}).into(),
        ("POST", "/token-usage") => {
            (201, json!({"token_usage_report": {"id": P2, "cost_dollars": "0.03"}})).into()
        }
        ("POST", path) if path == format!("/token-usage/{P2}/correction") => {
            (201, json!({"token_usage_report": {"id": P1, "corrects_report_id": P2}})).into()
        }
        ("DELETE", path) if path == format!("/token-usage/{P2}") => {
            json!({"token_usage_report": {"id": P2, "deleted_at": "2026-01-01T00:00:00.000000Z"}}).into()
        }
        _ => one_project(request),
    }
}

fn last_body(world: &World) -> Value {
    world.requests().pop().unwrap().body
}

#[test]
fn what_cannot_be_right_is_not_sent() {
    let world = World::new(server);
    let set = "budget set --project my-app --limit 5 --scope";
    let report = "usage report --story 2.1 --input 1 --output 1 --model m --cost 1";
    for words in [
        "budget set --project my-app --scope project".to_owned(),
        "budget set --project my-app --scope project --limit 0".to_owned(),
        "budget set --project my-app --scope project --limit -1".to_owned(),
        "budget set --project my-app --scope project --limit 1.5".to_owned(),
        format!("{set} galaxy"),
        format!("{set} story"),
        format!("{set} epic"),
        format!("{set} agent"),
        format!("{set} project --unit euros"),
        format!("{set} project --reserve -1"),
        format!("{set} project --input-limit 0"),
        format!("{set} project --output-limit many"),
        format!("{set} project --enforcement stop"),
        format!("{set} project --threshold 0"),
        format!("{set} project --threshold 101"),
        format!("{set} project --reserve 0"),
        "budget show my-budget".to_owned(),
        "budget delete my-budget".to_owned(),
        "usage report --story 2.1 --input 1 --output 1 --model m".to_owned(),
        "usage report --story 2.1 --input -1 --output 1 --model m --cost 1".to_owned(),
        format!("{report} --phase resting"),
        format!("{report} --skill-version 2"),
        format!("{report} --skill-version review@latest"),
        format!("{report} --metadata []"),
        "usage correct first --cost -5".to_owned(),
        format!("usage correct {P2}"),
        format!("usage correct {P2} --model m"),
        "usage delete first".to_owned(),
    ] {
        let run = world.run(&words);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{words}: {run:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
    for (words, why) in [
        ("--limit 0.05 --unit millicents", "Invalid --limit '0.05': whole millicents: $0.05 is 5000"),
        ("--limit -1", "Invalid --limit '-1': it must be more than 0; none removes it"),
        ("--limit 0.000001 --unit dollars", "Invalid --limit '0.000001': dollars have at most 5 decimals"),
    ] {
        let run = world.run(&format!("budget set --scope project {words}"));
        assert_eq!((run.code, run.stderr), (2, format!("Error: {why}\n")), "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
    let unknown = world.run(&format!("{set} agent --scope-id nobody"));
    assert_eq!(unknown.code, 5, "{unknown:?}");
}

#[test]
fn a_budget_is_of_tokens_unless_it_is_of_money() {
    let world = World::new(server);
    world.run("budget set --project my-app --scope per_story --limit 200000");
    assert_eq!(last_body(&world), json!({"scope_type": "per_story", "scope_id": P1, "token_limit": 200_000}));
    // The only project there is needs no name.
    world.run("budget set --scope per_epic --limit 5 --unit millicents --threshold 90 --enforcement block --reserve 2");
    assert_eq!(
        last_body(&world),
        json!({"scope_type": "per_epic", "scope_id": P1, "budget_millicents": 5, "alert_threshold_pct": 90,
            "enforcement": "block", "reserve_millicents": 2})
    );
    world.run("budget set --scope per_agent --limit 0.05 --unit dollars --reserve 0.00001 --input-limit 7 --output-limit none");
    assert_eq!(
        last_body(&world),
        json!({"scope_type": "per_agent", "scope_id": P1, "budget_millicents": 5_000, "budget_input_tokens": 7,
            "reserve_millicents": 1})
    );
    // What there is not cannot be changed.
    let none = world.run("budget set --scope per_agent --threshold 90");
    assert!(none.code == 2 && none.stderr.contains("no such budget yet: --limit says"), "{none:?}");
}

#[test]
fn scopes_are_named_as_elsewhere() {
    let world = World::new(server);
    for (scope, reference, id) in [
        ("story", "US-2.1", S21),
        ("epic", "E2", EPIC),
        ("agent", "worker", AGENT),
        ("per_story", "my-app", P1),
        ("per_epic", P2, P2),
    ] {
        let set = format!("budget set --scope {scope} --limit 7 --scope-id {reference}");
        assert_eq!(world.run(&set).code, 0, "{scope}");
        assert_eq!(last_body(&world), json!({"scope_type": scope, "scope_id": id, "token_limit": 7}));
    }
}

#[test]
fn a_budget_that_is_there_is_changed() {
    let world = World::new(server);
    let words =
        "budget set --project my-app --scope per_project --unit millicents --limit 9 --enforcement block";
    let run = world.run(words);
    assert_eq!(run.json()["token_budget"]["id"], P2, "{run:?}");
    let lines = world.lines();
    let asked = format!("GET /api/v1/token-budgets?scope_type=project&scope_id={P1}&page_size=100&page=1");
    assert_eq!(lines[lines.len() - 2..], [asked.clone(), format!("PATCH /api/v1/token-budgets/{P2}")]);
    assert_eq!(
        last_body(&world),
        json!({"budget_millicents": 9, "enforcement": "block"}),
        "what it is of stays"
    );
    world.run("budget set --scope project --unit dollars --limit none --reserve none --output-limit 5");
    let removed = json!({"budget_millicents": null, "reserve_millicents": null, "budget_output_tokens": 5});
    assert_eq!(last_body(&world), removed);
    // A limit of another kind comes beside the one that there is.
    let beside = "note: the limit of $5.00 stays beside it\n";
    let added = world.run("budget set --scope project --limit 1000 --format human");
    assert_eq!((added.code, added.stderr.as_str()), (0, beside), "{added:?}");
    for words in ["--limit 1000", "--limit 9 --unit dollars --format human", "--limit none --format human"] {
        assert_eq!(world.run(&format!("budget set --scope project {words}")).stderr, "", "{words}");
    }
    // An orchestrator does not lift its own stop.
    let stopped = World::new(|request| match request.method.as_str() {
        "PATCH" => error(403, "Insufficient permissions. Required role: user"),
        _ => server(request),
    });
    assert_eq!(stopped.run("budget set --scope project --limit 9").code, 4);
}

#[test]
fn a_budget_that_somebody_else_has_just_set_is_changed() {
    let looked = AtomicUsize::new(0);
    let taken = |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/token-budgets") => error(409, "Conflict"),
        _ => server(request),
    };
    let world = World::new(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v1/token-budgets") if looked.fetch_add(1, Ordering::SeqCst) == 0 => list(&[]),
        _ => taken(request),
    });
    let run = world.run("budget set --project my-app --scope project --limit 9 --input-limit none");
    assert_eq!(run.json()["token_budget"]["id"], P2, "{run:?}");
    let methods: Vec<String> = world.requests().into_iter().skip(1).map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "POST", "GET", "PATCH"]);
    assert_eq!(last_body(&world), json!({"token_limit": 9, "budget_input_tokens": null}));
    // Somebody has deleted it meanwhile.
    let world = World::new(taken);
    let gone = world.run("budget set --project my-app --scope per_agent --limit 9");
    assert!(gone.code == 6 && gone.stderr.contains("409: Conflict"), "{gone:?}");
}

#[test]
fn budgets_are_shown_with_what_is_gone() {
    let world = World::new(server);
    let listed = world.run("budget list --format human").stdout;
    assert!(
        listed.contains(&format!("story {LOST}\ncost:        $1.42 of $5.00 (28%), $0.05 set aside\n"))
            && listed.contains("project my-app\n"),
        "{listed}"
    );
    let csv = world.run("budget list --format csv").stdout;
    assert!(csv.contains(&format!("\n{P2},project,{P1},500000,142000,,1500,80,warn,\n")), "{csv}");
    let part = world.run("budget list --limit 5");
    assert_eq!(
        (part.code, world.lines().pop().unwrap()),
        (0, "GET /api/v1/token-budgets?limit=5".to_owned())
    );

    let (shown, today) = on_one_day(&world, &format!("budget show {P2} --format human"));
    let (shown, end) = (shown.stdout, today + Days::new(6));
    let bars = format!(
        "\n\n  Cost    $1.42 of $5.00  28%  [#########.....................]\n          Exhausted on {end} at $0.71 a day\n"
    );
    let has = |fact: &str, value: &str| {
        shown.lines().any(|line| line.starts_with(fact) && line.ends_with(&format!(" {value}")))
    };
    assert!(has("scope:", &format!("project {P1}")) && has("id:", P2) && shown.ends_with(&bars), "{shown}");
    let before = world.lines().len();
    assert_eq!(world.run(&format!("budget show {P2}")).json()["token_budget"]["id"], P2);
    assert_eq!(world.lines().len(), before + 1);
    assert_eq!(
        world.run(&format!("budget delete {P2}")).json(),
        json!({"token_budget": {"id": P2, "deleted": true}})
    );
}

/// Budgets of two projects, and of an agent.
fn of_two_projects(request: &Request) -> Answer {
    let path = request.path.strip_prefix("/api/v1").unwrap();
    match (request.method.as_str(), path) {
        ("GET", "/token-budgets") => {
            let mut each = budget(P2, "per_story", P1);
            each["top_target"] = json!({"type": "story", "id": S21});
            each["reserve_millicents"] = json!(60_000);
            list(&[
                each,
                budget(P2, "epic", EPIC),
                budget(P2, "story", S21),
                budget(P2, "agent", AGENT),
                budget(P2, "project", P1),
                budget(P2, "project", P2),
                budget(P2, "story", S71),
            ])
        }
        ("GET", "/projects") => list(&[project(P1, "My App", "my-app"), project(P2, "Other", "other")]),
        ("GET", "/stories") if request.query.starts_with(&format!("project_id={P1}")) => {
            list(&[story(S21, "2.1")])
        }
        ("GET", "/stories") => list(&[story(S71, "7.1")]),
        ("GET", path) if path == format!("/projects/{P2}/epics") => list(&[]),
        ("GET", path) if path == format!("/stories/{S21}") => json!({"story": story(S21, "2.1")}).into(),
        ("GET", path) if path == format!("/projects/{P1}") => {
            json!({"project": project(P1, "My App", "my-app")}).into()
        }
        ("GET", path) if path == format!("/token-budgets/{P1}") => {
            let mut each = budget(P1, "per_story", P1);
            each["top_target"] = json!({"type": "story", "id": S21});
            json!({ "token_budget": each }).into()
        }
        _ => server(request),
    }
}

#[test]
fn budgets_are_of_what_people_call_things() {
    let world = World::new(of_two_projects);
    let listed = world.run("budget list --format human").stdout;
    let budget = |scope: &str, more: &str| {
        format!(
            "{scope}\ncost:        $1.42 of $5.00 (28%)\nwarning:     80%\nenforcement: warn\n{more}id:          {P2}\n\n"
        )
    };
    let scopes = ["epic 2 E", "story 2.1", "agent worker", "project my-app", "project other", "story 7.1"];
    let expected = format!(
        "{}{}page 1 of 1, 7 total\n",
        budget("per_story of my-app", "reserve:     $0.60\ntop target:  story 2.1\n"),
        scopes.map(|scope| budget(scope, "")).concat(),
    );
    assert_eq!(listed, expected);
    // One list each, and of each project as long as something is not found.
    let lines = world.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("/stories?")).count(), 2, "{lines:?}");
    assert_eq!(lines.len(), 6, "{lines:?}");

    let of_project = |words: &str, environment: &[(&str, &str)]| {
        let run = world.run_with(words, environment, "");
        let json = run.json();
        let rows = json["data"].as_array().unwrap().iter();
        let scopes: Vec<String> = rows.map(|row| row["scope_type"].as_str().unwrap().to_owned()).collect();
        (scopes.join(" "), json["meta"].clone())
    };
    let whole = json!({"page": 1, "page_size": 5, "total_count": 5, "total_pages": 1});
    let scopes = "per_story epic story agent project".to_owned();
    assert_eq!(of_project("budget list --project my-app", &[]), (scopes.clone(), whole.clone()));
    assert_eq!(of_project("budget list", &[("LOOPCTL_PROJECT", "my-app")]), (scopes, whole));
    let second = json!({"page": 2, "page_size": 2, "total_count": 5, "total_pages": 3});
    assert_eq!(
        of_project("budget list --project my-app --limit 2 --page 2", &[]),
        ("story agent".to_owned(), second)
    );
    let other = world.run("budget list --project other --format human");
    assert!(other.stdout.contains("story 7.1\n") && !other.stdout.contains("my-app"), "{other:?}");

    let shown = world.run(&format!("budget show {P1} --format human")).stdout;
    assert!(shown.starts_with("scope: ") && shown.contains(" per_story of my-app\n"), "{shown}");
    assert!(shown.contains("\ntop target: ") && shown.contains(" story 2.1\n"), "{shown}");
}

#[test]
fn versions_of_skills_are_named_in_reports() {
    let world = World::new(|request| match request.path.strip_prefix("/api/v1").unwrap() {
        "/skills" => list(&[json!({"id": P1, "name": "team@review", "project_id": null})]),
        path if path == format!("/skills/{P1}/versions/2") => {
            json!({"version": {"id": AGENT, "version": 2}}).into()
        }
        _ => server(request),
    });
    let report = "usage report --story 2.1 --input 1 --output 1 --model m --cost 1 --skill-version";
    assert_eq!(world.run(&format!("{report} team@review@2")).code, 0);
    assert_eq!(last_body(&world)["skill_version_id"], AGENT);
    let unknown = world.run(&format!("{report} team@review@3"));
    assert_eq!((unknown.code, unknown.stderr.as_str()), (5, "Error: Skill team@review has no version 3\n"));
    assert_eq!(world.run(&format!("{report} other@1")).code, 5);
}

#[test]
fn usage_is_reported_corrected_and_deleted() {
    let world = World::new(server);
    let shortest = "usage report --story 2.1 --project my-app --input 1000 --output 500 --model claude-opus-4 --cost 2500";
    let run = world.run(shortest);
    assert_eq!(run.json()["token_usage_report"]["cost_dollars"], "0.03");
    let plain = json!({"story_id": S21, "input_tokens": 1_000, "output_tokens": 500, "model_name": "claude-opus-4",
        "cost_millicents": 2_500});
    assert_eq!(last_body(&world), plain);
    let details = "--phase planning --session s1 --tool-calls 3 --reasoning-tokens 40 --tests-run 0 --metadata {\"a\":1}";
    world.run(&format!("{shortest} {details} --skill-version {AGENT}"));
    let mut whole = plain;
    for (member, value) in [
        ("phase", json!("planning")),
        ("session_id", json!("s1")),
        ("tool_call_count", json!(3)),
        ("cot_length_tokens", json!(40)),
        ("tests_run_count", json!(0)),
        ("metadata", json!({"a": 1})),
        ("skill_version_id", json!(AGENT)),
    ] {
        whole[member] = value;
    }
    assert_eq!(last_body(&world), whole);

    let corrected = world.run(&format!("usage correct {P2} --input -100 --cost -250 --format human"));
    assert_eq!(corrected.stdout, format!("id: {P1}\n"));
    assert_eq!(last_body(&world), json!({"input_tokens": -100, "cost_millicents": -250}));
    world.run(&format!("usage correct {P2} --output 5 --model m --phase other"));
    assert_eq!(last_body(&world), json!({"output_tokens": 5, "model_name": "m", "phase": "other"}));
    assert_eq!(world.run(&format!("usage delete {P2}")).json()["token_usage_report"]["id"], P2);
    assert_eq!(world.lines().pop().unwrap(), format!("DELETE /api/v1/token-usage/{P2}"));
}
