//! Whom an event reaches: active webhooks of its tenant, of its project or of all; and only what really happened.

use serde_json::json;

use super::{queued, subscribed, told_everything, types};
use crate::support::{Reach, Tenant, bring, story};

#[tokio::test]
async fn a_webhook_of_a_project_is_told_of_that_alone() {
    let tenant = Tenant::new().await;
    let (one, two) = (tenant.project_of(&["1.1"]).await, tenant.project_of(&["1.1"]).await);
    let everything = told_everything(&tenant).await;
    let mut of = Vec::new();
    for project in [&one, &two] {
        let events = &["story.status_changed", "artifact.reported", "agent.registered", "project.imported"];
        of.push(subscribed(&tenant, events, Some(project)).await);
    }
    let agent = tenant.agent().await;
    for project in [&one, &two] {
        let story = tenant.story_id(project, "1.1").await;
        bring(&story, Reach::Contracted, &agent, &agent, &agent).await;
        let artifact = json!({"artifact_type": "test", "path": "a.rs"});
        agent.post(&format!("/stories/{story}/artifacts"), artifact).await.expect(201);
    }
    let merge = json!({"epics": [{"number": 2, "title": "E", "stories": []}]});
    tenant.user.post(&format!("/projects/{one}/import?merge=true"), merge).await.expect(200);
    assert_eq!(types(&of[0]).await, ["story.status_changed", "artifact.reported", "project.imported"]);
    assert_eq!(types(&of[1]).await, ["story.status_changed", "artifact.reported"]);
    for (webhook, project) in of.iter().zip([&one, &two]) {
        assert!(queued(webhook).await.iter().all(|event| event["payload"]["project_id"] == **project));
    }
    let all = types(&everything).await;
    assert_eq!(all.iter().filter(|event| *event == "agent.registered").count(), 1);
    assert_eq!(all.len(), 6);
    // Another scope from the next event on.
    tenant.user.patch(&format!("/webhooks/{}", of[1]), json!({"project_id": null})).await.expect(200);
    tenant.agent().await;
    assert_eq!(types(&of[1]).await.last().unwrap(), "agent.registered");
}

#[tokio::test]
async fn an_inactive_webhook_and_another_tenants_are_told_nothing() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let (webhook, theirs) = (told_everything(&tenant).await, told_everything(&stranger).await);
    let path = format!("/webhooks/{webhook}");
    tenant.agent().await;
    tenant.user.patch(&path, json!({"active": false})).await.expect(200);
    tenant.agent().await;
    tenant.user.patch(&path, json!({"active": true})).await.expect(200);
    tenant.agent().await;
    assert_eq!(queued(&webhook).await.len(), 2);
    assert_eq!(queued(&theirs).await.len(), 0);
}

#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let agent = tenant.agent().await;
    let id = tenant.story().await;
    let webhook = told_everything(&tenant).await;
    // An import with a cycle is taken back as a whole.
    let payload = json!({"epics": [{"number": 1, "title": "E", "stories": [story("1.1"), story("1.2")]}],
                         "story_dependencies": [{"story": "1.1", "depends_on": "1.2"},
                                                {"story": "1.2", "depends_on": "1.1"}]});
    tenant.user.post(&format!("/projects/{project}/import"), payload).await.expect(422);
    agent.post(&format!("/stories/{id}/claim"), json!({})).await.expect(409);
    agent.post("/stories/bulk/claim", json!({"story_ids": [id]})).await.expect(422);
    agent.post("/agents/register", json!({"name": "x", "agent_type": "implementer"})).await.expect(409);
    assert_eq!(queued(&webhook).await, [json!(null); 0]);
}
