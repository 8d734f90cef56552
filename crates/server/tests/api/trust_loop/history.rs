//! Histories and the audit rows of every transition.

use serde_json::{Value, json};

use super::{Scene, evidence, pluck, review};
use crate::support::{Caller, Reach, Tenant, connect, echo, server, text};

/// The last entry must be this one.
#[track_caller]
fn assert_entry(entry: &Value, what: [&str; 2], old: &Value, new: &Value) {
    assert_eq!(entry["entity_type"], what[0], "{entry:#}");
    assert_eq!(entry["action"], what[1], "{entry:#}");
    assert_eq!(entry["old_state"], *old, "{entry:#}");
    assert_eq!(entry["new_state"], *new, "{entry:#}");
}

/// A key's id and name.
async fn identity(caller: &Caller) -> (Value, String) {
    let me = caller.get("/tenants/me").await.expect(200);
    (me["api_key"]["id"].clone(), text(&me["api_key"]["name"]))
}

#[tokio::test]
async fn every_transition_leaves_its_row() {
    let scene = Scene::new().await;
    let (a1, a2, o) = (scene.a1.agent(), scene.a2.agent(), scene.o.agent());
    let none = &Value::Null;
    let entry = async |count: usize| {
        let history = scene.history().await;
        assert_eq!(history.len(), count, "{:?}", pluck(&history, "action"));
        history.last().unwrap().clone()
    };
    let created = entry(1).await;
    assert_eq!(created["action"], "created");
    assert_eq!(created["old_state"], Value::Null);
    assert_eq!(created["new_state"]["number"], "1.1");

    scene.act(&scene.a1, "contract", echo()).await.expect(200);
    let digest = scene.show().await["criteria_digest"].clone();
    let new = json!({"agent_status": "contracted", "agent_id": a1, "criteria_digest": digest});
    let changed = ["story", "status_changed"];
    assert_entry(&entry(2).await, changed, &json!({"agent_status": "pending"}), &new);

    scene.act(&scene.a1, "claim", json!({})).await.expect(200);
    let new = json!({"agent_status": "assigned", "agent_id": a1, "assigned_agent_id": a1});
    let row = entry(3).await;
    assert_eq!(row["old_state"]["agent_status"], "contracted");
    assert_entry(&row, changed, &row["old_state"], &new);

    scene.act(&scene.a1, "start", json!({})).await.expect(200);
    let new = json!({"agent_status": "implementing", "agent_id": a1});
    assert_entry(&entry(4).await, changed, &json!({"agent_status": "assigned"}), &new);

    let requested = scene.act(&scene.a1, "request-review", json!({})).await.expect(200);
    let at = &requested["story"]["review_requested_at"];
    let new = json!({"agent_id": a1, "review_requested_at": at});
    assert_entry(&entry(5).await, ["story", "review_requested"], none, &new);

    let reported = scene.act(&scene.a2, "report", json!({})).await.expect(200);
    let at = &reported["story"]["reported_done_at"];
    let new = json!({"agent_status": "reported_done", "agent_id": a2, "reported_done_at": at});
    assert_entry(&entry(6).await, changed, &json!({"agent_status": "implementing"}), &new);

    let body = json!({"review_type": "enhanced", "findings_count": 2, "fixes_count": 1, "disproved_count": 1,
                      "summary": "two findings"});
    let made = scene.act(&scene.a2, "review-complete", body).await.expect(201);
    let new = json!({"review_record_id": made["review_record"]["id"], "reviewer_agent_id": a2,
                     "review_type": "enhanced", "findings_count": 2, "fixes_count": 1, "disproved_count": 1,
                     "summary": "two findings", "criteria_digest": digest});
    assert_entry(&entry(7).await, ["story", "review_completed"], none, &new);

    let mut body = evidence();
    body["result"] = json!("partial");
    scene.act(&scene.o, "verify", body).await.expect(200);
    let history = scene.history().await;
    let new = json!({"story_id": scene.story, "result": "partial", "review_type": "enhanced", "iteration": 1,
               "criteria_digest": digest});
    assert_entry(&history[7], ["verification_result", "created"], none, &new);
    assert_eq!(history[7]["metadata"], json!({"story_id": scene.story}));
    let new = json!({"verified_status": "verified", "orchestrator_agent_id": o});
    let old = json!({"verified_status": "unverified"});
    assert_entry(&entry(9).await, ["story", "verified"], &old, &new);

    let body = json!({"reason": "regression"});
    scene.act(&scene.o, "reject", body).await.expect(200);
    let history = scene.history().await;
    let new = json!({"story_id": scene.story, "result": "fail", "review_type": null, "iteration": 2,
                     "criteria_digest": digest});
    assert_entry(&history[9], ["verification_result", "created"], none, &new);
    let new =
        json!({"verified_status": "rejected", "orchestrator_agent_id": o, "rejection_reason": "regression"});
    let old = json!({"verified_status": "verified"});
    assert_entry(&history[10], ["story", "rejected"], &old, &new);
    let old = json!({"agent_status": "reported_done", "assigned_agent_id": a1});
    let new = json!({"agent_status": "pending", "assigned_agent_id": null});
    let reset = entry(12).await;
    assert_entry(&reset, ["story", "auto_reset"], &old, &new);
    assert_eq!(reset["actor_type"], "system");
    assert_eq!(reset["actor_label"], "system:auto_reset");
    assert_eq!(reset["actor_id"], Value::Null);

    // Rework awaits verification again, and says so.
    scene.bring(&scene.story, Reach::Implementing).await;
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
    let row = entry(16).await;
    assert_eq!(row["old_state"]["verified_status"], "rejected");
    assert_eq!(row["new_state"]["verified_status"], "unverified");

    scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
    let row = entry(17).await;
    let old = json!({"agent_status": "reported_done", "assigned_agent_id": a1});
    assert_eq!(row["action"], "status_changed");
    assert_eq!(row["old_state"], old);
    assert_eq!(row["new_state"]["agent_status"], "pending");
    assert_eq!(row["new_state"]["agent_id"], a1);

    scene.act(&scene.o, "contract", json!({})).await.expect(200);
    assert_eq!(entry(18).await["new_state"]["agent_id"], o);
    scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    let old = json!({"agent_status": "contracted", "assigned_agent_id": null});
    let new = json!({"agent_status": "pending", "orchestrator_agent_id": o});
    assert_entry(&entry(19).await, ["story", "force_unclaimed"], &old, &new);
}

/// From contract to report exactly four changes of status, each with the label of who made it.
#[tokio::test]
async fn a_history_is_complete_ordered_and_attributed() {
    let scene = Scene::at(Reach::Reported).await;
    let history = scene.get("/history").await;
    let data = history["data"].as_array().unwrap();
    let changes = data.iter().filter(|entry| entry["action"] == "status_changed").count();
    assert_eq!(changes, 4);
    assert_eq!(data[0]["action"], "created");
    assert_eq!(history["pagination"], json!({"total": 6, "page": 1, "page_size": 100}));
    let meta =
        json!({"page": 1, "page_size": 100, "total_count": 6, "total_pages": 1, "limit": 100, "offset": 0});
    assert_eq!(history["meta"], meta);
    let times = pluck(data, "inserted_at");
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    let (a1, a2, user) =
        (identity(&scene.a1).await, identity(&scene.a2).await, identity(&scene.tenant.user).await);
    for (index, entry) in data.iter().enumerate() {
        let (id, label) = match index {
            0 => (&user.0, format!("user:{}", user.1)),
            5 => (&a2.0, format!("agent:{}", a2.1)),
            _ => (&a1.0, format!("agent:{}", a1.1)),
        };
        assert_eq!(entry["actor_type"], "api_key");
        assert_eq!(entry["actor_id"], *id);
        assert_eq!(entry["actor_label"], label);
        assert_eq!(entry["entity_id"], scene.story);
        let members: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        let mut wanted = vec![
            "id",
            "entity_type",
            "entity_id",
            "action",
            "actor_type",
            "actor_id",
            "actor_label",
            "old_state",
            "new_state",
            "project_id",
            "metadata",
            "inserted_at",
        ];
        wanted.sort_unstable();
        let mut members = members;
        members.sort_unstable();
        assert_eq!(members, wanted);
    }
}

#[tokio::test]
async fn a_history_comes_in_pages() {
    let scene = Scene::at(Reach::Verified).await;
    let whole = scene.history().await;
    assert_eq!(whole.len(), 9);
    let mut seen = Vec::new();
    for page in 1..=4 {
        let part = scene.get(&format!("/history?page={page}&page_size=4")).await;
        assert_eq!(part["pagination"], json!({"total": 9, "page": page, "page_size": 4}));
        assert_eq!(part["meta"]["total_pages"], 3);
        seen.extend(part["data"].as_array().unwrap().clone());
    }
    assert_eq!(seen, whole);
    for (query, size, count) in
        [("limit=2", 2, 2), ("page_size=101", 100, 9), ("page_size=-1", 1, 1), ("page=0&page_size=3", 3, 3)]
    {
        let part = scene.get(&format!("/history?{query}")).await;
        assert_eq!(part["pagination"]["page_size"], size, "{query}");
        assert_eq!(part["data"].as_array().unwrap().len(), count, "{query}");
    }
}

/// Other entities' rows belong to the story they name, and to no other.
#[tokio::test]
async fn a_history_is_one_storys() {
    let scene = Scene::at(Reach::Implementing).await;
    let body = json!({"artifact_type": "test", "path": "t.rs"});
    scene.act(&scene.a1, "artifacts", body).await.expect(201);
    let first = scene.story.clone();
    let scene = scene.next().await;
    scene.bring(&scene.story, Reach::Reviewed).await;
    let path = format!("/stories/{first}/history");
    let history = scene.a2.get(&path).await.expect(200);
    let data = history["data"].as_array().unwrap();
    assert_eq!(data.len(), 5);
    let last = data.last().unwrap();
    assert_eq!(last["entity_type"], "artifact_report");
    assert_eq!(last["metadata"]["story_id"], first);
    for entry in &data[..4] {
        assert_eq!(entry["entity_id"], first);
    }
}

/// The stories table decides whether a story exists; what is left of a deleted one can still be read.
#[tokio::test]
async fn a_history_outlives_its_story_and_a_story_its_history() {
    let tenant = Tenant::new().await;
    let (kept, gone) = (tenant.story().await, tenant.story().await);
    let owner = connect(&server().owner).await;
    owner.execute("delete from stories where id::text = $1", &[&gone]).await.unwrap();
    let history = tenant.user.get(&format!("/stories/{gone}/history")).await.expect(200);
    assert_eq!(history["data"][0]["action"], "created");
    let path = format!("/stories/{gone}");
    tenant.user.get(&path).await.expect_error(404, "not_found");
    let foreign = Tenant::new().await;
    for story in [&kept, &gone] {
        let path = format!("/stories/{story}/history");
        foreign.user.get(&path).await.expect_error(404, "not_found");
    }
}

/// Every row carries its project, or the change feed's project filter would miss it.
#[tokio::test]
async fn every_row_names_its_project() {
    let scene = Scene::at(Reach::Verified).await;
    scene.act(&scene.o, "reject", json!({"reason": "late"})).await.expect(200);
    scene.act(&scene.a2, "review-complete", review()).await.expect_error(422, "invalid_transition");
    let owner = connect(&server().owner).await;
    let rows = owner
        .query(
            "select action from audit_log where tenant_id::text = $1 and project_id is null
             and (entity_type in ('story', 'verification_result', 'artifact_report', 'epic'))",
            &[&scene.tenant.id],
        )
        .await
        .unwrap();
    let actions: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(actions, Vec::<String>::new());
}
