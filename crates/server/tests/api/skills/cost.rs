//! What versions of a skill cost.

use serde_json::{Value, json};

use super::{NOBODY, skill};
use crate::support::{Caller, Reach, Tenant, bring, text};

/// Reports work by a version of a skill.
async fn worked(agent: &Caller, story: &str, version: &Value, cost: i64) -> String {
    let body = json!({
        "story_id": story, "skill_version_id": version, "model_name": "opus", "input_tokens": 1, "output_tokens": 1,
        "cost_millicents": cost,
    });
    text(&agent.post("/token-usage", body).await.expect(201)["token_usage_report"]["id"])
}

async fn versions(user: &Caller, skill: &str) -> Vec<Value> {
    let list = user.get(&format!("/skills/{skill}/versions")).await.expect(200);
    list["data"].as_array().unwrap().iter().map(|version| version["id"].clone()).collect()
}

#[tokio::test]
async fn who_may_look() {
    let tenant = Tenant::new().await;
    let id = skill(&tenant.user, "s", "p").await;
    let at = format!("/skills/{id}/cost-performance");
    for who in [tenant.key("agent").await, tenant.orchestrator().await] {
        who.get(&at).await.expect_error(403, "forbidden");
    }
    Tenant::new().await.user.get(&at).await.expect_error(404, "not_found");
    for other in [NOBODY, "none"] {
        tenant.user.get(&format!("/skills/{other}/cost-performance")).await.expect_error(404, "not_found");
    }
    let none = tenant.user.get(&at).await.expect(200);
    assert_eq!((&none["data"], &none["meta"]["total_count"]), (&json!([]), &json!(0)));
    let shown = tenant.user.get(&format!("/skills/{id}/versions/1")).await.expect(200);
    assert_eq!(shown["cost_summary"], Value::Null);
}

#[tokio::test]
async fn a_version_is_compared_with_the_one_before() {
    let tenant = Tenant::new().await;
    let (user, a, b, o) =
        (&tenant.user, tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let id = skill(user, "s", "p").await;
    for prompt in ["q", "r"] {
        user.post(&format!("/skills/{id}/versions"), json!({"prompt_text": prompt})).await.expect(201);
    }
    let versions = versions(user, &id).await;
    let project = tenant.project_of(&["1.1", "1.2", "1.3"]).await;
    let mut stories = Vec::new();
    for number in ["1.1", "1.2", "1.3"] {
        stories.push(tenant.story_id(&project, number).await);
    }
    for story in &stories[..2] {
        bring(story, Reach::Verified, &a, &b, &o).await;
    }
    bring(&stories[2], Reach::Reported, &a, &b, &o).await;
    o.post(&format!("/stories/{}/reject", stories[2]), json!({"reason": "no"})).await.expect(200);

    for (story, cost) in [(0, 2000), (1, 4000)] {
        worked(&a, &stories[story], &versions[0], cost).await;
    }
    for story in &stories {
        worked(&a, story, &versions[2], 9000).await;
    }
    // A correction adds to the cost, and is no invocation.
    let report = worked(&a, &stories[0], &versions[2], 9000).await;
    let less = json!({"cost_millicents": -9000});
    user.post(&format!("/token-usage/{report}/correction"), less).await.expect(201);

    let at = format!("/skills/{id}/cost-performance");
    let rows = user.get(&at).await.expect(200);
    let first = json!({
        "version_number": 1, "total_invocations": 2, "total_cost_millicents": 6000,
        "avg_cost_per_invocation_millicents": 3000, "stories_verified_count": 2, "stories_rejected_count": 0,
        "verification_rate_pct": 100, "cost_change_pct": null, "cost_regression": false,
    });
    // 27000 by 4 is 6750, which is 125 % more, and more than twice as much.
    let third = json!({
        "version_number": 3, "total_invocations": 4, "total_cost_millicents": 27_000,
        "avg_cost_per_invocation_millicents": 6750, "stories_verified_count": 2, "stories_rejected_count": 1,
        "verification_rate_pct": 67, "cost_change_pct": 125, "cost_regression": true,
    });
    assert_eq!(rows["data"], json!([first, third]), "what was not used has no row");
    let second_page = user.get(&format!("{at}?page_size=1&page=2")).await.expect(200);
    assert_eq!((&second_page["data"], &second_page["meta"]["total_pages"]), (&json!([third]), &json!(2)));
    let shown = a.get(&format!("/skills/{id}/versions/3")).await.expect(200);
    let summary = json!({
        "version_number": 3, "total_invocations": 4, "total_cost_millicents": 27_000,
        "avg_cost_per_invocation_millicents": 6750,
    });
    assert_eq!(shown["cost_summary"], summary);
    assert_eq!(a.get(&format!("/skills/{id}/versions/2")).await.expect(200)["cost_summary"], Value::Null);
    // By model the same two of three are cut off.
    let models = o.get("/analytics/models").await.expect(200);
    assert_eq!(models["data"][0]["verification_rate_pct"], 66);
}
