//! A superadmin inside a tenant is one and the same, whatever role it takes.

use serde_json::json;

use super::super::impersonation::{inside, superadmin};
use super::*;
use crate::support::echo;

#[tokio::test]
async fn a_superadmin_signs_off_nothing_that_a_superadmin_did() {
    let scene = Scene::new().await;
    // Another key is no other superadmin.
    let (root, other) = (superadmin().await, superadmin().await);
    let agent = inside(&root, &scene, Some("agent"));
    let roles = ["user", "orchestrator", "agent"];
    let judges = [&root, &other].map(|who| roles.map(|role| inside(who, &scene, Some(role))));
    for action in ["contract", "claim", "start"] {
        scene.act(&agent, action, echo()).await.expect(200);
    }
    for [user, orchestrator, agent] in &judges {
        for who in [orchestrator, agent] {
            scene.act(who, "report", json!({})).await.expect_error(422, "agent_required");
        }
        let edit = user.patch(&format!("/stories/{}", scene.story), json!({"title": "Less"})).await;
        blocked(edit, "self_criteria_blocked", "change-criteria", ["implementing", "unverified"], &[false]);
    }
    // Neither while it is held, nor when somebody else has taken it over.
    for over in [false, true] {
        if over {
            scene.act(&scene.o, "force-unclaim", json!({})).await.expect(200);
            scene.start(&scene.a1).await;
        }
        scene.act(&scene.a2, "report", json!({})).await.expect(200);
        let before = scene.snapshot().await;
        let state = ["reported_done", "unverified"];
        for [user, orchestrator, agent] in &judges {
            blocked(
                scene.act(user, "review-complete", review()).await,
                "self_review_blocked",
                "review-complete",
                state,
                &[over],
            );
            for who in [orchestrator, agent] {
                scene.act(who, "review-complete", review()).await.expect_error(422, "agent_required");
            }
            for action in ["verify", "reject"] {
                let body = json!({"review_type": "x", "summary": "y", "reason": "z"});
                scene.act(orchestrator, action, body).await.expect_error(400, "agent_required");
                for who in [user, agent] {
                    scene.act(who, action, evidence()).await.expect_error(403, "forbidden");
                }
            }
            let items = json!({"stories": [{"story_id": scene.story}]});
            orchestrator.post("/stories/bulk/verify", items).await.expect_error(400, "agent_required");
            let epic = text(&before[0]["epic_id"]);
            let all = orchestrator.post(&format!("/epics/{epic}/verify-all"), evidence()).await;
            all.expect_error(400, "agent_required");
            for who in [user, orchestrator] {
                let edit = json!({"acceptance_criteria": []});
                let reply = who.patch(&format!("/stories/{}", scene.story), edit).await;
                blocked(reply, "self_criteria_blocked", "change-criteria", state, &[over]);
            }
        }
        assert_eq!(scene.snapshot().await, before);
    }
    // A human of the tenant is somebody else.
    scene.finish_honestly(&scene.tenant.user).await;
}
