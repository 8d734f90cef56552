//! What is claimed beside what was measured.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Dated, Scene, days_ago, noon, run};
use crate::measured::{DELTA, SECOND, claude_cost, claude_export, claude_tokens, now};
use crate::support::{Caller, connect, server};

/// What an agent's tool measures for a story: input tokens, and dollars, where they are not 0.
async fn measures(who: &Caller, story: &str, at: u64, tokens: f64, dollars: f64) {
    let says = [("loopctl.story_id", story)];
    let of = |is: bool, point| if is { vec![point] } else { Vec::new() };
    let tokens = of(tokens > 0.0, claude_tokens(story, "input", at - SECOND, at, tokens));
    let cost = of(dollars > 0.0, claude_cost(story, at - SECOND, at, dollars));
    let export = claude_export(&says, DELTA, tokens, cost);
    let request = who.request(Method::POST, "//v1/metrics").json(&export);
    assert_eq!(who.send(request).await.expect(200), json!({}));
}

fn yesterday() -> u64 {
    now() - 24 * 3600 * SECOND
}

/// The members of a view that tell of it.
fn figures(view: &Value) -> Value {
    json!([
        view["measured"],
        view["measured_ratio"],
        view["cache_read_tokens"],
        view["cache_creation_tokens"]
    ])
}

#[tokio::test]
async fn views_show_both() {
    let scene = Scene::new().await;
    let (o, a, other) = (&scene.o, scene.a.agent(), scene.other("1.2").await);
    let paths = [
        format!("/stories/{}/token-usage", scene.story),
        format!("/analytics/projects/{}", scene.project),
        format!("/projects/{}/token-usage", scene.project),
        format!("/analytics/agents/{a}/model-profile"),
    ];
    let view = async |path: &str| {
        let shown = o.get(path).await.expect(200);
        if path.starts_with("/stories") { shown } else { shown["data"].clone() }
    };
    let nothing = json!([null, null, 0, 0]);
    for path in &paths {
        assert_eq!(figures(&view(path).await), nothing, "{path}");
    }
    Dated::of(&scene.story, a, &noon(0), [10, 10, 100]).write(&connect(&server().owner).await).await;
    for path in &paths {
        assert_eq!(figures(&view(path).await), nothing, "{path}");
    }
    let agents =
        async |query: &str| o.get(&format!("/analytics/agents{query}")).await.expect(200)["data"].clone();
    assert_eq!(figures(&agents("").await[0]), nothing);
    measures(&scene.a, &scene.story, now(), 40.0, 0.0025).await;
    // Another's work on another story, and none of this one.
    measures(&scene.b, &other, now(), 7.0, 0.0).await;
    let both = json!([{"input_tokens": 40, "output_tokens": 0, "cost_millicents": 250}, "2.50", 0, 0]);
    for path in [&paths[0], &paths[3]] {
        assert_eq!(figures(&view(path).await), both, "{path}");
    }
    let all = json!([{"input_tokens": 47, "output_tokens": 0, "cost_millicents": 250}, "2.50", 0, 0]);
    for path in &paths[1..3] {
        assert_eq!(figures(&view(path).await), all, "{path}");
    }
    assert_eq!(figures(&agents("").await[0]), both);
    assert_eq!(
        figures(&agents(&format!("?project_id={}&since={}", scene.project, days_ago(1))).await[0]),
        both
    );
    // Of the days that are asked for.
    measures(&scene.a, &scene.story, yesterday(), 0.0, 0.0025).await;
    assert_eq!(figures(&agents("").await[0])[1], "5.00");
    assert_eq!(figures(&agents(&format!("?since={}", days_ago(0))).await[0]), both);
    let profile = view(&format!("{}?until={}", paths[3], days_ago(1))).await;
    let measured = json!([{"input_tokens": 0, "output_tokens": 0, "cost_millicents": 250}, null, 0, 0]);
    assert_eq!(figures(&profile), measured);
    // Where only one of both tells a cost, tokens are compared; nothing is claimed of it yet.
    let of_other = figures(&scene.usage(&other).await);
    assert_eq!(
        of_other,
        json!([{"input_tokens": 7, "output_tokens": 0, "cost_millicents": null}, null, 0, 0])
    );
}

#[tokio::test]
async fn a_claim_that_is_off_stands_out() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let (one, two, three) = (&scene.story, scene.other("1.2").await, scene.other("2.1").await);
    let a = scene.a.agent();
    let list = async || {
        let found =
            scene.o.get("/cost-anomalies?anomaly_type=claim_mismatch").await.expect(200)["data"].clone();
        found.as_array().unwrap().clone()
    };
    let factor = async |value: Value| {
        let body = json!({"settings": {"claim_mismatch_factor": value}});
        scene.tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    // Measured, and nothing claimed: nobody is wrong.
    measures(&scene.a, one, yesterday(), 10.0, 0.0025).await;
    run("cost_anomalies", &scene.tenant, json!({})).await;
    assert_eq!(list().await, [Value::Null; 0]);
    Dated::of(one, a, &noon(1), [10, 0, 100]).write(&owner).await;
    Dated::of(&two, a, &noon(1), [20, 0, 300]).write(&owner).await;
    measures(&scene.a, &two, yesterday(), 20.0, 0.001).await;
    // Its report is of another day than its measurement, which tells no cost.
    Dated::of(&three, a, &noon(3), [100, 0, 7]).write(&owner).await;
    measures(&scene.a, &three, yesterday(), 38.0, 0.0).await;
    factor(json!(3)).await;
    run("cost_anomalies", &scene.tenant, json!({})).await;
    assert_eq!(list().await, [Value::Null; 0], "as much as that is allowed");
    factor(json!("2.5")).await;
    run("cost_anomalies", &scene.tenant, json!({})).await;
    assert_eq!(list().await.len(), 2, "2.50 is not more");
    factor(Value::Null).await;
    run("cost_anomalies", &scene.tenant, json!({})).await;
    let found = list().await;
    let of = |story: &str| {
        let row = found.iter().find(|row| row["story_id"] == story).unwrap();
        json!([
            row["story_cost_millicents"],
            row["reference_avg_millicents"],
            row["deviation_factor"],
            row["metadata"]
        ])
    };
    let because = |metric: &str, tokens: i64, reference: i64| {
        json!({
            "baseline": "measured", "metric": metric, "story_tokens": tokens, "reference_tokens": reference,
            "multiplier": "2", "period_start": days_ago(1),
        })
    };
    assert_eq!(found.len(), 3);
    assert_eq!(of(one), json!([100, 250, "2.50", because("cost", 10, 10)]));
    assert_eq!(of(&two), json!([300, 100, "3.00", because("cost", 20, 20)]));
    assert_eq!(of(&three), json!([7, 0, "2.63", because("tokens", 100, 38)]));
    let told = scene.told("cost_anomaly", "detected").await;
    let told: Vec<_> = told.iter().filter(|(state, _)| state["anomaly_type"] == "claim_mismatch").collect();
    assert_eq!(told.len(), 3, "each once");
}
