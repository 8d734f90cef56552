//! `next_actions` at each step, and who is shown what.

use serde_json::{Value, json};

use super::{Scene, evidence, review};
use crate::support::{Caller, Reach, echo};

/// The names of the offered actions; every one must be complete.
#[track_caller]
fn names(story: &str, offered: &Value) -> Vec<String> {
    let offered = offered.as_array().expect("next_actions");
    offered
        .iter()
        .map(|next| {
            let action = next["action"].as_str().unwrap();
            let verb = action.replace('_', "-");
            assert_eq!(next["method"], "POST");
            assert_eq!(next["path"], format!("/api/v1/stories/{story}/{verb}"));
            assert_eq!(next["learn_more"], "http://loopctl.test/docs/lifecycle#actions");
            for precondition in next["preconditions"].as_array().unwrap() {
                assert!(!precondition.as_str().unwrap().is_empty());
            }
            let required: Vec<_> = next["required_body"].as_object().unwrap().keys().collect();
            let wanted: &[&str] = match action {
                "contract" => &["story_title", "ac_count"],
                "review_complete" => &["review_type"],
                "verify" => &["review_type", "summary"],
                "reject" => &["reason"],
                _ => &[],
            };
            assert_eq!(required, wanted, "{action}");
            action.to_owned()
        })
        .collect()
}

impl Scene {
    async fn offered(&self, who: &Caller) -> Vec<String> {
        let shown = who.get(&format!("/stories/{}", self.story)).await.expect(200);
        names(&self.story, &shown["next_actions"])
    }

    /// What a1, a2, o, an orchestrator of a1, and the user are shown.
    async fn assert_offered(&self, own: &Caller, wanted: [&[&str]; 5]) {
        let callers = [&self.a1, &self.a2, &self.o, own, &self.tenant.user];
        for ((who, wanted), name) in callers.into_iter().zip(wanted).zip(["a1", "a2", "o", "own", "user"]) {
            assert_eq!(self.offered(who).await, wanted, "{name}");
        }
    }
}

#[tokio::test]
async fn every_step_leads_to_the_next_one() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    scene.assert_offered(&own, [&["contract"]; 5]).await;
    let path = format!("/stories/{}", scene.story);
    let contract = scene.a1.get(&path).await.expect(200)["next_actions"][0].clone();
    assert_eq!(contract["required_body"], echo());
    // So does the queue of what is ready.
    for who in [&scene.a1, &scene.a2, &scene.o, &own, &scene.tenant.user] {
        let ready = who.get("/stories/ready").await.expect(200);
        assert_eq!(ready["data"][0]["next_actions"], who.get(&path).await.expect(200)["next_actions"]);
    }
    // The offer can be followed to the letter.
    let contracted = scene.act(&scene.a1, "contract", contract["required_body"].clone()).await.expect(200);
    assert_eq!(names(&scene.story, &contracted["next_actions"]), ["claim"]);
    scene.assert_offered(&own, [&["claim"]; 5]).await;

    let claimed = scene.act(&scene.a1, "claim", json!({})).await.expect(200);
    assert_eq!(names(&scene.story, &claimed["next_actions"]), ["start"]);
    scene.assert_offered(&own, [&["start"], &[], &[], &[], &[]]).await;

    let started = scene.act(&scene.a1, "start", json!({})).await.expect(200);
    assert_eq!(names(&scene.story, &started["next_actions"]), ["request_review"]);
    let implementing: [&[&str]; 5] = [&["request_review"], &["report"], &["report"], &[], &[]];
    scene.assert_offered(&own, implementing).await;
    let requested = scene.act(&scene.a1, "request-review", json!({})).await.expect(200);
    assert_eq!(names(&scene.story, &requested["next_actions"]), ["request_review"]);

    let reported = scene.act(&scene.a2, "report", json!({})).await.expect(200);
    assert_eq!(names(&scene.story, &reported["next_actions"]), ["review_complete"]);
    let unreviewed: [&[&str]; 5] =
        [&[], &["review_complete"], &["review_complete", "verify", "reject"], &[], &["review_complete"]];
    scene.assert_offered(&own, unreviewed).await;

    let reviewed = scene.act(&scene.o, "review-complete", review()).await.expect(201);
    assert_eq!(names(&scene.story, &reviewed["next_actions"]), ["verify", "reject"]);
    let waiting: [&[&str]; 5] = [&[], &[], &["verify", "reject"], &[], &[]];
    scene.assert_offered(&own, waiting).await;

    let verified = scene.act(&scene.o, "verify", evidence()).await.expect(200);
    assert_eq!(verified["next_actions"], json!([]));
    scene.assert_offered(&own, [&[]; 5]).await;
}

#[tokio::test]
async fn setbacks_lead_back_to_the_start() {
    let scene = Scene::new().await;
    let own = scene.own_orchestrator().await;
    for (reach, who, action, body) in [
        (Reach::Implementing, &scene.a1, "unclaim", json!({})),
        (Reach::Reported, &scene.o, "force-unclaim", json!({})),
        (Reach::Reported, &scene.o, "reject", json!({"reason": "no tests"})),
    ] {
        scene.bring(&scene.story, reach).await;
        let answer = scene.act(who, action, body).await.expect(200);
        assert_eq!(names(&scene.story, &answer["next_actions"]), ["contract"]);
        scene.assert_offered(&own, [&["contract"]; 5]).await;
    }
}

/// Without auto-reset a rejected story stays reported: what answers and what the story says agree.
#[tokio::test]
async fn a_rejected_story_that_stays_reported_needs_another_review() {
    let scene = Scene::at(Reach::Reviewed).await;
    scene.auto_reset(false).await;
    let body = json!({"reason": "no tests"});
    let rejected = scene.act(&scene.o, "reject", body).await.expect(200);
    let shown = scene.offered(&scene.o).await;
    assert_eq!(shown, ["review_complete", "verify", "reject"]);
    assert_eq!(names(&scene.story, &rejected["next_actions"]), shown);
}

/// A verified story offers nothing, not even when it was released.
#[tokio::test]
async fn a_released_verified_story_offers_nothing() {
    let scene = Scene::at(Reach::Verified).await;
    let taken = scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
    assert_eq!(taken["next_actions"], json!([]));
    assert_eq!(scene.offered(&scene.a2).await, Vec::<String>::new());
}
