//! `budget` and `usage`: what is sent, and what is shown.

use chrono::{Days, Utc};
use serde_json::{Value, json};

use crate::cost::on_one_day;
use crate::support::{Answer, Request, World, error};
use crate::{P1, P2, S21, list, one_project};

const EPIC: &str = "0192dddd-0000-7000-8000-000000000002";
const AGENT: &str = "0192eeee-0000-7000-8000-000000000001";

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
            let mut held = budget(P1, "story", P1);
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
        format!("{set} project --unit dollars"),
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
    let unknown = world.run(&format!("{set} agent --scope-id nobody"));
    assert_eq!(unknown.code, 5, "{unknown:?}");
}

#[test]
fn a_budget_is_of_tokens_unless_it_is_of_money() {
    let world = World::new(server);
    world.run("budget set --project my-app --scope per_story --limit 200000");
    assert_eq!(last_body(&world), json!({"scope_type": "per_story", "scope_id": P1, "token_limit": 200_000}));
    // The only project there is needs no name.
    world.run("budget set --scope per_project --limit 5 --unit millicents --threshold 90 --enforcement block --reserve 2");
    assert_eq!(
        last_body(&world),
        json!({"scope_type": "project", "scope_id": P1, "budget_millicents": 5, "alert_threshold_pct": 90,
            "enforcement": "block", "reserve_millicents": 2})
    );
}

#[test]
fn scopes_are_named_as_elsewhere() {
    let world = World::new(server);
    for (scope, reference, id) in [
        ("story", "US-2.1", S21),
        ("epic", "E2", EPIC),
        ("agent", "worker", AGENT),
        ("project", "my-app", P1),
        ("per_epic", P2, P2),
    ] {
        let set = format!("budget set --scope {scope} --limit 7 --scope-id {reference}");
        assert_eq!(world.run(&set).code, 0, "{scope}");
        assert_eq!(last_body(&world), json!({"scope_type": scope, "scope_id": id, "token_limit": 7}));
    }
}

#[test]
fn a_budget_that_is_there_is_changed() {
    let taken = |request: &Request| match request.method.as_str() {
        "POST" => error(409, "Conflict"),
        _ => server(request),
    };
    let world = World::new(taken);
    let run = world.run("budget set --project my-app --scope project --limit 9 --enforcement block");
    assert_eq!(run.json()["token_budget"]["id"], P2, "{run:?}");
    let lines = world.lines();
    assert_eq!(
        lines[lines.len() - 2..],
        [
            format!("GET /api/v1/token-budgets?scope_type=project&scope_id={P1}&page_size=100&page=1"),
            format!("PATCH /api/v1/token-budgets/{P2}"),
        ]
    );
    assert_eq!(last_body(&world), json!({"token_limit": 9, "enforcement": "block"}), "what it is of stays");
    // Somebody has deleted it meanwhile.
    let gone = world.run("budget set --project my-app --scope per_agent --limit 9");
    assert!(gone.code == 6 && gone.stderr.contains("409: Conflict"), "{gone:?}");
    // An orchestrator does not lift its own stop.
    let stopped = World::new(move |request| match request.method.as_str() {
        "PATCH" => error(403, "Insufficient permissions. Required role: user"),
        _ => taken(request),
    });
    assert_eq!(stopped.run("budget set --scope project --limit 9").code, 4);
}

#[test]
fn budgets_are_shown_with_what_is_gone() {
    let world = World::new(server);
    let listed = world
        .run_words(&["budget", "list", "--format", "human"], &[("LOOPCTL_PROJECT", "my-app")], "")
        .stdout;
    assert_eq!(
        world.lines(),
        ["GET /api/v1/token-budgets?page_size=100&page=1"],
        "what is configured is no filter"
    );
    assert!(
        listed.contains(&format!("\nproject     {P1}  $1.42 of $5.00 (28%)  "))
            && listed.contains(" of $5.00 (28%), $0.05 set aside "),
        "{listed}"
    );
    world.run("budget list --project my-app --limit 5");
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/token-budgets?scope_id={P1}&limit=5"));
    let csv = world.run("budget list --format csv").stdout;
    assert!(csv.contains(&format!("\n{P2},project,{P1},500000,142000,,1500,80,warn")), "{csv}");

    let (shown, today) = on_one_day(&world, &format!("budget show {P2} --format human"));
    let (shown, end) = (shown.stdout, today + Days::new(6));
    let bars = format!(
        "\n\n  Cost    $1.42 of $5.00  28%  [#########.....................]\n          Exhausted on {end} at $0.71 a day\n"
    );
    assert!(shown.starts_with(&format!("id: {P2}\n")) && shown.ends_with(&bars), "{shown}");
    let before = world.lines().len();
    assert_eq!(world.run(&format!("budget show {P2}")).json()["token_budget"]["id"], P2);
    assert_eq!(world.lines().len(), before + 1);
    assert_eq!(
        world.run(&format!("budget delete {P2}")).json(),
        json!({"token_budget": {"id": P2, "deleted": true}})
    );
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
    assert_eq!(corrected.stdout, format!("id: {P1}\ncorrects_report_id: {P2}\n"));
    assert_eq!(last_body(&world), json!({"input_tokens": -100, "cost_millicents": -250}));
    world.run(&format!("usage correct {P2} --output 5 --model m --phase other"));
    assert_eq!(last_body(&world), json!({"output_tokens": 5, "model_name": "m", "phase": "other"}));
    assert_eq!(world.run(&format!("usage delete {P2}")).json()["token_usage_report"]["id"], P2);
    assert_eq!(world.lines().pop().unwrap(), format!("DELETE /api/v1/token-usage/{P2}"));
}
