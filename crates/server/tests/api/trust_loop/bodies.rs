//! What else can be wrong with a body, and that none of it changes a story.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, evidence, review};
use crate::support::{Caller, Reach, Reply};

async fn raw(who: &Caller, path: &str, content_type: &str, body: &'static [u8]) -> Reply {
    let request = who.request(Method::POST, path).header("content-type", content_type).body(body);
    who.send(request).await
}

#[tokio::test]
async fn broken_bodies_change_nothing() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    for (who, action) in [
        (&scene.a1, "contract"),
        (&scene.a1, "claim"),
        (&scene.a1, "start"),
        (&scene.a1, "request-review"),
        (&scene.a2, "report"),
        (&scene.a1, "unclaim"),
        (&scene.a2, "review-complete"),
        (&scene.o, "verify"),
        (&scene.o, "reject"),
        (&scene.o, "force-unclaim"),
        (&scene.a1, "artifacts"),
    ] {
        let path = format!("/stories/{}/{action}", scene.story);
        for broken in [&b"{\"a\":"[..], b"nonsense", b"{\"a\":1}}", b"\xff\xfe", b"{'a':1}"] {
            let reply = raw(who, &path, "application/json", broken).await;
            let error = reply.expect(400)["error"].clone();
            let message = error["message"].as_str().unwrap();
            assert!(message.starts_with("Bad Request"), "{message}");
        }
        for no_object in [&b"[]"[..], b"[{\"reason\":\"x\"}]", b"7", b"\"x\"", b"null", b"true"] {
            let reply = raw(who, &path, "application/json", no_object).await;
            let error = reply.expect(422)["error"].clone();
            assert_eq!(error["message"], "Request body must be a JSON object");
        }
        let reply = raw(who, &path, "text/plain", b"reason=x").await;
        reply.expect_error(415, "unsupported_media_type");
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_nul_character_is_refused_wherever_it_is() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    let nul = "a\0b";
    let with = |mut body: Value, member: &str, value: Value| {
        body[member] = value;
        body
    };
    let cases: [(&Caller, &str, Value); 12] = [
        (&scene.a1, "contract", json!({"story_title": nul, "ac_count": 2})),
        (&scene.a1, "claim", json!({"ignored": nul})),
        (&scene.a2, "report", json!({"artifact": {"artifact_type": "t", "path": nul}})),
        (&scene.a2, "review-complete", with(review(), "summary", json!(nul))),
        (&scene.a2, "review-complete", json!({"review_type": nul})),
        (&scene.o, "verify", with(evidence(), "summary", json!(nul))),
        (&scene.o, "verify", with(evidence(), "findings", json!([{"x": [nul]}]))),
        (&scene.o, "verify", with(evidence(), "findings", json!({nul: 1}))),
        (&scene.o, "reject", json!({"reason": nul})),
        (&scene.o, "reject", json!({"reason": "x", "findings": {"x": nul}})),
        (&scene.a1, "artifacts", json!({"artifact_type": nul, "path": "p"})),
        (&scene.a1, "artifacts", json!({"artifact_type": "t", "path": "p", "details": {"x": {"y": nul}}})),
    ];
    for (who, action, body) in cases {
        let reply = scene.act(who, action, body).await;
        let error = reply.expect_error(422, "validation_failed");
        let details = error["details"].as_object().unwrap();
        assert_eq!(details.len(), 1, "{error:#}");
        assert!(details.values().all(|messages| messages == &json!(["is invalid"])), "{error:#}");
    }
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let scene = Scene::at(Reach::Reviewed).await;
    let before = scene.snapshot().await;
    for (who, action) in
        [(&scene.a2, "report"), (&scene.o, "verify"), (&scene.o, "reject"), (&scene.a1, "artifacts")]
    {
        let body = json!({"reason": "x".repeat(2_097_152)});
        scene.act(who, action, body).await.expect_error(413, "body_too_large");
    }
    assert_eq!(scene.snapshot().await, before);
}

/// Whatever is sent with the calls that take no body is ignored, and none is needed.
#[tokio::test]
async fn calls_without_a_body_take_any() {
    let scene = Scene::at(Reach::Contracted).await;
    let at = |action: &str| format!("/stories/{}/{action}", scene.story);
    let body = json!({"agent_status": "verified", "assigned_agent_id": scene.a2.agent(), "cap_id": null});
    let claimed = scene.a1.post(&at("claim"), body).await.expect(200);
    assert_eq!(claimed["story"]["assigned_agent_id"], scene.a1.agent());
    assert_eq!(claimed["story"]["agent_status"], "assigned");
    // Neither body nor content type.
    let bare = scene.a1.request(Method::POST, &at("start"));
    scene.a1.send(bare).await.expect(200);
    let blank = raw(&scene.a1, &at("request-review"), "application/json", b" \n").await;
    blank.expect(200);
    let form = raw(&scene.a2, &at("report"), "application/x-www-form-urlencoded", b"a=1&b=2").await;
    form.expect(200);
    let form = raw(
        &scene.a2,
        &at("review-complete"),
        "application/x-www-form-urlencoded",
        b"review_type=manual&findings_count=2&fixes_count=2",
    )
    .await;
    assert_eq!(form.expect(201)["review_record"]["fixes_count"], 2);
    scene.o.post_empty(&at("force-unclaim")).await.expect(200);
}

/// A client does not get to say who it is.
#[tokio::test]
async fn identities_in_a_body_are_ignored() {
    let scene = Scene::at(Reach::Reported).await;
    let mut body = review();
    body["reviewer_agent_id"] = json!(scene.a1.agent());
    let made = scene.act(&scene.a2, "review-complete", body).await.expect(201);
    assert_eq!(made["review_record"]["reviewer_agent_id"], scene.a2.agent());
    let mut body = review();
    body["reviewer_agent_id"] = json!(scene.a2.agent());
    scene.act(&scene.a1, "review-complete", body).await.expect_error(409, "self_review_blocked");
    let own = scene.own_orchestrator().await;
    let mut body = evidence();
    body["orchestrator_agent_id"] = json!(scene.o.agent());
    scene.act(&own, "verify", body).await.expect_error(409, "self_verify_blocked");
}
