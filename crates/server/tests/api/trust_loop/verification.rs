//! Verification: the evidence it asks for, and what it leaves.

use serde_json::{Value, json};

use super::{Scene, evidence, refused, replay, review};
use crate::support::{Reach, Tenant, text};

#[tokio::test]
async fn evidence_comes_before_the_review_record() {
    let scene = Scene::at(Reach::Reported).await;
    let before = scene.snapshot().await;
    let state = ["reported_done", "unverified"];
    for body in [
        json!({}),
        json!({"result": "pass", "summary": "All criteria met"}),
        json!({"review_type": "enhanced"}),
        json!({"review_type": " ", "summary": "x"}),
        json!({"review_type": "x", "summary": "\n"}),
        json!({"review_type": 7, "summary": "x"}),
        json!({"review_type": "x", "summary": ["x"]}),
        json!({"review_type": null, "summary": null}),
        // Evidence comes before other fields too.
        json!({"result": "fail", "findings": 7}),
    ] {
        let reply = scene.act(&scene.o, "verify", body).await;
        let error = refused(reply, 422, "review_evidence_required", "verify", state);
        let message = error["message"].as_str().unwrap();
        for part in ["Review evidence required", "review_type", "summary"] {
            assert!(message.contains(part), "{message}");
        }
    }
    let reply = scene.act(&scene.o, "verify", evidence()).await;
    let error = refused(reply, 422, "review_not_conducted", "verify", state);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("No review record found") && message.contains("review-complete"), "{message}");
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn invalid_verifications_are_refused_field_by_field() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    for (member, value, wanted) in [
        ("result", json!("fail"), "reject"),
        ("result", json!("maybe"), "must be pass or partial"),
        ("result", json!("PASS"), "must be pass or partial"),
        ("result", json!(""), "must be pass or partial"),
        ("result", json!(true), "must be pass or partial"),
        ("findings", json!("none"), "is invalid"),
        ("findings", json!(7), "is invalid"),
        ("findings", json!(false), "is invalid"),
        ("commit_sha", json!("not hex"), "is invalid"),
        ("commit_sha", json!(123), "is invalid"),
        ("commit_sha", json!("a".repeat(65)), "should be at most 64 character(s)"),
        ("review_type", json!("x".repeat(256)), "should be at most 255 character(s)"),
        ("summary", json!("x".repeat(50_001)), "should be at most 50000 character(s)"),
    ] {
        let mut body = evidence();
        body[member] = value;
        let reply = scene.act(&scene.o, "verify", body).await;
        let error = reply.expect_error(422, "validation_failed");
        let message = error["details"][member][0].as_str().unwrap();
        assert!(message.contains(wanted), "{member}: {message}");
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn what_was_checked_is_kept() {
    let mut scene = Scene::new().await;
    let sha = "0123456789abcdefABCDEF0123456789abcdef01";
    for (extra, result, findings, commit) in [
        (json!({}), "pass", json!({}), Value::Null),
        (json!({"result": "pass", "findings": {"a": [1]}}), "pass", json!({"a": [1]}), Value::Null),
        (
            json!({"result": "partial", "findings": ["x", {"y": 1}], "commit_sha": sha}),
            "partial",
            json!(["x", {"y": 1}]),
            json!(sha),
        ),
        (json!({"result": null, "findings": null, "commit_sha": null}), "pass", json!({}), Value::Null),
    ] {
        scene.bring(&scene.story, Reach::Reviewed).await;
        let mut body = evidence();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let verified = scene.act(&scene.o, "verify", body).await.expect(200);
        assert_eq!(verified["status"], "verified");
        assert_eq!(verified["story"]["verified_status"], "verified");
        assert_eq!(verified["story"]["agent_status"], "reported_done");
        let list = scene.get("/verifications").await;
        assert_eq!(list["meta"]["total_count"], 1);
        let row = &list["data"][0];
        assert_eq!(row["result"], result);
        assert_eq!(row["findings"], findings);
        assert_eq!(row["commit_sha"], commit);
        assert_eq!(row["iteration"], 1);
        assert_eq!(row["review_type"], "enhanced");
        assert_eq!(row["summary"], "checked");
        assert_eq!(row["orchestrator_agent_id"], scene.o.agent());
        let shown = scene.show().await;
        assert_eq!(shown["iteration_count"], 1);
        assert_eq!(shown["latest_verification"], *row);
        replay::assert_legal(&scene.o, &scene.story).await;
        scene = scene.next().await;
    }
}

/// Gates compare agents, so an orchestrator's key does not help the agent that did the work.
#[tokio::test]
async fn nobody_verifies_twice_or_their_own_work() {
    let scene = Scene::at(Reach::Reviewed).await;
    let own = scene.own_orchestrator().await;
    let before = scene.snapshot().await;
    for (action, body) in [
        ("verify", evidence()),
        // Identity comes before the evidence.
        ("verify", json!({})),
        ("reject", json!({"reason": "no tests"})),
    ] {
        let reply = scene.act(&own, action, body).await;
        let state = ["reported_done", "unverified"];
        let error = refused(reply, 409, "self_verify_blocked", action, state);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Cannot verify your own implementation"), "{message}");
    }
    // A blank reason is refused before anybody looks at the story.
    scene.act(&own, "reject", json!({"reason": " "})).await.expect_error(422, "reason_required");
    assert_eq!(scene.snapshot().await, before);
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
    let verified = scene.snapshot().await;
    for body in [evidence(), json!({})] {
        let reply = scene.act(&scene.o, "verify", body).await;
        let error = refused(reply, 409, "invalid_transition", "verify", ["reported_done", "verified"]);
        assert!(error["hints"][0].as_str().unwrap().contains("already verified"));
    }
    assert_eq!(scene.snapshot().await, verified);
}

/// The gate looks at the agent, whatever keys come and go.
#[tokio::test]
async fn the_gate_outlives_the_claiming_key() {
    let scene = Scene::at(Reach::Reviewed).await;
    let keys = scene.tenant.user.get("/api_keys?page_size=100").await.expect(200);
    let key = keys["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["agent_id"] == scene.a1.agent() && key["role"] == "agent")
        .unwrap();
    let path = format!("/api_keys/{}", text(&key["id"]));
    let revoked = scene.tenant.user.delete(&path).await;
    assert!(revoked.status < 300);
    let own = scene.own_orchestrator().await;
    scene.act(&own, "verify", evidence()).await.expect_error(409, "self_verify_blocked");
}

/// For orchestrators and users; an agent sees no more than the story's status.
#[tokio::test]
async fn verifications_are_listed_newest_first() {
    let scene = Scene::new().await;
    let empty = scene.get("/verifications").await;
    assert_eq!(empty["data"], json!([]));
    assert_eq!(empty["meta"]["total_pages"], 0);
    assert_eq!(empty["meta"]["total_count"], 0);
    scene.auto_reset(false).await;
    scene.bring(&scene.story, Reach::Reported).await;
    for round in 1..=4 {
        let body = json!({"reason": format!("round {round}"), "review_type": "manual"});
        scene.act(&scene.o, "reject", body).await.expect(200);
    }
    scene.act(&scene.a2, "review-complete", review()).await.expect(201);
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
    let all = scene.get("/verifications").await;
    let iterations: Vec<_> =
        all["data"].as_array().unwrap().iter().map(|row| row["iteration"].as_i64().unwrap()).collect();
    assert_eq!(iterations, [5, 4, 3, 2, 1]);
    assert_eq!(all["data"][0]["result"], "pass");
    assert_eq!(all["data"][4]["result"], "fail");
    assert_eq!(all["data"][4]["summary"], "round 1");
    assert_eq!(all["data"][4]["review_type"], "manual");
    let meta =
        json!({"page": 1, "page_size": 20, "total_count": 5, "total_pages": 1, "limit": 20, "offset": 0});
    assert_eq!(all["meta"], meta);
    let mut seen = Vec::new();
    for page in 1..=4 {
        let part = scene.get(&format!("/verifications?page={page}&page_size=2")).await;
        assert_eq!(part["meta"]["total_pages"], 3);
        seen.extend(part["data"].as_array().unwrap().clone());
    }
    assert_eq!(json!(seen), all["data"]);
    for query in ["limit=2", "page_size=2&limit=3", "page=0&page_size=2", "page=-4&limit=2"] {
        let part = scene.get(&format!("/verifications?{query}")).await;
        assert_eq!(part["data"].as_array().unwrap().len(), 2, "{query}");
        assert_eq!(part["meta"]["page"], 1, "{query}");
    }
    for (query, size) in [("page_size=1000", 100), ("page_size=0", 1), ("page_size=x", 20)] {
        let part = scene.get(&format!("/verifications?{query}")).await;
        assert_eq!(part["meta"]["page_size"], size, "{query}");
    }
    assert_eq!(scene.show().await["iteration_count"], 5);
}

/// Work that predates the loop has no implementer; it is judged all the same.
#[tokio::test]
async fn imported_work_is_verified_like_any_other() {
    let tenant = Tenant::new().await;
    let o = tenant.orchestrator().await;
    let old = json!({"number": "1.1", "title": "Old", "initial_agent_status": "reported_done"});
    let payload = json!({"epics": [{"number": 1, "title": "Epic", "stories": [old]}]});
    let project = tenant.imported(payload).await;
    let story = tenant.story_id(&project, "1.1").await;
    let at = |action: &str| format!("/stories/{story}/{action}");
    o.post(&at("verify"), evidence()).await.expect_error(422, "review_not_conducted");
    o.post(&at("review-complete"), review()).await.expect(201);
    let verified = o.post(&at("verify"), evidence()).await.expect(200);
    // But nobody worked on it here.
    assert_eq!(verified["story"]["verification_source"], "import");
}
