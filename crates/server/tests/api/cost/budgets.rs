//! Budgets: set, shown, changed and removed.

use serde_json::{Value, json};

use super::{NOBODY, Scene, budget, spend, used};
use crate::support::{Tenant, text};

#[tokio::test]
async fn what_is_no_budget_is_refused() {
    let scene = Scene::new().await;
    let (o, story) = (&scene.o, &scene.story);
    let of = |rest: Value| {
        let mut body = json!({"scope_type": "story", "scope_id": story, "budget_millicents": 5});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        body
    };
    scene.a.post("/token-budgets", of(json!({}))).await.expect_error(403, "forbidden");
    for (rest, field, message) in [
        (json!({"budget_millicents": null}), "budget_millicents", "can't be blank"),
        (json!({"budget_millicents": 0}), "budget_millicents", "must be greater than 0"),
        (json!({"token_limit": 0}), "token_limit", "must be greater than 0"),
        (json!({"budget_input_tokens": -1}), "budget_input_tokens", "must be greater than or equal to 0"),
        (json!({"alert_threshold_pct": 101}), "alert_threshold_pct", "must be less than or equal to 100"),
        (json!({"alert_threshold_pct": 0}), "alert_threshold_pct", "must be greater than or equal to 1"),
        (json!({"warning_threshold": 1.5}), "warning_threshold", "is invalid"),
        (json!({"warning_threshold": 0.001}), "warning_threshold", "is invalid"),
        (json!({"enforcement": "stop"}), "enforcement", "is invalid"),
        (json!({"scope_type": "galaxy"}), "scope_type", "is invalid"),
        (json!({"scope_type": null}), "scope_type", "can't be blank"),
        (json!({"scope_id": null}), "scope_id", "can't be blank"),
        (
            json!({"budget_millicents": null, "token_limit": 9, "reserve_millicents": 5}),
            "budget_millicents",
            "can't be blank",
        ),
        (json!({"metadata": {"x": "y".repeat(70_000)}}), "metadata", "must be smaller than 64KB"),
    ] {
        let error = o.post("/token-budgets", of(rest.clone())).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!([message]), "{rest}");
    }
    // What is not there is told first.
    for (scope, id) in [
        ("story", NOBODY),
        ("story", "none"),
        ("epic", story),
        ("project", story),
        ("agent", story),
        ("per_story", story),
    ] {
        let body = json!({"scope_type": scope, "scope_id": id});
        o.post("/token-budgets", body).await.expect_error(404, "not_found");
    }
    let other = Tenant::new().await.orchestrator().await;
    other.post("/token-budgets", of(json!({}))).await.expect_error(404, "not_found");
    assert_eq!(o.get("/token-budgets").await.expect(200)["meta"]["total_count"], 0);
}

#[tokio::test]
async fn a_budget_is_of_one_scope() {
    let scene = Scene::new().await;
    let (o, user) = (&scene.o, &scene.tenant.user);
    let body = json!({"scope_type": "story", "scope_id": scene.story, "budget_millicents": 500_000});
    let created = o.post("/token-budgets", body.clone()).await.expect(201)["token_budget"].clone();
    for (member, value) in [
        ("budget_dollars", json!("5.00")),
        ("alert_threshold_pct", json!(80)),
        ("current_spend_millicents", json!(0)),
        ("remaining_millicents", json!(500_000)),
        ("utilization_pct", json!(0)),
        ("enforcement", json!("warn")),
        ("token_limit", json!(null)),
        ("remaining_tokens", json!(null)),
    ] {
        assert_eq!(created[member], value, "{member}");
    }
    // Nothing is said of what it does not do.
    for member in ["reserve_millicents", "reserved_millicents", "top_target"] {
        assert!(created.get(member).is_none(), "{member}");
    }
    let error = user.post("/token-budgets", body).await.expect_error(409, "budget_exists");
    assert_eq!(error["message"], "Conflict");
    let (agent, project) = (scene.a.agent().to_owned(), &scene.project);
    budget(o, "agent", &agent, json!({"budget_millicents": 5, "warning_threshold": "0.5"})).await;
    budget(o, "per_story", project, json!({"limit": 200_000})).await;
    budget(user, "per_project", project, json!({"token_limit": 7})).await;
    let list = scene.a.get("/token-budgets").await.expect(200);
    let told: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (text(&row["scope_type"]), row["alert_threshold_pct"].clone()))
        .collect();
    let expected = [("project", 80), ("per_story", 80), ("agent", 50), ("story", 80)];
    assert_eq!(told, expected.map(|(scope, pct)| (scope.to_owned(), json!(pct))));
    for (query, count) in [
        ("scope_type=story".to_owned(), 1),
        ("scope_type=galaxy".to_owned(), 0),
        (format!("scope_id={project}"), 2),
        ("page_size=3".to_owned(), 3),
    ] {
        let list = scene.a.get(&format!("/token-budgets?{query}")).await.expect(200);
        assert_eq!(list["data"].as_array().unwrap().len(), count, "{query}");
    }
    scene.a.get("/token-budgets?scope_id=none").await.expect_error(404, "not_found");
    let stranger = Tenant::new().await.user;
    assert_eq!(stranger.get("/token-budgets").await.expect(200)["data"], json!([]));
    stranger.get(&format!("/token-budgets/{}", text(&created["id"]))).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn a_budget_shows_what_was_spent() {
    let scene = Scene::new().await;
    let of_story =
        budget(&scene.o, "story", &scene.story, json!({"budget_millicents": 1_000_000, "token_limit": 100}))
            .await;
    let each = budget(&scene.o, "per_story", &scene.project, json!({"token_limit": 100})).await;
    spend(&scene.a, &scene.story, 350_000).await;
    scene.a.post("/token-usage", used(&scene.story, 20, 30, 150_000)).await.expect(201);
    let second = scene.other("1.2").await;
    scene.b.post("/token-usage", used(&second, 5, 6, 1)).await.expect(201);
    let show = async |id: &str| {
        scene.a.get(&format!("/token-budgets/{id}")).await.expect(200)["token_budget"].clone()
    };
    let shown = show(&of_story).await;
    for (member, value) in [
        ("current_spend_millicents", json!(500_000)),
        ("current_spend_dollars", json!("5.00")),
        ("remaining_millicents", json!(500_000)),
        ("remaining_dollars", json!("5.00")),
        ("utilization_pct", json!(50)),
        ("current_tokens", json!(50)),
        ("remaining_tokens", json!(50)),
        ("token_utilization_pct", json!(50)),
        ("effective_budget_millicents", json!(1_000_000)),
        ("budget_source", json!("explicit")),
    ] {
        assert_eq!(shown[member], value, "{member}");
    }
    // The first story has a budget of its own: among the others this one uses most.
    let shown = show(&each).await;
    assert_eq!(shown["top_target"], json!({"type": "story", "id": second}));
    assert_eq!((&shown["current_tokens"], &shown["budget_millicents"]), (&json!(11), &json!(null)));
    assert_eq!(
        (&shown["effective_budget_millicents"], &shown["budget_source"]),
        (&json!(null), &json!(null))
    );
    let of_epic = budget(&scene.o, "epic", &scene.epic, json!({"budget_millicents": 100_000})).await;
    let shown = show(&of_epic).await;
    assert_eq!((&shown["utilization_pct"], &shown["remaining_millicents"]), (&json!(500), &json!(0)));
    for (scope, id, spent) in [
        ("agent", scene.b.agent(), 1),
        ("project", &scene.project, 500_001),
        ("per_agent", &scene.project, 500_000),
    ] {
        let id = budget(&scene.o, scope, id, json!({"budget_millicents": 1})).await;
        assert_eq!(show(&id).await["current_spend_millicents"], spent, "{scope}");
    }
    let unused = Scene::new().await;
    let each = budget(&unused.o, "per_epic", &unused.project, json!({"token_limit": 1})).await;
    let shown = unused.a.get(&format!("/token-budgets/{each}")).await.expect(200);
    assert_eq!(shown["token_budget"]["top_target"], json!(null));
}

#[tokio::test]
async fn what_something_may_cost_comes_from_the_nearest() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    let of = async |scope: &str, id: &str| {
        let list = scene.a.get(&format!("/token-budgets?scope_type={scope}&scope_id={id}")).await.expect(200);
        json!([list["effective_budget_millicents"], list["budget_source"]])
    };
    let story = scene.story.clone();
    assert_eq!(of("story", &story).await, json!([null, null]));
    user.patch("/tenants/me", json!({"default_story_budget_millicents": 100_000})).await.expect(200);
    assert_eq!(of("story", &story).await, json!([100_000, "tenant_default"]));
    assert_eq!(of("project", &scene.project).await, json!([100_000, "tenant_default"]));
    assert_eq!(of("agent", scene.a.agent()).await, json!([null, null]));
    assert_eq!(of("story", NOBODY).await, json!([null, null]));
    for (scope, id, amount, source) in [
        ("project", &scene.project, 4, "project_inherited"),
        ("epic", &scene.epic, 3, "epic_inherited"),
        ("per_story", &scene.project, 2, "project_template"),
        ("story", &story, 1, "explicit"),
    ] {
        budget(user, scope, id, json!({"budget_millicents": amount})).await;
        assert_eq!(of("story", &story).await, json!([amount, source]));
    }
    let list = scene.a.get("/token-budgets?scope_type=story").await.expect(200);
    assert!(list.get("budget_source").is_none(), "{list}");
}

#[tokio::test]
async fn limits_change_and_scopes_do_not() {
    let scene = Scene::new().await;
    let (o, user) = (&scene.o, &scene.tenant.user);
    let id = budget(o, "story", &scene.story, json!({"budget_millicents": 100})).await;
    let at = format!("/token-budgets/{id}");
    scene.a.patch(&at, json!({"budget_millicents": 1})).await.expect_error(403, "forbidden");
    o.patch(&format!("/token-budgets/{NOBODY}"), json!({})).await.expect_error(404, "not_found");
    for (body, field) in [
        (json!({"budget_millicents": null}), "budget_millicents"),
        (json!({"alert_threshold_pct": null}), "alert_threshold_pct"),
    ] {
        let error = o.patch(&at, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!(["can't be blank"]));
    }
    let body = json!({"token_limit": 7, "budget_millicents": null, "scope_type": "epic", "scope_id": NOBODY});
    let changed = o.patch(&at, body).await.expect(200)["token_budget"].clone();
    assert_eq!((&changed["token_limit"], &changed["budget_millicents"]), (&json!(7), &json!(null)));
    assert_eq!((&changed["scope_type"], &changed["scope_id"]), (&json!("story"), &json!(scene.story)));
    o.patch(&at, json!({"token_limit": null})).await.expect_error(422, "validation_failed");
    o.put(&at, json!({"alert_threshold_pct": 50})).await.expect(200);
    let told = scene.told("token_budget", "updated").await;
    assert_eq!((told.len(), &told[1].0["alert_threshold_pct"]), (2, &json!(50)));
    // The same again is nothing new.
    o.put(&at, json!({"alert_threshold_pct": 50})).await.expect(200);
    assert_eq!(scene.told("token_budget", "updated").await.len(), 2);
    o.delete(&at).await.expect_error(403, "forbidden");
    spend(&scene.a, &scene.story, 7).await;
    assert_eq!(user.delete(&at).await.expect(200), json!({"token_budget": {"id": id, "deleted": true}}));
    user.delete(&at).await.expect_error(404, "not_found");
    assert_eq!(scene.usage(&scene.story).await["totals"]["total_cost_millicents"], 7);
    // A budget goes with what it is of.
    budget(user, "story", &scene.story, json!({"budget_millicents": 5})).await;
    user.delete(&format!("/stories/{}", scene.story)).await;
    budget(user, "epic", &scene.epic, json!({"budget_millicents": 5})).await;
    user.delete(&format!("/epics/{}", scene.epic)).await;
    assert_eq!(user.get("/token-budgets").await.expect(200)["data"], json!([]));
}
