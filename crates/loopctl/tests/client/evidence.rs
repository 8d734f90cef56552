//! What speaks for a story.

use serde_json::json;

use crate::support::{Answer, Request, World, error};
use crate::{S21, body_of, list, one_project};

fn evidence(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.rsplit('/').next().unwrap()) {
        ("GET", "verifications") => list(&[json!({"id": S21, "iteration": 2, "result": "pass", "review_type": "manual",
            "summary": "fine", "findings": {}, "inserted_at": "2026-01-01T00:00:00Z"})]),
        ("GET", "artifacts") => list(&[json!({"id": S21, "artifact_type": "migration", "path": "a.sql", "exists": true,
            "reported_by": "agent", "details": {"lines": 3}, "inserted_at": "2026-01-01T00:00:00Z"})]),
        ("POST", "artifacts") => (201, json!({"artifact_report": {"id": S21, "path": "b.rs"}})).into(),
        ("GET", "acceptance_criteria") => json!({"data": [
            {"id": S21, "ac_id": "AC-1", "description": "Works", "status": "verified", "evidence_path": "t.rs",
             "verification_criterion": {"type": "test", "path": "t.rs"}},
            {"id": S21, "ac_id": "AC-2", "description": "Fast", "status": "pending", "evidence_path": null,
             "verification_criterion": null}]})
        .into(),
        _ => one_project(request),
    }
}

#[test]
fn a_backfill_says_why() {
    let world = World::new(evidence);
    let run = world.run("backfill US-2.1 --reason done+before --pr 17 --evidence-url https://x/17");
    assert_eq!(run.json()["story"]["id"], S21);
    assert_eq!(
        body_of(&world, &format!("/stories/{S21}/backfill")),
        json!({"reason": "done before", "pr_number": 17, "evidence_url": "https://x/17"})
    );
    let world = World::new(evidence);
    for words in ["backfill 2.1", "backfill 2.1 --reason +", "backfill 2.1 --reason r --pr 0"] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
    let refusing = World::new(|request| match request.method.as_str() {
        "POST" => error(422, "Story has dispatch lineage"),
        _ => one_project(request),
    });
    assert_eq!(refusing.run("backfill 2.1 --reason r").code, 7);
}

#[test]
fn verifications_are_listed() {
    let world = World::new(evidence);
    assert_eq!(world.run("verifications 2.1").json()["data"][0]["iteration"], 2);
    let human = world.run("verifications 2.1 --limit 5 --page 1 --format human");
    let expected = "\
2  fine
result: pass
review: manual
when:   2026-01-01

page 1 of 1, 1 total
";
    assert_eq!(human.stdout, expected);
    let last = world.lines().pop().unwrap();
    assert_eq!(last, format!("GET /api/v1/stories/{S21}/verifications?limit=5&page=1"));
    let agent = World::new(|request| match request.path.as_str() {
        path if path.ends_with("/verifications") => error(403, "Insufficient permissions."),
        _ => one_project(request),
    });
    assert_eq!(agent.run("verifications 2.1").code, 4);
}

#[test]
fn artifacts_are_listed_and_added() {
    let world = World::new(evidence);
    let human = world.run("artifacts 2.1 --format human").stdout;
    assert!(human.contains("migration  a.sql  yes     agent  {\"lines\":3}"), "{human}");
    let artifact = json!({"artifact_type": "test", "path": "b.rs"});
    let added = world.run_with("artifacts 2.1 --add -", &[], &artifact.to_string());
    assert_eq!(added.json()["artifact_report"]["path"], "b.rs");
    let request = world.requests().pop().unwrap();
    assert_eq!((request.line(), request.body), (format!("POST /api/v1/stories/{S21}/artifacts"), artifact));
    let world = World::new(evidence);
    for words in ["artifacts 2.1 --add []", "artifacts 2.1 --add {", "artifacts 2.1 --add {} --page 2"] {
        assert_eq!(world.run(words).code, 2, "{words}");
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn criteria_are_listed() {
    let world = World::new(evidence);
    let expected = "  [x] AC-1  Works (t.rs)
  [ ] AC-2  Fast
";
    assert_eq!(world.run("criteria 2.1 --format human").stdout, expected);
    assert_eq!(world.lines().pop().unwrap(), format!("GET /api/v1/stories/{S21}/acceptance_criteria"));
    let none = World::new(|request| match request.path.as_str() {
        path if path.ends_with("/acceptance_criteria") => json!({"data": []}).into(),
        _ => one_project(request),
    });
    assert_eq!(none.run("criteria 2.1 --format human").stdout, "No acceptance criteria.\n");
    assert_eq!(none.run("criteria 2.1").json(), json!({"data": []}));
}
