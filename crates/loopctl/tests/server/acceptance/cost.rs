//! What work costs, by its commands.

use chrono::Utc;
use serde_json::{Value, json};

use super::refused;
use super::team::Team;

/// The rows of a list that a command prints.
fn rows(team: &Team, words: &str) -> Vec<Value> {
    team.run("lead", words).json()["data"].as_array().unwrap().clone()
}

#[test]
fn a_summary_has_two_names_and_shows_dollars_and_tokens() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1", "1.2"]);
    let other = team.project("other", &["1.1"]);
    let story = team.story_id(&project, "1.1");
    team.use_up(&story, 1_000_000, 400_000, 200_000);
    team.use_up(&story, 50_000, 50_000, 50_000);
    team.use_up(&team.story_id(&other, "1.1"), 7, 7, 7);
    let usage = team.run("lead", "token-usage --project my-app").json();
    assert_eq!(usage, team.run("lead", "cost-summary --project my-app").json());
    assert_eq!(usage, team.call("lead", "GET", &format!("/analytics/projects/{project}"), None).1);
    assert_eq!(usage["data"]["total_cost_millicents"], 250_000);
    for words in
        ["token-usage --project my-app --format human", "cost-summary --project my-app --format human"]
    {
        let human = team.run("lead", words);
        human.success();
        assert!(human.stdout.contains("Total Cost: $2.50\nTotal Tokens: 1.5M"), "{human:?}");
    }
    let of_story = team.run("lead", "token-usage --story 1.1 --project my-app").json();
    assert_eq!(of_story["totals"]["total_cost_millicents"], 250_000);
    let none = team.run("lead", "token-report --story 1.2 --project my-app --format human");
    assert_eq!((none.code, none.stdout.as_str()), (0, "No token data available\n"));
    // Who costs how much is not every agent's business.
    refused(&team.run("alice", "cost-summary --by-agent --project my-app"), 4, "Server returned 403");
}

#[test]
fn an_anomaly_that_is_resolved_is_shown_when_asked_for() {
    let team = Team::staffed();
    let numbers = ["1.1", "1.2", "1.3", "1.4"];
    let project = team.project("my-app", &numbers);
    let began = Utc::now().date_naive();
    for (number, cost) in numbers.iter().zip([10_000, 10_000, 10_000, 100_000]) {
        team.use_up(&team.story_id(&project, number), 1, 0, cost);
    }
    // The job looks at days that are over, unless it is told which.
    let days = json!({"period_start": began.to_string(), "period_end": Utc::now().date_naive().to_string()});
    let days = days.to_string();
    team.server
        .operate(&format!("operator jobs run cost_anomalies --tenant {} --args {days}", team.slug))
        .success();

    let list = "cost-anomalies --project my-app";
    let found = rows(&team, list);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["story_id"], &found[0]["resolved"]),
        (&json!(team.story_id(&project, "1.4")), &json!(false))
    );
    let id = found[0]["id"].as_str().unwrap();
    refused(&team.run("lead", &format!("cost-anomalies --resolve {id}")), 4, "Server returned 403");
    team.run("user", &format!("cost-anomalies --resolve {id}")).success();
    assert_eq!(rows(&team, list), [json!(null); 0]);
    let human = team.run("lead", &format!("{list} --format human"));
    assert!(human.stdout.contains("No open anomalies (--include-resolved shows the others"), "{human:?}");
    for words in
        [format!("{list} --include-resolved"), "anomalies --project my-app --include-resolved".to_owned()]
    {
        let all = rows(&team, &words);
        assert_eq!((all.len(), &all[0]["id"], &all[0]["resolved"]), (1, &json!(id), &json!(true)), "{all:?}");
    }
}

#[test]
fn a_budget_is_set_once_and_changed_after_that() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1"]);
    let set = |limit: &str| {
        team.run("lead", &format!("budget set --project my-app --scope per_story --limit {limit}"))
    };
    let first = set("200000").json()["token_budget"].clone();
    assert_eq!(
        (&first["scope_type"], &first["scope_id"], &first["token_limit"]),
        (&json!("per_story"), &json!(project), &json!(200_000))
    );
    let second = set("300000").json()["token_budget"].clone();
    assert_eq!((&second["id"], &second["token_limit"]), (&first["id"], &json!(300_000)));
    let listed = rows(&team, "budget list --project my-app");
    assert_eq!(
        (listed.len(), &listed[0]["id"], &listed[0]["token_limit"]),
        (1, &first["id"], &json!(300_000))
    );
    assert_eq!(team.call("lead", "GET", "/token-budgets", None).1["data"], json!(listed));

    refused(&set("-1"), 2, "--limit");
    refused(&team.run("lead", "budget set --scope all --limit 1"), 2, "Invalid scope 'all'. Valid scopes: ");
    refused(&team.run("lead", "budget set --scope story --limit 1"), 2, "--scope story needs --scope-id");
    assert_eq!(rows(&team, "budget list"), listed);
}

#[test]
fn progress_ends_with_its_cost_where_there_is_any() {
    let team = Team::staffed();
    let project = team.project("my-app", &["1.1"]);
    let status = "status --project my-app";
    let human = || {
        let run = team.run("lead", &format!("{status} --format human"));
        run.success();
        run.stdout
    };
    assert!(human().contains("Verified") && !human().contains("Cost:"), "{}", human());
    let story = team.story_id(&project, "1.1");
    // What has cost nothing has no line either.
    team.use_up(&story, 10, 10, 0);
    assert!(!human().contains("Cost:"), "{}", human());
    team.use_up(&story, 1_999_980, 0, 500_000);
    assert_eq!(human().lines().last(), Some("Cost: $5.00  |  Tokens: 2M"));
    team.run("lead", "budget set --project my-app --scope project --limit 10 --unit dollars").success();
    let line = "Cost: $5.00 / $10.00 budget (50% utilized)  |  Tokens: 2M";
    assert_eq!(human().lines().last(), Some(line));
    let json = team.run("lead", status);
    assert_eq!(json.json(), team.get(&format!("/projects/{project}/progress")));
    assert!(!json.stdout.contains("Cost"), "{json:?}");
}
