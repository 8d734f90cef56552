//! Artifacts and acceptance criteria.

use serde_json::{Value, json};

use super::{Scene, pluck};
use crate::support::{Reach, Tenant};

#[tokio::test]
async fn invalid_artifacts_are_refused() {
    let scene = Scene::new().await;
    let before = scene.snapshot().await;
    for (body, details) in [
        (json!({}), json!({"artifact_type": ["can't be blank"], "path": ["can't be blank"]})),
        (json!({"path": "p"}), json!({"artifact_type": ["can't be blank"]})),
        (json!({"artifact_type": "t", "path": " "}), json!({"path": ["can't be blank"]})),
        (
            json!({"artifact_type": 1, "path": {}}),
            json!({"artifact_type": ["is invalid"], "path": ["is invalid"]}),
        ),
        (
            json!({"artifact_type": "t", "path": "p", "exists": 3, "details": "x"}),
            json!({"exists": ["is invalid"], "details": ["is invalid"]}),
        ),
        (
            json!({"artifact_type": "t".repeat(256), "path": "p".repeat(2001)}),
            json!({"artifact_type": ["should be at most 255 character(s)"],
                   "path": ["should be at most 2000 character(s)"]}),
        ),
    ] {
        let reply = scene.act(&scene.a1, "artifacts", body).await;
        let error = reply.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details);
    }
    // A story that does not exist comes before its artifact.
    let path = "/stories/0190f5ad-0000-7000-8000-000000000000/artifacts";
    scene.a1.post(path, json!({})).await.expect_error(404, "not_found");
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn artifacts_are_reported_and_listed_in_pages() {
    let scene = Scene::at(Reach::Implementing).await;
    let empty = scene.get("/artifacts").await;
    assert_eq!(empty["data"], json!([]));
    assert_eq!(empty["meta"]["total_pages"], 0);
    let mut reports = Vec::new();
    for (index, who) in [&scene.a1, &scene.a2, &scene.o, &scene.a1, &scene.a1].into_iter().enumerate() {
        // The same one twice is two reports.
        let body = json!({"artifact_type": "test", "path": format!("t{}.rs", index.min(3))});
        let made = scene.act(who, "artifacts", body).await.expect(201);
        let report = made["artifact_report"].clone();
        let role = if index == 2 { "orchestrator" } else { "agent" };
        assert_eq!(report["reported_by"], role);
        assert_eq!(report["reporter_agent_id"], who.agent());
        assert_eq!(report["exists"], true);
        assert_eq!(report["details"], json!({}));
        assert_eq!(report["story_id"], scene.story);
        assert_eq!(report.as_object().unwrap().len(), 11);
        reports.push(report);
    }
    let history = scene.history().await;
    let audited: Vec<_> = history.iter().filter(|entry| entry["entity_type"] == "artifact_report").collect();
    assert_eq!(audited.len(), 5);
    for (entry, report) in audited.into_iter().zip(&reports) {
        assert_eq!(entry["action"], "created");
        assert_eq!(entry["entity_id"], report["id"]);
        assert_eq!(entry["metadata"], json!({"story_id": scene.story}));
        let state = json!({"story_id": scene.story, "artifact_type": "test", "path": report["path"], "exists": true,
                           "reported_by": report["reported_by"], "reporter_agent_id": report["reporter_agent_id"]});
        assert_eq!(entry["new_state"], state);
    }
    let all = scene.get("/artifacts").await;
    assert_eq!(all["data"], json!(reports), "oldest first");
    let mut seen = Vec::new();
    for page in 1..=4 {
        let part = scene.get(&format!("/artifacts?page={page}&page_size=2")).await;
        assert_eq!(part["meta"]["total_pages"], 3);
        assert_eq!(part["meta"]["total_count"], 5);
        assert_eq!(part["meta"]["page"], page);
        seen.extend(part["data"].as_array().unwrap().clone());
    }
    assert_eq!(seen, reports);
    let part = scene.get("/artifacts?limit=3").await;
    assert_eq!(part["data"].as_array().unwrap().len(), 3);
    let part = scene.get("/artifacts?page_size=500").await;
    assert_eq!(part["meta"]["page_size"], 100);
}

/// A story shows its 20 most recent artifacts, newest first.
#[tokio::test]
async fn a_story_shows_its_latest_artifacts() {
    let scene = Scene::new().await;
    for index in 0..23 {
        let body = json!({"artifact_type": "test", "path": format!("{index}")});
        scene.act(&scene.a2, "artifacts", body).await.expect(201);
    }
    let shown = scene.show().await;
    let paths = pluck(shown["artifacts"].as_array().unwrap(), "path");
    let wanted: Vec<_> = (3..23).rev().map(|index| index.to_string()).collect();
    assert_eq!(paths, wanted);
    // An artifact moves nothing and needs no claim.
    assert_eq!(shown["agent_status"], "pending");
    assert_eq!(scene.get("/artifacts").await["meta"]["total_count"], 23);
}

/// Not in the order of their ids, where AC-10 comes before AC-2.
#[tokio::test]
async fn criteria_come_in_the_order_of_the_storys_list() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let mut criteria = vec![
        json!({"id": "Z-9", "criterion": "first"}),
        json!({"criterion": "second",
               "verification_criterion": {"type": "test", "path": "t.rs", "test_name": "x"}}),
        json!({"description": "third"}),
        json!({}),
    ];
    criteria.extend((0..9).map(|index| json!({"criterion": format!("more {index}")})));
    let rich = json!({"number": "1.1", "title": "Rich", "acceptance_criteria": criteria});
    let bare = json!({"number": "1.2", "title": "Bare"});
    let payload = json!({"epics": [{"number": 1, "title": "Epic", "stories": [rich, bare]}]});
    let project = tenant.imported(payload).await;
    let rich = tenant.story_id(&project, "1.1").await;
    let list = agent.get(&format!("/stories/{rich}/acceptance_criteria")).await.expect(200);
    let rows = list["data"].as_array().unwrap();
    let mut ids = vec!["Z-9".to_owned()];
    ids.extend((1..=12).map(|index| format!("AC-{index}")));
    assert_eq!(pluck(rows, "ac_id"), ids);
    let descriptions = pluck(&rows[..4], "description");
    assert_eq!(descriptions, ["first", "second", "third", "No description"]);
    let manual = json!({"type": "manual", "description": "legacy"});
    assert_eq!(rows[0]["verification_criterion"], manual);
    let test = json!({"type": "test", "path": "t.rs", "test_name": "x"});
    assert_eq!(rows[1]["verification_criterion"], test);
    for row in rows {
        assert_eq!(row["status"], "pending");
        assert_eq!(row.get("verified_at"), Some(&Value::Null));
        assert_eq!(row.get("evidence_path"), Some(&Value::Null));
        assert!(row["id"].is_string());
    }
    let bare = tenant.story_id(&project, "1.2").await;
    let list = agent.get(&format!("/stories/{bare}/acceptance_criteria")).await.expect(200);
    assert_eq!(list, json!({"data": []}));
    let plain = tenant.story().await;
    let list = agent.get(&format!("/stories/{plain}/acceptance_criteria")).await.expect(200);
    let rows = list["data"].as_array().unwrap();
    assert_eq!(pluck(rows, "ac_id"), ["AC-1", "AC-2"]);
    assert_eq!(pluck(rows, "description"), ["It works", "It is tested"]);
    assert_eq!(rows[1]["verification_criterion"], manual);
}
