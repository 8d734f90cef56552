//! What is told when budgets are used: each level once, until it is not reached any more.

use serde_json::{Value, json};

use super::{Scene, budget, spend, used};
use crate::support::text;
use crate::webhooks::{queued, subscribed};

const LEVELS: &[&str] = &["token.budget_warning", "token.budget_exceeded"];

impl Scene {
    /// What the log tells of levels, shortly.
    async fn crossed(&self) -> Vec<String> {
        let told = self.told("token_budget", "threshold_crossed").await;
        told.iter()
            .map(|(new, _)| {
                format!(
                    "{} {} {}",
                    text(&new["scope_type"]),
                    text(&new["threshold_type"]),
                    new["utilization_pct"]
                )
            })
            .collect()
    }
}

#[tokio::test]
async fn a_level_is_told_once_with_its_event() {
    let scene = Scene::new().await;
    let hook = subscribed(&scene.tenant, LEVELS, None).await;
    let elsewhere = subscribed(&scene.tenant, LEVELS, Some(&scene.tenant.project().await)).await;
    let id = budget(&scene.o, "story", &scene.story, json!({"budget_millicents": 10_000})).await;
    let report = spend(&scene.a, &scene.story, 8500).await;
    assert_eq!(scene.crossed().await, ["story warning 85"]);
    let (_, metadata) = &scene.told("token_budget", "threshold_crossed").await[0];
    assert_eq!((&metadata["budget_id"], &metadata["threshold_type"]), (&json!(id), &json!("warning")));
    let events = queued(&hook).await;
    let payload = &events[0]["payload"];
    for (member, value) in [
        ("event", json!("token.budget_warning")),
        ("project_id", json!(scene.project)),
        ("budget_id", json!(id)),
        ("scope_type", json!("story")),
        ("scope_id", json!(scene.story)),
        ("budget_millicents", json!(10_000)),
        ("current_spend_millicents", json!(8500)),
        ("utilization_pct", json!(85)),
        ("alert_threshold_pct", json!(80)),
        ("triggering_report_id", report["id"].clone()),
        ("limit_type", json!("cost")),
        ("target_type", json!("story")),
    ] {
        assert_eq!(payload[member], value, "{member}");
    }
    assert!(payload.get("overage_millicents").is_none(), "{payload}");
    spend(&scene.a, &scene.story, 200).await;
    assert_eq!(scene.crossed().await.len(), 1);
    // Another limit, and it can be told again; what is said besides changes nothing of that.
    let at = format!("/token-budgets/{id}");
    scene.o.patch(&at, json!({"metadata": {"a": 1}})).await.expect(200);
    spend(&scene.a, &scene.story, 1).await;
    assert_eq!(scene.crossed().await.len(), 1);
    scene.o.patch(&at, json!({"budget_millicents": 20_000})).await.expect(200);
    spend(&scene.a, &scene.story, 7300).await;
    assert_eq!(scene.crossed().await, ["story warning 85", "story warning 80"]);
    assert_eq!((queued(&hook).await.len(), queued(&elsewhere).await.len()), (2, 0));
    // The story's history has them.
    let history = scene.a.get(&format!("/stories/{}/history", scene.story)).await.expect(200);
    assert_eq!(history.to_string().matches("threshold_crossed").count(), 2);
}

#[tokio::test]
async fn one_report_may_cross_several_levels() {
    let scene = Scene::new().await;
    let hook = subscribed(&scene.tenant, LEVELS, None).await;
    budget(&scene.o, "story", &scene.story, json!({"budget_millicents": 5000})).await;
    budget(&scene.o, "project", &scene.project, json!({"budget_millicents": 8000})).await;
    let report = spend(&scene.a, &scene.story, 7000).await;
    assert_eq!(scene.crossed().await, ["story warning 140", "story exceeded 140", "project warning 87"]);
    let events = queued(&hook).await;
    assert_eq!(
        (&events[1]["event_type"], &events[1]["payload"]["overage_millicents"]),
        (&json!("token.budget_exceeded"), &json!(2000))
    );
    // What is taken back can be told again.
    scene.tenant.user.delete(&format!("/token-usage/{}", text(&report["id"]))).await.expect(200);
    spend(&scene.a, &scene.story, 5000).await;
    assert_eq!(scene.crossed().await.split_off(3), ["story warning 100", "story exceeded 100"]);
    let last = queued(&hook).await.pop().unwrap();
    assert_eq!(last["payload"]["overage_millicents"], 0);
}

#[tokio::test]
async fn corrections_move_levels_both_ways() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    budget(&scene.o, "story", &scene.story, json!({"budget_millicents": 1000})).await;
    let report = spend(&scene.a, &scene.story, 2000).await;
    let at = format!("/token-usage/{}/correction", text(&report["id"]));
    let correct = async |cost: i64| drop(user.post(&at, json!({"cost_millicents": cost})).await.expect(201));
    correct(-100).await;
    spend(&scene.a, &scene.story, 1).await;
    assert_eq!(scene.crossed().await.len(), 2, "still reached");
    correct(-1000).await;
    spend(&scene.a, &scene.story, 99).await;
    assert_eq!(scene.crossed().await[2..], ["story exceeded 100".to_owned()]);
    correct(-900).await;
    correct(800).await;
    assert_eq!(scene.crossed().await[3..], ["story warning 90".to_owned()]);
}

/// Each target of a template, and each story of the tenant's default, is told of by itself.
#[tokio::test]
async fn each_of_a_template_is_told_of_by_itself() {
    let scene = Scene::new().await;
    budget(&scene.o, "per_story", &scene.project, json!({"limit": 200_000})).await;
    let second = scene.other("1.2").await;
    let tokens = async |story: &str, input: i64| {
        drop(scene.a.post("/token-usage", used(story, input, 0, 0)).await.expect(201))
    };
    tokens(&scene.story, 159_999).await;
    assert_eq!(scene.crossed().await, [""; 0]);
    tokens(&scene.story, 1).await;
    tokens(&second, 160_000).await;
    tokens(&scene.story, 40_000).await;
    assert_eq!(
        scene.crossed().await,
        ["per_story warning 80", "per_story warning 80", "per_story exceeded 100"]
    );
    let hook = subscribed(&scene.tenant, LEVELS, None).await;
    tokens(&second, 40_001).await;
    let payload = queued(&hook).await[0]["payload"].clone();
    assert_eq!((&payload["target_id"], &payload["scope_id"]), (&json!(second), &json!(scene.project)));
    assert_eq!((&payload["overage_tokens"], &payload["overage_millicents"]), (&json!(1), &json!(null)));
    assert_eq!((&payload["token_limit"], &payload["current_tokens"]), (&json!(200_000), &json!(200_001)));
}

#[tokio::test]
async fn the_default_of_a_tenant_tells_like_a_budget() {
    let scene = Scene::new().await;
    let hook = subscribed(&scene.tenant, LEVELS, None).await;
    scene.tenant.user.patch("/tenants/me", json!({"default_story_budget_millicents": 100})).await.expect(200);
    spend(&scene.a, &scene.story, 120).await;
    spend(&scene.a, &scene.story, 120).await;
    let told = scene.told("token_budget", "threshold_crossed").await;
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0].0["budget_id"], &told[0].0["scope_id"]), (&Value::Null, &json!(scene.story)));
    assert_eq!(queued(&hook).await.len(), 2);
    // What is said of each story of the project is said instead.
    budget(&scene.o, "per_story", &scene.project, json!({"budget_millicents": 1_000_000})).await;
    let second = scene.other("1.2").await;
    spend(&scene.a, &second, 120).await;
    assert_eq!(scene.told("token_budget", "threshold_crossed").await.len(), 2);
}

/// What was told under one limit can be told under another, whoever sets it.
#[tokio::test]
async fn another_default_can_be_told_again() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    let default = async |amount: i64| {
        let body = json!({"default_story_budget_millicents": amount});
        drop(user.patch("/tenants/me", body).await.expect(200));
    };
    default(100).await;
    spend(&scene.a, &scene.story, 150).await;
    assert_eq!(scene.crossed().await.len(), 2);
    default(1000).await;
    spend(&scene.a, &scene.story, 900).await;
    assert_eq!(scene.crossed().await.len(), 4);
    // A budget of its own takes the default's place, and gives it back.
    let id = budget(user, "story", &scene.story, json!({"budget_millicents": 1_000_000})).await;
    user.delete(&format!("/token-budgets/{id}")).await.expect(200);
    spend(&scene.a, &scene.story, 1).await;
    assert_eq!(scene.crossed().await.len(), 6);
}
