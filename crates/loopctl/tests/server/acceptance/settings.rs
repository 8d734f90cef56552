//! What is not sent, and what arrives of what is: settings, options anywhere on the line, formats.

use serde_json::json;

use super::refused;
use super::team::Team;

#[test]
fn nothing_is_asked_before_there_is_a_server_and_a_key() {
    let team = Team::new();
    for words in ["project list", "next", "health", "keys create --name a --role agent"] {
        refused(
            &team.run_unset(words),
            3,
            "No server configured. Run: loopctl auth login --server <url> --key <key>",
        );
    }
    let keyless = team.run_unset(&format!("project list --server {}", team.server.base()));
    refused(&keyless, 3, "No API key configured. Run: loopctl auth login --server <url> --key <key>");
}

/// The format may stand anywhere on the line, and in either form.
#[test]
fn a_list_is_a_table_for_people_rows_for_spreadsheets_and_the_answer_for_programs() {
    let team = Team::new();
    team.project("my-app", &[]);
    let table = "\
name    slug    status
------  ------  ------
my-app  my-app  active
page 1 of 1, 1 total
";
    for words in ["--format human project list", "project list --format human", "project list --format=human"]
    {
        let run = team.run("user", words);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (0, table, ""), "{words}");
    }
    let rows = team.run("user", "project list --format csv");
    rows.success();
    let rows: Vec<&str> = rows.stdout.lines().collect();
    assert!(rows.len() == 2 && rows[0].starts_with("id,name,slug,status"), "{rows:?}");
    assert!(rows[1].contains(",my-app,my-app,active"), "{rows:?}");
    assert_eq!(team.run("user", "project list").json(), team.get("/projects?page_size=100&page=1"));
    let one = team.run("user", "project info my-app").json();
    assert_eq!(one, team.get(&format!("/projects/{}", one["project"]["id"].as_str().unwrap())));
}

#[test]
fn an_option_after_a_name_is_sent() {
    let team = Team::new();
    let made = team.run("user", "project create My+App --repo https://example.com/app").json();
    let project = team.get(&format!("/projects/{}", made["project"]["id"].as_str().unwrap()));
    let project = &project["project"];
    assert_eq!(
        (&project["name"], &project["slug"], &project["repo_url"]),
        (&json!("My App"), &json!("my-app"), &json!("https://example.com/app"))
    );
}

#[test]
fn a_key_is_shown_once_and_of_a_role_that_tenants_may_have() {
    let team = Team::new();
    let names = || {
        let keys = team.get("/api_keys");
        let keys = keys["data"].as_array().or_else(|| keys["api_keys"].as_array()).unwrap().clone();
        keys.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = names();
    refused(
        &team.run("user", "keys create --name a --role superadmin"),
        2,
        "Invalid role 'superadmin'. Valid roles: user, orchestrator, agent",
    );
    assert_eq!(names(), before, "nothing was sent");

    let made = team.run("user", "keys create --name a --role orchestrator");
    assert!(made.stderr.contains("save the raw key now"), "{made:?}");
    let key = made.json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("lc_") && !made.stderr.contains(&key), "{made:?}");
    assert_eq!(names().len(), before.len() + 1);
    let whose = team.run_unset(&format!("auth whoami --server {} --api-key {key}", team.server.base()));
    assert_eq!(whose.json()["api_key"]["role"], "orchestrator");
    assert!(!team.run("user", "keys list").stdout.contains(&key));
}

#[test]
fn a_setting_is_set_and_the_others_stay() {
    let team = Team::new();
    team.sent("user", "PATCH", "/tenants/me", &json!({"settings": {"note": "kept"}}));
    let words = "tenant update --setting max_projects=100 --setting flag=true --setting word=ten";
    let told = team.run("user", words).json();
    let settings = team.get("/tenants/me")["tenant"]["settings"].clone();
    assert_eq!(told["tenant"]["settings"], settings);
    for (name, value) in
        [("max_projects", json!(100)), ("flag", json!(true)), ("word", json!("ten")), ("note", json!("kept"))]
    {
        assert_eq!(settings[name], value, "{name}: {settings}");
    }
    refused(&team.run("user", "tenant update"), 2, "Usage: loopctl tenant update --setting <key>=<value>");
    refused(
        &team.run("user", "tenant update --setting max_projects=0x"),
        7,
        "max_projects must be a positive integer",
    );
    assert_eq!(team.get("/tenants/me")["tenant"]["settings"], settings, "nothing of it is written");
}
