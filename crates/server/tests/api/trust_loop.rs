//! File 02 §14, the checks of single stories.

use serde_json::json;

use crate::support::{Tenant, echo, text};

/// Checks 1, 6, 7, 13, 14, 16, 19, 20, 24: the seed's flow with nothing but Bearer keys.
#[tokio::test]
async fn a_story_goes_through_the_loop() {
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (
        tenant.agent().await,
        tenant.agent().await,
        tenant.orchestrator().await,
    );
    let story = tenant.story().await;
    let at = |action: &str| format!("/stories/{story}/{action}");

    let contracted = a1.post(&at("contract"), echo()).await.expect(200);
    assert_eq!(contracted["story"]["agent_status"], "contracted");
    assert_eq!(contracted["next_actions"][0]["action"], "claim");

    let claimed = a1.post_empty(&at("claim")).await.expect(200);
    assert_eq!(claimed["story"]["agent_status"], "assigned");
    assert_eq!(claimed["story"]["assigned_agent_id"], a1.agent());

    let started = a1.post_empty(&at("start-work")).await.expect(200);
    assert_eq!(started["story"]["agent_status"], "implementing");

    let requested = a1.post_empty(&at("request-review")).await.expect(200);
    assert_eq!(requested["story"]["agent_status"], "implementing");
    assert!(requested["story"]["review_requested_at"].is_string());

    let reported = a2
        .post(&at("report-done"), json!({"summary": "x"}))
        .await
        .expect(200);
    assert_eq!(reported["story"]["agent_status"], "reported_done");
    assert_eq!(reported["story"]["reported_by_agent_id"], a2.agent());

    let body =
        json!({"review_type": "enhanced", "findings_count": 6, "fixes_count": 4, "disproved_count": 2});
    let review = a2.post(&at("review-complete"), body).await.expect(201);
    assert_eq!(review["review_record"]["reviewer_agent_id"], a2.agent());

    let body = json!({"result": "pass", "review_type": "enhanced", "summary": "All criteria met"});
    let verified = o.post(&at("verify"), body).await.expect(200);
    assert_eq!(verified["status"], "verified");
    assert_eq!(verified["story"]["verified_status"], "verified");
    assert!(verified["run_id"].is_null());
    assert_eq!(verified["next_actions"], json!([]));

    let history = o.get(&at("history")).await.expect(200);
    let actions: Vec<_> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["action"]))
        .collect();
    assert_eq!(
        actions,
        [
            "created",
            "status_changed",
            "status_changed",
            "status_changed",
            "review_requested",
            "status_changed",
            "review_completed",
            "created",
            "verified"
        ]
    );
}
