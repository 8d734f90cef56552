//! Skills by their commands: those of this repository, and their versions.

use serde_json::json;

use super::refused;
use super::team::Team;
use crate::containers::compose::repository;

#[test]
fn a_directory_of_skills_is_imported_once() {
    let team = Team::staffed();
    let import = format!("skill import {}", repository("skills").display());
    let names = || {
        let rows = team.rows("/skills?page_size=100");
        let mut names: Vec<_> = rows.iter().map(|skill| skill["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let first = team.run("user", &import).json();
    assert_eq!((&first["created"], &first["unchanged"]), (&json!(6), &json!(0)), "{first}");
    let six = ["contract", "orchestrate", "plan", "review", "status", "verify-artifacts"];
    assert_eq!(names(), six.map(|name| format!("loopctl:{name}")));
    let again = team.run("user", &import).json();
    assert_eq!(
        (&again["created"], &again["updated"], &again["unchanged"]),
        (&json!(0), &json!(0), &json!(6))
    );
    assert_eq!(names().len(), 6);
}

#[test]
fn a_skill_is_found_to_the_letter_and_keeps_its_versions() {
    let team = Team::staffed();
    team.write("one.md", "---\nname: loopctl:review\ndescription: Looks\n---\n\nLook once.\n");
    team.write("two.md", "---\nname: loopctl:review\n---\nLook twice.\n");
    team.run("user", "skill create --file one.md --name loopctl:review-x").success();
    team.run("user", "skill create --file one.md").success();
    let found = team.run("alice", "skill get loopctl:review").json();
    assert_eq!(
        (&found["skill"]["name"], &found["skill"]["description"]),
        (&json!("loopctl:review"), &json!("Looks"))
    );
    refused(&team.run("alice", "skill get loopctl:revie"), 5, "Skill loopctl:revie not found");

    team.run("user", "skill update loopctl:review --file two.md --changelog Twice").success();
    let id = found["skill"]["id"].as_str().unwrap();
    assert_eq!(team.get(&format!("/skills/{id}"))["skill"]["current_version"], 2);
    let history = team.run("alice", "skill history loopctl:review").json();
    let versions: Vec<_> =
        history["data"].as_array().unwrap().iter().map(|row| row["version"].clone()).collect();
    assert_eq!(versions.len(), 2, "{history}");
    for (version, prompt) in [(1, "Look once.\n"), (2, "Look twice.\n")] {
        let shown = team.run("alice", &format!("skill get loopctl:review --version {version} --prompt"));
        assert_eq!((shown.code, shown.stdout.trim_end()), (0, prompt.trim_end()), "{shown:?}");
    }
    let archived = team.run("user", "skill archive loopctl:review").json();
    assert_eq!(archived["skill"]["status"], "archived");
    assert_eq!(team.get(&format!("/skills/{id}"))["skill"]["status"], "archived");
}
