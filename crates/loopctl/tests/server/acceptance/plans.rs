//! `import` and `export`: what arrives of a directory, and that what is exported is the same project.

use serde_json::{Value, json};

use super::refused;
use super::team::Team;

/// A plan in directories, as people write it: two epics, five stories, and a dependency between epics.
fn write_plan(team: &Team) {
    let story = |number: &str, rest: Value| {
        let epic = number.split('.').next().unwrap();
        let name = if epic == "1" { "epic_1_base" } else { "epic_2_log_in" };
        let mut story = json!({"id": format!("US-{number}"), "title": format!("Story {number}")});
        story.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        team.write(&format!("plan/{name}/us_{number}.json"), &story.to_string());
    };
    story(
        "1.1",
        json!({"estimated_hours": 4, "phase": "p1", "epic": {"id": "epic_1", "name": "The base"},
        "acceptance_criteria": [{"id": "AC-1", "description": "It stands", "status": "pending"}]}),
    );
    story(
        "1.2",
        json!({"dependencies": ["US-1.1"], "estimated_hours": 1.5, "acceptance_criteria": ["It holds"]}),
    );
    story("1.10", json!({"priority": "high", "technical_notes": ["Mind the gap"]}));
    story(
        "2.1",
        json!({"dependencies": ["US-1.2"], "rationale": "Because.",
        "story": {"as_a": "user", "i_want_to": "log in", "so_that": "I am known"}}),
    );
    story("2.2", json!({"dependencies": ["US-2.1"]}));
}

/// What makes a project, without ids and times.
fn export_of(team: &Team, slug: &str) -> Value {
    let mut export = team.run("lead", &format!("export --project {slug}")).json();
    let members = export.as_object_mut().unwrap();
    assert!(members.remove("export_metadata").is_some() && members.remove("project").is_some());
    export
}

#[test]
fn a_directory_arrives_as_it_is_written() {
    let team = Team::staffed();
    let project = team.project("my-app", &[]);
    write_plan(&team);
    let told = team.run("lead", "import plan --project my-app").json();
    assert_eq!(
        told["import"],
        json!({"epics_created": 2, "stories_created": 5, "dependencies_created": 3}),
        "{told}"
    );

    let epics = team.rows(&format!("/projects/{project}/epics"));
    let epics: Vec<_> = epics.iter().map(|epic| (epic["number"].clone(), epic["title"].clone())).collect();
    assert_eq!(epics, [(json!(1), json!("The base")), (json!(2), json!("Log in"))]);
    let stories = team.rows(&format!("/stories?project_id={project}"));
    let numbers: Vec<_> = stories.iter().map(|story| story["number"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["1.1", "1.2", "1.10", "2.1", "2.2"]);
    let whole = |number: &str| {
        let id = team.story_id(&project, number);
        team.get(&format!("/stories/{id}"))["story"].clone()
    };
    let first = whole("1.1");
    assert_eq!((&first["title"], &first["agent_status"]), (&json!("Story 1.1"), &json!("pending")));
    let hours = |story: &Value| story["estimated_hours"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((hours(&first) - 4.0).abs() < f64::EPSILON && (hours(&whole("1.2")) - 1.5).abs() < f64::EPSILON);
    let criterion = &first["acceptance_criteria"][0];
    assert_eq!((&criterion["id"], &criterion["criterion"]), (&json!("AC-1"), &json!("It stands")), "{first}");
    assert_eq!(whole("1.2")["acceptance_criteria"][0]["criterion"], "It holds");
    assert_eq!(whole("1.10")["metadata"]["technical_notes"], json!(["Mind the gap"]));
    assert_eq!(whole("2.1")["description"], "As a user, I want to log in, so that I am known.\n\nBecause.");
    let edges = export_of(&team, "my-app")["story_dependencies"].clone();
    let edge = |story: &str, depends_on: &str| json!({"story": story, "depends_on": depends_on});
    assert_eq!(edges, json!([edge("1.2", "1.1"), edge("2.1", "1.2"), edge("2.2", "2.1")]));
    // What it makes of them: one is ready of each chain.
    let ready = team.run("alice", "next --project my-app").json();
    let ready: Vec<_> = ready["data"].as_array().unwrap().iter().map(|story| &story["number"]).collect();
    assert_eq!(ready, ["1.1", "1.10"]);
}

#[test]
fn a_plan_with_a_mistake_is_named_and_nothing_of_it_arrives() {
    let team = Team::staffed();
    let project = team.project("my-app", &[]);
    write_plan(&team);
    team.write("plan/epic_1_base/us_1.3.json", "{oops");
    refused(&team.run("lead", "import plan --project my-app"), 2, "epic_1_base/us_1.3.json: ");
    team.write("plan/epic_1_base/us_1.3.json", r#"{"id": "US-1.1", "title": "Once more"}"#);
    let twice = team.run("lead", "import plan --project my-app");
    refused(&twice, 2, "us_1.3.json: ");
    assert!(twice.stderr.contains("1.1"), "{twice:?}");
    refused(&team.run("lead", "import elsewhere --project my-app"), 2, "Path not found: elsewhere");
    assert_eq!(team.rows(&format!("/projects/{project}/epics")), [json!(null); 0]);
}

#[test]
fn a_second_import_is_a_conflict_until_it_is_a_merge() {
    let team = Team::staffed();
    let project = team.project("my-app", &[]);
    write_plan(&team);
    team.run("lead", "import plan --project my-app").success();
    let before = export_of(&team, "my-app");
    let again = team.run("lead", "import plan --project my-app");
    refused(&again, 6, "Use --merge to update what exists and add what is missing.");
    assert!(again.stderr.contains("code: import_conflict"), "{again:?}");
    assert_eq!(export_of(&team, "my-app"), before);

    team.write("plan/epic_1_base/us_1.1.json", r#"{"id": "US-1.1", "title": "Another title"}"#);
    team.write("plan/epic_2_log_in/us_2.3.json", r#"{"id": "US-2.3", "title": "Log out"}"#);
    let merged = team.run("lead", "import plan --project my-app --merge").json();
    let merged = &merged["import"];
    assert_eq!((&merged["stories_created"], &merged["stories_updated"]), (&json!(1), &json!(5)), "{merged}");
    assert_eq!(team.story(&project, "1.1")["title"], "Another title");
    assert_eq!(team.story(&project, "2.3")["title"], "Log out");
    assert_eq!(team.rows(&format!("/stories?project_id={project}")).len(), 6);
}

/// By its directory, and by its document.
#[test]
fn an_export_that_is_imported_is_the_same_project() {
    let team = Team::staffed();
    team.project("my-app", &[]);
    write_plan(&team);
    team.run("lead", "import plan --project my-app").success();
    let depends = "deps add 2 1 --epic --project my-app";
    team.run("lead", depends).success();
    let first = export_of(&team, "my-app");
    assert_eq!(first["epics"].as_array().unwrap().len(), 2);

    team.project("by-directory", &[]);
    let written = team.run("lead", "export --dir written --project my-app");
    written.success();
    assert!(written.stderr.contains(" files written to written"), "{written:?}");
    team.run("lead", "import written --project by-directory").success();
    assert_eq!(export_of(&team, "by-directory"), first);
    refused(&team.run("lead", "export --dir written --project my-app"), 2, "--force");

    team.project("by-document", &[]);
    team.run("lead", "export --out plan.json --project my-app").success();
    team.run("lead", "import plan.json --project by-document").success();
    assert_eq!(export_of(&team, "by-document"), first);
    let piped = team.run("lead", "export --project my-app").stdout;
    team.project("by-pipe", &[]);
    team.run_with("lead", "import - --project by-pipe", &piped).success();
    assert_eq!(export_of(&team, "by-pipe"), first);
}
