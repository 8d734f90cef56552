//! Standard output is for programs, whatever else is said: lists without anything in them, and answers with a warning beside them.

use serde_json::{Value, json};

use super::team::Team;

/// Who asks for a list.
const LISTS: &[(&str, &str)] = &[
    ("user", "project list"),
    ("user", "keys list"),
    ("user", "webhook list"),
    ("user", "audit --since 2999-01-01"),
    ("lead", "epic list --project empty"),
    ("lead", "story list --project empty"),
    ("lead", "deps list --project empty"),
    ("lead", "deps graph --project empty"),
    ("lead", "next --project empty"),
    ("lead", "blocked --project empty"),
    ("lead", "pending --project empty"),
    ("lead", "changes --since 2999-01-01"),
    ("lead", "state history --project empty"),
    ("lead", "skill list"),
    ("lead", "budget list"),
    ("lead", "cost-anomalies --project empty"),
    ("lead", "cost-summary --project empty --by-epic"),
    ("lead", "cost-summary --project empty --by-agent"),
    ("lead", "ui-test list --project empty"),
    ("lead", "knowledge drafts"),
    ("lead", "knowledge index"),
    ("lead", "knowledge jobs"),
    ("lead", "knowledge search nothing"),
    ("lead", "history 1.1 --project full"),
    ("lead", "verifications 1.1 --project full"),
    ("lead", "artifacts 1.1 --project full"),
    ("lead", "criteria 1.1 --project full"),
    ("lead", "token-report --story 1.1 --project full"),
    ("lead", "routes"),
    ("root", "admin tenants --search nobody"),
    ("root", "admin audit --since 2999-01-01"),
    ("root", "admin violators --type none"),
];

#[test]
fn every_list_is_json_also_where_nothing_is_in_it() {
    let team = Team::staffed().with_root();
    team.project("empty", &[]);
    team.project("full", &["1.1"]);
    let wrong: Vec<String> = LISTS
        .iter()
        .filter_map(|(who, words)| {
            let run = team.run(who, words);
            let body: Result<Value, _> = serde_json::from_str(&run.stdout);
            let fine = run.code == 0 && body.is_ok_and(|body| body.is_object() || body.is_array());
            (!fine).then(|| format!("{who}: {words}: {run:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_warning_stands_beside_the_answer_and_not_in_it() {
    let team = Team::staffed();
    team.project("my-app", &["1.1"]);
    let plan = json!({"epics": [{"number": 2, "title": "Two", "storys": [], "stories": []}]});
    team.write("plan.json", &plan.to_string());
    team.write("plan/epic_3_more/us_3.1.json", r#"{"number": "3.1", "title": "t", "priorty": 1}"#);
    for (who, words, warning) in [
        ("user", "keys create --name a --role agent", "Warning: save the raw key now"),
        (
            "user",
            "webhook create --url https://hooks.invalid/a --events story.verified",
            "Warning: save the signing secret now",
        ),
        ("lead", "import plan.json --project my-app", "storys"),
        ("lead", "import plan --project my-app", "note: not read: epic_3_more/us_3.1.json: priorty"),
        ("alice", "contract 1.1 --project my-app", "Acceptance Criteria: 1"),
    ] {
        let run = team.run(who, words);
        assert!(run.stderr.contains(warning), "{words}: {run:?}");
        assert!(run.json().is_object(), "{words}");
    }
}
