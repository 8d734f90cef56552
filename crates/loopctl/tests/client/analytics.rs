//! `analytics`: what is asked for, and what people and programs are shown.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World};
use crate::{P1, P2, list, one_project};

fn used(model: &str, phase: &str, cost: i64) -> Value {
    json!({"model_name": model, "phase": phase, "stories_count": 4, "verified_count": 3, "rejected_count": 1,
           "verification_rate_pct": 75, "total_input_tokens": 1_500, "total_output_tokens": 500,
           "total_cost_millicents": cost, "cost_share_pct": 50})
}

fn server(request: &Request) -> Answer {
    match request.path.strip_prefix("/api/v1").unwrap() {
        "/analytics/trends" => list(&[json!({"period": "2026-11-02", "total_cost_millicents": 250_000,
            "total_input_tokens": 1_000, "total_output_tokens": 500, "total_tokens": 1_500, "report_count": 3,
            "unique_agents": 2, "story_count": 1})]),
        "/analytics/models" => list(&[json!({"model_name": "opus", "total_input_tokens": 1_000,
            "total_output_tokens": 500, "total_cost_millicents": 250_000, "report_count": 2,
            "avg_cost_per_report_millicents": 125_000, "story_count": 3, "stories_verified_count": 2,
            "stories_rejected_count": 1, "verification_rate_pct": 66})]),
        "/analytics/model-mix" => json!({"data": {"matrix": [used("opus", "planning", 250_000)], "comparative": {
            "mixed_model": {"agent_count": 2, "avg_verification_rate_pct": 75, "avg_cost_per_story_millicents": 2_500},
            "single_model": {"agent_count": 0, "avg_verification_rate_pct": null, "avg_cost_per_story_millicents": null},
        }}})
        .into(),
        path if path == format!("/analytics/agents/{P2}/model-profile") => json!({"data": {"agent_id": P2,
            "agent_name": "beta", "model_count": 1, "total_cost_millicents": 500_000,
            "usage": [used("opus", "planning", 250_000)], "measured": null, "measured_ratio": null}})
        .into(),
        "/agents" => list(&[json!({"id": P2, "name": "beta"})]),
        _ => one_project(request),
    }
}

#[test]
fn people_read_money_and_tokens() {
    let world = World::new(server);
    let shown = |words: &str| world.run(&format!("analytics {words} --format human")).stdout;
    assert_eq!(
        shown("trends --weekly"),
        "\
week of     stories  agents  reports  tokens   cost
----------  -------  ------  -------  ------  -----
2026-11-02        1       2        3    1.5K  $2.50
page 1 of 1, 1 total
"
    );
    assert!(shown("trends").starts_with("day  "));
    assert_eq!(
        shown("models"),
        "\
model  stories  verified  rejected  rate  tokens   cost  a report
-----  -------  --------  --------  ----  ------  -----  --------
opus         3         2         1   66%    1.5K  $2.50     $1.25
page 1 of 1, 1 total
"
    );
    let mix = shown("model-mix");
    assert!(mix.starts_with("model  phase     stories  verified  rejected  rate    in  out   cost"), "{mix}");
    assert!(mix.contains("agents with several models: 2, 75% verified, $0.03 a story\n"), "{mix}");
    assert!(mix.ends_with("agents with one:            0\n"), "{mix}");
    let profile = shown("model-profile beta");
    assert!(profile.starts_with("beta\n\nmodels: 1\ncost:   $5.00\n\nmodel  phase "), "{profile}");
    assert!(profile.contains("  50%\n"), "{profile}");
}

#[test]
fn programs_get_the_answer_and_rows() {
    let world = World::new(server);
    assert_eq!(world.run("analytics trends").json()["data"][0]["total_tokens"], 1_500);
    assert_eq!(
        world.run("analytics model-mix").json()["data"]["comparative"]["mixed_model"]["agent_count"],
        2
    );
    let csv = world.run("analytics model-profile beta --format csv").stdout;
    assert!(
        csv.starts_with("model_name,phase,stories_count,") && csv.contains("\nopus,planning,4,3,1,75,"),
        "{csv}"
    );
}

#[test]
fn what_is_meant_is_sent() {
    let world = World::new(server);
    let asked = |words: &str| {
        let run = world.run(&format!("analytics {words}"));
        assert_eq!(run.code, 0, "{run:?}");
        let request = world.requests().pop().unwrap();
        format!("{}?{}", request.path, request.query.replace("%3A", ":"))
    };
    assert_eq!(asked("trends"), "/api/v1/analytics/trends?page_size=100&page=1");
    let days = asked("models --since 2026-11-01 --until 2026-11-30 --limit 5");
    assert_eq!(
        days,
        "/api/v1/analytics/models?since=2026-11-01T00:00:00.000000Z&until=2026-11-30T23:59:59.999999Z&limit=5"
    );
    assert_eq!(
        asked("model-mix --agent beta --project my-app"),
        format!("/api/v1/analytics/model-mix?agent_id={P2}&project_id={P1}")
    );
    assert!(asked("trends --weekly").contains("granularity=weekly"));
    let before = world.lines().len();
    for words in ["trends --since yesterday", "models --until 2y", "model-profile"] {
        assert_eq!(world.run(&format!("analytics {words}")).code, 2, "{words}");
    }
    assert_eq!(world.lines().len(), before);
}
