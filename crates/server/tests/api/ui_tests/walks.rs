//! A run from its start to its end, in each dialect and in both.

use serde_json::{Value, json};

use super::{Scene, id, names};
use crate::support::text;

/// On `/ui_test_runs`: a person's run, whose findings are bugs, enhancements and blockers.
#[tokio::test]
async fn a_run_of_the_seed() {
    let scene = Scene::new().await;
    let (o, path) = (&scene.orchestrator, format!("/projects/{}/ui_test_runs", scene.project));
    let started = o.post(&path, json!({"notes": "Post-epic-37 QA pass"})).await.expect(201);
    assert_eq!(names(&started), ["data"]);
    let run = &started["data"];
    assert_eq!(
        names(run),
        [
            "completed_at",
            "critical_count",
            "findings",
            "findings_count",
            "guide_reference",
            "high_count",
            "id",
            "inserted_at",
            "notes",
            "project_id",
            "screenshots_count",
            "started_at",
            "started_by_agent_id",
            "status",
            "summary",
            "tenant_id",
            "updated_at",
        ]
    );
    assert_eq!((&run["status"], &run["notes"]), (&json!("running"), &json!("Post-epic-37 QA pass")));
    assert_eq!((&run["guide_reference"], &run["findings"]), (&Value::Null, &json!([])));
    assert_eq!((&run["summary"], &run["completed_at"]), (&Value::Null, &Value::Null));
    assert_eq!((&run["project_id"], &run["tenant_id"]), (&json!(scene.project), &json!(scene.tenant.id)));
    assert_eq!(run["started_by_agent_id"], o.agent());

    let at = format!("/ui_test_runs/{}", text(&run["id"]));
    let sent = json!({"severity": "bug", "title": "Login form does not show error on invalid password",
                      "steps": "1. Visit /login\n2. Enter wrong password\n3. Submit",
                      "expected": "Error message displayed below the password field",
                      "actual": "Page reloads with no feedback"});
    let found = o.post(&format!("{at}/findings"), sent.clone()).await.expect(201);
    assert_eq!(names(&found), ["data", "ui_test_run"]);
    let finding = &found["data"];
    assert_eq!(names(finding), ["actual", "expected", "id", "recorded_at", "severity", "steps", "title"]);
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&finding[name], value);
    }
    assert!(text(&finding["recorded_at"]).ends_with('Z') && text(&finding["recorded_at"]).len() == 27);
    let run = &found["ui_test_run"];
    assert_eq!((&run["status"], &run["findings"]), (&json!("running"), &json!([finding])));
    let counts = ["findings_count", "screenshots_count", "critical_count", "high_count"];
    assert_eq!(counts.map(|name| run[name].as_i64().unwrap()), [1, 0, 0, 1]);

    // A severity of the other family, and nothing at all.
    for (body, details) in [
        (json!({"severity": "bug"}), json!({"title": ["can't be blank"]})),
        (json!({"title": "t"}), json!({"severity": ["can't be blank"]})),
        (json!({"severity": "critical", "title": "t"}), json!({"severity": ["is invalid"]})),
        (json!({}), json!({"severity": ["can't be blank"], "title": ["can't be blank"]})),
    ] {
        let error = o.post(&format!("{at}/findings"), body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }

    let shown = o.get(&at).await.expect(200);
    assert_eq!(shown["data"], *run, "what was refused is not there");
    let other = o.get(&format!("/projects/{}/ui-tests/{}", scene.project, id(&at))).await.expect(200);
    assert_eq!(names(&other), ["ui_test_run"]);
    assert_eq!(other["ui_test_run"]["status"], "in_progress");
    assert_eq!(other["ui_test_run"]["findings"], json!([finding]));

    let ended = o.post(&format!("{at}/complete"), json!({"summary": "3 bugs found"})).await.expect(200);
    assert_eq!(ended["data"]["status"], "failed", "a bug was found");
    assert_eq!(ended["data"]["summary"], "3 bugs found");
    assert!(text(&ended["data"]["completed_at"]) > text(&ended["data"]["started_at"]));
    assert_eq!(o.get(&at).await.expect(200), ended);
}

/// On `/ui-tests`: a run along a guide, with severities and screenshots.
#[tokio::test]
async fn a_run_of_the_code() {
    let scene = Scene::new().await;
    let (a, path) = (&scene.agent, format!("/projects/{}/ui-tests", scene.project));
    let error = a.post(&path, json!({"notes": "n"})).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"], json!({"guide_reference": ["can't be blank"]}));
    assert_eq!(scene.stored().await, Vec::<Value>::new());

    let started = a.post(&path, json!({"guide_reference": "g"})).await.expect(201);
    assert_eq!(names(&started), ["ui_test_run"]);
    assert_eq!(started["ui_test_run"]["status"], "in_progress");
    assert_eq!(started["ui_test_run"]["guide_reference"], "g");
    assert_eq!(started["ui_test_run"]["started_by_agent_id"], a.agent());
    let at = format!("{path}/{}", text(&started["ui_test_run"]["id"]));

    let body = json!({"severity": "critical", "screenshot_path": "s.png"});
    let found = a.post(&format!("{at}/findings"), body).await.expect(200);
    let run = &found["ui_test_run"];
    let counts = ["findings_count", "critical_count", "screenshots_count", "high_count"];
    assert_eq!(counts.map(|name| run[name].as_i64().unwrap()), [1, 1, 1, 0]);
    assert_eq!(names(&run["findings"][0]), ["id", "recorded_at", "screenshot_path", "severity"]);

    let complete = format!("{at}/complete");
    for (body, details) in [
        (json!({"status": "passed"}), json!({"summary": ["can't be blank"]})),
        (json!({"summary": "s"}), json!({"status": ["must be passed or failed"]})),
        (json!({"summary": "s", "status": "in_progress"}), json!({"status": ["must be passed or failed"]})),
        (json!({"summary": "s", "status": "cancelled"}), json!({"status": ["must be passed or failed"]})),
    ] {
        let error = a.post(&complete, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    assert_eq!(a.get(&at).await.expect(200), found, "what was refused changed nothing");

    // Who completes it says how it ended, whatever was found.
    let ended = a.post(&complete, json!({"summary": "s", "status": "passed"})).await.expect(200);
    assert_eq!(ended["ui_test_run"]["status"], "passed");
    let before = scene.stored().await;
    for body in [json!({"summary": "again", "status": "failed"}), json!({})] {
        let error = a.post(&complete, body).await.expect_error(422, "run_already_completed");
        assert!(text(&error["message"]).contains("already completed"));
        assert!(error["hints"][0].is_string());
    }
    for body in [json!({"severity": "low"}), json!({})] {
        let error = a.post(&format!("{at}/findings"), body).await.expect_error(422, "run_not_in_progress");
        assert!(text(&error["message"]).contains("not in progress"));
    }
    assert_eq!(scene.stored().await, before);
    assert_eq!(a.get(&at).await.expect(200), ended);
}

/// A run started on one family can be used on the other, and each answers in its own words.
#[tokio::test]
async fn both_families_share_their_runs() {
    let scene = Scene::new().await;
    let a = &scene.agent;
    let (code, seed) = (scene.code_run().await, scene.seed_run().await);
    let code_as_seed = format!("/ui_test_runs/{}", id(&code));
    let seed_as_code = format!("/projects/{}/ui-tests/{}", scene.project, id(&seed));
    for (as_code, as_seed) in [(&code, &code_as_seed), (&seed_as_code, &seed)] {
        assert_eq!(a.get(as_code).await.expect(200)["ui_test_run"]["status"], "in_progress");
        assert_eq!(a.get(as_seed).await.expect(200)["data"]["status"], "running");
        let bug = json!({"severity": "bug", "title": "t", "step": "3", "console_errors": ["e"]});
        let found = a.post(&format!("{as_seed}/findings"), bug).await.expect(201);
        assert_eq!((&found["data"]["step"], &found["data"]["console_errors"]), (&json!("3"), &json!(["e"])));
        let blocker =
            json!({"severity": "blocker", "title": "t", "steps": "s", "expected": "e", "actual": "a"});
        let found = a.post(&format!("{as_code}/findings"), blocker).await.expect(200);
        let run = &found["ui_test_run"];
        assert_eq!(run["findings"][1]["expected"], "e");
        let counts = ["findings_count", "critical_count", "high_count"];
        assert_eq!(counts.map(|name| run[name].as_i64().unwrap()), [2, 1, 1]);
    }
    let ended = json!({"summary": "s", "status": "passed"});
    let run = a.post(&format!("{code_as_seed}/complete"), ended).await.expect(200);
    assert_eq!(run["data"]["status"], "passed", "said, although there is a blocker");
    let ended = json!({"summary": "s", "status": "failed"});
    let run = a.post(&format!("{seed_as_code}/complete"), ended).await.expect(200);
    assert_eq!(run["ui_test_run"]["status"], "failed");
    for path in [&code, &code_as_seed, &seed, &seed_as_code] {
        let body = json!({"summary": "s", "status": "failed"});
        a.post(&format!("{path}/complete"), body).await.expect_error(422, "run_already_completed");
        let body = json!({"severity": "bug", "title": "t"});
        a.post(&format!("{path}/findings"), body).await.expect_error(422, "run_not_in_progress");
    }
}

/// Without a status a run on `/ui_test_runs` ends as its findings say.
#[tokio::test]
async fn findings_decide_how_a_run_ends() {
    let scene = Scene::new().await;
    for (severities, status) in [
        (vec![], "passed"),
        (vec!["low", "medium", "enhancement"], "passed"),
        (vec!["low", "high"], "failed"),
        (vec!["critical"], "failed"),
        (vec!["bug", "enhancement"], "failed"),
        (vec!["blocker"], "failed"),
    ] {
        let seed = scene.seed_run().await;
        let code = format!("/projects/{}/ui-tests/{}", scene.project, id(&seed));
        for severity in &severities {
            scene.agent.post(&format!("{code}/findings"), json!({"severity": severity})).await.expect(200);
        }
        let ended = scene.agent.post(&format!("{seed}/complete"), json!({"summary": "s"})).await.expect(200);
        assert_eq!(ended["data"]["status"], status, "{severities:?}");
    }
}

/// What the log tells, and of whom.
#[tokio::test]
async fn the_log_tells_of_runs() {
    let scene = Scene::new().await;
    let (code, seed) = (scene.code_run().await, scene.seed_run().await);
    let finding = json!({"description": "d", "type": "layout", "step": 4});
    let found = scene.agent.post(&format!("{code}/findings"), finding).await.expect(200);
    let code_finding = &found["ui_test_run"]["findings"][0]["id"];
    let bug = json!({"severity": "bug", "title": "t"});
    let found = scene.orchestrator.post(&format!("{seed}/findings"), bug).await.expect(201);
    let seed_finding = &found["data"]["id"];
    scene.orchestrator.post(&format!("{seed}/complete"), json!({"summary": "s"})).await.expect(200);

    let log = scene.audited().await;
    let told: Vec<_> =
        log.iter().map(|entry| json!([entry["action"], entry["old_state"], entry["new_state"]])).collect();
    assert_eq!(
        told,
        [
            json!(["ui_test.started", null, {"project_id": scene.project, "guide_reference": "docs/guide.md",
                "started_by_agent_id": scene.agent.agent(), "status": "in_progress"}]),
            json!(["ui_test.started", null, {"project_id": scene.project, "guide_reference": null,
                "started_by_agent_id": scene.orchestrator.agent(), "status": "in_progress"}]),
            json!(["ui_test.finding_added", null, {"findings_count": 1, "severity": "low", "type": "layout", "step": 4,
                "finding_id": code_finding}]),
            json!(["ui_test.finding_added", null, {"findings_count": 1, "severity": "bug", "type": null, "step": null,
                "title": "t", "finding_id": seed_finding}]),
            json!(["ui_test.completed", {"status": "in_progress"}, {"status": "failed", "findings_count": 1,
                "critical_count": 0, "high_count": 1}]),
        ]
    );
    for (entry, (path, role)) in log.iter().zip([
        (&code, "agent"),
        (&seed, "orchestrator"),
        (&code, "agent"),
        (&seed, "orchestrator"),
        (&seed, "orchestrator"),
    ]) {
        assert_eq!(entry["entity_id"], id(path));
        assert_eq!(entry["project_id"], scene.project);
        assert_eq!(entry["actor_type"], "api_key");
        assert!(text(&entry["actor_label"]).starts_with(&format!("{role}:")), "{entry:#}");
    }
}
