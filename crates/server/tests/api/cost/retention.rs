//! For how long usage is kept.

use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{Dated, Scene, days_ago, noon, run, summaries};
use crate::support::{connect, server, text};

async fn keep(scene: &Scene, days: u64) {
    let body = json!({"token_data_retention_days": days});
    scene.tenant.user.patch("/tenants/me", body).await.expect(200);
}

/// As if it had been deleted so many days ago.
async fn deleted(owner: &Client, id: &str, reason: &str, days: i32) {
    let sql =
        "update token_usage_reports set deleted_at = now() - make_interval(days => $3), deletion_reason = $2
               where id = $1::text::uuid";
    owner.execute(sql, &[&id, &reason, &days]).await.unwrap();
}

/// What is still there, and why it is deleted, if it is.
async fn left(owner: &Client, scene: &Scene) -> Vec<(String, Option<String>)> {
    let sql = "select id::text, deletion_reason from token_usage_reports where tenant_id = $1::text::uuid";
    let rows = owner.query(sql, &[&scene.tenant.id]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn what_is_asked_for() {
    let scene = Scene::new().await;
    let user = &scene.tenant.user;
    for days in [29, 0, -1] {
        let body = json!({"token_data_retention_days": days});
        let error = user.patch("/tenants/me", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"token_data_retention_days": ["must be at least 30 days"]}));
    }
    for days in [36_501, i32::MAX] {
        let body = json!({"token_data_retention_days": days});
        let error = user.patch("/tenants/me", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"token_data_retention_days": ["must be at most 36500 days"]}));
    }
    user.patch("/tenants/me", json!({"token_data_retention_days": 36_500})).await.expect(200);
    for (budget, message) in [
        (json!(0), "must be greater than 0"),
        (json!(9_007_199_254_740_992_i64), "must be less than or equal to 9007199254740991"),
    ] {
        let body = json!({"default_story_budget_millicents": budget});
        let error = user.patch("/tenants/me", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"default_story_budget_millicents": [message]}));
    }
    let body = json!({"token_data_retention_days": 30, "default_story_budget_millicents": 7});
    user.patch("/tenants/me", body).await.expect(200);
    let shown = user.get("/tenants/me").await.expect(200)["tenant"].clone();
    assert_eq!(
        (&shown["token_data_retention_days"], &shown["default_story_budget_millicents"]),
        (&json!(30), &json!(7))
    );
    user.patch("/tenants/me", json!({"token_data_retention_days": null})).await.expect(200);
    assert_eq!(user.get("/tenants/me").await.expect(200)["tenant"]["token_data_retention_days"], Value::Null);
    let settings = json!({"settings": {"cost_anomaly_multiplier": 1, "cost_anomaly_min_stories": "1"}});
    let error = user.patch("/tenants/me", settings).await.expect_error(422, "validation_failed");
    assert_eq!(error["details"]["settings"][0], "cost_anomaly_multiplier must be a number greater than 1");
    let settings = json!({"settings": {"cost_anomaly_multiplier": "2.5", "claim_mismatch_factor": 1.5}});
    let changed = user.patch("/tenants/me", settings).await.expect(200)["tenant"].clone();
    assert_eq!(changed["settings"]["cost_anomaly_multiplier"], "2.5");
}

#[tokio::test]
async fn what_is_too_old_leaves_the_sums() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let a = scene.a.agent();
    keep(&scene, 90).await;
    let old = Dated::of(&scene.story, a, &noon(100), [10, 10, 10]).write(&owner).await;
    // It goes with what it corrects, however new it is.
    let at = noon(5);
    let correction = Dated { corrects: Some(&old), ..Dated::of(&scene.story, a, &at, [-1, -1, -1]) };
    let correction = correction.write(&owner).await;
    let fresh = Dated::of(&scene.story, a, &noon(80), [5, 5, 5]).write(&owner).await;
    let gone = Dated::of(&scene.story, a, &noon(60), [1, 1, 1]).write(&owner).await;
    deleted(&owner, &gone, "user", 31).await;
    let recent = Dated::of(&scene.story, a, &noon(60), [2, 2, 2]).write(&owner).await;
    deleted(&owner, &recent, "user", 10).await;
    let told = run("usage_archival", &scene.tenant, json!({})).await;
    let expected = json!({
        "retention_days": 90, "reports_soft_deleted": 2, "reports_hard_deleted": 1, "anomalies_archived": 0,
    });
    assert_eq!(told, expected);
    let mut found = left(&owner, &scene).await;
    let mut wanted = vec![
        (old.clone(), Some("retention".to_owned())),
        (correction, Some("retention".to_owned())),
        (fresh, None),
        (recent, Some("user".to_owned())),
    ];
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(scene.usage(&scene.story).await["totals"]["total_cost_millicents"], 5);
    // Its day was counted before, and stays so, whoever counts it again.
    run("cost_rollup", &scene.tenant, json!({"period_start": days_ago(100), "period_end": days_ago(1)}))
        .await;
    let rows = summaries(&owner, &scene.tenant).await;
    let of = |day: String| {
        rows.iter().find(|row| row["period_start"] == *day && row["scope_type"] == "project").unwrap()
    };
    assert_eq!(of(days_ago(100))["total_cost_millicents"], 10);
    assert_eq!(of(days_ago(80))["total_cost_millicents"], 5);
    let log = scene.told("token_data_archival", "archival_run").await;
    assert_eq!(log, [(expected.clone(), expected)]);
    // There is nothing left to do, and nothing is told.
    run("usage_archival", &scene.tenant, json!({})).await;
    assert_eq!(scene.told("token_data_archival", "archival_run").await.len(), 1);

    let entry =
        scene.tenant.audit_log().await.into_iter().find(|row| row["action"] == "archival_run").unwrap();
    assert_eq!(
        (text(&entry["actor_type"]), text(&entry["entity_id"])),
        ("system".to_owned(), scene.tenant.id.clone())
    );
}

/// More than there is time was allowed once: it keeps everything, and hinders nothing.
#[tokio::test]
async fn nothing_is_older_than_time() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let sql = "update tenants set token_data_retention_days = 2147483647 where id = $1::text::uuid";
    owner.execute(sql, &[&scene.tenant.id]).await.unwrap();
    let old = Dated::of(&scene.story, scene.a.agent(), "2001-01-01T00:00:00Z", [1, 1, 1]).write(&owner).await;
    let gone = Dated::of(&scene.story, scene.a.agent(), &noon(60), [1, 1, 1]).write(&owner).await;
    deleted(&owner, &gone, "user", 31).await;
    let told = run("usage_archival", &scene.tenant, json!({})).await;
    let expected = json!({
        "retention_days": 36_500, "reports_soft_deleted": 0, "reports_hard_deleted": 1, "anomalies_archived": 0,
    });
    assert_eq!(told, expected);
    assert_eq!(left(&owner, &scene).await, [(old, None)]);
}

/// When reports are gone for good, the summary is what is left of them, whoever counts that day again.
#[tokio::test]
async fn a_summary_outlives_its_reports() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let id = Dated::of(&scene.story, scene.a.agent(), &noon(100), [10, 10, 10]).write(&owner).await;
    run("cost_rollup", &scene.tenant, json!({"period_start": days_ago(100)})).await;
    let before = summaries(&owner, &scene.tenant).await;
    deleted(&owner, &id, "retention", 31).await;
    // A tenant without a policy: what is deleted goes all the same.
    let told = run("usage_archival", &scene.tenant, json!({})).await;
    assert_eq!((&told["retention_days"], &told["reports_hard_deleted"]), (&Value::Null, &json!(1)));
    assert_eq!(left(&owner, &scene).await, []);
    run("cost_rollup", &scene.tenant, json!({"period_start": days_ago(100)})).await;
    let after = summaries(&owner, &scene.tenant).await;
    let figures =
        |rows: &[Value]| rows.iter().map(|row| row["total_cost_millicents"].clone()).collect::<Vec<_>>();
    assert_eq!(figures(&after), figures(&before));
    assert!(after.iter().all(|row| row["final"] == true));
}
