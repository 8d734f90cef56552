//! All reported stories of an epic at once.

use serde_json::{Value, json};

use super::{Scene, evidence, replay, review};
use crate::database::positions::put_head_back;
use crate::support::{Caller, Reach, Reply, connect, server, story, text};

const UNKNOWN: &str = "0190f5ad-0000-7000-8000-000000000000";

/// An epic of stories that have come this far, in order of their numbers.
struct Epic {
    scene: Scene,
    id: String,
    stories: Vec<String>,
}

impl Epic {
    async fn at(reaches: &[Option<Reach>]) -> Self {
        let scene = Scene::new().await;
        // 1.10 comes after 1.9 in the order of stories.
        let stories: Vec<_> = (0..reaches.len()).map(|minor| story(&format!("1.{}", minor + 8))).collect();
        let plan = json!({"epics": [{"number": 1, "title": "Epic", "stories": stories},
                                    {"number": 2, "title": "Other", "stories": [story("2.1")]}]});
        let project = scene.tenant.imported(plan).await;
        let epics = scene.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
        let mut stories = Vec::new();
        for (minor, reach) in reaches.iter().enumerate() {
            let id = scene.tenant.story_id(&project, &format!("1.{}", minor + 8)).await;
            if let Some(reach) = reach {
                scene.bring(&id, *reach).await;
            }
            stories.push(id);
        }
        // Another epic's story is none of its business.
        let other = scene.tenant.story_id(&project, "2.1").await;
        scene.bring(&other, Reach::Reviewed).await;
        stories.push(other);
        Self { scene, id: text(&epics["data"][0]["id"]), stories }
    }

    async fn verify_all(&self, who: &Caller, body: Value) -> Reply {
        who.post(&format!("/epics/{}/verify-all", self.id), body).await
    }

    async fn snapshots(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for id in &self.stories {
            all.push(self.scene.snapshot_of(id).await);
        }
        all
    }
}

fn zeros() -> Value {
    json!({"verified_count": 0, "skipped_count": 0, "total_eligible": 0, "verified": [], "errors": []})
}

#[tokio::test]
async fn who_asks_for_what_comes_first() {
    let epic = Epic::at(&[Some(Reach::Reviewed)]).await;
    let Epic { scene, id, .. } = &epic;
    let before = epic.snapshots().await;
    for who in [&scene.a1, &scene.tenant.user] {
        for body in [evidence(), json!({})] {
            let error = epic.verify_all(who, body).await.expect_error(403, "forbidden");
            assert_eq!(error["message"], "This endpoint requires the orchestrator role");
        }
    }
    epic.verify_all(&Caller::nobody(), evidence()).await.expect_error(401, "unauthorized");
    // Before the epic is looked up and before the body.
    let nobody = scene.tenant.key("orchestrator").await;
    for id in [id.as_str(), UNKNOWN] {
        for body in [evidence(), json!({})] {
            let error = nobody.post(&format!("/epics/{id}/verify-all"), body).await;
            let error = error.expect_error(400, "agent_required");
            assert!(text(&error["message"]).contains("must be linked to a registered agent"));
        }
    }
    for id in [UNKNOWN, "not-a-uuid", "1", scene.story.as_str()] {
        for body in [evidence(), json!({})] {
            scene.o.post(&format!("/epics/{id}/verify-all"), body).await.expect_error(404, "not_found");
        }
    }
    epic.verify_all(&Scene::new().await.o, evidence()).await.expect_error(404, "not_found");
    for body in [
        json!({}),
        json!({"summary": "x"}),
        json!({"review_type": "x"}),
        json!({"review_type": "x", "summary": " \n"}),
        json!({"review_type": 7, "summary": "x"}),
        json!({"review_type": null, "summary": null, "result": "fail"}),
    ] {
        let error = epic.verify_all(&scene.o, body).await.expect_error(422, "review_evidence_required");
        let message = text(&error["message"]);
        for part in ["Review evidence required", "review_type", "summary"] {
            assert!(message.contains(part), "{message}");
        }
    }
    for (member, value) in [
        ("result", json!("fail")),
        ("result", json!(true)),
        ("findings", json!(7)),
        ("commit_sha", json!("xyz")),
        ("review_type", json!("x".repeat(256))),
    ] {
        let mut body = evidence();
        body[member] = value;
        let error = epic.verify_all(&scene.o, body).await.expect_error(422, "validation_failed");
        assert!(error["details"][member].is_array(), "{error:#}");
    }
    assert_eq!(epic.snapshots().await, before);
}

/// By the rules of a single verification, each story on its own.
#[tokio::test]
async fn what_is_reviewed_is_verified_and_the_rest_is_told() {
    let reviewed = Some(Reach::Reviewed);
    let epic = Epic::at(&[
        reviewed,
        Some(Reach::Reported),
        reviewed,
        None,
        Some(Reach::Verified),
        Some(Reach::Implementing),
        // 1.14, 1.15
        reviewed,
        Some(Reach::Reported),
    ])
    .await;
    let Epic { scene, stories, .. } = &epic;
    // By an orchestrator key of the implementer: everything is skipped.
    let own = scene.own_orchestrator().await;
    let before = epic.snapshots().await;
    let answer = epic.verify_all(&own, evidence()).await.expect(200);
    assert_eq!(answer["verified_count"], 0);
    assert_eq!([&answer["skipped_count"], &answer["total_eligible"]], [5, 5]);
    for error in answer["errors"].as_array().unwrap() {
        assert_eq!(error["code"], "self_verify_blocked");
        assert!(text(&error["reason"]).contains("Cannot verify your own implementation"));
    }
    assert_eq!(epic.snapshots().await, before);

    let body =
        json!({"review_type": "manual", "summary": "all read", "result": "partial", "findings": ["x"]});
    let answer = epic.verify_all(&scene.o, body).await.expect(200);
    assert_eq!(answer["verified_count"], 3);
    assert_eq!([&answer["skipped_count"], &answer["total_eligible"]], [2, 5]);
    let errors = answer["errors"].as_array().unwrap();
    for (error, (place, number)) in errors.iter().zip([(1, "1.9"), (7, "1.15")]) {
        assert_eq!(error["story_id"], stories[place].as_str());
        assert_eq!(error["number"], number);
        assert_eq!(error["code"], "review_not_conducted");
        assert!(text(&error["reason"]).contains("No review record found"));
    }
    assert_eq!(errors.len(), 2);
    let mut verified = Vec::new();
    for (place, (id, before)) in stories.iter().zip(before).enumerate() {
        let after = scene.snapshot_of(id).await;
        if after == before {
            continue;
        }
        verified.push(place);
        let row = &after[2]["data"][0];
        assert_eq!(row["result"], "partial");
        assert_eq!(row["summary"], "all read");
        assert_eq!(row["review_type"], "manual");
        assert_eq!(row["findings"], json!(["x"]));
        assert_eq!(row["orchestrator_agent_id"], scene.o.agent());
        assert_eq!(after[0]["story"]["verified_status"], "verified");
        replay::assert_legal(&scene.o, id).await;
    }
    assert_eq!(verified, [0, 2, 6]);
    // In the order of stories: 1.8, 1.10, 1.14.
    let log = scene.tenant.audit_log().await;
    let told: Vec<_> = log.iter().filter(|entry| entry["action"] == "verified").collect();
    let last: Vec<_> = told[told.len() - 3..].iter().map(|entry| text(&entry["entity_id"])).collect();
    assert_eq!(last, [stories[0].clone(), stories[2].clone(), stories[6].clone()]);
    // Again: what is verified is not eligible any more.
    let answer = epic.verify_all(&scene.o, evidence()).await.expect(200);
    assert_eq!([&answer["verified_count"], &answer["skipped_count"], &answer["total_eligible"]], [0, 2, 2]);
}

/// Rejected without auto-reset, a story is eligible, and needs a review that is newer than the rejection.
#[tokio::test]
async fn what_was_rejected_and_stands_needs_another_review() {
    let epic = Epic::at(&[Some(Reach::Reviewed)]).await;
    let Epic { scene, stories, .. } = &epic;
    scene.auto_reset(false).await;
    scene.o.post(&format!("/stories/{}/reject", stories[0]), json!({"reason": "no"})).await.expect(200);
    let answer = epic.verify_all(&scene.o, evidence()).await.expect(200);
    assert_eq!([&answer["verified_count"], &answer["skipped_count"], &answer["total_eligible"]], [0, 1, 1]);
    assert_eq!(answer["errors"][0]["code"], "review_not_conducted");
    scene.a2.post(&format!("/stories/{}/review-complete", stories[0]), review()).await.expect(201);
    let answer = epic.verify_all(&scene.o, evidence()).await.expect(200);
    assert_eq!(answer["verified_count"], 1);
    replay::assert_legal(&scene.o, &stories[0]).await;
}

#[tokio::test]
async fn nothing_eligible_is_no_error() {
    let epic = Epic::at(&[None, Some(Reach::Assigned), Some(Reach::Verified)]).await;
    let Epic { scene, .. } = &epic;
    let before = epic.snapshots().await;
    let answer = epic.verify_all(&scene.o, evidence()).await.expect(200);
    assert_eq!(answer, zeros());
    assert_eq!(epic.snapshots().await, before);
    // And an epic without stories.
    let plan = json!({"epics": [{"number": 1, "title": "Empty", "stories": []}]});
    let project = scene.tenant.imported(plan).await;
    let epics = scene.tenant.user.get(&format!("/projects/{project}/epics")).await.expect(200);
    let path = format!("/epics/{}/verify-all", text(&epics["data"][0]["id"]));
    assert_eq!(scene.o.post(&path, evidence()).await.expect(200), zeros());
    scene.o.post(&path, json!({})).await.expect_error(422, "review_evidence_required");
}

/// What the server could not do ends the call: what was done before stays and is told, and nothing more is attempted. The
/// first story that cannot be had, and how the call ends.
#[tokio::test]
async fn a_failure_of_the_server_ends_the_call_and_hides_nothing() {
    for (locked, status, codes) in [
        (1, 200, [("1.9", "database_unavailable"), ("1.10", "not_attempted")].as_slice()),
        (
            0,
            503,
            [("1.8", "database_unavailable"), ("1.9", "not_attempted"), ("1.10", "not_attempted")].as_slice(),
        ),
    ] {
        let epic = Epic::at(&[Some(Reach::Reviewed); 3]).await;
        let mut owner = connect(&server().owner).await;
        let lock = owner.transaction().await.unwrap();
        let sql = "select from story_states where id = $1::text::uuid for update";
        lock.execute(sql, &[&epic.stories[locked]]).await.unwrap();
        let done = epic.verify_all(&epic.scene.o, evidence()).await.expect(status);
        lock.rollback().await.unwrap();
        assert_eq!(
            (&done["verified_count"], &done["total_eligible"]),
            (&json!(locked), &json!(3)),
            "{done:#}"
        );
        assert_eq!(done["skipped_count"], codes.len(), "{done:#}");
        // The envelope has whatever the failure has.
        let outcome = if status == 503 { json!("unchanged") } else { Value::Null };
        assert_eq!(done["error"]["outcome"], outcome, "{done:#}");
        let told: Vec<_> = done["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                assert!(!text(&error["reason"]).is_empty());
                (error["number"].as_str().unwrap(), error["code"].as_str().unwrap())
            })
            .collect();
        assert_eq!(told, codes);
        let done: Vec<_> =
            done["verified"].as_array().unwrap().iter().map(|story| text(&story["story_id"])).collect();
        assert_eq!(done, epic.stories[..locked]);
        for (place, id) in epic.stories[..3].iter().enumerate() {
            let verified = epic.scene.snapshot_of(id).await[0]["story"]["verified_status"] == "verified";
            assert_eq!(verified, place < locked, "story {place}");
        }
        let again = epic.verify_all(&epic.scene.o, evidence()).await.expect(200);
        assert_eq!((&again["verified_count"], &again["errors"]), (&json!(3 - locked), &json!([])));
    }
}

/// Whatever the failure: without the head of its log, nothing can be written of a tenant.
#[tokio::test]
async fn a_failure_that_is_a_bug_is_told_in_the_same_form() {
    let epic = Epic::at(&[Some(Reach::Reviewed); 2]).await;
    let owner = connect(&server().owner).await;
    let sql = "delete from audit_heads where tenant_id = $1::text::uuid";
    assert_eq!(owner.execute(sql, &[&epic.scene.tenant.id]).await.unwrap(), 1);
    let done = epic.verify_all(&epic.scene.o, evidence()).await.expect(500);
    assert_eq!((&done["error"]["code"], &done["verified_count"]), (&json!("internal_error"), &json!(0)));
    let codes: Vec<_> = done["errors"].as_array().unwrap().iter().map(|error| text(&error["code"])).collect();
    assert_eq!(codes, ["internal_error", "not_attempted"]);
    put_head_back(&owner, &epic.scene.tenant.id).await;
}
