//! What each event says: it happens once, and its members are looked at, all of them.

use serde_json::{Map, Value, json};

use super::{queued, subscribed, told_everything};
use crate::support::{Caller, Reach, Tenant, bring, connect, server, story, text};
use crate::trust_loop::stories;

/// A tenant, its people, and a webhook that is told everything.
struct Scene {
    tenant: Tenant,
    a: Caller,
    b: Caller,
    o: Caller,
    webhook: String,
}

impl Scene {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
        let webhook = told_everything(&tenant).await;
        Self { tenant, a, b, o, webhook }
    }

    /// The newest events of this type, without type and time, which are looked at here.
    async fn told(&self, event_type: &str, count: usize) -> Vec<Value> {
        let events =
            queued(&self.webhook).await.into_iter().filter(|event| event["event_type"] == event_type);
        let payloads = events.map(|event| {
            let mut payload: Map<String, Value> = event["payload"].as_object().unwrap().clone();
            assert_eq!(payload.remove("event"), Some(json!(event_type)));
            let time = text(&payload.remove("timestamp").unwrap());
            assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
            json!(payload)
        });
        let payloads: Vec<_> = payloads.collect();
        payloads[payloads.len().checked_sub(count).expect("enough events")..].to_vec()
    }

    async fn one(&self, event_type: &str) -> Value {
        self.told(event_type, 1).await.remove(0)
    }

    /// What is told of a story in any case, with what is told besides.
    async fn of(&self, story: &str, rest: Value) -> Value {
        let shown = self.tenant.user.get(&format!("/stories/{story}")).await.expect(200);
        let shown = &shown["story"];
        let mut told =
            json!({"story_id": story, "project_id": shown["project_id"], "epic_id": shown["epic_id"]});
        told.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        told
    }

    async fn bring(&self, story: &str, reach: Reach) {
        bring(story, reach, &self.a, &self.b, &self.o).await;
    }
}

#[tokio::test]
async fn the_steps_of_a_story() {
    let scene = Scene::new().await;
    let story = scene.tenant.story().await;
    let (a, b) = (scene.a.agent(), scene.b.agent());
    scene.bring(&story, Reach::Reviewed).await;
    let told = scene.told("story.status_changed", 4).await;
    for (told, [old, new, agent]) in told.iter().zip([
        ["pending", "contracted", a],
        ["contracted", "assigned", a],
        ["assigned", "implementing", a],
        ["implementing", "reported_done", b],
    ]) {
        let expected = json!({"old_status": old, "new_status": new, "agent_id": agent});
        assert_eq!(*told, scene.of(&story, expected).await);
    }
    assert_eq!(scene.one("story.review_requested").await, scene.of(&story, json!({"agent_id": a})).await);
    let mut reviewed = scene.one("story.review_completed").await;
    assert!(reviewed.as_object_mut().unwrap().remove("review_record_id").unwrap().is_string());
    let expected = json!({"reviewer_agent_id": b, "review_type": "enhanced", "findings_count": 0, "fixes_count": 0,
                          "disproved_count": 0, "summary": null});
    assert_eq!(reviewed, scene.of(&story, expected).await);
    let verify = json!({"review_type": "enhanced", "summary": "checked", "result": "partial"});
    scene.o.post(&format!("/stories/{story}/verify"), verify.clone()).await.expect(200);
    let mut expected = verify;
    expected["orchestrator_agent_id"] = json!(scene.o.agent());
    assert_eq!(scene.one("story.verified").await, scene.of(&story, expected).await);
    let mut epic = scene.one("epic.completed").await;
    let duration = epic.as_object_mut().unwrap().remove("duration_seconds").unwrap();
    assert!(duration.as_i64().is_some_and(|seconds| seconds >= 0), "{duration}");
    let shown = scene.of(&story, json!({})).await;
    let expected = json!({"epic_id": shown["epic_id"], "epic_number": 1, "epic_title": "Epic",
                          "project_id": shown["project_id"], "story_count": 1});
    assert_eq!(epic, expected);
    // Causes come before what they cause, and each event is of an entry of the log, at its time.
    let types = super::types(&scene.webhook).await;
    let last: Vec<_> = types.iter().rev().take(2).map(String::as_str).collect();
    assert_eq!(last, ["epic.completed", "story.verified"]);
    let sql = "select count(*), count(*) filter (where a.inserted_at = e.inserted_at
                      and (e.payload ->> 'timestamp')::timestamptz = a.inserted_at
                      and coalesce(e.payload ->> 'story_id', e.payload ->> 'epic_id', a.entity_id::text) = a.entity_id::text)
               from webhook_events e left join audit_log a on a.tenant_id = e.tenant_id and a.position = e.position
               where e.webhook_id = $1::text::uuid";
    let row = connect(&server().owner).await.query_one(sql, &[&scene.webhook]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (types.len() as i64, types.len() as i64));
}

#[tokio::test]
async fn giving_back_and_taking_away() {
    let scene = Scene::new().await;
    let story = scene.tenant.story().await;
    scene.bring(&story, Reach::Assigned).await;
    scene.a.post(&format!("/stories/{story}/unclaim"), json!({})).await.expect(200);
    let changed = |old: &str| json!({"old_status": old, "new_status": "pending"});
    let mut expected = changed("assigned");
    expected["agent_id"] = json!(scene.a.agent());
    assert_eq!(scene.one("story.status_changed").await, scene.of(&story, expected).await);
    scene.bring(&story, Reach::Implementing).await;
    let take = format!("/stories/{story}/force-unclaim");
    scene.o.post(&take, json!({})).await.expect(200);
    let mut expected = changed("implementing");
    expected["orchestrator_agent_id"] = json!(scene.o.agent());
    assert_eq!(scene.told("story.force_unclaimed", 1).await, [scene.of(&story, expected).await]);
    // Once more changes nothing, and is not told.
    let before = queued(&scene.webhook).await.len();
    scene.o.post(&take, json!({})).await.expect(200);
    assert_eq!(queued(&scene.webhook).await.len(), before);
}

#[tokio::test]
async fn rejections_one_by_one_and_together() {
    let scene = Scene::new().await;
    let ids = stories(&scene.tenant, 4).await;
    for story in &ids {
        scene.bring(story, Reach::Reported).await;
    }
    let o = scene.o.agent();
    let rejected = |reason: &str, findings: Value| json!({"orchestrator_agent_id": o, "reason": reason, "findings": findings});
    let reset = |reason: &str| {
        json!({
            "orchestrator_agent_id": o, "reason": "rejected", "rejection_reason": reason,
            "previous_agent_status": "reported_done", "previous_assigned_agent_id": scene.a.agent(),
        })
    };
    let path = |story: &str| format!("/stories/{story}/reject");
    scene.o.post(&path(&ids[0]), json!({"reason": " untested "})).await.expect(200);
    assert_eq!(scene.one("story.rejected").await, scene.of(&ids[0], rejected("untested", json!({}))).await);
    assert_eq!(scene.one("story.auto_reset").await, scene.of(&ids[0], reset("untested")).await);
    let findings = json!([{"file": "a.rs", "line": 7, "ratio": 0.1, "deep": {"a": [1, [2]]}}]);
    let items = json!([{"story_id": ids[1], "reason": "one", "findings": findings},
                       {"story_id": ids[2], "reason": "two", "findings": {"n": 1}}]);
    scene.o.post("/stories/bulk/reject", json!({"stories": items})).await.expect(200);
    let told = scene.told("story.rejected", 2).await;
    assert_eq!(told[0], scene.of(&ids[1], rejected("one", findings)).await);
    assert_eq!(told[1], scene.of(&ids[2], rejected("two", json!({"n": 1}))).await);
    let order: Vec<_> = super::types(&scene.webhook).await.into_iter().rev().take(4).collect();
    assert_eq!(order, ["story.auto_reset", "story.rejected", "story.auto_reset", "story.rejected"]);
    // Where the tenant wants no reset there is none.
    let keep = json!({"settings": {"auto_reset_on_rejection": false}});
    scene.tenant.user.patch("/tenants/me", keep).await.expect(200);
    scene.o.post(&path(&ids[3]), json!({"reason": "r"})).await.expect(200);
    assert_eq!(super::types(&scene.webhook).await.last().unwrap(), "story.rejected");
}

#[tokio::test]
async fn what_was_done_before_the_loop() {
    let scene = Scene::new().await;
    let ids = stories(&scene.tenant, 3).await;
    let body = json!({"reason": "was there", "evidence_url": "https://a.example/1", "pr_number": 7});
    scene.o.post(&format!("/stories/{}/backfill", ids[0]), body.clone()).await.expect(200);
    let entry = scene.tenant.audit_log().await.pop().unwrap();
    let mut expected = body;
    expected["source"] = json!("pre_loopctl");
    expected["actor_id"] = entry["actor_id"].clone();
    expected["actor_label"] = entry["actor_label"].clone();
    assert!(text(&expected["actor_label"]).starts_with("orchestrator:"));
    assert_eq!(scene.one("story.backfilled").await, scene.of(&ids[0], expected).await);
    scene.o.post(&format!("/stories/{}/backfill", ids[1]), json!({"reason": "r"})).await.expect(200);
    let told = scene.one("story.backfilled").await;
    assert_eq!((&told["evidence_url"], &told["pr_number"]), (&Value::Null, &Value::Null));
    // The last of the epic completes it, by whatever way.
    let items = json!({"stories": [{"story_id": ids[2], "summary": "s", "review_type": "t"}]});
    scene.o.post("/stories/bulk/mark-complete", items).await.expect(200);
    let expected = json!({"orchestrator_agent_id": scene.o.agent(), "result": "pass", "review_type": "t", "summary": "s"});
    assert_eq!(scene.one("story.verified").await, scene.of(&ids[2], expected).await);
    let epic = scene.one("epic.completed").await;
    assert_eq!((&epic["story_count"], &epic["duration_seconds"]), (&json!(3), &Value::Null));
}

#[tokio::test]
async fn an_epic_is_complete_once() {
    let scene = Scene::new().await;
    let project = scene.tenant.project_of(&["1.1", "1.2", "1.3"]).await;
    let mut ids = Vec::new();
    for number in ["1.1", "1.2", "1.3"] {
        ids.push(scene.tenant.story_id(&project, number).await);
        scene.bring(ids.last().unwrap(), Reach::Reviewed).await;
    }
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id})).collect();
    scene.o.post("/stories/bulk/verify", json!({"stories": items[..2]})).await.expect(200);
    let completed = async || {
        let types = super::types(&scene.webhook).await;
        types.iter().filter(|event| *event == "epic.completed").count()
    };
    assert_eq!(completed().await, 0);
    scene.o.post("/stories/bulk/verify", json!({"stories": items[2..]})).await.expect(200);
    assert_eq!(completed().await, 1);
    assert_eq!(scene.told("story.verified", 3).await[2]["review_type"], "bulk_verify");
    // Rejected and verified again, by verify-all.
    scene.o.post(&format!("/stories/{}/reject", ids[0]), json!({"reason": "r"})).await.expect(200);
    scene.bring(&ids[0], Reach::Reviewed).await;
    let epic = text(&scene.of(&ids[0], json!({})).await["epic_id"]);
    let body = json!({"review_type": "all", "summary": "s"});
    scene.o.post(&format!("/epics/{epic}/verify-all"), body).await.expect(200);
    assert_eq!(scene.one("story.verified").await["review_type"], "all");
    assert_eq!(completed().await, 1);
}

#[tokio::test]
async fn claims_that_go_together_say_what_was_before() {
    let scene = Scene::new().await;
    let ids = stories(&scene.tenant, 3).await;
    for story in &ids {
        scene.bring(story, Reach::Contracted).await;
    }
    scene.a.post("/stories/bulk/claim", json!({"story_ids": ids})).await.expect(200);
    let told = scene.told("story.status_changed", 3).await;
    let expected = json!({"old_status": "contracted", "new_status": "assigned", "agent_id": scene.a.agent()});
    for (told, story) in told.iter().zip(&ids) {
        assert_eq!(*told, scene.of(story, expected.clone()).await);
    }
}

#[tokio::test]
async fn artifacts_by_themselves_and_with_a_report() {
    let scene = Scene::new().await;
    let story = scene.tenant.story().await;
    let artifact = json!({"artifact_type": "test", "path": "tests/a.rs"});
    let created = scene.a.post(&format!("/stories/{story}/artifacts"), artifact.clone()).await.expect(201);
    let told = |id: &Value, reporter: &Caller| {
        json!({"artifact_report_id": id, "artifact_type": "test", "path": "tests/a.rs", "reported_by": "agent",
               "reporter_agent_id": reporter.agent()})
    };
    let expected = scene.of(&story, told(&created["artifact_report"]["id"], &scene.a)).await;
    assert_eq!(scene.told("artifact.reported", 1).await, [expected]);
    scene.bring(&story, Reach::Implementing).await;
    let report = json!({"artifact": artifact});
    scene.b.post(&format!("/stories/{story}/report"), report).await.expect(200);
    let list = scene.b.get(&format!("/stories/{story}/artifacts")).await.expect(200);
    let expected = scene.of(&story, told(&list["data"][1]["id"], &scene.b)).await;
    assert_eq!(scene.told("artifact.reported", 2).await[1], expected);
}

#[tokio::test]
async fn agents_imports_and_changed_criteria() {
    let scene = Scene::new().await;
    let key = scene.tenant.key("agent").await;
    let body = json!({"name": "newcomer", "agent_type": "orchestrator"});
    let agent = key.post("/agents/register", body).await.expect(201);
    let expected =
        json!({"agent_id": agent["agent"]["id"], "agent_name": "newcomer", "agent_type": "orchestrator"});
    assert_eq!(scene.one("agent.registered").await, expected);
    let project = scene.tenant.project_of(&["1.1", "1.2"]).await;
    let expected = json!({"project_id": project, "epic_count": 1, "story_count": 2});
    assert_eq!(scene.one("project.imported").await, expected);
    let epics = json!([{"number": 1, "title": "Epic", "stories": [story("1.1"), story("1.2"), story("1.3")]},
                       {"number": 2, "title": "Epic", "stories": []}]);
    let path = format!("/projects/{project}/import?merge=true");
    scene.tenant.user.post(&path, json!({"epics": epics})).await.expect(200);
    let expected = json!({"project_id": project, "epic_count": 1, "story_count": 1, "merge": true, "epics_created": 1,
                          "stories_created": 1, "stories_updated": 2});
    assert_eq!(scene.one("project.imported").await, expected);
    // Of a story under way.
    let id = scene.tenant.story_id(&project, "1.1").await;
    scene.bring(&id, Reach::Contracted).await;
    scene.tenant.user.patch(&format!("/stories/{id}"), json!({"title": "Other"})).await.expect(200);
    let entry = scene.tenant.audit_log().await.pop().unwrap();
    let digest = |state: &str| entry[state]["criteria_digest"].clone();
    let expected =
        json!({"old_criteria_digest": digest("old_state"), "new_criteria_digest": digest("new_state")});
    assert_eq!(scene.one("story.criteria_changed").await, scene.of(&id, expected).await);
}

/// What is not subscribed to is not told.
#[tokio::test]
async fn a_webhook_is_told_what_it_asked_for() {
    let scene = Scene::new().await;
    let some = subscribed(&scene.tenant, &["story.verified", "agent.registered"], None).await;
    let story = scene.tenant.story().await;
    scene.bring(&story, Reach::Verified).await;
    assert_eq!(super::types(&some).await, ["story.verified"]);
    let all = queued(&scene.webhook).await;
    let (one, other) =
        (&queued(&some).await[0], all.iter().find(|e| e["event_type"] == "story.verified").unwrap());
    // The same event under two names.
    assert_eq!((&one["payload"], &one["position"]), (&other["payload"], &other["position"]));
    assert_ne!(one["id"], other["id"]);
}
