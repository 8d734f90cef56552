//! Epic completion: once all stories are verified, and never twice.

use serde_json::{Value, json};

use crate::support::{Caller, Reach, Tenant, bring, connect, server, story, text};

/// The `completed` entries of an epic, oldest first.
pub(crate) async fn completions(epic: &str) -> Vec<Value> {
    let owner = connect(&server().owner).await;
    let rows = owner
        .query(
            "select new_state, project_id::text, actor_type, actor_label, old_state from audit_log
             where entity_type = 'epic' and action = 'completed' and entity_id::text = $1 order by position",
            &[&epic],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            json!({"new_state": row.get::<_, Value>(0), "project_id": row.get::<_, String>(1),
                   "actor_type": row.get::<_, String>(2), "actor_label": row.get::<_, String>(3),
                   "old_state": row.get::<_, Option<Value>>(4)})
        })
        .collect()
}

/// A project's epics: id by place.
async fn epics(caller: &Caller, project: &str) -> Vec<String> {
    let path = format!("/projects/{project}/epics");
    let list = caller.get(&path).await.expect(200);
    list["data"].as_array().unwrap().iter().map(|epic| text(&epic["id"])).collect()
}

#[tokio::test]
async fn an_epic_completes_once_for_ever() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "Two", "stories": [story("1.1"), story("1.2")]},
            {"number": 2, "title": "Empty", "stories": []},
            {"number": 3, "title": "Other", "stories": [story("3.1")]},
        ]}))
        .await;
    let ids = epics(&tenant.user, &project).await;
    let (first, second) = (tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await);
    bring(&first, Reach::Verified, &a1, &a2, &o).await;
    assert_eq!(completions(&ids[0]).await, Vec::<Value>::new());
    bring(&second, Reach::Verified, &a1, &a2, &o).await;
    let done = completions(&ids[0]).await;
    assert_eq!(done.len(), 1);
    let state = json!({"epic_id": ids[0], "epic_number": 1, "epic_title": "Two", "project_id": project,
                       "story_count": 2});
    assert_eq!(done[0]["new_state"], state);
    assert_eq!(done[0]["project_id"], project);
    assert_eq!(done[0]["actor_type"], "api_key");
    assert!(done[0]["actor_label"].as_str().unwrap().starts_with("orchestrator:"));
    assert_eq!(done[0]["old_state"], Value::Null);
    // Reject and verify again, and reject both.
    for _ in 0..2 {
        for story in [&first, &second] {
            let path = format!("/stories/{story}/reject");
            o.post(&path, json!({"reason": "regression"})).await.expect(200);
        }
        for story in [&first, &second] {
            bring(story, Reach::Verified, &a1, &a2, &o).await;
        }
    }
    assert_eq!(completions(&ids[0]).await.len(), 1);
    // Nobody else's epic, and none without stories.
    assert_eq!(completions(&ids[1]).await, Vec::<Value>::new());
    assert_eq!(completions(&ids[2]).await, Vec::<Value>::new());
}

/// A rejected story keeps its epic open, and so does a story that is only reported.
#[tokio::test]
async fn rejected_and_reported_stories_keep_an_epic_open() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let project = tenant.project_of(&["1.1", "1.2"]).await;
    let epic = epics(&tenant.user, &project).await.remove(0);
    let (first, second) = (tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await);
    bring(&first, Reach::Verified, &a1, &a2, &o).await;
    bring(&second, Reach::Reviewed, &a1, &a2, &o).await;
    let reject = json!({"reason": "no"});
    o.post(&format!("/stories/{first}/reject"), reject.clone()).await.expect(200);
    let verify = json!({"review_type": "enhanced", "summary": "checked"});
    o.post(&format!("/stories/{second}/verify"), verify).await.expect(200);
    assert_eq!(completions(&epic).await, Vec::<Value>::new());
    bring(&first, Reach::Verified, &a1, &a2, &o).await;
    assert_eq!(completions(&epic).await.len(), 1);
    // Partial results and force-unclaims do not undo it.
    o.post(&format!("/stories/{first}/force-unclaim"), json!({})).await.expect(200);
    assert_eq!(completions(&epic).await.len(), 1);
}

/// Whatever makes the last story verified completes the epic, once.
#[tokio::test]
async fn every_way_to_verified_completes_an_epic() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let evidence = json!({"review_type": "enhanced", "summary": "checked"});
    for (way, reach) in [
        ("bulk/verify", Some(Reach::Reviewed)),
        ("bulk/mark-complete", None),
        ("verify-all", Some(Reach::Reviewed)),
        ("backfill", None),
    ] {
        let plan =
            json!({"epics": [{"number": 1, "title": "Epic", "stories": [story("1.1"), story("1.2")]}]});
        let project = tenant.imported(plan).await;
        let epic = epics(&tenant.user, &project).await.remove(0);
        let ids = [tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await];
        for id in &ids {
            if let Some(reach) = reach {
                bring(id, reach, &a1, &a2, &o).await;
            }
        }
        let log = tenant.audit_log().await.len();
        let both = json!({"stories": ids.iter().map(|id| json!({"story_id": id})).collect::<Vec<_>>()});
        match way {
            "backfill" => {
                for id in &ids {
                    assert_eq!(completions(&epic).await, Vec::<Value>::new());
                    o.post(&format!("/stories/{id}/backfill"), json!({"reason": "old"})).await.expect(200);
                }
            }
            "verify-all" => {
                let answer = o.post(&format!("/epics/{epic}/verify-all"), evidence.clone()).await.expect(200);
                assert_eq!(answer["verified_count"], 2);
            }
            _ => {
                o.post(&format!("/stories/{way}"), both.clone()).await.expect(200);
            }
        }
        let done = completions(&epic).await;
        assert_eq!(done.len(), 1, "{way}");
        assert_eq!(done[0]["new_state"]["story_count"], 2, "{way}");
        // Told last, after the stories, and by whoever verified.
        let log = &tenant.audit_log().await[log..];
        assert_eq!(log.last().unwrap()["action"], "completed", "{way}");
        assert_eq!(log.last().unwrap()["actor_label"], log[0]["actor_label"]);
        // Once for ever, also by the same ways.
        let shown = tenant.user.get(&format!("/epics/{epic}")).await.expect(200);
        let reject = json!({"story_id": ids[0], "reason": "regression"});
        o.post("/stories/bulk/reject", json!({"stories": [reject]})).await.expect(200);
        bring(&ids[0], Reach::Reviewed, &a1, &a2, &o).await;
        let item = json!({"stories": [{"story_id": ids[0]}]});
        o.post("/stories/bulk/verify", item).await.expect(200);
        o.post("/stories/bulk/mark-complete", both).await.expect(200);
        assert_eq!(completions(&epic).await.len(), 1, "{way}");
        let again = tenant.user.get(&format!("/epics/{epic}")).await.expect(200);
        assert_eq!(shown["epic"]["completed_at"], again["epic"]["completed_at"]);
    }
}

/// One bulk call may complete several epics, and leaves open those that have anything left.
#[tokio::test]
async fn one_call_completes_several_epics() {
    let tenant = Tenant::new().await;
    let o = tenant.orchestrator().await;
    let project = tenant
        .imported(json!({"epics": [
            {"number": 1, "title": "One", "stories": [story("1.1"), story("1.2")]},
            {"number": 2, "title": "Two", "stories": [story("2.1")]},
            {"number": 3, "title": "Open", "stories": [story("3.1"), story("3.2")]},
        ]}))
        .await;
    let mut items = Vec::new();
    for number in ["3.1", "1.2", "2.1", "1.1"] {
        items.push(json!({"story_id": tenant.story_id(&project, number).await}));
    }
    o.post("/stories/bulk/mark-complete", json!({"stories": items})).await.expect(200);
    let counts = [2, 1];
    let ids = epics(&tenant.user, &project).await;
    for (epic, count) in ids.iter().zip(counts) {
        let done = completions(epic).await;
        assert_eq!(done.len(), 1);
        assert_eq!(done[0]["new_state"]["story_count"], count);
    }
    assert_eq!(completions(&ids[2]).await, Vec::<Value>::new());
}
