//! What a start and a finding may say.

use serde_json::{Value, json};

use super::{Scene, id};
use crate::support::{connect, server, text};

/// Each family of paths asks for its own fields.
#[tokio::test]
async fn starts_are_checked() {
    let scene = Scene::new().await;
    let a = &scene.agent;
    let (code, seed) = (
        format!("/projects/{}/ui-tests", scene.project),
        format!("/projects/{}/ui_test_runs", scene.project),
    );
    let long = "ä".repeat(1001);
    for (path, body, details) in [
        (&code, json!({}), json!({"guide_reference": ["can't be blank"]})),
        (&code, json!({"guide_reference": " "}), json!({"guide_reference": ["can't be blank"]})),
        (&code, json!({"guide_reference": null}), json!({"guide_reference": ["can't be blank"]})),
        (
            &code,
            json!({"guide_reference": long}),
            json!({"guide_reference": ["should be at most 1000 character(s)"]}),
        ),
        (
            &seed,
            json!({"guide_reference": long}),
            json!({"guide_reference": ["should be at most 1000 character(s)"]}),
        ),
        (
            &seed,
            json!({"guide_reference": 1, "notes": {}}),
            json!({"guide_reference": ["is invalid"], "notes": ["is invalid"]}),
        ),
        (&seed, json!({"notes": "a\u{0}b"}), json!({"notes": ["is invalid"]})),
    ] {
        let error = a.post(path, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    assert_eq!((scene.stored().await, scene.audited().await), (vec![], vec![]));

    // Just short enough; nothing at all, which the paths of `ui_test_runs` take; and a body that says where and who.
    let body = json!({"guide_reference": "ä".repeat(1000), "notes": "n"});
    let run = a.post(&code, body).await.expect(201);
    assert_eq!(run["ui_test_run"]["notes"], "n");
    let run = a.post_empty(&seed).await.expect(201);
    assert_eq!((&run["data"]["notes"], &run["data"]["guide_reference"]), (&Value::Null, &Value::Null));
    let forged = json!({"notes": " ", "guide_reference": "g", "project_id": scene.tenant.id, "status": "passed",
                        "started_by_agent_id": scene.orchestrator.agent(), "tenant_id": scene.project});
    let run = a.post(&seed, forged).await.expect(201);
    assert_eq!((&run["data"]["notes"], &run["data"]["guide_reference"]), (&Value::Null, &json!("g")));
    assert_eq!(
        (&run["data"]["status"], &run["data"]["project_id"]),
        (&json!("running"), &json!(scene.project))
    );
    assert_eq!(run["data"]["started_by_agent_id"], a.agent());
}

/// Each family of paths has its own severities; a finding that says nothing at all is none.
#[tokio::test]
async fn findings_are_checked() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let (stored, audited) = (scene.stored().await, scene.audited().await);
    let code = format!("{run}/findings");
    let seed = format!("/ui_test_runs/{}/findings", id(&run));
    for (path, body, details) in [
        (&code, json!({"severity": "awful"}), json!({"severity": ["is invalid"]})),
        (&code, json!({"severity": "Critical"}), json!({"severity": ["is invalid"]})),
        (
            &code,
            json!({"severity": 1, "step": {}, "type": [], "screenshot_path": true}),
            json!({"severity": ["is invalid"], "step": ["is invalid"], "type": ["is invalid"],
                "screenshot_path": ["is invalid"]}),
        ),
        (
            &code,
            json!({"description": "x".repeat(50_001), "type": "x".repeat(256)}),
            json!({"description": ["should be at most 50000 character(s)"],
                "type": ["should be at most 255 character(s)"]}),
        ),
        (&code, json!({"console_errors": ["a\u{0}"]}), json!({"console_errors": ["is invalid"]})),
        // Written out, a list may be as long as a text.
        (
            &code,
            json!({"console_errors": ["x".repeat(25_000), "x".repeat(25_000)], "steps": vec!["step"; 10_000]}),
            json!({"console_errors": ["should be at most 50000 character(s)"],
                "steps": ["should be at most 50000 character(s)"]}),
        ),
        (
            &seed,
            json!({"severity": "high", "title": "x".repeat(501)}),
            json!({"severity": ["is invalid"], "title": ["should be at most 500 character(s)"]}),
        ),
        (&seed, json!({"severity": "bug", "title": "t", "actual": 1}), json!({"actual": ["is invalid"]})),
    ] {
        let error = scene.agent.post(path, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    for body in [json!({}), json!({"note": "x"}), json!({"description": " ", "severity": null})] {
        let error = scene.agent.post(&code, body).await.expect_error(422, "validation_failed");
        assert!(text(&error["details"]["finding"][0]).starts_with("needs at least one of severity, title"));
    }
    assert_eq!(scene.agent.post(&code, json!([1])).await.expect(422)["error"]["code"], "not_an_object");
    assert_eq!((scene.stored().await, scene.audited().await), (stored, audited));
}

/// Every answer with a run has all of its findings: there is an end.
#[tokio::test]
async fn a_run_holds_a_thousand_findings() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let full = "update ui_test_runs set findings_count = $2 where id = $1::text::uuid";
    let owner = connect(&server().owner).await;
    owner.execute(full, &[&id(&run), &999]).await.unwrap();
    let finding = json!({"description": "one more"});
    scene.agent.post(&format!("{run}/findings"), finding.clone()).await.expect(200);
    let error = scene.agent.post(&format!("{run}/findings"), finding).await;
    let error = error.expect_error(422, "too_many_findings");
    assert!(text(&error["message"]).contains("at most 1000 findings"), "{error:#}");
    let complete = json!({"summary": "s", "status": "failed"});
    scene.agent.post(&format!("{run}/complete"), complete).await.expect(200);
    // As it was.
    let sql = "begin; set local session_replication_role = replica; update ui_test_findings set position = 1 where run_id = '$1'; update ui_test_runs set findings_count = 1 where id = '$1'; commit";
    owner.batch_execute(&sql.replace("$1", id(&run))).await.unwrap();
}

/// And they have an end in bytes as well: what is too much for the run is refused, and less than that fits.
#[tokio::test]
async fn a_run_holds_a_mebibyte_of_findings() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let path = format!("{run}/findings");
    let of_size =
        |bytes: usize| json!({"console_errors": ["x".repeat(bytes - r#"{"console_errors":[""]}"#.len())]});
    let finding = of_size(50_000);
    for _ in 0..20 {
        scene.agent.post(&path, finding.clone()).await.expect(200);
    }
    let left = (1 << 20) - 20 * 50_000;
    let refused = scene.agent.post(&path, of_size(left + 1)).await.expect_error(422, "too_many_findings");
    assert!(text(&refused["message"]).contains("at most 1 MiB of findings"), "{refused:#}");
    scene.agent.post(&path, of_size(left)).await.expect(200);
    scene.agent.post(&path, json!({"title": "t"})).await.expect_error(422, "too_many_findings");
    assert_eq!(scene.agent.get(&run).await.expect(200)["ui_test_run"]["findings_count"], 21);
}

/// Each finding keeps what was sent, and only that; they stay in their order.
#[tokio::test]
async fn findings_keep_what_was_sent() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let sent = [
        json!({"step": 1}),
        json!({"step": "Open the menu", "severity": "medium"}),
        json!({"console_errors": {"count": 2.5, "nested": [{"a": null}]}}),
        json!({"description": "ü🦀 \" \\ \n", "type": "visual", "screenshot_path": "shots/1.png"}),
        json!({"steps": ["one", 2], "title": "t", "expected": "e", "actual": "a"}),
    ];
    for body in &sent {
        let mut body = body.clone();
        body["id"] = json!("mine");
        body["recorded_at"] = json!("2000-01-01T00:00:00Z");
        scene.agent.post(&format!("{run}/findings"), body).await.expect(200);
    }
    let shown = scene.agent.get(&run).await.expect(200)["ui_test_run"].clone();
    let mut kept = shown["findings"].as_array().unwrap().clone();
    let mut times = Vec::new();
    for finding in &mut kept {
        let members = finding.as_object_mut().unwrap();
        assert!(text(&members.remove("id").unwrap()).len() == 36);
        times.push(text(&members.remove("recorded_at").unwrap()));
    }
    assert_eq!(kept, sent);
    assert!(times.is_sorted() && times[0].starts_with("20") && times[0] > text(&shown["started_at"]));
    assert_eq!((&shown["findings_count"], &shown["screenshots_count"]), (&json!(5), &json!(1)));
}

/// Whatever JSON is taken can be shown again, as deep as it may be.
#[tokio::test]
async fn deep_findings_can_be_shown() {
    let scene = Scene::new().await;
    let run = scene.code_run().await;
    let mut taken = 0;
    for depth in 95..105 {
        let body = format!("{{\"console_errors\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        let request = scene.agent.request(reqwest::Method::POST, &format!("{run}/findings"));
        let reply = scene.agent.send(request.header("content-type", "application/json").body(body)).await;
        assert!([200, 400].contains(&reply.status), "depth {depth}: {reply:?}");
        taken += usize::from(reply.status == 200);
        scene.agent.get(&run).await.expect(200);
    }
    assert!((1..10).contains(&taken), "{taken}: some were taken, and some were too deep");
}

/// Nothing sets `cancelled`, but an operator may; such a run is over.
#[tokio::test]
async fn a_cancelled_run_is_over() {
    let scene = Scene::new().await;
    let run = scene.seed_run().await;
    let sql = "update ui_test_runs set status = 'cancelled', completed_at = now() where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&id(&run)]).await.unwrap();
    let o = &scene.orchestrator;
    assert_eq!(o.get(&run).await.expect(200)["data"]["status"], "cancelled");
    let finding = json!({"severity": "bug", "title": "t"});
    let error = o.post(&format!("{run}/findings"), finding).await.expect_error(422, "run_not_in_progress");
    assert_eq!(error["current_state"], "cancelled");
    let summary = json!({"summary": "s"});
    o.post(&format!("{run}/complete"), summary).await.expect_error(422, "run_already_completed");
}
