//! Review records: who may leave one, when, and what it must account for.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{Scene, evidence, review};
use crate::support::{Reach, text};

#[tokio::test]
async fn invalid_reviews_are_refused_field_by_field() {
    let scene = Scene::at(Reach::Reported).await;
    let before = scene.snapshot().await;
    let review_type = "enhanced";
    for (body, field, message) in [
        (json!({}), "review_type", "can't be blank"),
        (json!({"review_type": null, "findings_count": 0}), "review_type", "can't be blank"),
        (json!({"review_type": " \t"}), "review_type", "can't be blank"),
        (json!({"review_type": 5}), "review_type", "is invalid"),
        (json!({"review_type": "x".repeat(256)}), "review_type", "should be at most 255 character(s)"),
        (
            json!({"review_type": review_type, "findings_count": -1}),
            "findings_count",
            "must be greater than or equal to 0",
        ),
        (
            json!({"review_type": review_type, "fixes_count": -1}),
            "fixes_count",
            "must be greater than or equal to 0",
        ),
        (
            json!({"review_type": review_type, "disproved_count": "-3"}),
            "disproved_count",
            "must be greater than or equal to 0",
        ),
        (json!({"review_type": review_type, "findings_count": "many"}), "findings_count", "is invalid"),
        (json!({"review_type": review_type, "findings_count": 1.5}), "findings_count", "is invalid"),
        (
            json!({"review_type": review_type, "findings_count": 2_147_483_648_i64}),
            "findings_count",
            "is invalid",
        ),
        (json!({"review_type": review_type, "fixes_count": [1]}), "fixes_count", "is invalid"),
        (json!({"review_type": review_type, "summary": {"a": 1}}), "summary", "is invalid"),
        (
            json!({"review_type": review_type, "summary": "x".repeat(50_001)}),
            "summary",
            "should be at most 50000 character(s)",
        ),
        (json!({"review_type": review_type, "completed_at": "yesterday"}), "completed_at", "is invalid"),
        (json!({"review_type": review_type, "completed_at": 1_800_000_000}), "completed_at", "is invalid"),
        (
            json!({"review_type": review_type, "findings_count": 6, "fixes_count": 4}),
            "fixes_count",
            "6 findings confirmed but only 4 fixed and 0 disproved",
        ),
        (
            json!({"review_type": review_type, "findings_count": 6, "fixes_count": 4, "disproved_count": 1}),
            "fixes_count",
            "6 findings confirmed but only 4 fixed and 1 disproved",
        ),
        (
            json!({"review_type": review_type, "findings_count": 1}),
            "fixes_count",
            "1 findings confirmed but only 0 fixed and 0 disproved",
        ),
    ] {
        let reply = scene.act(&scene.a2, "review-complete", body).await;
        let error = reply.expect_error(422, "validation_failed");
        assert_eq!(error["message"], "Validation failed");
        assert_eq!(error["details"], json!({field: [message]}), "{error:#}");
    }
    assert_eq!(scene.snapshot().await, before);
    // None of them counts.
    scene.act(&scene.o, "verify", evidence()).await.expect_error(422, "review_not_conducted");
}

#[tokio::test]
async fn findings_must_be_accounted_for() {
    let scene = Scene::at(Reach::Reported).await;
    for (found, fixed, disproved) in [(6, 4, 2), (6, 6, 0), (0, 0, 0), (2, 4, 2), (0, 3, 0)] {
        let body = json!({"review_type": "enhanced", "findings_count": found, "fixes_count": fixed,
                          "disproved_count": disproved, "summary": "ok"});
        let made = scene.act(&scene.a2, "review-complete", body).await.expect(201);
        let record = &made["review_record"];
        assert_eq!(record["findings_count"], found);
        assert_eq!(record["fixes_count"], fixed);
        assert_eq!(record["disproved_count"], disproved);
        assert_eq!(record["summary"], "ok");
    }
    let body =
        json!({"review_type": "manual", "findings_count": null, "fixes_count": "3", "disproved_count": null});
    let made = scene.act(&scene.a2, "review-complete", body).await.expect(201);
    let record = made["review_record"].as_object().unwrap();
    assert_eq!(record["findings_count"], 0);
    assert_eq!(record["fixes_count"], 3);
    assert_eq!(record["summary"], Value::Null);
    assert_eq!(record["story_id"], scene.story);
    assert_eq!(record["tenant_id"], scene.tenant.id);
    assert_eq!(record["criteria_digest"], scene.show().await["criteria_digest"]);
    assert_eq!(record.len(), 13, "{record:?}");
}

#[tokio::test]
async fn agents_orchestrators_and_humans_review() {
    let scene = Scene::at(Reach::Reported).await;
    for (who, agent) in [
        (&scene.a2, Value::from(scene.a2.agent())),
        (&scene.o, Value::from(scene.o.agent())),
        (&scene.tenant.user, Value::Null),
    ] {
        let made = scene.act(who, "review-complete", review()).await.expect(201);
        assert_eq!(made["review_record"]["reviewer_agent_id"], agent);
        let last = scene.history().await.pop().unwrap();
        assert_eq!(last["action"], "review_completed");
        assert_eq!(last["new_state"]["reviewer_agent_id"], agent);
        assert_eq!(last["new_state"]["review_record_id"], made["review_record"]["id"]);
        // A review moves nothing.
        assert_eq!(scene.show().await["agent_status"], "reported_done");
        assert_eq!(scene.show().await["verified_status"], "unverified");
    }
    // Whoever reported may review and verify: only the implementer is barred.
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
}

#[tokio::test]
async fn a_review_is_newer_than_the_report_and_not_from_the_future() {
    let scene = Scene::at(Reach::Reported).await;
    let reported: DateTime<Utc> = text(&scene.show().await["reported_done_at"]).parse().unwrap();
    let write = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    let at = |time: String| json!({"review_type": "enhanced", "completed_at": time});
    let before = scene.snapshot().await;
    for time in [
        reported + TimeDelta::days(365),
        reported + TimeDelta::minutes(10),
        reported,
        reported - TimeDelta::microseconds(1),
        reported - TimeDelta::days(30),
    ] {
        let reply = scene.act(&scene.a2, "review-complete", at(write(time))).await;
        let error = reply.expect_error(422, "validation_failed");
        assert!(error["details"]["completed_at"][0].is_string(), "{time}");
    }
    assert_eq!(scene.snapshot().await, before);
    scene.act(&scene.o, "verify", evidence()).await.expect_error(422, "review_not_conducted");
    // One microsecond after the report, written in another time zone.
    let time = reported + TimeDelta::microseconds(1);
    let zone = chrono::FixedOffset::east_opt(2 * 3600).unwrap();
    let local = time.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Micros, false);
    let made = scene.act(&scene.a2, "review-complete", at(local)).await.expect(201);
    assert_eq!(made["review_record"]["completed_at"], write(time));
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
}

/// A review of the work as it was reported before says nothing about the rework.
#[tokio::test]
async fn an_old_review_does_not_cover_a_new_report() {
    let scene = Scene::at(Reach::Reviewed).await;
    // As far in the future as is let through.
    let ahead = (Utc::now() + TimeDelta::seconds(50)).to_rfc3339();
    let body = json!({"review_type": "enhanced", "completed_at": ahead});
    scene.act(&scene.a2, "review-complete", body).await.expect(201);
    scene.act(&scene.a1, "unclaim", json!({})).await.expect(200);
    scene.bring(&scene.story, Reach::Reported).await;
    let reply = scene.act(&scene.o, "verify", evidence()).await;
    let error = super::refused(reply, 422, "review_not_conducted", "verify", ["reported_done", "unverified"]);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("No review record found") && message.contains("review-complete"));
    scene.act(&scene.tenant.user, "review-complete", review()).await.expect(201);
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
}

/// A verified story can still be reviewed again; a review never changes the verdict.
#[tokio::test]
async fn a_late_review_changes_nothing() {
    let scene = Scene::at(Reach::Verified).await;
    let before = scene.show().await;
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    assert_eq!(scene.show().await, before);
}
