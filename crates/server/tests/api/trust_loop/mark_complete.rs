//! Work that predates the loop, signed off by an orchestrator.

use serde_json::{Value, json};

use super::{Scene, outcomes, refused_item, replay, results, review, stories};
use crate::support::{Caller, Reach, echo, story, text};

const PATH: &str = "/stories/bulk/mark-complete";

async fn mark(who: &Caller, ids: &[&str]) -> Vec<Value> {
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id})).collect();
    results(who.post(PATH, json!({"stories": items})).await)
}

impl Scene {
    /// Stories of a new project that were imported with these statuses, all never claimed.
    async fn imported(&self) -> [String; 3] {
        let with = |number: &str, member: &str, word: &str| {
            let mut item = story(number);
            item[member] = json!(word);
            item
        };
        let stories = [
            story("1.1"),
            with("1.2", "initial_agent_status", "reported_done"),
            with("1.3", "initial_verified_status", "pass"),
        ];
        let project =
            self.tenant.imported(json!({"epics": [{"number": 1, "title": "Old", "stories": stories}]})).await;
        let mut ids = [const { String::new() }; 3];
        for (id, number) in ids.iter_mut().zip(["1.1", "1.2", "1.3"]) {
            *id = self.tenant.story_id(&project, number).await;
        }
        ids
    }

    async fn row(&self, id: &str) -> Value {
        self.tenant.user.get(&format!("/stories/{id}")).await.expect(200)["story"].clone()
    }

    async fn history_of(&self, id: &str) -> Vec<Value> {
        let history = self.tenant.user.get(&format!("/stories/{id}/history")).await.expect(200);
        history["data"].as_array().unwrap().clone()
    }
}

/// A story that was ever claimed is refused, whatever became of it since, and the refusal leaves nothing.
#[tokio::test]
async fn what_was_ever_claimed_is_not_pre_existing() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    let mut refused = 0;
    for reach in [Reach::Assigned, Reach::Implementing, Reach::Reported, Reach::Reviewed] {
        for end in ["", "unclaim", "force-unclaim", "reject", "contract"] {
            if end == "reject" && reach < Reach::Reported {
                continue;
            }
            let id = scene.tenant.story().await;
            scene.bring(&id, reach).await;
            let (who, body) = match end {
                "unclaim" => (&scene.a1, json!({})),
                _ => (&scene.o, json!({"reason": "no tests"})),
            };
            match end {
                "" => {}
                "contract" => {
                    scene.o.post(&format!("/stories/{id}/force-unclaim"), json!({})).await.expect(200);
                    scene.a2.post(&format!("/stories/{id}/contract"), echo()).await.expect(200);
                }
                _ => {
                    who.post(&format!("/stories/{id}/{end}"), body).await.expect(200);
                }
            }
            let before = scene.snapshot_of(&id).await;
            for orchestrator in [&scene.o, &own] {
                let answer = mark(orchestrator, &[&id]).await;
                let reason = refused_item(&answer[0], "not_pre_existing");
                assert!(reason.contains("dispatch lineage"), "{reason}");
                assert_eq!(answer[0]["attempted_action"], "mark-complete");
                assert!(
                    text(&answer[0]["hints"][0]).contains("Finish it through the loop"),
                    "{:#}",
                    answer[0]
                );
            }
            assert_eq!(scene.snapshot_of(&id).await, before, "{reach:?} {end}");
            replay::assert_legal(&scene.o, &id).await;
            refused += 1;
        }
    }
    assert_eq!(refused, 18);
}

/// With the evidence that such a verification leaves, and not across tenants.
#[tokio::test]
async fn what_no_agent_touched_may_be_marked() {
    let scene = Scene::new().await;
    // By an orchestrator: an agent would have touched it.
    let contracted = scene.tenant.story().await;
    scene.o.post(&format!("/stories/{contracted}/contract"), json!({})).await.expect(200);
    let [pending, reported, verified] = scene.imported().await;
    let before = scene.row(&reported).await;
    let untouched = scene.snapshot_of(&verified).await;
    let foreign = Scene::new().await;
    let theirs = foreign.snapshot().await;
    let items = json!([
        {"story_id": contracted, "summary": "in production", "review_type": "manual"},
        {"story_id": foreign.story, "summary": "theirs"},
        {"story_id": pending},
        {"story_id": reported, "summary": " ", "review_type": null},
        {"story_id": verified},
    ]);
    let answer = results(scene.o.post(PATH, json!({"stories": items})).await);
    assert_eq!(outcomes(&answer), ["success", "not_found", "success", "success", "success"]);
    assert_eq!(foreign.snapshot().await, theirs);
    // Already verified: success without a trace.
    assert_eq!(scene.snapshot_of(&verified).await, untouched);

    let default = "Marked complete (pre-existing work)";
    for (id, was, summary, review_type) in [
        (&contracted, "contracted", "in production", "manual"),
        (&pending, "pending", default, "pre_existing"),
        (&reported, "reported_done", default, "pre_existing"),
    ] {
        let story = scene.row(id).await;
        assert_eq!([&story["agent_status"], &story["verified_status"]], ["reported_done", "verified"]);
        assert!(story["verified_at"].is_string() && story["reported_done_at"].is_string());
        assert_eq!(story.get("first_claimed_at"), Some(&Value::Null));
        assert_eq!(story.get("assigned_agent_id"), Some(&Value::Null));
        assert_eq!(story["iteration_count"], 1);
        assert_eq!(story["verification_source"], "mark_complete");
        let row = &story["latest_verification"];
        assert_eq!(row["result"], "pass");
        assert_eq!(row["summary"], summary);
        assert_eq!(row["review_type"], review_type);
        assert_eq!(row["findings"], json!({}));
        assert_eq!(row["orchestrator_agent_id"], scene.o.agent());
        let mut history = scene.history_of(id).await;
        let entry = history.pop().unwrap();
        assert_eq!(entry["entity_type"], "story");
        assert_eq!(entry["action"], "mark_complete");
        assert_eq!(entry["old_state"], json!({"agent_status": was, "verified_status": "unverified"}));
        let new = json!({"agent_status": "reported_done", "verified_status": "verified",
                         "orchestrator_agent_id": scene.o.agent()});
        assert_eq!(entry["new_state"], new);
        assert!(text(&entry["actor_label"]).starts_with("orchestrator:"));
        let result = history.pop().unwrap();
        assert_eq!(result["entity_type"], "verification_result");
        let new = json!({"story_id": id, "result": "pass", "review_type": review_type, "iteration": 1,
                         "criteria_digest": story["criteria_digest"]});
        assert_eq!(result["new_state"], new);
        replay::assert_legal(&scene.o, id).await;
    }
    assert_eq!(scene.row(&reported).await["reported_done_at"], before["reported_done_at"], "kept if set");
}

/// "Already verified" comes before "ever claimed", so that a retry after a lost answer succeeds.
#[tokio::test]
async fn marking_again_changes_nothing() {
    let scene = Scene::new().await;
    let [pending, _, imported] = scene.imported().await;
    mark(&scene.o, &[&pending]).await;
    let looped = scene.tenant.story().await;
    scene.bring(&looped, Reach::Verified).await;
    let backfilled = scene.tenant.story().await;
    let path = format!("/stories/{backfilled}/backfill");
    scene.o.post(&path, json!({"reason": "done before"})).await.expect(200);
    let ids = [&pending[..], &imported, &looped, &backfilled];
    let mut before = Vec::new();
    for id in ids {
        before.push(scene.snapshot_of(id).await);
    }
    let log = scene.tenant.audit_log().await;
    // Verified comes first: also for a story that was claimed, and for its implementer.
    for who in [&scene.o, &scene.own_orchestrator().await] {
        assert_eq!(outcomes(&mark(who, &ids).await), ["success"; 4]);
    }
    for (id, before) in ids.iter().zip(before) {
        assert_eq!(scene.snapshot_of(id).await, before);
    }
    let new = &scene.tenant.audit_log().await[log.len()..];
    // The own orchestrator's key, and nothing else.
    assert!(new.iter().all(|entry| entry["entity_type"] == "api_key"), "{new:#?}");
}

/// Nobody reviewed it, so there is nothing but `pass` and nothing found.
#[tokio::test]
async fn a_result_and_findings_are_not_asked_for() {
    let scene = Scene::new().await;
    let ids = stories(&scene.tenant, 4).await;
    let items = json!([
        {"story_id": ids[0], "result": "partial", "findings": ["x"], "commit_sha": "xyz"},
        {"story_id": ids[1], "result": "fail", "findings": 7, "reason": []},
        {"story_id": ids[2], "summary": 7},
        {"story_id": ids[3], "review_type": "x".repeat(256)},
    ]);
    let before = (scene.snapshot_of(&ids[2]).await, scene.snapshot_of(&ids[3]).await);
    let answer = results(scene.o.post(PATH, json!({"stories": items})).await);
    let invalid = "validation_failed";
    assert_eq!(outcomes(&answer), ["success", "success", invalid, invalid]);
    assert_eq!(answer[2]["details"], json!({"summary": ["is invalid"]}));
    assert_eq!(answer[3]["details"], json!({"review_type": ["should be at most 255 character(s)"]}));
    assert_eq!((scene.snapshot_of(&ids[2]).await, scene.snapshot_of(&ids[3]).await), before);
    for id in &ids[..2] {
        let row = scene.row(id).await["latest_verification"].clone();
        assert_eq!([&row["result"], &row["findings"]], [&json!("pass"), &json!({})]);
        assert_eq!(row["commit_sha"], Value::Null);
    }
}

/// A rejection of old work does not bring it into the loop; claiming it does.
#[tokio::test]
async fn rejected_old_work_may_be_marked_until_it_is_claimed() {
    let scene = Scene::new().await;
    let [_, reported, _] = scene.imported().await;
    for auto_reset in [true, false] {
        scene.auto_reset(auto_reset).await;
        scene.o.post(&format!("/stories/{reported}/reject"), json!({"reason": "broken"})).await.expect(200);
        assert_eq!(outcomes(&mark(&scene.o, &[&reported]).await), ["success"]);
        let story = scene.row(&reported).await;
        assert_eq!(story["verified_status"], "verified");
        assert_eq!(story.get("rejected_at"), Some(&Value::Null));
        assert_eq!(story.get("rejection_reason"), Some(&Value::Null));
    }
    assert_eq!(scene.row(&reported).await["iteration_count"], 4);
    scene.auto_reset(true).await;
    scene.o.post(&format!("/stories/{reported}/reject"), json!({"reason": "broken"})).await.expect(200);
    scene.bring(&reported, Reach::Assigned).await;
    assert_eq!(outcomes(&mark(&scene.o, &[&reported]).await), ["not_pre_existing"]);
    replay::assert_legal(&scene.o, &reported).await;
}

/// An old review does not verify what is reported later.
#[tokio::test]
async fn marked_work_that_is_sent_back_needs_the_whole_loop() {
    let scene = Scene::new().await;
    let [_, reported, _] = scene.imported().await;
    scene.a1.post(&format!("/stories/{reported}/review-complete"), review()).await.expect(201);
    mark(&scene.o, &[&reported]).await;
    scene.o.post(&format!("/stories/{reported}/reject"), json!({"reason": "broken"})).await.expect(200);
    scene.bring(&reported, Reach::Reported).await;
    let answer =
        results(scene.o.post("/stories/bulk/verify", json!({"stories": [{"story_id": reported}]})).await);
    assert_eq!(outcomes(&answer), ["review_not_conducted"]);
    replay::assert_legal(&scene.o, &reported).await;
}
