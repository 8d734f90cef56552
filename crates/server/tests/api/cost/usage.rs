//! Reports of what was used.

use serde_json::{Value, json};

use super::{NOBODY, Scene, inline, spend, used};
use crate::identity::impersonation::superadmin;
use crate::support::{Reach, Tenant, text};

const MOST: i64 = 9_007_199_254_740_991;

#[tokio::test]
async fn what_is_no_usage_is_refused_and_not_kept() {
    let scene = Scene::new().await;
    let (a, story) = (&scene.a, &scene.story);
    let with = |field: &str, value: Value| {
        let mut body = used(story, 1, 1, 1);
        body[field] = value;
        body
    };
    for (field, value, message) in [
        ("input_tokens", json!(-1), "must be greater than or equal to 0"),
        ("input_tokens", json!(null), "can't be blank"),
        ("output_tokens", json!(1.5), "is invalid"),
        ("output_tokens", json!("1e3"), "is invalid"),
        ("output_tokens", json!([1]), "is invalid"),
        ("cost_millicents", json!(MOST + 1), "must be less than or equal to 9007199254740991"),
        ("cost_millicents", json!(u64::MAX), "must be less than or equal to 9007199254740991"),
        (
            "cost_millicents",
            json!("99999999999999999999999999999999999999999999"),
            "must be less than or equal to 9007199254740991",
        ),
        ("model_name", json!(" "), "can't be blank"),
        ("model_name", json!("m".repeat(256)), "should be at most 255 character(s)"),
        ("session_id", json!("s".repeat(256)), "should be at most 255 character(s)"),
        ("phase", json!("bogus"), "is invalid"),
        ("metadata", json!([]), "is invalid"),
        ("metadata", json!({"x": "y".repeat(70_000)}), "must be smaller than 64KB"),
        ("tool_call_count", json!(-1), "must be greater than or equal to 0"),
        ("skill_version_id", json!("none"), "is invalid"),
    ] {
        let error =
            a.post("/token-usage", with(field, value.clone())).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!([message]), "{field} {value}");
    }
    let told =
        a.post("/token-usage", json!({"input_tokens": 1})).await.expect_error(422, "validation_failed");
    assert_eq!(told["message"], "story_id is required");
    let unknown = with("skill_version_id", json!(NOBODY));
    let told = a.post("/token-usage", unknown).await.expect_error(422, "validation_failed");
    assert_eq!(told["message"], "skill_version_id does not exist or belongs to a different tenant");
    for id in [NOBODY, "none"] {
        a.post("/token-usage", used(id, 1, 1, 1)).await.expect_error(404, "not_found");
    }
    let told = scene
        .tenant
        .user
        .post("/token-usage", used(story, 1, 1, 1))
        .await
        .expect_error(422, "agent_required");
    assert_eq!(told["message"], "API key must be associated with an agent to report token usage");
    // Nobody's tenant, and another's.
    let other = Tenant::new().await.agent().await;
    other.post("/token-usage", used(story, 1, 1, 1)).await.expect_error(404, "not_found");
    other.get(&format!("/stories/{story}/token-usage")).await.expect_error(404, "not_found");
    let superadmin = superadmin().await;
    superadmin.0.post("/token-usage", used(story, 1, 1, 1)).await.expect(400);
    let usage = scene.usage(story).await;
    assert_eq!((&usage["data"], &usage["totals"]["report_count"]), (&json!([]), &json!(0)));
    assert_eq!(usage["totals"]["total_cost_dollars"], "0.00");
}

#[tokio::test]
async fn a_report_says_who_used_what() {
    let scene = Scene::new().await;
    let mut body = used(&scene.story, 1000, 500, 2500);
    for (field, value) in [
        ("phase", json!("implementing")),
        ("agent_id", json!(NOBODY)),
        ("project_id", json!(NOBODY)),
        ("tool_call_count", json!("7")),
        ("metadata", json!({"a": 1})),
    ] {
        body[field] = value;
    }
    let report = scene.a.post("/token-usage", body).await.expect(201)["token_usage_report"].clone();
    for (field, value) in [
        ("agent_id", json!(scene.a.agent())),
        ("project_id", json!(scene.project)),
        ("story_id", json!(scene.story)),
        ("total_tokens", json!(1500)),
        ("cost_dollars", json!("0.03")),
        ("phase", json!("implementing")),
        ("tool_call_count", json!(7)),
        ("tests_run_count", json!(null)),
        ("corrects_report_id", json!(null)),
        ("deleted_at", json!(null)),
        ("metadata", json!({"a": 1})),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    // What is null is as if it was not sent.
    let mut body = used(&scene.story, 1, 1, 1);
    (body["phase"], body["metadata"], body["session_id"]) = (json!(null), json!(null), json!(null));
    let report = scene.a.post("/token-usage", body).await.expect(201)["token_usage_report"].clone();
    assert_eq!((&report["phase"], &report["metadata"]), (&json!("other"), &json!({})));
    let told = scene.told("token_usage_report", "created").await;
    assert_eq!(told.len(), 2);
    for (member, value) in [
        ("story_id", json!(scene.story)),
        ("agent_id", json!(scene.a.agent())),
        ("model_name", json!("opus")),
        ("cost_millicents", json!(2500)),
        ("total_tokens", json!(1500)),
        ("skill_version_id", json!(null)),
    ] {
        assert_eq!((&told[0].0[member], &told[0].1[member]), (&value, &value), "{member}");
    }
}

#[tokio::test]
async fn a_story_shows_what_it_cost() {
    let scene = Scene::new().await;
    for nth in 1..=3 {
        scene.a.post("/token-usage", used(&scene.story, nth * 1000, nth * 500, nth * 2500)).await.expect(201);
    }
    spend(&scene.b, &scene.other("1.2").await, 7).await;
    let usage = scene.usage(&scene.story).await;
    assert_eq!(
        usage["totals"],
        json!({
            "total_input_tokens": 6000, "total_output_tokens": 3000, "total_tokens": 9000, "total_cost_millicents": 15000,
            "total_cost_dollars": "0.15", "report_count": 3,
        })
    );
    let costs: Vec<_> =
        usage["data"].as_array().unwrap().iter().map(|row| row["cost_millicents"].clone()).collect();
    assert_eq!(costs, [json!(7500), json!(5000), json!(2500)], "newest first");
    let page = scene
        .tenant
        .user
        .get(&format!("/stories/{}/token-usage?page_size=2&page=2", scene.story))
        .await
        .expect(200);
    assert_eq!((&page["meta"]["total_pages"], page["data"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(page["totals"]["report_count"], 3);
}

/// Sums beyond what floats, or 64 bits, hold are exact.
#[tokio::test]
async fn sums_are_as_wide_as_it_takes() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        scene.a.post("/token-usage", used(&scene.story, MOST, MOST, MOST)).await.expect(201);
    }
    let raw = scene.a.request(reqwest::Method::GET, &format!("/stories/{}/token-usage", scene.story));
    let raw = raw.send().await.unwrap().text().await.unwrap();
    for (member, times) in [("total_cost_millicents", 3), ("total_input_tokens", 3), ("total_tokens", 6)] {
        let expected = format!("\"{member}\":{}", i128::from(MOST) * times);
        assert!(raw.contains(&expected), "{expected}: {raw}");
    }
    assert!(raw.contains("\"total_cost_dollars\":\"270215977642.23\""), "{raw}");
}

#[tokio::test]
async fn usage_comes_along_with_a_story() {
    let scene = Scene::new().await;
    let story = &scene.story;
    scene.bring(story, Reach::Implementing).await;
    let at = format!("/stories/{story}/report");
    for (usage, field) in [
        (json!([]), "token_usage"),
        (json!("none"), "token_usage"),
        (
            json!({"input_tokens": -1, "output_tokens": 1, "model_name": "m", "cost_millicents": 1}),
            "input_tokens",
        ),
        (json!({"input_tokens": 1, "output_tokens": 1, "cost_millicents": 1}), "model_name"),
    ] {
        let error =
            scene.b.post(&at, json!({"token_usage": usage})).await.expect_error(422, "validation_failed");
        assert!(error["details"][field].is_array(), "{error}");
    }
    let mut unknown = inline(1, 1, 1);
    unknown["skill_version_id"] = json!(NOBODY);
    scene.b.post(&at, json!({"token_usage": unknown})).await.expect_error(422, "validation_failed");
    assert_eq!(scene.status(story).await, "implementing");
    let mut usage = inline(10, 20, 30);
    (usage["phase"], usage["tests_run_count"]) = (json!("reviewing"), json!(3));
    let artifact = json!({"artifact_type": "test", "path": "a"});
    let done = scene.b.post(&at, json!({"token_usage": usage, "artifact": artifact})).await.expect(200);
    assert_eq!(done["story"]["agent_status"], "reported_done");
    let usage = scene.usage(story).await;
    let row = &usage["data"][0];
    assert_eq!((&usage["totals"]["report_count"], &row["agent_id"]), (&json!(1), &json!(scene.b.agent())));
    assert_eq!(
        (&row["phase"], &row["tests_run_count"], &row["project_id"]),
        (&json!("reviewing"), &json!(3), &json!(scene.project))
    );
    // The history has both, in the order of time, and that of another story does not.
    spend(&scene.a, story, 5).await;
    let history = scene.a.get(&format!("/stories/{story}/history")).await.expect(200);
    let rows = history["data"].as_array().unwrap();
    let kinds: Vec<_> = rows.iter().map(|row| text(&row["entity_type"])).collect();
    assert_eq!(
        &kinds[kinds.len() - 4..],
        ["story", "artifact_report", "token_usage_report", "token_usage_report"]
    );
    let other = scene.a.get(&format!("/stories/{}/history", scene.other("1.2").await)).await.expect(200);
    assert!(!other.to_string().contains("token_usage"), "{other}");
    // What is null is none, and what nobody sent is none.
    let second = scene.other("1.2").await;
    scene.bring(&second, Reach::Implementing).await;
    scene.b.post(&format!("/stories/{second}/report-done"), json!({"token_usage": null})).await.expect(200);
    assert_eq!(scene.usage(&second).await["totals"]["report_count"], 0);
    // The feed of changes can be asked for them alone.
    let changes =
        scene.a.get("/changes?since=2020-01-01T00:00:00Z&entity_type=token_usage_report").await.expect(200);
    assert_eq!(changes["data"].as_array().unwrap().len(), 2);
    let of_project = format!(
        "/changes?since=2020-01-01T00:00:00Z&entity_type=token_usage_report&project_id={}",
        scene.project
    );
    assert_eq!(scene.a.get(&of_project).await.expect(200)["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_marked_complete_may_say_what_it_took() {
    let scene = Scene::new().await;
    let other = scene.other("2.1").await;
    let item = |story: &str, usage: Value| json!({"story_id": story, "token_usage": usage});
    let items =
        json!({"stories": [item(&scene.story, inline(1, 2, 3)), item(&other, json!({"input_tokens": 1}))]});
    let done = scene.o.post("/stories/bulk/mark-complete", items).await.expect(200);
    assert_eq!(
        (&done["results"][0]["status"], &done["results"][1]["code"]),
        (&json!("success"), &json!("validation_failed"))
    );
    let usage = scene.usage(&scene.story).await;
    assert_eq!(
        (&usage["data"][0]["agent_id"], &usage["totals"]["total_cost_millicents"]),
        (&json!(scene.o.agent()), &json!(3))
    );
    assert_eq!(scene.usage(&other).await["totals"]["report_count"], 0);
    // Where nothing is left to be marked, nothing is dropped without a word.
    let again = json!({"stories": [item(&scene.story, inline(1, 2, 3))]});
    let again = scene.o.post("/stories/bulk/mark-complete", again).await.expect(422);
    assert_eq!(again["results"][0]["code"], "already_verified");
    let without = json!({"stories": [{"story_id": scene.story}]});
    scene.o.post("/stories/bulk/mark-complete", without).await.expect(200);
    assert_eq!(scene.usage(&scene.story).await["totals"]["report_count"], 1);
}

/// Repeated with a key, a report is one.
#[tokio::test]
async fn a_repeated_report_is_one() {
    let scene = Scene::new().await;
    let send = || {
        let request =
            scene.a.request(reqwest::Method::POST, "/token-usage").header("Idempotency-Key", "once");
        scene.a.send(request.json(&used(&scene.story, 1, 1, 1)))
    };
    let (first, again) = (send().await.expect(201), send().await.expect(201));
    assert_eq!(first, again);
    assert_eq!(scene.usage(&scene.story).await["totals"]["report_count"], 1);
}
