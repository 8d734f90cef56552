//! What people do to reports: corrections and deletions.

use serde_json::{Value, json};

use super::{NOBODY, Scene, spend, used};
use crate::support::{Tenant, text};

async fn report(scene: &Scene, input: i64, output: i64, cost: i64) -> String {
    let reported = scene.a.post("/token-usage", used(&scene.story, input, output, cost)).await.expect(201);
    format!("/token-usage/{}", text(&reported["token_usage_report"]["id"]))
}

fn by(input: i64, output: i64, cost: i64) -> Value {
    json!({"input_tokens": input, "output_tokens": output, "cost_millicents": cost})
}

#[tokio::test]
async fn only_people_change_what_was_reported() {
    let scene = Scene::new().await;
    let at = report(&scene, 1000, 500, 2500).await;
    let correction = format!("{at}/correction");
    for who in [&scene.a, &scene.o] {
        who.post(&correction, by(-1, 0, 0)).await.expect_error(403, "forbidden");
        who.delete(&at).await.expect_error(403, "forbidden");
    }
    let other = Tenant::new().await.user;
    other.post(&correction, by(-1, 0, 0)).await.expect_error(404, "not_found");
    other.delete(&at).await.expect_error(404, "not_found");
    let user = &scene.tenant.user;
    for id in [NOBODY, "none"] {
        user.post(&format!("/token-usage/{id}/correction"), by(-1, 0, 0))
            .await
            .expect_error(404, "not_found");
        user.delete(&format!("/token-usage/{id}")).await.expect_error(404, "not_found");
    }
    for (body, message) in [
        (by(-1001, 0, 0), "correction would make total input_tokens negative"),
        (by(0, -501, -9999), "correction would make total output_tokens negative"),
        (by(0, 0, -2501), "correction would make total cost_millicents negative"),
        (by(0, 0, 0), "correction must change at least one value"),
        (json!({}), "correction must change at least one value"),
    ] {
        let error = user.post(&correction, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["message"], message);
    }
    for (field, value) in
        [("input_tokens", json!(null)), ("cost_millicents", json!(0.5)), ("phase", json!("x"))]
    {
        let mut body = by(1, 0, 0);
        body[field] = value;
        let error = user.post(&correction, body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!(["is invalid"]));
    }
    let usage = scene.usage(&scene.story).await;
    assert_eq!(
        (&usage["totals"]["report_count"], &usage["totals"]["total_cost_millicents"]),
        (&json!(1), &json!(2500))
    );
}

#[tokio::test]
async fn a_correction_stands_beside_its_report() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    let skill = user.post("/skills", json!({"name": "s", "prompt_text": "p"})).await.expect(201);
    let mut body = used(&scene.story, 1000, 500, 2500);
    (body["phase"], body["session_id"]) = (json!("planning"), json!("one"));
    body["skill_version_id"] = skill["version"]["id"].clone();
    let original = scene.a.post("/token-usage", body).await.expect(201)["token_usage_report"].clone();
    let at = format!("/token-usage/{}/correction", text(&original["id"]));
    let corrected = user.post(&at, by(-100, -50, -250)).await.expect(201)["token_usage_report"].clone();
    assert_eq!(corrected["corrects_report_id"], original["id"]);
    for field in
        ["story_id", "agent_id", "project_id", "model_name", "phase", "session_id", "skill_version_id"]
    {
        assert_eq!(corrected[field], original[field], "{field}");
    }
    assert_eq!((&corrected["cost_dollars"], &corrected["total_tokens"]), (&json!("0.00"), &json!(-150)));
    let usage = scene.usage(&scene.story).await;
    assert_eq!(
        (&usage["totals"]["report_count"], &usage["totals"]["total_cost_millicents"]),
        (&json!(2), &json!(2250))
    );
    // A correction of a correction is one of the report.
    let of_correction = format!("/token-usage/{}/correction", text(&corrected["id"]));
    let error = user.post(&of_correction, by(1, 0, 0)).await.expect_error(422, "validation_failed");
    assert_eq!(error["message"], "cannot correct a correction");
    // Just as much as there is left.
    user.post(&at, by(-901, 0, 0)).await.expect_error(422, "validation_failed");
    user.post(&at, by(-900, -450, -2250)).await.expect(201);
    let usage = scene.usage(&scene.story).await;
    assert_eq!(
        (&usage["totals"]["total_tokens"], &usage["totals"]["total_cost_millicents"]),
        (&json!(0), &json!(0))
    );
    // At the expense of another report of the story nothing is taken back.
    spend(&scene.a, &scene.story, 9000).await;
    user.post(&at, by(0, 0, -1)).await.expect_error(422, "validation_failed");
    let told = scene.told("token_usage_report", "corrected").await;
    assert_eq!(told[0].0["corrects_report_id"], original["id"]);
    assert_eq!(
        (&told[0].1["cost_millicents"], &told[0].1["project_id"]),
        (&json!(-250), &json!(scene.project))
    );
}

#[tokio::test]
async fn a_report_goes_with_its_corrections() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    let at = report(&scene, 10, 10, 100).await;
    let more = user.post(&format!("{at}/correction"), by(0, 0, 50)).await.expect(201);
    let less = user.post(&format!("{at}/correction"), by(0, 0, -140)).await.expect(201);
    let path = |reply: &Value| format!("/token-usage/{}", text(&reply["token_usage_report"]["id"]));
    // Without the one the other would take back more than there is.
    let error = user.delete(&path(&more)).await.expect_error(422, "validation_failed");
    assert_eq!(error["message"], "deletion would make total cost_millicents negative");
    let deleted = user.delete(&path(&less)).await.expect(200);
    assert!(deleted["token_usage_report"]["deleted_at"].is_string());
    assert_eq!(scene.usage(&scene.story).await["totals"]["total_cost_millicents"], 150);
    let deleted = user.delete(&at).await.expect(200);
    assert_eq!(format!("/token-usage/{}", text(&deleted["token_usage_report"]["id"])), at);
    let usage = scene.usage(&scene.story).await;
    assert_eq!((&usage["data"], &usage["totals"]["total_cost_millicents"]), (&json!([]), &json!(0)));
    for path in [&at, &path(&more)] {
        user.delete(path).await.expect_error(404, "not_found");
        user.post(&format!("{path}/correction"), by(1, 1, 1)).await.expect_error(404, "not_found");
    }
    assert_eq!(scene.told("token_usage_report", "deleted").await.len(), 3);
}
