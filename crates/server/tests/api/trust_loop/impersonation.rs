//! A superadmin inside a tenant: its effective role, and what it holds without an agent.

use loopctl_server::operator;
use serde_json::{Value, json};

use super::{Scene, evidence, refused, replay, review};
use crate::support::{Caller, Reach, echo, server, unique};

pub(super) async fn superadmin() -> Caller {
    let key = operator::create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    Caller::with_key(&key.raw_key)
}

/// The superadmin inside the scene's tenant.
pub(super) fn inside(superadmin: &Caller, scene: &Scene, role: Option<&str>) -> Caller {
    let mut caller = superadmin.clone();
    caller.headers.push(("x-impersonate-tenant", scene.tenant.id.clone()));
    if let Some(role) = role {
        caller.headers.push(("x-effective-role", role.to_owned()));
    }
    caller
}

#[tokio::test]
async fn without_an_effective_role_a_superadmin_fails_exact_roles() {
    let scene = Scene::at(Reach::Reviewed).await;
    let root = superadmin().await;
    let plain = inside(&root, &scene, None);
    let before = scene.snapshot().await;
    for (action, roles) in [
        ("contract", "agent or orchestrator"),
        ("claim", "agent"),
        ("report", "agent or orchestrator"),
        ("review-complete", "agent or orchestrator or user"),
        ("verify", "orchestrator"),
        ("reject", "orchestrator"),
        ("force-unclaim", "orchestrator"),
        ("artifacts", "agent or orchestrator"),
    ] {
        let error = scene.act(&plain, action, evidence()).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], format!("This endpoint requires the {roles} role"));
    }
    // Minimum roles are no obstacle.
    for what in ["", "/history", "/verifications", "/artifacts"] {
        let path = format!("/stories/{}{what}", scene.story);
        plain.get(&path).await.expect(200);
        // Outside of every tenant there are no stories.
        let error = root.get(&path).await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header");
    }
    // An orchestrator without an agent judges nothing.
    let orchestrator = inside(&root, &scene, Some("orchestrator"));
    for action in ["verify", "reject", "force-unclaim"] {
        scene.act(&orchestrator, action, evidence()).await.expect_error(400, "agent_required");
    }
    scene.act(&orchestrator, "report", json!({})).await.expect_error(422, "agent_required");
    assert_eq!(scene.snapshot().await, before);
}

#[tokio::test]
async fn a_superadmin_may_claim_and_only_a_superadmin_then_holds_it() {
    let scene = Scene::new().await;
    let root = superadmin().await;
    let agent = inside(&root, &scene, Some("agent"));
    let nameless = scene.tenant.key("agent").await;
    scene.act(&agent, "contract", echo()).await.expect(200);
    let claimed = scene.act(&agent, "claim", json!({})).await.expect(200);
    assert_eq!(claimed["story"]["agent_status"], "assigned");
    assert_eq!(claimed["story"].get("assigned_agent_id"), Some(&Value::Null));
    assert!(claimed["story"]["assigned_at"].is_string());
    assert!(claimed["story"]["first_claimed_at"].is_string());
    assert_eq!(claimed["next_actions"][0]["action"], "start");
    // An agent without an agent is not nobody.
    for who in [&scene.a1, &scene.a2, &nameless] {
        for action in ["start", "unclaim"] {
            scene.act(who, action, json!({})).await.expect_error(403, "not_assigned_agent");
        }
    }
    scene.act(&agent, "start", json!({})).await.expect(200);
    scene.act(&nameless, "request-review", json!({})).await.expect_error(403, "not_assigned_agent");
    scene.act(&agent, "request-review", json!({})).await.expect(200);
    // It has no agent, so it reports nothing.
    scene.act(&agent, "report", json!({})).await.expect_error(422, "agent_required");
    let state = ["implementing", "unverified"];
    let again = scene.act(&agent, "claim", json!({})).await;
    let error = refused(again, 409, "invalid_transition", "claim", state);
    assert!(error["hints"][0].as_str().unwrap().contains("Already in progress"));
    let released = scene.act(&agent, "unclaim", json!({})).await.expect(200);
    assert_eq!(released["story"]["agent_status"], "pending");
    replay::assert_legal(&scene.o, &scene.story).await;

    for action in ["contract", "claim", "start"] {
        scene.act(&agent, action, echo()).await.expect(200);
    }
    scene.act(&scene.a1, "report", json!({})).await.expect(200);
    scene.act(&scene.a1, "review-complete", review()).await.expect(201);
    scene.act(&scene.o, "verify", evidence()).await.expect(200);
    replay::assert_legal(&scene.o, &scene.story).await;
}

/// Whose doing it was can be read from every entry.
#[tokio::test]
async fn what_a_superadmin_does_is_attributed_to_it() {
    let scene = Scene::new().await;
    let root = superadmin().await;
    let agent = inside(&root, &scene, Some("agent"));
    for action in ["contract", "claim", "unclaim"] {
        scene.act(&agent, action, echo()).await.expect(200);
    }
    let history = scene.history().await;
    let label = format!("superadmin:impersonating:{}", scene.tenant.slug);
    for entry in &history[1..] {
        assert_eq!(entry["actor_type"], "superadmin");
        assert_eq!(entry["actor_label"], label);
        assert!(entry["actor_id"].is_string());
        assert_eq!(entry["metadata"]["impersonated_by"], entry["actor_id"]);
        assert_eq!(entry["metadata"]["effective_role"], "agent");
        assert!(entry["metadata"]["impersonated_at"].is_string());
        assert_eq!(entry["new_state"].get("agent_id"), Some(&Value::Null));
    }
    let claim = &history[2]["new_state"];
    assert_eq!(claim.get("assigned_agent_id"), Some(&Value::Null), "{claim}");
    let unclaim = &history[3]["old_state"];
    assert_eq!(unclaim.get("assigned_agent_id"), Some(&Value::Null), "{unclaim}");
}
