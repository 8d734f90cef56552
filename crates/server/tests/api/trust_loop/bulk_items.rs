//! Bulk claim, verify and reject item by item. Each item is judged, and told, as the call for one
//! story would be.

use serde_json::{Map, Value, json};

use super::{Scene, evidence, outcomes, pluck, refused_item, replay, results, stories};
use crate::support::{Reach, Reply, echo, story, text};

impl Scene {
    async fn verify_in_bulk(&self, items: Value) -> Reply {
        self.o.post("/stories/bulk/verify", json!({"stories": items})).await
    }

    async fn reject_in_bulk(&self, items: Value) -> Reply {
        self.o.post("/stories/bulk/reject", json!({"stories": items})).await
    }

    async fn claim_in_bulk(&self, ids: &[&str]) -> Vec<Value> {
        results(self.a1.post("/stories/bulk/claim", json!({"story_ids": ids})).await)
    }

    /// New stories of one project, brought this far.
    async fn stories_at(&self, reaches: &[Option<Reach>]) -> Vec<String> {
        let ids = stories(&self.tenant, reaches.len()).await;
        for (id, reach) in ids.iter().zip(reaches) {
            if let Some(reach) = reach {
                self.bring(id, *reach).await;
            }
        }
        ids
    }

    async fn show_story(&self, id: &str) -> Value {
        self.tenant.user.get(&format!("/stories/{id}")).await.expect(200)["story"].clone()
    }
}

/// A story's row, its history and its verification results, with all ids, numbers and times that must differ between
/// two stories replaced by their names.
async fn fingerprint(scene: &Scene, id: &str) -> String {
    fn blanked(value: &Value, own: &str) -> Value {
        match value {
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, value)| {
                        let differs = ["id", "entity_id", "review_record_id", "number", "sort_key"]
                            .contains(&name.as_str())
                            || (name.ends_with("_at") && value.is_string())
                            || value == own;
                        (name.clone(), if differs { json!(format!("<{name}>")) } else { blanked(value, own) })
                    })
                    .collect::<Map<_, _>>(),
            ),
            Value::Array(values) => values.iter().map(|value| blanked(value, own)).collect(),
            other => other.clone(),
        }
    }
    let mut whole = scene.snapshot_of(id).await;
    for part in whole.as_array_mut().unwrap() {
        for noise in ["dependencies", "next_actions"] {
            part.as_object_mut().unwrap().remove(noise);
        }
    }
    format!("{:#}", blanked(&whole, id))
}

/// Of two stories that have come equally far, one is moved by a call for itself and one by a bulk call: what is left
/// of both is the same, to the last audit entry.
#[tokio::test]
async fn a_bulk_call_leaves_what_the_single_call_leaves() {
    let scene = Scene::new().await;
    let findings = json!([{"file": "a.rs"}, 7]);
    let sha = "0123456789abcdef";
    for (action, reach, body) in [
        ("claim", Reach::Contracted, json!({})),
        ("verify", Reach::Reviewed, json!({"review_type": "enhanced", "summary": " checked "})),
        (
            "verify",
            Reach::Reviewed,
            json!({"review_type": "x", "summary": "y", "result": "partial", "findings": findings, "commit_sha": sha}),
        ),
        ("reject", Reach::Reported, json!({"reason": " no tests ", "review_type": "manual"})),
        ("reject", Reach::Verified, json!({"reason": "late", "review_type": "manual", "findings": findings})),
    ] {
        for auto_reset in [true, false] {
            scene.auto_reset(auto_reset).await;
            let ids = scene.stories_at(&[Some(reach); 3]).await;
            let caller = if action == "claim" { &scene.a1 } else { &scene.o };
            caller.post(&format!("/stories/{}/{action}", ids[0]), body.clone()).await.expect(200);
            let bulk = if action == "claim" {
                json!({"story_ids": ids[1..]})
            } else {
                let items = ids[1..].iter().map(|id| {
                    let mut item = body.clone();
                    item["story_id"] = json!(id);
                    item
                });
                json!({"stories": items.collect::<Vec<_>>()})
            };
            let answer = results(caller.post(&format!("/stories/bulk/{action}"), bulk).await);
            assert_eq!(outcomes(&answer), ["success"; 2]);
            let single = fingerprint(&scene, &ids[0]).await;
            for id in &ids[1..] {
                let same = fingerprint(&scene, id).await;
                let lines = single.lines().zip(same.lines());
                for (one, other) in lines {
                    assert_eq!(one, other, "{action} {body}");
                }
                assert_eq!(single.len(), same.len(), "{action} {body}");
                replay::assert_legal(&scene.o, id).await;
            }
        }
    }
}

/// And says of every other story why not.
#[tokio::test]
async fn bulk_claim_takes_what_is_contracted() {
    let scene = Scene::new().await;
    let contracted = Some(Reach::Contracted);
    let ids = scene.stories_at(&[contracted, contracted, None, Some(Reach::Reported)]).await;
    let taken = scene.tenant.story().await;
    scene.a2.post(&format!("/stories/{taken}/contract"), echo()).await.expect(200);
    scene.a2.post(&format!("/stories/{taken}/claim"), json!({})).await.expect(200);
    let unknown = "0190f5ad-0000-7000-8000-000000000000";
    let mut before = Vec::new();
    for id in [&ids[2], &ids[3], &taken] {
        before.push(scene.snapshot_of(id).await);
    }
    let answer = scene.claim_in_bulk(&[&ids[0], &taken, unknown, &ids[2], &ids[3], &ids[1]]).await;
    let conflict = "invalid_transition";
    assert_eq!(
        outcomes(&answer),
        ["success", conflict, "not_found", "must_contract_first", conflict, "success"]
    );
    assert!(refused_item(&answer[1], conflict).contains("agent_status='assigned'"));
    let seeds = "Story is already claimed by another agent. Use force-unclaim to reset it.";
    assert_eq!(answer[1]["hints"], json!([seeds, "Pick another one from GET /api/v1/stories/ready."]));
    assert!(refused_item(&answer[3], "must_contract_first").contains("agent_status='pending'"));
    assert!(refused_item(&answer[4], conflict).contains("agent_status='reported_done'"));
    for id in [&ids[0], &ids[1]] {
        let story = scene.show_story(id).await;
        assert_eq!(story["agent_status"], "assigned");
        assert_eq!(story["assigned_agent_id"], scene.a1.agent());
        assert_eq!(story["first_claimed_at"], story["assigned_at"]);
        assert!(story["assigned_at"].is_string());
    }
    let mut after = Vec::new();
    for id in [&ids[2], &ids[3], &taken] {
        after.push(scene.snapshot_of(id).await);
    }
    assert_eq!(before, after);
    // A retry after a lost answer tells that it has happened.
    let again = scene.claim_in_bulk(&[&ids[0], &ids[1]]).await;
    assert_eq!(outcomes(&again), [conflict; 2]);
    assert_eq!(again[0]["hints"], json!(["You already hold this claim. Call start."]));
}

/// The words for prerequisites, and a prerequisite in the same batch.
#[tokio::test]
async fn bulk_claim_waits_for_prerequisites() {
    let scene = Scene::new().await;
    let project = scene
        .tenant
        .imported(json!({
            "epics": [{"number": 1, "title": "A", "stories": [story("1.1"), story("1.2")]},
                      {"number": 2, "title": "B", "stories": [story("2.1")]}],
            "story_dependencies": [{"story": "1.2", "depends_on": "1.1"}],
            "epic_dependencies": [{"epic": 2, "depends_on": 1}],
        }))
        .await;
    let mut ids = Vec::new();
    for number in ["1.1", "1.2", "2.1"] {
        ids.push(scene.tenant.story_id(&project, number).await);
        scene.bring(&ids[ids.len() - 1], Reach::Contracted).await;
    }
    let (before, blocked) = (scene.snapshot_of(&ids[1]).await, scene.snapshot_of(&ids[2]).await);
    // Whatever the order: a story whose prerequisite is in the same batch still waits.
    let answer = scene.claim_in_bulk(&[&ids[1], &ids[0], &ids[2]]).await;
    assert_eq!(outcomes(&answer), ["dependencies_not_met", "success", "dependencies_not_met"]);
    let reason = refused_item(&answer[0], "dependencies_not_met");
    assert!(reason.contains("unverified dependency 1.1"), "{reason}");
    assert_eq!(answer[0]["context"]["unmet_story_ids"], json!([ids[0]]));
    let reason = refused_item(&answer[2], "dependencies_not_met");
    assert!(reason.contains("unverified prerequisite epic 1"), "{reason}");
    assert!(reason.contains("agent_status='contracted'"), "{reason}");
    let snapshots = (scene.snapshot_of(&ids[1]).await, scene.snapshot_of(&ids[2]).await);
    assert_eq!(snapshots, (before, blocked));
    let answer = scene.claim_in_bulk(&[&ids[1]]).await;
    assert_eq!(outcomes(&answer), ["dependencies_not_met"]);
    // Verified by a bulk call counts as verified.
    scene.act_on(&ids[0], &scene.a1, "start", json!({})).await;
    scene.act_on(&ids[0], &scene.a2, "report", json!({})).await;
    scene.act_on(&ids[0], &scene.a2, "review-complete", evidence()).await;
    results(scene.verify_in_bulk(json!([{"story_id": ids[0]}])).await);
    assert_eq!(
        outcomes(&scene.claim_in_bulk(&[&ids[2], &ids[1]]).await),
        ["dependencies_not_met", "success"]
    );
}

impl Scene {
    async fn act_on(&self, id: &str, who: &crate::support::Caller, action: &str, body: Value) {
        let reply = who.post(&format!("/stories/{id}/{action}"), body).await;
        assert!(reply.status < 300, "{action}: {:#}", reply.body);
    }
}

/// Being one of many is no way around the review or the gate against verifying one's own work.
#[tokio::test]
async fn bulk_verify_asks_for_all_that_verify_asks_for() {
    let scene = Scene::new().await;
    let reviewed = Some(Reach::Reviewed);
    let ids = scene
        .stories_at(&[reviewed, Some(Reach::Reported), None, Some(Reach::Verified), reviewed, reviewed])
        .await;
    let own = scene.own_orchestrator().await;
    let mut before = Vec::new();
    for id in &ids {
        before.push(scene.snapshot_of(id).await);
    }
    // By the implementer's own orchestrator key: nothing but errors.
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id})).collect();
    let answer = results(own.post("/stories/bulk/verify", json!({"stories": items})).await);
    let wanted = ["self_verify_blocked", "self_verify_blocked", "invalid_transition"];
    assert_eq!(outcomes(&answer)[..3], wanted);
    assert_eq!(outcomes(&answer)[3..], ["self_verify_blocked"; 3]);
    let reason = refused_item(&answer[0], "self_verify_blocked");
    assert!(reason.contains("Cannot verify your own implementation"), "{reason}");
    for (id, before) in ids.iter().zip(&before) {
        assert_eq!(scene.snapshot_of(id).await, *before);
    }
    // By another: reviewed stories pass, with what was sent, or the defaults.
    let items = json!([
        {"story_id": ids[5], "result": "partial", "summary": "half", "review_type": "manual", "findings": {"a": 1}},
        {"story_id": ids[1]},
        {"story_id": ids[2]},
        {"story_id": ids[3]},
        {"story_id": ids[0]},
        {"story_id": ids[4], "summary": " \n", "review_type": "", "result": null, "findings": null},
    ]);
    let answer = results(scene.verify_in_bulk(items).await);
    let state = "invalid_transition";
    assert_eq!(outcomes(&answer), ["success", "review_not_conducted", state, state, "success", "success"]);
    assert!(refused_item(&answer[1], "review_not_conducted").contains("No review record found"));
    assert!(text(&answer[3]["hints"][0]).contains("already verified"), "{:#}", answer[3]);
    for place in [1, 2, 3] {
        assert_eq!(scene.snapshot_of(&ids[place]).await, before[place], "{place}");
    }
    for (place, result, summary, review_type, findings) in [
        (5, "partial", "half", "manual", json!({"a": 1})),
        (0, "pass", "Verified via bulk operation", "bulk_verify", json!({})),
        (4, "pass", "Verified via bulk operation", "bulk_verify", json!({})),
    ] {
        let story = scene.show_story(&ids[place]).await;
        assert_eq!(story["verified_status"], "verified");
        assert_eq!(story["iteration_count"], 1);
        let row = &story["latest_verification"];
        assert_eq!(row["result"], result);
        assert_eq!(row["summary"], summary);
        assert_eq!(row["review_type"], review_type);
        assert_eq!(row["findings"], findings);
        assert_eq!(row["orchestrator_agent_id"], scene.o.agent());
        replay::assert_legal(&scene.o, &ids[place]).await;
    }
    // One `verified` entry each, and a retry after a lost answer tells that it has happened.
    let verified = scene.tenant.audit_log().await;
    assert_eq!(verified.iter().filter(|entry| entry["action"] == "verified").count(), 4);
    let again = results(scene.verify_in_bulk(json!([{"story_id": ids[0]}])).await);
    assert_eq!(outcomes(&again), ["invalid_transition"]);
    assert!(text(&again[0]["hints"][0]).contains("already verified"));
}

/// What is wrong with an item is told per item, field by field, and the others pass.
#[tokio::test]
async fn the_fields_of_an_item_are_its_own_affair() {
    let scene = Scene::new().await;
    let long = "x".repeat(256);
    for (action, good, flaws) in [
        (
            "verify",
            json!({}),
            vec![
                ("result", json!("fail"), "reject"),
                ("result", json!("maybe"), "must be pass or partial"),
                ("result", json!(1), "must be pass or partial"),
                ("findings", json!(7), "is invalid"),
                ("findings", json!("x"), "is invalid"),
                ("commit_sha", json!("xyz"), "is invalid"),
                ("review_type", json!(long), "should be at most 255 character(s)"),
                ("summary", json!("x".repeat(50_001)), "should be at most 50000 character(s)"),
            ],
        ),
        (
            "reject",
            json!({"reason": "no tests"}),
            vec![
                ("findings", json!(7), "is invalid"),
                ("review_type", json!(7), "is invalid"),
                ("review_type", json!(long), "should be at most 255 character(s)"),
                ("reason", json!("x".repeat(50_001)), "should be at most 50000 character(s)"),
            ],
        ),
    ] {
        let ids = scene.stories_at(&vec![Some(Reach::Reviewed); flaws.len() + 1]).await;
        let mut before = Vec::new();
        let mut items = Vec::new();
        for (id, (member, value, _)) in ids.iter().zip(&flaws) {
            before.push(scene.snapshot_of(id).await);
            let mut item = good.clone();
            item["story_id"] = json!(id);
            item[member] = value.clone();
            items.push(item);
        }
        let mut last = good.clone();
        last["story_id"] = json!(ids[flaws.len()]);
        items.push(last);
        let path = format!("/stories/bulk/{action}");
        let answer = results(scene.o.post(&path, json!({"stories": items})).await);
        for (result, (member, _, wanted)) in answer.iter().zip(&flaws) {
            let details = result["details"].as_object().unwrap();
            assert_eq!(details.keys().collect::<Vec<_>>(), [member]);
            let message = details[*member][0].as_str().unwrap();
            assert!(message.contains(wanted), "{member}: {message}");
            // Who reads nothing but the reason must know what to mend.
            let reason = refused_item(result, "validation_failed");
            assert_eq!(reason, format!("Validation failed: `{member}` {message}"));
        }
        assert_eq!(answer[flaws.len()]["status"], "success");
        for (id, before) in ids.iter().zip(&before) {
            assert_eq!(scene.snapshot_of(id).await, *before);
        }
    }
    // Text that is no text is no evidence, as in the call for one story.
    let ids = scene.stories_at(&[Some(Reach::Reviewed); 2]).await;
    let items = json!([{"story_id": ids[0], "summary": 7}, {"story_id": ids[1], "review_type": ["x"]}]);
    let answer = results(scene.verify_in_bulk(items).await);
    assert_eq!(outcomes(&answer), ["review_evidence_required"; 2]);
}

/// A reason is asked for item by item; without one nothing of the item is done.
#[tokio::test]
async fn bulk_reject_sends_back() {
    let scene = Scene::new().await;
    let ids = scene
        .stories_at(&[
            Some(Reach::Reported),
            Some(Reach::Verified),
            None,
            Some(Reach::Reviewed),
            Some(Reach::Implementing),
        ])
        .await;
    let own = scene.own_orchestrator().await;
    let unharmed = scene.snapshot_of(&ids[3]).await;
    let answer = results(
        own.post("/stories/bulk/reject", json!({"stories": [{"story_id": ids[3], "reason": "mine"}]})).await,
    );
    assert_eq!(outcomes(&answer), ["self_verify_blocked"]);
    // A reason that is none comes first, as in the call for one story.
    let unknown = "0190f5ad-0000-7000-8000-000000000000";
    for reason in [json!(null), json!(""), json!(" \n\t"), json!(7), json!(["no tests"]), json!({})] {
        let items = json!([{"story_id": ids[3], "reason": reason}, {"story_id": unknown, "reason": reason}]);
        let answer = results(scene.reject_in_bulk(items).await);
        assert_eq!(outcomes(&answer), ["reason_required"; 2]);
        assert!(text(&answer[0]["reason"]).contains("reason"));
        assert_eq!(answer[1]["story_id"], unknown);
    }
    let answer = results(scene.reject_in_bulk(json!([{"story_id": ids[3]}])).await);
    assert_eq!(outcomes(&answer), ["reason_required"]);
    assert_eq!(scene.snapshot_of(&ids[3]).await, unharmed);

    let items: Vec<_> =
        ids[..3].iter().chain(&ids[4..]).map(|id| json!({"story_id": id, "reason": " no tests "})).collect();
    let answer = results(scene.reject_in_bulk(json!(items)).await);
    assert_eq!(outcomes(&answer), ["success", "success", "invalid_transition", "invalid_transition"]);
    for (id, iteration) in [(&ids[0], 1), (&ids[1], 2)] {
        let story = scene.show_story(id).await;
        assert_eq!([&story["agent_status"], &story["verified_status"]], ["pending", "rejected"]);
        assert_eq!(story["rejection_reason"], "no tests");
        assert_eq!(story["assigned_agent_id"], Value::Null);
        let row = &story["latest_verification"];
        assert_eq!(row["result"], "fail");
        assert_eq!(row["summary"], "no tests");
        assert_eq!(row["review_type"], "bulk_reject");
        assert_eq!(row["findings"], json!({}));
        assert_eq!(row["iteration"], iteration);
        let history = scene.snapshot_of(id).await[1]["data"].as_array().unwrap().clone();
        let last = &history[history.len() - 3..];
        assert_eq!(pluck(last, "action"), ["created", "rejected", "auto_reset"]);
        assert_eq!(last[2]["actor_type"], "system");
        assert_eq!(last[2]["actor_label"], "system:auto_reset");
        replay::assert_legal(&scene.o, id).await;
    }
    // They are pending again: a retry tells so.
    let again = results(scene.reject_in_bulk(json!([{"story_id": ids[0], "reason": "again"}])).await);
    assert_eq!(outcomes(&again), ["invalid_transition"]);
    assert_eq!(again[0]["current_state"], "pending");
    assert_eq!(again[0]["context"]["current_verified_status"], "rejected");
}

/// With the tenant's automatic reset off, rejected stories keep their assignee.
#[tokio::test]
async fn bulk_reject_obeys_the_setting() {
    let scene = Scene::new().await;
    scene.auto_reset(false).await;
    let ids = scene.stories_at(&[Some(Reach::Reviewed); 2]).await;
    let items = json!([{"story_id": ids[0], "reason": "a"}, {"story_id": ids[1], "reason": "b"}]);
    assert_eq!(outcomes(&results(scene.reject_in_bulk(items.clone()).await)), ["success"; 2]);
    for (id, reason) in [(&ids[0], "a"), (&ids[1], "b")] {
        let story = scene.show_story(id).await;
        assert_eq!([&story["agent_status"], &story["verified_status"]], ["reported_done", "rejected"]);
        assert_eq!(story["assigned_agent_id"], scene.a1.agent());
        assert_eq!(story["rejection_reason"], reason);
        let history = scene.snapshot_of(id).await[1]["data"].as_array().unwrap().clone();
        assert_eq!(history.last().unwrap()["action"], "rejected");
    }
    // Rejected again, as single stories may be.
    assert_eq!(outcomes(&results(scene.reject_in_bulk(items.clone()).await)), ["success"; 2]);
    scene.auto_reset(true).await;
    assert_eq!(outcomes(&results(scene.reject_in_bulk(items).await)), ["success"; 2]);
    for id in &ids {
        assert_eq!(scene.show_story(id).await["agent_status"], "pending");
        assert_eq!(scene.show_story(id).await["iteration_count"], 3);
        replay::assert_legal(&scene.o, id).await;
    }
}

/// An id that is wrong and an item that is refused do not spoil what the same transaction has written before them.
#[tokio::test]
async fn the_audit_log_has_no_gaps_after_partial_success() {
    let scene = Scene::new().await;
    let ids = scene.stories_at(&[Some(Reach::Reviewed), Some(Reach::Reported), Some(Reach::Reviewed)]).await;
    let before = scene.tenant.audit_log().await.len();
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id})).collect();
    let answer = results(scene.verify_in_bulk(json!(items)).await);
    assert_eq!(outcomes(&answer), ["success", "review_not_conducted", "success"]);
    let log = scene.tenant.audit_log().await;
    let told: Vec<_> = log[before..]
        .iter()
        .map(|entry| (text(&entry["action"]), text(&entry["entity_id"])))
        .filter(|(action, _)| action == "verified")
        .map(|(_, id)| id)
        .collect();
    assert_eq!(told, [ids[0].clone(), ids[2].clone()], "in the order of the request");
    assert_eq!(log.len(), before + 4);
    for (place, entry) in log.iter().enumerate() {
        assert_eq!(entry["position"], place + 1);
    }
}
