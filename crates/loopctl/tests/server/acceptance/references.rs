//! Stories, epics and projects by the names that people have for them.

use serde_json::{Value, json};

use super::refused;
use super::team::Team;

#[test]
fn a_story_is_found_by_every_spelling_of_its_number() {
    let team = Team::staffed();
    let project = team.project("my-app", &["2.1"]);
    let story = team.story_id(&project, "2.1");
    for words in [
        "status US-2.1 --project my-app",
        "status us_2.1 --project my-app",
        "status 2.1",
        "--project MY-APP status 2.1",
        &format!("status {story}"),
    ] {
        assert_eq!(team.run("alice", words).json()["story"]["id"], story.as_str(), "{words}");
    }
    let of_project = team.run("alice", "status --project my-app").json();
    assert_eq!(of_project, team.get(&format!("/projects/{project}/progress")));
    for epic in ["2", "E2", "epic-2"] {
        let of_epic = team.run("alice", &format!("status --epic {epic} --project my-app")).json();
        assert_eq!(of_epic["progress"]["total_stories"], 1, "{of_epic}");
    }
    refused(&team.run("alice", "status"), 2, "Usage: loopctl status <story> | --project <project>");
}

#[test]
fn with_two_projects_a_number_needs_to_know_which() {
    let team = Team::staffed();
    let (shop, bank) = (team.project("shop", &["2.1"]), team.project("bank", &["2.1"]));
    let run = team.run("alice", "status 2.1");
    refused(&run, 2, "Story number '2.1' needs --project (projects: ");
    assert!(run.stderr.contains("shop") && run.stderr.contains("bank"), "{run:?}");
    // Nor is one of them claimed by chance.
    refused(&team.run("alice", "contract 2.1"), 2, "needs --project");
    for project in [&shop, &bank] {
        assert_eq!(team.story(project, "2.1")["agent_status"], "pending");
    }
    let told = team.run("alice", "status 2.1 --project bank").json();
    assert_eq!(told["story"]["id"], team.story(&bank, "2.1")["id"]);
}

#[test]
fn what_is_not_there_is_named_and_nothing_is_claimed() {
    let team = Team::staffed();
    let project = team.project("my-app", &["2.1"]);
    for words in ["claim US-9.9", "claim US-9.9 --project my-app"] {
        refused(&team.run("alice", words), 5, "Story 9.9 not found in project my-app");
    }
    refused(&team.run("alice", "contract 9.9"), 5, "Story 9.9 not found");
    let several = team.run("alice", "claim 2.1 9.9");
    assert_eq!((several.code, several.stderr.as_str()), (7, "Error: 2 of 2 stories failed\n"));
    let told: Value = serde_json::from_str(&several.stdout).unwrap();
    let unknown = &told["results"][1];
    assert_eq!((&unknown["number"], &unknown["code"]), (&json!("9.9"), &json!("not_found")), "{told}");
    refused(&team.run("alice", "status --project nowhere"), 5, "Project nowhere not found");
    refused(&team.run("alice", "status --epic 9"), 5, "Epic 9 not found in project my-app");
    let unknown = "01a2071f-ccf8-70f5-80c6-a2906c180620";
    refused(&team.run("alice", &format!("claim {unknown}")), 5, "Server returned 404");
    let story = team.story(&project, "2.1");
    assert_eq!((&story["agent_status"], &story["assigned_agent_id"]), (&json!("pending"), &json!(null)));
}
