//! Start, request-review, unclaim and force-unclaim where they succeed.

use serde_json::{Value, json};

use super::{Scene, evidence, refused, replay, review};
use crate::support::{Reach, echo};

/// What a release clears.
#[track_caller]
fn assert_released(story: &Value) {
    assert_eq!(story["agent_status"], "pending");
    for column in [
        "assigned_agent_id",
        "assigned_at",
        "reported_done_at",
        "reported_by_agent_id",
        "review_requested_at",
        "contracted_by_agent_id",
        "verifier_dispatch_id",
    ] {
        assert_eq!(story.get(column), Some(&Value::Null), "{column}");
    }
    assert_eq!(story["verifier_needed"], false);
}

#[tokio::test]
async fn request_review_may_be_repeated() {
    let scene = Scene::at(Reach::Implementing).await;
    let first = scene.act(&scene.a1, "request-review", json!({})).await.expect(200);
    let again = scene.act(&scene.a1, "request-review", json!({"note": "fixed"})).await.expect(200);
    assert!(
        again["story"]["review_requested_at"].as_str() > first["story"]["review_requested_at"].as_str(),
        "{again:#}"
    );
    assert_eq!(again["story"]["agent_status"], "implementing");
    let requests = scene.history().await.iter().filter(|entry| entry["action"] == "review_requested").count();
    assert_eq!(requests, 2);
}

#[tokio::test]
async fn only_the_holder_gives_a_story_back() {
    let scene = Scene::new().await;
    for reach in [Reach::Assigned, Reach::Implementing, Reach::Reported] {
        scene.bring(&scene.story, reach).await;
        let first_claimed = scene.show().await["first_claimed_at"].clone();
        scene.act(&scene.a2, "unclaim", json!({})).await.expect_error(403, "not_assigned_agent");
        let released = scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
        assert_released(&released["story"]);
        assert_eq!(released["story"]["first_claimed_at"], first_claimed);
        assert_eq!(released["next_actions"][0]["action"], "contract");
    }
    replay::assert_legal(&scene.o, &scene.story).await;
    // The old holder has no say in it any more: another agent takes over.
    scene.act(&scene.a2, "contract", echo()).await.expect(200);
    scene.act(&scene.a2, "claim", json!({})).await.expect(200);
    scene.act(&scene.a1, "start", json!({})).await.expect_error(403, "not_assigned_agent");
    // But who started it in this cycle is no stranger to the work: neither of them may report it.
    scene.act(&scene.a2, "start", json!({})).await.expect(200);
    for implementer in [&scene.a1, &scene.a2] {
        scene.act(implementer, "report", json!({})).await.expect_error(409, "self_report_blocked");
    }
    scene.act(&scene.tenant.agent().await, "report", json!({})).await.expect(200);
    replay::assert_legal(&scene.o, &scene.story).await;
}

#[tokio::test]
async fn force_unclaim_takes_a_story_from_any_state() {
    let scene = Scene::new().await;
    for reach in [Reach::Contracted, Reach::Assigned, Reach::Implementing, Reach::Reported, Reach::Reviewed] {
        scene.bring(&scene.story, reach).await;
        let taken = scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
        assert_released(&taken["story"]);
        assert_eq!(taken["story"]["verified_status"], "unverified");
        let last = scene.history().await.pop().unwrap();
        assert_eq!(last["action"], "force_unclaimed");
    }
    // On a pending story: 200, and no trace.
    let before = scene.snapshot().await;
    let path = format!("/stories/{}/force-unclaim", scene.story);
    let again = scene.o.post_empty(&path).await.expect(200);
    assert_released(&again["story"]);
    assert_eq!(scene.snapshot().await, before);
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// An orchestrator of the implementing agent is no judge, but may free the story.
#[tokio::test]
async fn force_unclaim_is_no_judgement() {
    let scene = Scene::at(Reach::Reported).await;
    let own = scene.own_orchestrator().await;
    scene.act(&own, "verify", evidence()).await.expect_error(409, "self_verify_blocked");
    scene.act(&own, "force-unclaim", json!({})).await.expect(200);
    assert_eq!(scene.show().await["verified_status"], "unverified");
}

/// A verified story stays verified and closed, also after a force-unclaim.
#[tokio::test]
async fn a_verified_story_is_closed_until_it_is_rejected() {
    let scene = Scene::at(Reach::Verified).await;
    let verified_at = scene.show().await["verified_at"].clone();
    let taken = scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    assert_released(&taken["story"]);
    assert_eq!(taken["story"]["verified_status"], "verified");
    assert_eq!(taken["story"]["verified_at"], verified_at);
    assert_eq!(taken["next_actions"], json!([]));
    let before = scene.snapshot().await;
    for (who, action, body) in [
        (&scene.a1, "contract", echo()),
        (&scene.o, "contract", json!({"skip_contract_check": true})),
        (&scene.a2, "claim", json!({})),
    ] {
        let error = refused(
            scene.act(who, action, body).await,
            409,
            "invalid_transition",
            action,
            ["pending", "verified"],
        );
        let hint = error["hints"][0].as_str().unwrap();
        assert!(hint.contains("already verified") && hint.contains("reject"), "{hint}");
    }
    for (who, action, hint) in [
        (&scene.a1, "start", "already verified"),
        (&scene.a1, "request-review", "already verified"),
        (&scene.a1, "unclaim", "nothing to release"),
        (&scene.a2, "report", "already verified"),
        (&scene.o, "verify", "already verified"),
    ] {
        let reply = scene.act(who, action, evidence()).await;
        let error = refused(reply, 409, "invalid_transition", action, ["pending", "verified"]);
        let text = error["hints"][0].as_str().unwrap();
        assert!(text.contains(hint), "{action}: {text}");
    }
    scene.act(&scene.a2, "review-complete", review()).await.expect(422);
    assert_eq!(scene.snapshot().await, before);
    // Rejection reopens it.
    let body = json!({"reason": "regression"});
    let rejected = scene.act(&scene.o, "reject", body).await.expect(200);
    assert_eq!(rejected["story"]["verified_status"], "rejected");
    assert_eq!(rejected["story"]["agent_status"], "pending");
    scene.act(&scene.a1, "contract", echo()).await.expect(200);
    replay::assert_legal(&scene.o, &scene.story).await;
}
