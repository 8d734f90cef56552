//! Reports: by anybody but the implementer, with an artifact or without.

use serde_json::{Value, json};

use super::{Scene, refused, replay};
use crate::support::{Reach, text};

#[tokio::test]
async fn the_implementer_reports_with_none_of_its_keys() {
    let scene = Scene::at(Reach::Implementing).await;
    let own = scene.own_orchestrator().await;
    let before = scene.snapshot().await;
    for who in [&scene.a1, &own] {
        for action in ["report", "report-done"] {
            for body in [
                json!({}),
                json!({"reported_by_agent_id": scene.a2.agent(), "agent_id": scene.a2.agent()}),
                json!({"artifact": {"artifact_type": "test", "path": "t.rs"}}),
                // The gate comes before the artifact.
                json!({"artifact": {}}),
            ] {
                let reply = scene.act(who, action, body).await;
                let state = ["implementing", "unverified"];
                let error = refused(reply, 409, "self_report_blocked", "report", state);
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("Cannot report your own implementation"), "{message}");
            }
        }
    }
    assert_eq!(scene.snapshot().await, before);
    // No halt: the implementer can read, and somebody else can report.
    scene.a1.get(&format!("/stories/{}", scene.story)).await.expect(200);
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
}

#[tokio::test]
async fn an_orchestrator_may_report() {
    let scene = Scene::at(Reach::Implementing).await;
    let reported = scene.act(&scene.o, "report", json!({})).await.expect(200);
    assert_eq!(reported["story"]["agent_status"], "reported_done");
    assert_eq!(reported["story"]["reported_by_agent_id"], scene.o.agent());
    assert_eq!(reported["story"]["assigned_agent_id"], scene.a1.agent());
    replay::assert_legal(&scene.o, &scene.story).await;
}

#[tokio::test]
async fn an_invalid_artifact_refuses_the_whole_report() {
    let scene = Scene::at(Reach::Implementing).await;
    let before = scene.snapshot().await;
    let long = |length: usize| "x".repeat(length);
    for (artifact, field, message) in [
        (json!({}), "artifact_type", "can't be blank"),
        (json!({"artifact_type": "test"}), "path", "can't be blank"),
        (json!({"artifact_type": "test", "path": "  "}), "path", "can't be blank"),
        (json!({"artifact_type": "", "path": "a"}), "artifact_type", "can't be blank"),
        (json!({"artifact_type": 7, "path": "a"}), "artifact_type", "is invalid"),
        (json!({"artifact_type": "test", "path": ["a"]}), "path", "is invalid"),
        (json!({"artifact_type": "test", "path": "a", "exists": "maybe"}), "exists", "is invalid"),
        (json!({"artifact_type": "test", "path": "a", "details": [1]}), "details", "is invalid"),
        (
            json!({"artifact_type": long(256), "path": "a"}),
            "artifact_type",
            "should be at most 255 character(s)",
        ),
        (json!({"artifact_type": "test", "path": long(2001)}), "path", "should be at most 2000 character(s)"),
    ] {
        let reply = scene.act(&scene.a2, "report", json!({"artifact": artifact})).await;
        let error = reply.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!([message]), "{error:#}");
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn an_artifact_in_a_report_is_reported_like_any_other() {
    let scene = Scene::at(Reach::Implementing).await;
    let project = scene.show().await["project_id"].clone();
    let body = json!({"artifact": {"artifact_type": "schema", "path": "migrations/1.sql",
                                   "details": {"lines": [1, 2]}}});
    scene.act(&scene.a2, "report", body).await.expect(200);
    let artifacts = scene.get("/artifacts").await;
    assert_eq!(artifacts["meta"]["total_count"], 1);
    let report = &artifacts["data"][0];
    let wanted = json!({"artifact_type": "schema", "path": "migrations/1.sql", "exists": true,
                        "details": {"lines": [1, 2]}, "reported_by": "agent", "story_id": scene.story,
                        "reporter_agent_id": scene.a2.agent(), "tenant_id": scene.tenant.id});
    for (member, value) in wanted.as_object().unwrap() {
        assert_eq!(report.get(member), Some(value), "{member}");
    }
    let mut history = scene.history().await;
    let artifact = history.pop().unwrap();
    let reported = history.pop().unwrap();
    assert_eq!(reported["new_state"]["agent_status"], "reported_done");
    assert_eq!(artifact["entity_type"], "artifact_report");
    assert_eq!(artifact["action"], "created");
    assert_eq!(artifact["entity_id"], report["id"]);
    assert_eq!(artifact["metadata"], json!({"story_id": scene.story}));
    assert_eq!(artifact["old_state"], Value::Null);
    let state = json!({"story_id": scene.story, "artifact_type": "schema", "path": "migrations/1.sql",
                       "exists": true, "reported_by": "agent", "reporter_agent_id": scene.a2.agent()});
    assert_eq!(artifact["new_state"], state);
    let owner = crate::support::connect(&crate::support::server().owner).await;
    let row = owner
        .query_one("select project_id::text from audit_log where id::text = $1", &[&text(&artifact["id"])])
        .await
        .unwrap();
    assert_eq!(project, row.get::<_, String>(0));
    // A reporter with an orchestrator key is one.
    let scene = scene.next().await;
    scene.bring(&scene.story, Reach::Implementing).await;
    let body = json!({"artifact": {"artifact_type": "t", "path": "p", "exists": false}});
    scene.act(&scene.o, "report-done", body).await.expect(200);
    let report = scene.get("/artifacts").await["data"][0].clone();
    assert_eq!(report["reported_by"], "orchestrator");
    assert_eq!(report["reporter_agent_id"], scene.o.agent());
    assert_eq!(report["exists"], false);
}

/// What is no object is ignored, and so is what belongs to later versions.
#[tokio::test]
async fn a_report_ignores_what_it_does_not_know() {
    let mut scene = Scene::new().await;
    for artifact in [json!([]), json!("a"), json!(7), Value::Null, json!(false)] {
        scene.bring(&scene.story, Reach::Implementing).await;
        let body = json!({"artifact": artifact, "summary": "x", "lineage": [], "whatever": {"a": 1}});
        scene.act(&scene.a2, "report", body).await.expect(200);
        assert_eq!(scene.get("/artifacts").await["meta"]["total_count"], 0);
        scene = scene.next().await;
    }
}
