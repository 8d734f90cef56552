//! Stories whose cost stands out.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Dated, NOBODY, Scene, budget, days_ago, noon, run};
use crate::support::{Caller, Reach, Tenant, connect, server, story, text};

/// A tenant with four stories of one epic, and an agent.
struct Four {
    tenant: Tenant,
    a: Caller,
    o: Caller,
    project: String,
    stories: Vec<String>,
    owner: Client,
}

impl Four {
    async fn new() -> Self {
        let tenant = Tenant::new().await;
        let (a, o) = (tenant.agent().await, tenant.orchestrator().await);
        let numbers = ["1.1", "1.2", "1.3", "1.4"];
        let stories: Vec<_> = numbers.iter().map(|number| story(number)).collect();
        let project =
            tenant.imported(json!({"epics": [{"number": 1, "title": "E", "stories": stories}]})).await;
        let mut stories = Vec::new();
        for number in numbers {
            stories.push(tenant.story_id(&project, number).await);
        }
        Self { tenant, a, o, project, stories, owner: connect(&server().owner).await }
    }

    /// What each story has used so many days ago, in tokens and money.
    async fn used(&self, days: u64, usage: &[(i64, i64)]) {
        for (story, (tokens, cost)) in self.stories.iter().zip(usage) {
            Dated::of(story, self.a.agent(), &noon(days), [*tokens, 0, *cost]).write(&self.owner).await;
        }
    }

    async fn detect(&self, args: Value) -> Value {
        run("cost_anomalies", &self.tenant, args).await
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let list = self.o.get(&format!("/cost-anomalies{query}")).await.expect(200);
        list["data"].as_array().unwrap().clone()
    }

    /// Which anomalies the log tells of.
    async fn told(&self, action: &str) -> Vec<Value> {
        let log = self.tenant.audit_log().await;
        log.into_iter()
            .filter(|row| row["entity_type"] == "cost_anomaly" && row["action"] == action)
            .collect()
    }
}

#[tokio::test]
async fn who_may_look_and_resolve() {
    let scene = Four::new().await;
    scene.used(1, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    scene.detect(json!({})).await;
    let found = scene.list("").await;
    let at = format!("/cost-anomalies/{}", text(&found[0]["id"]));
    scene.a.get("/cost-anomalies").await.expect_error(403, "forbidden");
    for who in [&scene.a, &scene.o] {
        who.patch(&at, json!({})).await.expect_error(403, "forbidden");
    }
    let stranger = Tenant::new().await;
    assert_eq!(stranger.user.get("/cost-anomalies").await.expect(200)["meta"]["total_count"], 0);
    stranger.user.patch(&at, json!({})).await.expect_error(404, "not_found");
    let user = &scene.tenant.user;
    for id in [NOBODY, "none"] {
        user.patch(&format!("/cost-anomalies/{id}"), json!({})).await.expect_error(404, "not_found");
        scene.o.get(&format!("/projects/{id}/cost-anomalies")).await.expect_error(404, "not_found");
    }
    for resolved in [json!(false), json!("maybe")] {
        let error =
            user.patch(&at, json!({"resolved": resolved})).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"resolved": ["is invalid"]}));
    }
    assert_eq!(scene.list("").await.len(), 1);
    assert_eq!(scene.told("resolved").await.len(), 0);
}

#[tokio::test]
async fn a_story_stands_out_of_its_epic() {
    let scene = Four::new().await;
    let hook = json!({"url": "https://example.com/hook", "events": ["token.anomaly_detected"]});
    let hook = scene.tenant.user.post("/webhooks", hook).await.expect(201);
    scene.used(1, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    let told = json!({"days": 1, "detected": 1, "period_start": days_ago(1), "period_end": days_ago(1)});
    assert_eq!(scene.detect(json!({})).await, told);
    let found = scene.list("").await;
    let expected = json!({
        "tenant_id": scene.tenant.id, "story_id": scene.stories[3], "story_title": "Build API", "agent_name": null,
        "anomaly_type": "high_cost", "story_cost_millicents": 100_000, "cost_millicents": 100_000,
        "reference_avg_millicents": 32_500, "deviation_factor": "3.08", "resolved": false, "archived": false,
        "metadata": {"baseline": "epic", "metric": "cost", "multiplier": "3.0", "period_start": days_ago(1)},
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&found[0][name], value, "{name}");
    }
    let log = scene.told("detected").await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0]["actor_type"], &log[0]["entity_id"], &log[0]["project_id"]),
        (&json!("system"), &found[0]["id"], &json!(scene.project))
    );
    assert_eq!(log[0]["new_state"]["deviation_factor"], "3.08");
    assert_eq!(log[0]["metadata"]["story_id"], json!(scene.stories[3]));
    // Told once: what is known is refreshed, and only then.
    Dated::of(&scene.stories[3], scene.a.agent(), &noon(1), [0, 0, 100_000]).write(&scene.owner).await;
    assert_eq!(scene.detect(json!({"period_start": days_ago(1)})).await["detected"], 0);
    let again = scene.list("").await;
    assert_eq!(
        (again.len(), &again[0]["id"], &again[0]["story_cost_millicents"], &again[0]["deviation_factor"]),
        (1, &found[0]["id"], &json!(200_000), &json!("3.48"))
    );
    assert_eq!(scene.told("detected").await.len(), 1);
    let sql = "select payload::text from webhook_events where webhook_id = $1::text::uuid and event_type = 'token.anomaly_detected'";
    let queued = scene.owner.query(sql, &[&text(&hook["webhook"]["id"])]).await.unwrap();
    assert_eq!(queued.len(), 1);
    let payload: String = queued[0].get(0);
    let payload: Value = serde_json::from_str(&payload).unwrap();
    let told = if payload["data"].is_object() { &payload["data"] } else { &payload };
    assert_eq!(
        (&told["anomaly_id"], &told["deviation_factor"], &told["project_id"], &told["agent_id"]),
        (&found[0]["id"], &json!("3.08"), &json!(scene.project), &Value::Null)
    );
}

#[tokio::test]
async fn little_is_suspicious_and_nothing_is_usual() {
    let scene = Four::new().await;
    scene.used(3, &[(1, 8000), (1, 10_000), (1, 12_000)]).await;
    scene.used(2, &[(1, 50_000), (1, 50_000), (1, 50_000), (1, 100)]).await;
    let days = json!({"period_start": days_ago(3), "period_end": days_ago(2)});
    let told = scene.detect(days).await;
    assert_eq!((&told["days"], &told["detected"]), (&json!(2), &json!(1)));
    let found = scene.list("?anomaly_type=suspiciously_low").await;
    assert_eq!(
        (&found[0]["deviation_factor"], &found[0]["reference_avg_millicents"]),
        (&json!("0.00"), &json!(37_525))
    );
    // Nothing was reported yesterday.
    assert_eq!(scene.detect(json!({})).await["detected"], 0);
}

#[tokio::test]
async fn a_story_stands_out_of_its_project() {
    let scene = Four::new().await;
    let setting = |value: Value| json!({"settings": {"cost_anomaly_multiplier": value}});
    scene.tenant.user.patch("/tenants/me", setting(json!("4.0"))).await.expect(200);
    scene.used(1, &[(40_000, 100), (50_000, 100), (60_000, 100), (200_000, 100)]).await;
    assert_eq!(scene.detect(json!({})).await["detected"], 0);
    scene.tenant.user.patch("/tenants/me", setting(json!(3))).await.expect(200);
    assert_eq!(scene.detect(json!({})).await["detected"], 1);
    let found = scene.list("").await;
    let metadata = json!({
        "baseline": "project", "metric": "tokens", "story_tokens": 200_000, "reference_tokens": 55_000, "multiplier": "3",
        "period_start": days_ago(1),
    });
    assert_eq!((&found[0]["deviation_factor"], &found[0]["metadata"]), (&json!("3.64"), &metadata));
    // Two stories say nothing of what is usual.
    let few = Four::new().await;
    few.used(1, &[(1, 100), (1_000_000, 100)]).await;
    assert_eq!(few.detect(json!({})).await["detected"], 0);
}

#[tokio::test]
async fn a_story_costs_more_than_it_may() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let other = scene.other("1.2").await;
    let of_each = budget(&scene.o, "per_story", &scene.project, json!({"budget_millicents": 1000})).await;
    let own = budget(&scene.o, "story", &other, json!({"budget_millicents": 5000})).await;
    scene.bring(&scene.story, Reach::Implementing).await;
    for story in [&scene.story, &other] {
        Dated::of(story, scene.b.agent(), &noon(1), [0, 0, 2500]).write(&owner).await;
    }
    run("cost_anomalies", &scene.tenant, json!({})).await;
    let found = scene.o.get("/cost-anomalies?anomaly_type=budget_exceeded").await.expect(200)["data"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(
        (&found[0]["story_id"], &found[0]["deviation_factor"], &found[0]["reference_avg_millicents"]),
        (&json!(scene.story), &json!("2.50"), &json!(1000))
    );
    assert_eq!(found[0]["metadata"]["budget_id"], of_each);
    assert!(found[0]["agent_name"].is_string(), "somebody holds it");
    // The next day the other one is beyond its own.
    Dated::of(&other, scene.b.agent(), &noon(1), [0, 0, 2501]).write(&owner).await;
    run("cost_anomalies", &scene.tenant, json!({})).await;
    let found = scene.o.get("/cost-anomalies?anomaly_type=budget_exceeded").await.expect(200)["data"].clone();
    assert_eq!((&found[0]["story_id"], &found[0]["metadata"]["budget_id"]), (&json!(other), &json!(own)));
}

/// From its detection to its end: what is resolved is not found again on that day's usage, and may be on another's.
#[tokio::test]
async fn the_life_of_an_anomaly() {
    let scene = Four::new().await;
    scene.used(2, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    let that_day = json!({"period_start": days_ago(2)});
    scene.detect(that_day.clone()).await;
    let user = &scene.tenant.user;
    let at = format!("/cost-anomalies/{}", text(&scene.list("").await[0]["id"]));
    let resolved = user.patch(&at, json!({"resolved": true})).await.expect(200)["cost_anomaly"].clone();
    assert_eq!(resolved["resolved"], true);
    let request = user.request(reqwest::Method::PATCH, &at);
    assert_eq!(
        user.send(request).await.expect(200)["cost_anomaly"],
        resolved,
        "a body is not needed, nor a second time"
    );
    let log = scene.told("resolved").await;
    assert_eq!(log.len(), 1);
    assert_eq!(
        (&log[0]["old_state"], &log[0]["new_state"]),
        (&json!({"resolved": false}), &json!({"resolved": true}))
    );
    for (query, count) in [
        ("", 0),
        ("?resolved=false", 0),
        ("?resolved=true", 1),
        ("?include_resolved=true", 1),
        ("?resolved=true&anomaly_type=high_cost", 1),
        ("?resolved=true&anomaly_type=other", 0),
        (&format!("?resolved=true&project_id={}", scene.project), 1),
        (&format!("?resolved=true&project_id={NOBODY}"), 0),
    ] {
        assert_eq!(scene.list(query).await.len(), count, "{query}");
    }
    let of_project = format!("/projects/{}/cost-anomalies?include_resolved=1&page_size=1", scene.project);
    assert_eq!(scene.o.get(&of_project).await.expect(200)["meta"]["total_pages"], 1);
    assert_eq!(scene.detect(that_day).await["detected"], 0);
    assert_eq!(scene.list("?include_resolved=true").await.len(), 1);
    scene.used(1, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    assert_eq!(scene.detect(json!({})).await["detected"], 1);
    assert_eq!((scene.list("").await.len(), scene.told("detected").await.len()), (1, 2));
    // One that was found of several days is resolved for all of them, in whatever order they were looked at.
    scene.used(4, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    let of = |days: u64| json!({"period_start": days_ago(days)});
    assert_eq!(scene.detect(of(4)).await["detected"], 0);
    let at = format!("/cost-anomalies/{}", text(&scene.list("").await[0]["id"]));
    user.patch(&at, json!({})).await.expect(200);
    for days in [4, 2, 1] {
        assert_eq!(scene.detect(of(days)).await["detected"], 0, "{days}");
    }
    scene.used(0, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    assert_eq!(scene.detect(of(0)).await["detected"], 1);
    // What is archived is only shown to those who ask, and hides nothing that comes later.
    let sql = "update cost_anomalies set archived = true where tenant_id = $1::text::uuid";
    scene.owner.execute(sql, &[&scene.tenant.id]).await.unwrap();
    assert_eq!((scene.list("").await.len(), scene.list("?include_archived=true").await.len()), (0, 1));
    assert_eq!(scene.detect(of(0)).await["detected"], 1);
}

/// Every day that was counted is looked through, whichever night that was, and again when it was counted anew; once, otherwise.
#[tokio::test]
async fn nights_that_were_missed_are_made_up_for() {
    let scene = Four::new().await;
    let usual = [(1, 10_000), (1, 10_000), (1, 10_000), (1, 10_000)];
    for days in [9, 2] {
        scene.used(days, &usual).await;
    }
    scene.used(5, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    run("cost_rollup", &scene.tenant, json!({})).await;
    let told = scene.detect(json!({})).await;
    let expected = json!({"days": 4, "detected": 1, "period_start": days_ago(9), "period_end": days_ago(1)});
    assert_eq!(told, expected);
    assert_eq!(scene.list("").await[0]["metadata"]["period_start"], days_ago(5));
    let yesterday = json!({"days": 1, "detected": 0, "period_start": days_ago(1), "period_end": days_ago(1)});
    assert_eq!(scene.detect(json!({})).await, yesterday);
    // Nothing has changed: what is counted once more is what it was.
    run("cost_rollup", &scene.tenant, json!({"period_start": days_ago(9), "period_end": days_ago(1)})).await;
    assert_eq!(scene.detect(json!({})).await, yesterday);
    Dated::of(&scene.stories[0], scene.a.agent(), &noon(9), [0, 0, 90_000]).write(&scene.owner).await;
    run("cost_rollup", &scene.tenant, json!({"period_start": days_ago(9)})).await;
    let told = scene.detect(json!({})).await;
    let expected = json!({"days": 2, "detected": 1, "period_start": days_ago(9), "period_end": days_ago(1)});
    assert_eq!(told, expected);
    assert_eq!(scene.list("").await.len(), 2);
}

/// However many look at the same day at once, each anomaly is told of once.
#[tokio::test]
async fn several_jobs_tell_once() {
    let scene = Four::new().await;
    scene.used(1, &[(1, 10_000), (1, 10_000), (1, 10_000), (1, 100_000)]).await;
    let looks = (0..4).map(|_| scene.detect(json!({"period_start": days_ago(1)})));
    let told: i64 = futures_util::future::join_all(looks)
        .await
        .iter()
        .map(|told| told["detected"].as_i64().unwrap())
        .sum();
    assert_eq!((told, scene.told("detected").await.len(), scene.list("").await.len()), (1, 1, 1));
}
