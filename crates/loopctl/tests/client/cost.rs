//! `cost-summary`, `token-usage`, `token-report`, `cost-anomalies`, and what skills cost: what is asked, and what is shown.

use chrono::{Days, NaiveDate, Utc};
use serde_json::{Value, json};

use crate::support::{Answer, Request, Run, World, error};
use crate::{P1, P2, S21, list, one_project, story};

const EARLIER: &str = "2026-01-01T00:00:00.000000Z";
const LATER: &str = "2026-01-02T00:00:00.000000Z";

/// A day so many days ago, as trends have it.
fn day(ago: u64) -> String {
    (Utc::now().date_naive() - Days::new(ago)).to_string()
}

/// What is shown on a day that has not ended before, and that day.
pub(crate) fn on_one_day(world: &World, words: &str) -> (Run, NaiveDate) {
    loop {
        let today = Utc::now().date_naive();
        let run = world.run(words);
        if Utc::now().date_naive() == today {
            return (run, today);
        }
    }
}

fn project_cost() -> Value {
    json!({"total_cost_millicents": 1_420_000, "total_input_tokens": 6_500, "total_output_tokens": 3_200,
        "budget_millicents": 5_000_000, "utilization_pct": 28, "cost_by_phase": {"planning": 1_420_000},
        "model_breakdown": {"opus": {"cost_millicents": 1_200_000}, "son\u{1b}[2Jnet": {"cost_millicents": 220_000}},
        "agent_count": 2, "story_count": 3, "avg_cost_per_story_millicents": 473_333})
}

fn agent(id: &str, name: &str, cost: i64) -> Value {
    json!({"agent_id": id, "agent_name": name, "total_stories_reported": 2, "total_input_tokens": 1, "total_output_tokens": 2,
        "total_cost_millicents": cost, "avg_cost_per_story_millicents": cost / 2, "primary_model": "opus", "efficiency_rank": 1,
        "model_breakdown": {"opus": {"cost_millicents": cost}}})
}

fn report(id: &str, cost: i64, corrects: Value) -> Value {
    json!({"id": id, "story_id": S21, "phase": "planning", "model_name": "opus", "input_tokens": 1_000, "output_tokens": 500,
        "cost_millicents": cost, "corrects_report_id": corrects, "inserted_at": LATER})
}

fn anomaly(id: &str, resolved: bool, at: &str) -> Value {
    json!({"id": id, "story_id": S21, "story_title": "Log\nin", "anomaly_type": "high_cost", "story_cost_millicents": 100_000,
        "reference_avg_millicents": 32_500, "deviation_factor": "3.08", "resolved": resolved,
        "metadata": {"baseline": "project"}, "inserted_at": at})
}

fn server(request: &Request) -> Answer {
    let path = request.path.strip_prefix("/api/v1").unwrap();
    match (request.method.as_str(), path) {
        ("GET", path) if path == format!("/analytics/projects/{P1}") => json!({ "data": project_cost() }).into(),
        ("GET", "/analytics/agents") => list(&[agent(P2, "beta", 220_000), agent(P1, "alpha", 1_200_000)]),
        ("GET", "/analytics/epics") => list(&[
            json!({"epic_id": P2, "epic_number": 2, "epic_name": "Small", "story_count": 1, "completed_story_count": 0,
                "total_cost_millicents": 7_000, "avg_cost_per_story_millicents": 7_000, "budget_millicents": null,
                "utilization_pct": null}),
            // As another server names them.
            json!({"epic_id": P1, "epic_number": 1, "epic_title": "Large", "story_count": 2, "completed_story_count": 1,
                "cost_millicents": 720_000, "avg_cost_per_story_millicents": 360_000, "budget_utilization_percent": 7}),
        ]),
        ("GET", "/analytics/trends") => list(&[
            json!({"period": day(1), "total_cost_millicents": 710_000, "total_tokens": 5_000}),
            json!({"period": day(0), "total_cost_millicents": 710_000, "total_tokens": 4_700}),
        ]),
        ("GET", "/token-budgets") => list(&[]),
        ("GET", "/agents") => json!({"agents": [{"id": P2, "name": "beta"}]}).into(),
        ("GET", path) if path.ends_with("/token-usage") => {
            let Answer(.., mut body) = list(&[report(P1, 2_500, Value::Null), report(P2, -500, json!(P1))]);
            body["totals"] = json!({"total_input_tokens": 6_000, "total_output_tokens": 3_000, "total_tokens": 9_000,
                "total_cost_millicents": 15_000, "total_cost_dollars": "0.15", "report_count": 2});
            body.into()
        }
        ("GET", "/cost-anomalies") => list(&[anomaly(P1, false, LATER)]),
        ("GET", "/stories") if !request.query.contains("number=") => list(&[story(S21, "2.1")]),
        ("PATCH", path) if path == format!("/cost-anomalies/{P1}") => {
            json!({"cost_anomaly": {"id": P1, "resolved": true}}).into()
        }
        ("GET", "/skills") => list(&[json!({"id": P1, "name": "review", "project_id": null})]),
        ("GET", path) if path == format!("/skills/{P1}/cost-performance") => json!({"data": [
            {"version_number": 2, "total_invocations": 5, "total_cost_millicents": 400_000,
                "avg_cost_per_invocation_millicents": 80_000, "stories_verified_count": 3, "stories_rejected_count": 1,
                "verification_rate_pct": 75, "cost_change_pct": 167, "cost_regression": true}]})
        .into(),
        _ => one_project(request),
    }
}

/// The paths and queries that were asked for, without looking for the project.
fn asked(world: &World) -> Vec<String> {
    let lines = world.lines().into_iter().filter(|line| !line.contains("/projects?"));
    lines.map(|line| line.replace("&page_size=100&page=1", "")).collect()
}

#[test]
fn what_cannot_be_meant_is_not_asked() {
    let world = World::new(server);
    for words in [
        "cost-summary --by-epic --by-agent",
        "token-usage --agent beta --by-epic",
        "token-usage --agent beta --story 2.1",
        "token-report",
        "cost-anomalies --resolve no-id",
        "cost-anomalies --resolve 1 --include-resolved",
    ] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
    assert_eq!(world.run("token-usage --agent nobody").code, 5);
    assert_eq!(world.run("token-report --story 9.9 --project my-app").code, 5);
    let closed = World::new(|request| match request.path.contains("/analytics/") {
        true => error(403, "Insufficient permissions. Required role: orchestrator"),
        false => one_project(request),
    });
    for words in ["cost-summary", "cost-summary --by-agent", "token-usage --format human"] {
        assert_eq!(closed.run(words).code, 4, "{words}");
    }
}

#[test]
fn a_summary_is_the_answer_for_programs_and_a_picture_for_people() {
    let world = World::new(server);
    let path = format!("GET /api/v1/analytics/projects/{P1}");
    for words in ["cost-summary --project my-app", "token-usage --project my-app"] {
        assert_eq!(world.run(words).json(), json!({ "data": project_cost() }));
        assert_eq!(asked(&world).pop().unwrap(), path, "and nothing else");
    }
    let csv = world.run("cost-summary --format csv").stdout;
    assert!(csv.starts_with("total_cost_millicents,") && csv.contains("\n1420000,6500,3200,"), "{csv}");

    let world = World::new(server);
    let (human, today) = on_one_day(&world, "cost-summary --project my-app --format human");
    let of_project = format!("project_id={P1}");
    assert_eq!(
        asked(&world),
        [
            path,
            format!("GET /api/v1/analytics/agents?{of_project}"),
            format!("GET /api/v1/analytics/trends?{of_project}"),
            format!("GET /api/v1/token-budgets?scope_type=project&scope_id={P1}"),
        ]
    );
    let (yesterday, end) = (today - Days::new(1), today + Days::new(6));
    let expected = format!(
        "\
Project Cost Summary: my-app

Total Cost: $14.20
Total Tokens: 9.7K
Budget Utilization: 28%
  Cost    $14.20 of $50.00  28%  [#########.....................]
          Exhausted on {end} at $7.10 a day

Cost per Day:
  {yesterday}  $7.10  ##############################
  {today}  $7.10  ##############################

Top Agents by Cost:
  alpha  $12.00  #########################
  beta    $2.20  #####

Model Mix:
  opus           84%  $12.00  #########################
  son\\x1b[2Jnet  15%   $2.20  #####
"
    );
    assert_eq!(human.stdout, expected, "{human:?}");
}

#[test]
fn pictures_fit_into_narrow_terminals_and_any_locale() {
    let world = World::new(server);
    let narrow = [("COLUMNS", "50"), ("NO_COLOR", "1"), ("LC_ALL", "C")];
    for words in ["cost-summary", "cost-summary --by-epic", "token-usage --agent beta"] {
        let arguments: Vec<&str> = words.split(' ').chain(["--format", "human"]).collect();
        let shown = world.run_words(&arguments, &narrow, "").stdout;
        assert!(shown.is_ascii() && !shown.contains('\u{1b}'), "{shown}");
        let wide = shown.lines().find(|line| line.len() > 50 && !line.starts_with(['r', '-', '2']));
        assert_eq!(wide, None, "{shown}");
    }
}

#[test]
fn what_is_closed_to_an_agent_is_left_out() {
    let world = World::new(|request| match request.path.as_str() {
        "/api/v1/analytics/agents" | "/api/v1/analytics/trends" => error(403, "no"),
        "/api/v1/token-budgets" => error(404, "Not found"),
        _ => server(request),
    });
    let human = world.run("cost-summary --format human");
    assert!(human.code == 0 && human.stdout.contains("\n  Cost    $14.20 of $50.00  28%"), "{human:?}");
    assert!(!human.stdout.contains("Exhausted") && !human.stdout.contains("Top Agents"), "{human:?}");
    // What fails otherwise is no answer.
    let world = World::new(|request| match request.path.ends_with("/trends") {
        true => error(500, "oops"),
        false => server(request),
    });
    assert_eq!(world.run("cost-summary --format human").code, 10);
}

#[test]
fn where_nothing_was_reported_people_are_told_so() {
    let world = World::new(|request| match request.path.as_str() {
        path if path.contains("/analytics/projects/") => {
            json!({"data": {"total_cost_millicents": 0, "total_input_tokens": 0, "total_output_tokens": 0}})
                .into()
        }
        path if path.contains("/token-usage") => {
            let Answer(.., mut body) = list(&[]);
            body["totals"] = json!({"total_cost_millicents": 0, "report_count": 0});
            body.into()
        }
        path if path.contains("/analytics/") || path.ends_with("/cost-anomalies") => list(&[]),
        path if path.ends_with("/cost-performance") => json!({"data": []}).into(),
        _ => server(request),
    });
    let every = [
        "cost-summary",
        "cost-summary --by-epic",
        "cost-summary --by-agent",
        "token-usage --agent beta",
        "token-report --story 2.1",
        "anomalies",
        "skill cost-performance review",
    ];
    for words in every {
        let human = world.run(&format!("{words} --format human")).stdout;
        let human = human.lines().collect::<Vec<_>>();
        let hint = "No open anomalies (--include-resolved shows the others; a job looks every night)";
        let expected = ["No token data available", hint];
        assert_eq!(human, expected[..if words == "anomalies" { 2 } else { 1 }], "{words}");
        assert!(world.run(words).json().is_object(), "{words}");
        assert!(!world.run(&format!("{words} --format csv")).stdout.contains("available"), "{words}");
    }
}

#[test]
fn epics_and_agents_come_with_the_most_expensive_first() {
    let world = World::new(server);
    let epics = world.run("cost-summary --by-epic --format human").stdout;
    let (large, small) = (format!("{} ", "#".repeat(29)), "#");
    let expected = format!(
        "\
Epic Cost Breakdown

number  epic   stories  cost   average  budget  share
------  -----  -------  -----  -------  ------  {}
1       Large  2        $7.20  $3.60    7%      {}
2       Small  1        $0.07  $0.07    N/A     {small}
page 1 of 1, 2 total
",
        "-".repeat(29),
        large.trim_end()
    );
    assert_eq!(epics, expected);
    assert_eq!(asked(&world).pop().unwrap(), format!("GET /api/v1/analytics/epics?project_id={P1}"));
    let csv = world.run("token-usage --by-epic --format csv").stdout;
    assert!(csv.contains(&format!("\n{P1},1,Large,2,1,720000,360000,,7\n")), "{csv}");
    assert_eq!(world.run("token-usage --by-epic").json()["data"][0]["epic_name"], "Small", "as it came");

    let agents = world.run("cost-summary --by-agent --format human").stdout;
    let rows: Vec<&str> = agents.lines().skip(4).collect();
    assert!(agents.starts_with(
        "Agent Cost Breakdown\n\nrank  agent  stories  cost    average  model  efficiency  share\n"
    ));
    assert!(
        rows[0].starts_with("1     alpha  2        $12.00  $6.00    opus   1           ####"),
        "{agents}"
    );
    assert!(rows[1].starts_with("2     beta   2        $2.20   $1.10    opus   1           #"), "{agents}");
}

#[test]
fn one_agent_is_taken_out_of_all() {
    let world = World::new(server);
    let human = world.run("token-usage --agent beta --format human").stdout;
    assert!(human.contains("\n2     beta ") && !human.contains("alpha"), "{human}");
    assert!(human.contains("page 1 of 1, 1 total\nrank: 1 has cost most; efficiency: 1 is the cheapest per story\n\nModel Mix:\n  opus  100%  $2.20  ###"), "{human}");
    let json = world.run("token-usage --agent beta --project my-app").json();
    assert_eq!(
        (&json["data"][0]["agent_id"], &json["data"][1], &json["meta"]["total_count"]),
        (&json!(P2), &Value::Null, &json!(1))
    );
    // What was measured is shown beside it, where it is known.
    let world = World::new(|request| match request.path.ends_with("/analytics/agents") {
        true => {
            let mut beta = agent(P2, "beta", 220_000);
            beta["measured"] = json!({"input_tokens": 900, "output_tokens": 600, "cost_millicents": 330_000});
            beta["measured_ratio"] = json!("1.50");
            list(&[beta, agent(P1, "alpha", 1)])
        }
        false => server(request),
    });
    let all = world.run("token-usage --by-agent --format human").stdout;
    assert!(all.contains("efficiency  measured  share") && all.contains("  1.50x     ###"), "{all}");
    let one = world.run("token-usage --agent beta --format human").stdout;
    assert!(one.contains("\nMeasured: $3.30 and 1.5K tokens, 1.50 times what was reported\n"), "{one}");
}

#[test]
fn the_reports_of_a_story_stand_below_their_sums() {
    let world = World::new(server);
    let path = format!("GET /api/v1/stories/{S21}/token-usage");
    for words in ["token-report --story 2.1", "token-usage --story US-2.1"] {
        let body = world.run(&format!("{words} --project my-app")).json();
        assert_eq!(
            (&body["totals"]["report_count"], &body["data"][0]["id"]),
            (&json!(2), &json!(P1)),
            "{words}"
        );
        assert_eq!(world.lines().pop().unwrap(), format!("{path}?page_size=100&page=1"));
    }
    world.run(&format!("token-report --story {S21} --limit 5 --page 2"));
    assert_eq!(world.lines().pop().unwrap(), format!("{path}?limit=5&page=2"));
    let human = world.run("token-report --story 2.1 --format human").stdout;
    let expected = format!(
        "\
Token Usage Report: 2.1

Total Cost: $0.15
Total Tokens: 9K (6K in, 3K out)

phase       model  input  output    cost  id
----------  -----  -----  ------  ------  ------------------------------------
planning    opus      1K     500   $0.03  {P1}
correction  opus      1K     500  -$0.01  {P2}
page 1 of 1, 2 total
"
    );
    assert_eq!(human, expected);
    let csv = world.run("token-report --story 2.1 --format csv").stdout;
    assert!(csv.contains(&format!("\n{P2},{LATER},planning,opus,1000,500,-500,{P1}\n")), "{csv}");
}

#[test]
fn anomalies_are_listed_and_resolved() {
    let world = World::new(server);
    let human = world.run("anomalies --project my-app --format human").stdout;
    let expected = format!(
        "\
Cost Anomalies

2.1  Log in
type:          high cost
cost:          $1.00
compared with: project median $0.33
factor:        3.08
found:         2026-01-02
id:            {P1}

page 1 of 1, 1 total
"
    );
    assert_eq!(human, expected);
    let lines = asked(&world);
    let stories = format!("GET /api/v1/stories?project_id={P1}&limit=500&offset=0");
    assert_eq!(lines[lines.len() - 2..], [format!("GET /api/v1/cost-anomalies?project_id={P1}"), stories]);
    let csv = world.run("cost-anomalies --format csv").stdout;
    assert!(csv.contains(&format!("\n{P1},high_cost,{S21},\"Log\nin\",3.08,100000,32500,false")), "{csv}");
    let resolved = world.run(&format!("cost-anomalies --resolve {P1}"));
    assert_eq!(resolved.json()["cost_anomaly"]["resolved"], true);
    assert_eq!(world.lines().pop().unwrap(), format!("PATCH /api/v1/cost-anomalies/{P1}"));
}

#[test]
fn resolved_anomalies_are_there_whatever_the_server_knows() {
    // One that takes the word.
    let knows = World::new(|request| match request.path.ends_with("/cost-anomalies") {
        true => list(&[anomaly(P1, false, LATER), anomaly(P2, true, EARLIER)]),
        false => server(request),
    });
    assert_eq!(knows.run("anomalies --include-resolved").json()["data"][1]["id"], P2);
    assert_eq!(asked(&knows), [format!("GET /api/v1/cost-anomalies?project_id={P1}&include_resolved=true")]);
    // One that knows either the one or the other.
    let either = World::new(|request| match request.path.ends_with("/cost-anomalies") {
        true if request.query.contains("&resolved=true") => list(&[anomaly(P2, true, LATER)]),
        true => list(&[anomaly(P1, false, EARLIER)]),
        false => server(request),
    });
    let body = either.run("anomalies --include-resolved").json();
    let ids: Vec<&Value> = body["data"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(
        (ids, &body["meta"]["total_count"]),
        (vec![&json!(P2), &json!(P1)], &json!(2)),
        "newest first"
    );
    // One that has none.
    let none = World::new(|request| match request.path.ends_with("/cost-anomalies") {
        true if request.query.contains("&resolved=true") => list(&[]),
        _ => server(request),
    });
    assert_eq!(none.run("anomalies --include-resolved").json()["data"][0]["id"], P1);
    let part = none.run("anomalies --include-resolved --limit 5").json();
    assert_eq!(part["data"][0]["id"], P1);
}

#[test]
fn versions_of_a_skill_are_compared_by_what_they_cost() {
    let world = World::new(server);
    let human = world.run("skill cost-performance review --format human").stdout;
    let expected = "\
version  uses   cost  average  change  worse  verified  rejected  rate
-------  ----  -----  -------  ------  -----  --------  --------  ----
      2     5  $4.00    $0.80   +167%    yes         3         1   75%
page 1 of 1, 1 total
";
    assert_eq!(human, expected);
    let csv = world.run("skill cost-performance review --format csv").stdout;
    assert!(csv.contains("\n2,5,400000,80000,167,true,3,1,75\n"), "{csv}");
}
