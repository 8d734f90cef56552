//! Who may call what: roles, tenants, ids, keys without an agent.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Scene, evidence};
use crate::support::{Caller, Reach, Tenant, echo};

const ACTIONS: [&str; 12] = [
    "contract",
    "claim",
    "start",
    "start-work",
    "request-review",
    "report",
    "report-done",
    "unclaim",
    "review-complete",
    "verify",
    "reject",
    "force-unclaim",
];

/// The roles that may call, as the 403 names them.
fn roles(action: &str) -> &'static str {
    match action {
        "claim" | "start" | "start-work" | "request-review" | "unclaim" => "agent",
        "contract" | "report" | "report-done" | "artifacts" => "agent or orchestrator",
        "review-complete" => "agent or orchestrator or user",
        _ => "orchestrator",
    }
}

/// A body that passes every check of the body.
fn body(action: &str) -> Value {
    match action {
        "contract" => echo(),
        "reject" => json!({"reason": "no tests"}),
        "artifacts" => json!({"artifact_type": "test", "path": "t.rs"}),
        "backfill" => json!({"reason": "done before"}),
        _ => evidence(),
    }
}

#[tokio::test]
async fn exact_roles_know_no_hierarchy() {
    let scene = Scene::at(Reach::Implementing).await;
    let before = scene.snapshot().await;
    let callers = [("agent", &scene.a1), ("orchestrator", &scene.o), ("user", &scene.tenant.user)];
    let mut refusals = 0;
    for action in ACTIONS.into_iter().chain(["artifacts"]) {
        let allowed = roles(action);
        for (role, caller) in callers {
            if allowed.split(" or ").any(|name| name == role) {
                continue;
            }
            // The role comes before the lookup, the id and the body.
            for id in [scene.story.as_str(), "not-a-uuid", "0190f5ad-0000-7000-8000-000000000000"] {
                for body in [body(action), json!({}), json!({"story_title": 1, "reason": []})] {
                    let reply = caller.post(&format!("/stories/{id}/{action}"), body).await;
                    let error = reply.expect_error(403, "forbidden");
                    let message = format!("This endpoint requires the {allowed} role");
                    assert_eq!(error["message"], message, "{role} {action}");
                    assert!(error.get("current_state").is_none());
                }
            }
            refusals += 1;
        }
    }
    assert_eq!(refusals, 5 * 2 + 3 + 3 * 2 + 1);
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn foreign_unknown_and_malformed_stories_are_not_found() {
    let scene = Scene::at(Reach::Reported).await;
    let before = scene.snapshot().await;
    let foreign = Scene::new().await;
    let unknown = "0190f5ad-0000-7000-8000-000000000000";
    let squeezed = scene.story.replace('-', "");
    let caller = |action: &str| match roles(action) {
        "orchestrator" => &foreign.o,
        _ => &foreign.a1,
    };
    for action in ACTIONS.into_iter().chain(["artifacts", "backfill"]) {
        for id in [scene.story.as_str(), unknown, "not-a-uuid", "US-1.1", "1.1", &squeezed] {
            let reply = caller(action).post(&format!("/stories/{id}/{action}"), body(action)).await;
            let error = reply.expect_error(404, "not_found");
            assert_eq!(error["message"], "Not found", "{action} {id}");
        }
    }
    for what in ["", "/history", "/verifications", "/artifacts", "/acceptance_criteria"] {
        for id in [scene.story.as_str(), unknown, "not-a-uuid"] {
            let reply = foreign.o.get(&format!("/stories/{id}{what}")).await;
            reply.expect_error(404, "not_found");
        }
    }
    assert_eq!(scene.snapshot().await, before);
    // Upper-case ids name the same story and come back in lower case.
    let upper = scene.story.to_uppercase();
    let shown = scene.a1.get(&format!("/stories/{upper}")).await.expect(200);
    assert_eq!(shown["story"]["id"], scene.story);
}

#[tokio::test]
async fn reading_needs_a_key_and_sometimes_an_orchestrator() {
    let scene = Scene::at(Reach::Verified).await;
    for what in ["", "/history", "/verifications", "/artifacts", "/acceptance_criteria"] {
        let path = format!("/stories/{}{what}", scene.story);
        for caller in [&scene.o, &scene.tenant.user] {
            caller.get(&path).await.expect(200);
        }
        let agents = scene.a2.get(&path).await;
        if what == "/verifications" {
            let error = agents.expect_error(403, "forbidden");
            let message = "Insufficient permissions. Required role: orchestrator";
            assert_eq!(error["message"], message);
        } else {
            agents.expect(200);
        }
        Caller::nobody().get(&path).await.expect_error(401, "unauthorized");
        Caller::with_key("lc_unknown").get(&path).await.expect_error(401, "invalid_api_key");
    }
    for action in ACTIONS.into_iter().chain(["backfill"]) {
        let path = format!("/stories/{}/{action}", scene.story);
        Caller::nobody().post(&path, body(action)).await.expect_error(401, "unauthorized");
        // No other method does anything here.
        for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
            let reply = scene.o.send(scene.o.request(method, &path)).await;
            reply.expect_error(404, "not_found");
        }
    }
}

#[tokio::test]
async fn an_agent_key_without_an_agent_cannot_take_part() {
    let scene = Scene::new().await;
    let nameless = scene.tenant.key("agent").await;
    let required = async |action: &str, id: &str| {
        let reply = nameless.post(&format!("/stories/{id}/{action}"), body(action)).await;
        let error = reply.expect_error(422, "agent_required");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("Agent ID required for chain-of-custody"), "{message}");
    };
    for reach in [Reach::Contracted, Reach::Implementing, Reach::Reported] {
        scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
        scene.bring(&scene.story, reach).await;
        let before = scene.snapshot().await;
        for action in ["claim", "report", "report-done", "review-complete"] {
            required(action, &scene.story).await;
            // Before the story is looked up.
            required(action, "0190f5ad-0000-7000-8000-000000000000").await;
        }
        assert_eq!(scene.snapshot().await, before);
    }
    // A key without an agent never is the assignee.
    for (reach, action) in [
        (Reach::Assigned, "start"),
        (Reach::Implementing, "request-review"),
        (Reach::Implementing, "unclaim"),
    ] {
        scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
        scene.bring(&scene.story, reach).await;
        scene.act(&nameless, action, json!({})).await.expect_error(403, "not_assigned_agent");
    }
}

#[tokio::test]
async fn an_orchestrator_key_without_an_agent_cannot_judge() {
    let scene = Scene::at(Reach::Reviewed).await;
    let nameless = scene.tenant.key("orchestrator").await;
    let before = scene.snapshot().await;
    for action in ["verify", "reject", "force-unclaim"] {
        // Before the body, and before the story is looked up.
        for body in [body(action), json!({})] {
            for id in [scene.story.as_str(), "0190f5ad-0000-7000-8000-000000000000"] {
                let path = format!("/stories/{id}/{action}");
                let error = nameless.post(&path, body.clone()).await.expect_error(400, "agent_required");
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("must be linked to a registered agent"), "{message}");
                assert!(message.contains("/agents/register") && message.contains("/api_keys"), "{message}");
            }
        }
    }
    for action in ["report", "review-complete"] {
        let error = scene.act(&nameless, action, body(action)).await.expect_error(422, "agent_required");
        assert!(error["message"].as_str().unwrap().starts_with("Agent ID required"));
    }
    assert_eq!(scene.snapshot().await, before);
    // It may still contract, and read.
    let scene = scene.next().await;
    scene.act(&nameless, "contract", json!({})).await.expect(200);
    let path = format!("/stories/{}/verifications", scene.story);
    nameless.get(&path).await.expect(200);
}

/// A revoked key and a suspended tenant stop everything at once.
#[tokio::test]
async fn a_revoked_key_moves_nothing() {
    let tenant = Tenant::new().await;
    let story = tenant.story().await;
    let keyed = tenant.user.post("/api_keys", json!({"name": "short", "role": "agent"})).await.expect(201);
    let agent = Caller::with_key(keyed["api_key"]["raw_key"].as_str().unwrap());
    let path = format!("/stories/{story}/contract");
    agent.post(&path, echo()).await.expect(200);
    let key = keyed["api_key"]["id"].as_str().unwrap();
    tenant.user.delete(&format!("/api_keys/{key}")).await;
    agent.post(&path, echo()).await.expect_error(401, "invalid_api_key");
}
