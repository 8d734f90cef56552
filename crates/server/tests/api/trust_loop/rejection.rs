//! Rejection and rework.

use serde_json::{Value, json};

use super::{Scene, evidence, pluck, refused, replay, review};
use crate::support::{Reach, text};

#[tokio::test]
async fn a_rejection_needs_a_reason() {
    let scene = Scene::at(Reach::Reported).await;
    let before = scene.snapshot().await;
    for body in [
        json!({}),
        json!({"reason": ""}),
        json!({"reason": "   \n\t"}),
        json!({"reason": null}),
        json!({"reason": 7}),
        json!({"reason": ["no tests"]}),
        json!({"findings": {"a": 1}}),
    ] {
        let reply = scene.act(&scene.o, "reject", body.clone()).await;
        let error = reply.expect_error(422, "reason_required");
        assert_eq!(error["message"], "reason is required and cannot be blank");
        // Before the lookup.
        let path = "/stories/0190f5ad-0000-7000-8000-000000000000/reject";
        scene.o.post(path, body).await.expect_error(422, "reason_required");
    }
    for (member, value, message) in [
        ("reason", json!("x".repeat(50_001)), "should be at most 50000 character(s)"),
        ("findings", json!("none"), "is invalid"),
        ("findings", json!(1), "is invalid"),
        ("review_type", json!(1), "is invalid"),
        ("review_type", json!("x".repeat(256)), "should be at most 255 character(s)"),
    ] {
        let mut body = json!({"reason": "no tests"});
        body[member] = value;
        let reply = scene.act(&scene.o, "reject", body).await;
        let error = reply.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({member: [message]}));
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_rejected_story_goes_back_to_pending() {
    let scene = Scene::at(Reach::Reviewed).await;
    let body = json!({"reason": "  no tests ", "findings": [{"file": "a.rs"}], "review_type": "manual"});
    let rejected = scene.act(&scene.o, "reject", body).await.expect(200);
    let story = &rejected["story"];
    assert_eq!(story["verified_status"], "rejected");
    assert_eq!(story["agent_status"], "pending");
    assert_eq!(story["rejection_reason"], "no tests");
    assert!(story["rejected_at"].is_string());
    assert!(story["first_claimed_at"].is_string());
    for column in [
        "assigned_agent_id",
        "assigned_at",
        "reported_done_at",
        "reported_by_agent_id",
        "review_requested_at",
        "contracted_by_agent_id",
        "verified_at",
    ] {
        assert_eq!(story.get(column), Some(&Value::Null), "{column}");
    }
    assert_eq!(rejected["next_actions"][0]["action"], "contract");
    let history = scene.history().await;
    let last = &history[history.len() - 3..];
    assert_eq!(pluck(last, "action"), ["created", "rejected", "auto_reset"]);
    let row = &scene.get("/verifications").await["data"][0];
    assert_eq!(row["result"], "fail");
    assert_eq!(row["summary"], "no tests");
    assert_eq!(row["findings"], json!([{"file": "a.rs"}]));
    assert_eq!(row["review_type"], "manual");
    assert_eq!(row["iteration"], 1);
    // Twice is once too often: the story is pending again.
    let again = scene.act(&scene.o, "reject", json!({"reason": "again"})).await;
    refused(again, 409, "invalid_transition", "reject", ["pending", "rejected"]);
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// The old review is not of the new work.
#[tokio::test]
async fn rework_is_reviewed_and_verified_anew() {
    let scene = Scene::at(Reach::Reviewed).await;
    let reason = json!({"reason": "no tests"});
    scene.act(&scene.o, "reject", reason).await.expect(200);
    // While it is reworked it stays rejected.
    scene.bring(&scene.story, Reach::Implementing).await;
    assert_eq!(scene.show().await["verified_status"], "rejected");
    let reported = scene.act(&scene.a2, "report", json!({})).await.expect(200);
    assert_eq!(reported["story"]["verified_status"], "unverified");
    assert_eq!(reported["story"]["rejection_reason"], "no tests");
    assert!(reported["story"]["rejected_at"].is_string());
    // The query for work that awaits verification finds it.
    let project = text(&reported["story"]["project_id"]);
    let query =
        format!("/stories?project_id={project}&agent_status=reported_done&verified_status=unverified");
    let waiting = scene.o.get(&query).await.expect(200);
    assert_eq!(waiting["data"][0]["id"], scene.story);
    // The review of the rejected work does not count.
    scene.act(&scene.o, "verify", evidence()).await.expect_error(422, "review_not_conducted");
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    let verified = scene.act(&scene.o, "verify", evidence()).await.expect(200);
    assert_eq!(verified["story"]["rejection_reason"], Value::Null);
    assert_eq!(verified["story"]["rejected_at"], Value::Null);
    let list = scene.get("/verifications").await;
    assert_eq!(list["data"][0]["iteration"], 2);
    assert_eq!(list["data"][0]["result"], "pass");
    assert_eq!(list["data"][1]["iteration"], 1);
    assert_eq!(list["data"][1]["result"], "fail");
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// A regression found late.
#[tokio::test]
async fn a_verified_story_may_be_rejected() {
    let scene = Scene::at(Reach::Verified).await;
    let body = json!({"reason": "regression"});
    let rejected = scene.act(&scene.o, "reject", body).await.expect(200);
    assert_eq!(rejected["story"]["verified_status"], "rejected");
    assert_eq!(rejected["story"]["agent_status"], "pending");
    let shown = scene.show().await;
    assert_eq!(shown["iteration_count"], 2);
    assert_eq!(shown["latest_verification"]["result"], "fail");
    let history = scene.history().await;
    let entry = &history[history.len() - 2];
    assert_eq!(entry["old_state"], json!({"verified_status": "verified"}));
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// With its assignee, as the tenant's setting wants it.
#[tokio::test]
async fn without_auto_reset_a_rejected_story_stays_reported() {
    let scene = Scene::at(Reach::Reviewed).await;
    scene.auto_reset(false).await;
    let body = json!({"reason": "no tests"});
    let rejected = scene.act(&scene.o, "reject", body.clone()).await.expect(200);
    let story = &rejected["story"];
    assert_eq!(story["agent_status"], "reported_done");
    assert_eq!(story["verified_status"], "rejected");
    assert_eq!(story["assigned_agent_id"], scene.a1.agent());
    assert_eq!(story["reported_by_agent_id"], scene.a2.agent());
    assert!(story["reported_done_at"].is_string());
    assert_eq!(scene.history().await.last().unwrap()["action"], "rejected");
    // The implementer's other keys are still barred, and it may be rejected again.
    let own = scene.own_orchestrator().await;
    scene.act(&own, "verify", evidence()).await.expect_error(409, "self_verify_blocked");
    scene.act(&scene.o, "reject", body.clone()).await.expect(200);
    assert_eq!(scene.show().await["iteration_count"], 2);
    // The report is the same, but its review is of what was rejected: only another one may pass it.
    scene.act(&scene.o, "verify", evidence()).await.expect_error(422, "review_not_conducted");
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    let verified = scene.act(&scene.o, "verify", evidence()).await.expect(200);
    assert_eq!(verified["story"]["rejected_at"], Value::Null);
    replay::assert_legal(&scene.o, &scene.story).await;
    // Turned on again it resets.
    scene.auto_reset(true).await;
    let rejected = scene.act(&scene.o, "reject", body).await.expect(200);
    assert_eq!(rejected["story"]["agent_status"], "pending");
    replay::assert_legal(&scene.o, &scene.story).await;
}
