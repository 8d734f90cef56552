//! `skill`: what is sent, and what people and programs are shown.

use serde_json::{Value, json};

use crate::support::{Answer, Request, World, error};
use crate::{P1, P2, S21, body_of, list, one_project};

const REVIEW: &str = "0192cccc-0000-7000-8000-000000000001";
const OF_PROJECT: &str = "0192cccc-0000-7000-8000-000000000002";
const VERSION: &str = "0192cccc-0000-7000-8000-000000000003";

fn skill(id: &str, name: &str, project: Value) -> Value {
    json!({"id": id, "name": name, "description": "d", "current_version": 2, "status": "active", "project_id": project,
           "metadata": {}})
}

fn version(number: u32) -> Value {
    json!({"id": VERSION, "skill_id": REVIEW, "version": number, "prompt_text": "Look.\n\nTwice: \u{1b}[31m\n",
           "changelog": null, "created_by": "user:root"})
}

fn server(request: &Request) -> Answer {
    let path = request.path.strip_prefix("/api/v1").unwrap();
    let review = || skill(REVIEW, "loopctl:review", Value::Null);
    let at = format!("/skills/{REVIEW}");
    match (request.method.as_str(), path.strip_prefix(&at).unwrap_or(path)) {
        // As a server that finds whatever contains the word.
        ("GET", "/skills") => list(&[
            skill(P2, "loopctl:review-x", Value::Null),
            review(),
            skill(OF_PROJECT, "loopctl:plan", json!(P1)),
            skill(S21, "loopctl:plan", json!(P2)),
            skill(OF_PROJECT, "both", json!(P1)),
            skill(REVIEW, "both", Value::Null),
        ]),
        ("GET", "") => json!({"skill": review(), "current_prompt": "Look.\n\nTwice: \u{1b}[31m\n"}).into(),
        ("DELETE", _) => json!({"skill": review()}).into(),
        ("POST", "/skills" | "/versions") => (201, json!({"skill": review(), "version": version(2)})).into(),
        ("POST", "/skills/import") => json!({"total": 2, "created": 1, "updated": 0, "unchanged": 1}).into(),
        ("POST", "/skill_results") => (201, json!({"skill_result": {"id": VERSION, "metrics": {}}})).into(),
        ("GET", "/versions") => list(&[json!({"id": VERSION, "version": 1, "changelog": "first", "created_by": "user:root",
                                               "inserted_at": "2026-01-01T00:00:00.000000Z"})]),
        ("GET", path) if path.ends_with("/results") => list(&[json!({"id": P1, "story_id": S21, "metrics": {"iteration": 1}})]),
        ("GET", "/stats") => list(&[json!({"version": 1, "total_results": 3, "pass_count": 2, "fail_count": 1,
                                           "partial_count": 0, "avg_findings": "2.5", "avg_iterations": null})]),
        ("GET", path) if path.starts_with("/versions/") => {
            json!({"version": version(path.rsplit('/').next().unwrap().parse().unwrap()), "cost_summary": null}).into()
        }
        ("GET", path) if path.ends_with("/verifications") => list(&[json!({"id": P2, "iteration": 2})]),
        _ => one_project(request),
    }
}

#[test]
fn names_are_looked_for_to_the_letter() {
    let world = World::new(server);
    let last = || world.lines().pop().unwrap();
    world.run("skill get loopctl:review");
    assert_eq!(last(), format!("GET /api/v1/skills/{REVIEW}"));
    assert_eq!(world.run("skill get review").code, 5);
    // Of several projects: the one that is named, else it is not clear which.
    let unclear = world.run("skill stats loopctl:plan");
    assert!(unclear.code == 2 && unclear.stderr.contains("name one with --project"), "{}", unclear.stderr);
    world.run("skill stats loopctl:plan --project my-app");
    assert_eq!(last(), format!("GET /api/v1/skills/{OF_PROJECT}/stats"));
    world.run("skill stats both --project my-app");
    assert_eq!(last(), format!("GET /api/v1/skills/{OF_PROJECT}/stats"));
    world.run("skill stats both");
    assert_eq!(last(), format!("GET /api/v1/skills/{REVIEW}/stats"));
    world.run(&format!("skill archive {REVIEW}"));
    assert_eq!(last(), format!("DELETE /api/v1/skills/{REVIEW}"));
}

#[test]
fn a_prompt_is_shown_with_its_lines() {
    let world = World::new(server);
    let text = "Look.\n\nTwice: \\x1b[31m\n";
    let human = world.run("skill get loopctl:review --format human").stdout;
    assert!(human.starts_with("loopctl:review\n\n") && human.ends_with(&format!("\n\n{text}")), "{human}");
    assert!(!human.contains("current_prompt"), "{human}");
    assert_eq!(world.run("skill get loopctl:review --prompt").stdout, text);
    assert_eq!(world.run("skill get loopctl:review --prompt --version 1").stdout, text);
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/skills/{REVIEW}/versions/1"));
    let json = world.run("skill get loopctl:review --version 1").json();
    assert_eq!((&json["version"]["version"], &json["cost_summary"]), (&json!(1), &Value::Null));
    let history = world.run("skill history loopctl:review --format human").stdout;
    assert!(history.starts_with("version  when "), "{history}");
    let stats = world.run("skill stats loopctl:review --format csv").stdout;
    assert!(stats.contains("\n1,3,2,0,1,,2.5,,,\n"), "{stats}");
    let listed = world.run("skill list --name x --status active --format human").stdout;
    assert!(listed.starts_with("name ") && listed.contains("loopctl:review-x"), "{listed}");
    let asked = world.lines().pop().unwrap();
    assert_eq!(asked, "GET /api/v1/skills?status=active&name=x&page_size=100&page=1");
}

#[test]
fn files_become_skills_and_versions() {
    let world = World::new(server);
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let plain = write("my_skill.md", "Look.\n");
    let told = write("b/told.md", "---\nname: loopctl:told\ndescription: \"D: d\"\n---\n\nTold.\n");
    let dir = dir.path().to_str().unwrap();
    // What cannot be right is not sent.
    for words in [
        &["skill", "create", "--file", "/does/not/exist.md"][..],
        &["skill", "create", "--file", dir],
        &["skill", "import", "/does/not/exist"],
        &["skill", "update", "loopctl:review"],
        &["skill", "record", "loopctl:review", "--story", "2.1", "--metrics", "[]"],
    ] {
        assert_eq!(world.run_words(words, &[], "").code, 2, "{words:?}");
    }
    assert_eq!(world.lines(), [""; 0]);
    let last = || world.requests().pop().unwrap().body;
    world.run(&format!("skill create --file {plain}"));
    assert_eq!(last(), json!({"name": "my-skill", "prompt_text": "Look.\n"}));
    world.run(&format!("skill create --file {told} --name other --project my-app"));
    assert_eq!(
        last(),
        json!({"name": "other", "prompt_text": "Told.\n", "description": "D: d", "project_id": P1})
    );
    // What is configured makes no skill one of a project.
    world.run_words(&["skill", "create", "--file", &told], &[("LOOPCTL_PROJECT", "my-app")], "");
    assert_eq!(last(), json!({"name": "loopctl:told", "prompt_text": "Told.\n", "description": "D: d"}));
    let updated =
        world.run(&format!("skill update loopctl:review --file {told} --changelog new --format human"));
    assert_eq!(last(), json!({"prompt_text": "Told.\n", "changelog": "new"}));
    assert!(
        updated.stdout.contains("current version: 2") && !updated.stdout.contains("prompt"),
        "{}",
        updated.stdout
    );
    let imported = world.run(&format!("skill import {dir} --project my-app --format human"));
    assert_eq!(imported.stdout, "Imported: 2 skills: 1 created, 0 updated, 1 unchanged\n");
    assert_eq!(
        last(),
        json!({"project_id": P1, "skills": [
            {"name": "loopctl:told", "description": "D: d", "prompt_text": "Told.\n"},
            {"name": "my-skill", "description": "Imported from my_skill.md", "prompt_text": "Look.\n"}]})
    );
    assert_eq!(world.run(&format!("skill import {dir}")).json()["created"], 1);
    write("again.md", "---\nname: my-skill\n---\nLook.");
    let twice = world.run(&format!("skill import {dir}"));
    assert!(twice.code == 2 && twice.stderr.contains("both hold the skill my-skill"), "{}", twice.stderr);
}

#[test]
fn results_are_of_the_newest_verification() {
    let world = World::new(server);
    world.run_words(
        &["skill", "record", "loopctl:review", "--story", "2.1", "--metrics", "{\"findings_count\": 3}"],
        &[("LOOPCTL_PROJECT", "my-app")],
        "",
    );
    assert_eq!(
        body_of(&world, "/skill_results"),
        json!({"skill_version_id": VERSION, "verification_result_id": P2, "story_id": S21, "metrics": {"findings_count": 3}})
    );
    assert!(world.lines().contains(&format!("GET /api/v1/skills/{REVIEW}/versions/2")));
    world.run("skill results loopctl:review --version 1 --limit 5");
    assert_eq!(
        world.lines().pop().unwrap(),
        format!("GET /api/v1/skills/{REVIEW}/versions/1/results?limit=5")
    );
    // Where nothing was verified there is nothing to record.
    let world = World::new(|request: &Request| match request.path.ends_with("/verifications") {
        true => list(&[]),
        false if request.method == "POST" => error(500, "it was sent"),
        false => server(request),
    });
    let nothing = world.run(&format!("skill record loopctl:review --story {S21}"));
    assert!(nothing.code == 5 && nothing.stderr.contains("has no verification yet"), "{}", nothing.stderr);
}
