//! Deleting a story takes everything along that hangs on it, and tells it.

use serde_json::{Value, json};

use super::queues::{blocked, ready};
use super::{column, superadmin, told};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, story, text};

const NONE: &str = "01900000-0000-7000-8000-000000000000";

async fn delete(who: &Caller, id: &str) -> crate::support::Reply {
    who.delete(&format!("/stories/{id}")).await
}

#[tokio::test]
async fn only_users_and_above_delete() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let id = tenant.story().await;
    for who in [&tenant.agent().await, &tenant.orchestrator().await] {
        for id in [id.as_str(), NONE, "nope"] {
            let error = delete(who, id).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "Insufficient permissions. Required role: user");
        }
    }
    delete(&other.user, &id).await.expect_error(404, "not_found");
    for id in [NONE, "nope", "1.1"] {
        delete(&tenant.user, id).await.expect_error(404, "not_found");
    }
    tenant.user.get(&format!("/stories/{id}")).await.expect(200);
    assert_eq!(told(&tenant, &id).await, [] as [Value; 0]);
    let root = superadmin(&tenant).await;
    delete(&root, &id.to_uppercase()).await.expect(204);
    let log = tenant.audit_log().await;
    assert_eq!(log.last().unwrap()["actor_type"], "superadmin");
}

#[tokio::test]
async fn a_deleted_story_is_gone_everywhere() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 1, "title": "E", "stories": [
            story("1.1"), {"number": "1.2", "title": "S", "depends_on_stories": ["1.1"]},
            {"number": "1.3", "title": "S", "depends_on_stories": ["1.2"]},
            {"number": "1.4", "title": "S", "depends_on_stories": ["1.1"]}]}]}))
        .await;
    let ids = [
        tenant.story_id(&project, "1.1").await,
        tenant.story_id(&project, "1.2").await,
        tenant.story_id(&project, "1.3").await,
    ];
    assert_eq!(ready(&tenant, "").await, ["1.1"]);
    let reply = delete(&tenant.user, &ids[1]).await;
    assert_eq!(reply.expect(204), Value::Null);
    for path in ["", "/acceptance_criteria", "/artifacts", "/verifications"] {
        tenant.user.get(&format!("/stories/{}{path}", ids[1])).await.expect_error(404, "not_found");
    }
    // What was it, then? The log is append-only, and so is what it shows.
    let history = tenant.user.get(&format!("/stories/{}/history", ids[1])).await.expect(200);
    assert_eq!(column(&history, "action"), ["created", "deleted"]);
    delete(&tenant.user, &ids[1]).await.expect_error(404, "not_found");
    tenant.user.patch(&format!("/stories/{}", ids[1]), json!({"title": "X"})).await.expect(404);
    let list = tenant.user.get(&format!("/stories?project_id={project}")).await.expect(200);
    assert_eq!(column(&list, "number"), ["1.1", "1.3", "1.4"]);
    // Who waited for it does not any more; nothing else has moved.
    assert_eq!(ready(&tenant, "").await, ["1.1", "1.3"]);
    assert_eq!(blocked(&tenant, "").await, ["1.4: 1.1 via story"]);
    // Its number is free again.
    let body = json!({"epic_number": 1, "number": "1.2", "title": "Again"});
    tenant.user.post(&format!("/projects/{project}/stories"), body).await.expect(201);
}

/// The story, then the dependencies on either side of it, in one transaction.
#[tokio::test]
async fn everything_that_goes_is_told() {
    let tenant = Tenant::new().await;
    let project = tenant
        .imported(json!({"epics": [{"number": 1, "title": "E", "stories": [
            story("1.1"), {"number": "1.2", "title": "S", "depends_on_stories": ["1.1"]},
            {"number": "1.3", "title": "S", "depends_on_stories": ["1.2", "1.1"]}]}]}))
        .await;
    let ids = [
        tenant.story_id(&project, "1.1").await,
        tenant.story_id(&project, "1.2").await,
        tenant.story_id(&project, "1.3").await,
    ];
    let shown = tenant.user.get(&format!("/stories/{}", ids[1])).await.expect(200);
    let epic = text(&shown["story"]["epic_id"]);
    let edges = tenant.user.get(&format!("/epics/{epic}/story_dependencies")).await.expect(200);
    let before = tenant.audit_log().await.len();
    delete(&tenant.user, &ids[1]).await.expect(204);

    let log = tenant.audit_log().await.split_off(before);
    let first = &log[0];
    assert_eq!((&first["entity_type"], &first["action"]), (&json!("story"), &json!("deleted")));
    assert_eq!((&first["entity_id"], &first["new_state"]), (&json!(ids[1]), &Value::Null));
    assert_eq!(first["old_state"], json!({"number": "1.2", "title": "S", "epic_id": epic}));
    assert!(log.iter().all(|entry| entry["project_id"] == project), "{log:#?}");
    let mut gone: Vec<Value> = log[1..]
        .iter()
        .map(|entry| {
            assert_eq!(
                (&entry["entity_type"], &entry["action"]),
                (&json!("story_dependency"), &json!("deleted"))
            );
            json!([entry["entity_id"], entry["old_state"], entry["new_state"]])
        })
        .collect();
    let mut expected: Vec<Value> = edges["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|edge| edge["story_id"] == ids[1] || edge["depends_on_story_id"] == ids[1])
        .map(|edge| {
            let ends =
                json!({"story_id": edge["story_id"], "depends_on_story_id": edge["depends_on_story_id"]});
            json!([edge["id"], ends, null])
        })
        .collect();
    for list in [&mut gone, &mut expected] {
        list.sort_by_key(Value::to_string);
    }
    assert_eq!(expected.len(), 2);
    assert_eq!(gone, expected);
    let left = tenant.user.get(&format!("/epics/{epic}/story_dependencies")).await.expect(200);
    assert_eq!(left["meta"]["total_count"], 1);
}

/// Evidence goes with its story, and only with it.
#[tokio::test]
async fn evidence_goes_with_its_story() {
    let tenant = Tenant::new().await;
    let project = tenant.project_of(&["1.1", "1.2"]).await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let ids = [tenant.story_id(&project, "1.1").await, tenant.story_id(&project, "1.2").await];
    for id in &ids {
        bring(id, Reach::Verified, &a1, &a2, &o).await;
        let artifact = json!({"artifact_type": "test", "path": "a.rs"});
        a1.post(&format!("/stories/{id}/artifacts"), artifact).await.expect(201);
    }
    let owner = connect(&server().owner).await;
    let count = async |id: &str| -> Vec<i64> {
        let mut counts = Vec::new();
        for table in
            ["artifact_reports", "review_records", "verification_results", "story_acceptance_criteria"]
        {
            let sql = format!("select count(*) from {table} where story_id = $1::text::uuid");
            counts.push(owner.query_one(&sql, &[&id]).await.unwrap().get(0));
        }
        counts
    };
    assert_eq!(count(&ids[0]).await, [1, 1, 1, 2]);
    delete(&tenant.user, &ids[0]).await.expect(204);
    assert_eq!(count(&ids[0]).await, [0, 0, 0, 0]);
    assert_eq!(count(&ids[1]).await, [1, 1, 1, 2]);
    // The log keeps what happened.
    let kept = told(&tenant, &ids[0]).await;
    assert!(kept.iter().any(|entry| entry[0] == "story/verified"));
    assert_eq!(kept.last().unwrap()[0], "story/deleted");
    // Somebody at work loses the story, and nothing else.
    let taken = tenant.story().await;
    bring(&taken, Reach::Implementing, &a1, &a2, &o).await;
    delete(&tenant.user, &taken).await.expect(204);
    a2.post_empty(&format!("/stories/{taken}/report")).await.expect_error(404, "not_found");
}
