//! A rejection that is passed off as if nothing had happened.

use serde_json::json;

use super::*;

fn reason() -> Value {
    json!({"reason": "no tests"})
}

/// With auto-reset off the report stands, and so do those who did the work; the review is of what was rejected.
#[tokio::test]
async fn a_rejection_without_rework_needs_another_review() {
    let scene = Scene::new().await;
    scene.auto_reset(false).await;
    let other = scene.tenant.agent().await;
    scene.start(&scene.a1).await;
    scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
    scene.start(&other).await;
    scene.act(&scene.a2, "report", json!({})).await.expect(200);
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    let state = ["reported_done", "rejected"];
    let implementers = [(scene.keys_of(&scene.a1).await, true), (scene.keys_of(&other).await, false)];
    // Twice: the second rejection begins a cycle in which nobody has started anything.
    for _ in 0..2 {
        scene.act(&scene.o, "reject", reason()).await.expect(200);
        nothing_verifies(&scene, &scene.o, "review_not_conducted").await;
        for ([agent, orchestrator], over) in &implementers {
            let over = *over;
            for key in [agent, orchestrator] {
                let reply = scene.act(key, "review-complete", review()).await;
                blocked(reply, "self_review_blocked", "review-complete", state, &[over]);
            }
            for action in ["verify", "reject"] {
                let reply = scene.act(orchestrator, action, json!({"reason": "x"})).await;
                blocked(reply, "self_verify_blocked", action, state, &[over]);
            }
            let edit =
                orchestrator.patch(&format!("/stories/{}", scene.story), json!({"title": "Less"})).await;
            blocked(edit, "self_criteria_blocked", "change-criteria", state, &[over]);
        }
    }
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    let epic = text(&scene.show().await["epic_id"]);
    let all = scene.o.post(&format!("/epics/{epic}/verify-all"), evidence()).await.expect(200);
    assert_eq!(all["verified_count"], 1, "{all:#}");
    // Taken from its holder, the work is still that of those who did it.
    scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    for ([_, orchestrator], _) in &implementers {
        let reply = scene.act(orchestrator, "reject", reason()).await;
        blocked(reply, "self_verify_blocked", "reject", ["pending", "verified"], &[true]);
    }
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// In bulk, too.
#[tokio::test]
async fn a_bulk_call_passes_reviewed_work_and_no_rejected_work() {
    let scene = Scene::new().await;
    scene.auto_reset(false).await;
    let ids = crate::trust_loop::stories(&scene.tenant, 3).await;
    for id in &ids {
        scene.bring(id, Reach::Reviewed).await;
    }
    for id in &ids[..2] {
        scene.o.post(&format!("/stories/{id}/reject"), reason()).await.expect(200);
    }
    scene.a2.post(&format!("/stories/{}/review-complete", ids[1]), review()).await.expect(201);
    let items: Vec<_> = ids.iter().map(|id| json!({"story_id": id})).collect();
    let answer = results(scene.o.post("/stories/bulk/verify", json!({"stories": items})).await);
    assert_eq!(outcomes(&answer), ["review_not_conducted", "success", "success"]);
    for id in &ids {
        replay::assert_legal(&scene.o, id).await;
    }
}

/// What was rejected may be given to the other: the next cycle is another attempt.
#[tokio::test]
async fn roles_may_be_swapped_for_the_next_attempt() {
    for auto_reset in [true, false] {
        let scene = Scene::at(Reach::Reviewed).await;
        scene.auto_reset(auto_reset).await;
        let own = scene.own_orchestrator().await;
        scene.act(&scene.o, "reject", reason()).await.expect(200);
        if !auto_reset {
            scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
        }
        // Not its measure any more either.
        scene.start(&scene.a2).await;
        let blocked_now = scene.act(&scene.a2, "report", json!({})).await;
        blocked(blocked_now, "self_report_blocked", "report", ["implementing", "rejected"], &[false]);
        let edit = json!({"title": "Build the API"});
        own.patch(&format!("/stories/{}", scene.story), edit).await.expect(200);
        scene.act(&own, "report", json!({})).await.expect(200);
        nothing_verifies(&scene, &scene.o, "review_not_conducted").await;
        scene.act(&scene.a1, "review-complete", review()).await.expect(201);
        scene.act(&own, "verify", evidence()).await.expect(200);
        replay::assert_legal(&scene.o, &scene.story).await;
    }
}

/// Those of both cycles are implementers while the report of the first stands and no longer.
#[tokio::test]
async fn a_late_rejection_begins_a_new_attempt() {
    let scene = Scene::at(Reach::Verified).await;
    scene.act(&scene.o, "reject", reason()).await.expect(200);
    assert_eq!(scene.show().await["verification_source"], Value::Null);
    scene.start(&scene.a2).await;
    scene.act(&scene.a1, "report", json!({})).await.expect(200);
    let own = scene.tenant.orchestrator_of(scene.a2.agent()).await;
    nothing_verifies(&scene, &own, "self_verify_blocked").await;
    scene.finish_honestly(&scene.a1).await;
}
