//! Budgets that block reports of stories, and who may lift that.

use serde_json::{Value, json};

use super::{Scene, budget, inline, spend};
use crate::support::{Reach, text};

/// With a story that is implemented, and a budget that blocks.
async fn blocked(scope: &str, limits: Value) -> (Scene, String) {
    let scene = Scene::new().await;
    scene.bring(&scene.story, Reach::Implementing).await;
    let of = match scope {
        "story" => scene.story.clone(),
        "epic" => scene.epic.clone(),
        "agent" => scene.a.agent().to_owned(),
        _ => scene.project.clone(),
    };
    let mut rest = limits;
    rest["enforcement"] = json!("block");
    let id = budget(&scene.o, scope, &of, rest).await;
    (scene, id)
}

#[tokio::test]
async fn a_report_that_passes_the_limit_is_taken_back() {
    let (scene, id) = blocked("per_story", json!({"token_limit": 200_000})).await;
    let at = format!("/stories/{}/report", scene.story);
    let artifact = json!({"artifact_type": "test", "path": "a"});
    let body = json!({"token_usage": inline(200_000, 10_000, 1), "artifact": artifact});
    let reply = scene.b.post(&at, body).await;
    assert!(!reply.headers.contains_key("retry-after"));
    let error = reply.expect_error(429, "token_budget_exceeded");
    assert_eq!(error["message"], "Token budget exceeded: 210000 of 200000 tokens");
    assert_eq!(
        error["context"],
        json!({
            "budget_id": id, "scope_type": "per_story", "scope_id": scene.project, "target_type": "story",
            "target_id": scene.story, "limit_type": "tokens", "limit": 200_000, "current": 210_000, "overage": 10_000,
            "utilization_pct": 105, "enforcement": "block",
        })
    );
    assert!(error.get("retry_after_seconds").is_none());
    assert_eq!(scene.status(&scene.story).await, "implementing");
    assert_eq!(scene.usage(&scene.story).await["data"], json!([]));
    assert_eq!(
        scene.a.get(&format!("/stories/{}/artifacts", scene.story)).await.expect(200)["data"],
        json!([])
    );
    let told = scene.told("token_budget", "report_blocked").await;
    let (_, metadata) = &told[0];
    assert_eq!(
        (told.len(), &metadata["story_id"], &metadata["current"]),
        (1, &json!(scene.story), &json!(210_000))
    );
    assert_eq!(
        (&metadata["limit_type"], &metadata["limit"], &metadata["budget_id"]),
        (&json!("tokens"), &json!(200_000), &json!(id))
    );
    // Just the limit is allowed.
    scene.b.post(&at, json!({"token_usage": inline(200_000, 0, 1)})).await.expect(200);
}

#[tokio::test]
async fn spending_is_recorded_and_then_blocks() {
    for scope in ["story", "epic", "project", "agent", "per_epic", "per_agent"] {
        let (scene, id) = blocked(scope, json!({"budget_millicents": 1000})).await;
        spend(&scene.a, &scene.story, 1001).await;
        let at = format!("/stories/{}/report", scene.story);
        // A budget of agents is one of whoever holds the story, too.
        let error = scene.b.post(&at, json!({})).await.expect_error(429, "token_budget_exceeded");
        assert_eq!(
            (&error["context"]["budget_id"], &error["context"]["current"]),
            (&json!(id), &json!(1001)),
            "{scope}"
        );
        let budget = format!("/token-budgets/{id}");
        for loosened in [
            json!({"budget_millicents": 2000}),
            json!({"enforcement": "warn"}),
            json!({"budget_millicents": null, "token_limit": 5}),
        ] {
            scene.o.patch(&budget, loosened).await.expect_error(403, "forbidden");
        }
        scene
            .o
            .patch(&budget, json!({"budget_millicents": 900, "alert_threshold_pct": 10}))
            .await
            .expect(200);
        scene.tenant.user.patch(&budget, json!({"budget_millicents": 1001})).await.expect(200);
        scene.b.post(&at, json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn what_only_warns_never_blocks() {
    let scene = Scene::new().await;
    scene.bring(&scene.story, Reach::Implementing).await;
    budget(&scene.o, "story", &scene.story, json!({"budget_millicents": 1})).await;
    scene
        .b
        .post(&format!("/stories/{}/report", scene.story), json!({"token_usage": inline(1, 1, 500)}))
        .await
        .expect(200);
    assert_eq!(scene.told("token_budget", "threshold_crossed").await.len(), 2);
}

/// The nearest of those that are passed is told.
#[tokio::test]
async fn the_nearest_budget_is_told() {
    let (scene, _) = blocked("project", json!({"budget_millicents": 1})).await;
    let nearest =
        budget(&scene.o, "epic", &scene.epic, json!({"budget_millicents": 1, "enforcement": "block"})).await;
    spend(&scene.a, &scene.story, 5).await;
    let error = scene
        .b
        .post(&format!("/stories/{}/report", scene.story), json!({}))
        .await
        .expect_error(429, "token_budget_exceeded");
    assert_eq!(error["context"]["budget_id"], json!(nearest));
    // What is wrong with the report itself comes before.
    scene
        .a
        .post(&format!("/stories/{}/report", scene.story), json!({}))
        .await
        .expect_error(409, "self_report_blocked");
}

/// Where each story is blocked, an exception for one is a person's to make.
#[tokio::test]
async fn a_template_that_blocks_is_not_undone_by_an_orchestrator() {
    let (scene, _) = blocked("per_story", json!({"budget_millicents": 1})).await;
    let exception = json!({"scope_type": "story", "scope_id": scene.story, "budget_millicents": 1_000_000});
    scene.o.post("/token-budgets", exception.clone()).await.expect_error(403, "forbidden");
    // Nor is one that was there before raised.
    let early = Scene::new().await;
    let at = format!(
        "/token-budgets/{}",
        budget(&early.o, "story", &early.story, json!({"budget_millicents": 9})).await
    );
    early.o.patch(&at, json!({"budget_millicents": 10})).await.expect(200);
    let template = json!({"budget_millicents": 1, "enforcement": "block"});
    budget(&early.tenant.user, "per_story", &early.project, template).await;
    early.o.patch(&at, json!({"budget_millicents": 11})).await.expect_error(403, "forbidden");
    early.o.patch(&at, json!({"budget_millicents": 8})).await.expect(200);
    early.tenant.user.patch(&at, json!({"budget_millicents": 11})).await.expect(200);
    // Of another kind it is none.
    budget(&scene.o, "epic", &scene.epic, json!({"budget_millicents": 7})).await;
    scene.tenant.user.post("/token-budgets", exception).await.expect(201);
    spend(&scene.a, &scene.story, 5).await;
    scene.b.post(&format!("/stories/{}/report", scene.story), json!({})).await.expect(200);
}

/// A blocked report is no answer that is kept: once the limit is raised, the same request goes through.
#[tokio::test]
async fn a_blocked_report_can_be_repeated() {
    let (scene, id) = blocked("story", json!({"budget_millicents": 10})).await;
    let send = || {
        let request = scene.b.request(reqwest::Method::POST, &format!("/stories/{}/report", scene.story));
        scene
            .b
            .send(request.header("Idempotency-Key", "once").json(&json!({"token_usage": inline(1, 1, 11)})))
    };
    send().await.expect_error(429, "token_budget_exceeded");
    scene
        .tenant
        .user
        .patch(&format!("/token-budgets/{id}"), json!({"budget_millicents": 11}))
        .await
        .expect(200);
    assert_eq!(text(&send().await.expect(200)["story"]["agent_status"]), "reported_done");
    send().await.expect(200);
    assert_eq!(scene.usage(&scene.story).await["totals"]["total_cost_millicents"], 11);
}
