//! Usage by day, for good.

use serde_json::{Value, json};

use super::{Dated, Scene, days_ago, noon, run, run_in_vain, summaries};
use crate::support::{Tenant, connect, server, text};

/// Of one scope on one day.
fn of<'a>(rows: &'a [Value], scope: &str, id: &str, day: &str) -> &'a Value {
    let is = |row: &&Value| row["scope_type"] == scope && row["scope_id"] == id && row["period_start"] == day;
    rows.iter().find(is).unwrap_or_else(|| panic!("no {scope} {id} on {day}: {rows:#?}"))
}

fn figures(row: &Value) -> Value {
    json!([
        row["total_input_tokens"],
        row["total_output_tokens"],
        row["total_cost_millicents"],
        row["report_count"],
        row["avg_cost_per_story_millicents"]
    ])
}

#[tokio::test]
async fn a_day_is_counted_by_every_scope() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let (other, a) = (scene.other("1.2").await, scene.a.agent());
    Dated::of(&scene.story, a, &noon(1), [1000, 500, 2500]).write(&owner).await;
    Dated { phase: "reviewing", ..Dated::of(&other, a, &noon(1), [2000, 1000, 5000]) }.write(&owner).await;
    // The last moment of the day, and the first one of the next.
    let day = days_ago(1);
    Dated::of(&other, scene.b.agent(), &format!("{day}T23:59:59.999999Z"), [1, 1, 1]).write(&owner).await;
    Dated::of(&other, scene.b.agent(), &format!("{}T00:00:00Z", days_ago(0)), [7, 7, 7]).write(&owner).await;
    let told = json!({"days": 1, "summaries": 6, "period_start": day, "period_end": day});
    assert_eq!(run("cost_rollup", &scene.tenant, json!({})).await, told);
    let rows = summaries(&owner, &scene.tenant).await;
    assert_eq!(figures(of(&rows, "epic", &scene.epic, &day)), json!([3001, 1501, 7501, 3, 3750]));
    assert_eq!(figures(of(&rows, "project", &scene.project, &day)), json!([3001, 1501, 7501, 3, 3750]));
    assert_eq!(figures(of(&rows, "agent", a, &day)), json!([3000, 1500, 7500, 2, null]));
    assert_eq!(figures(of(&rows, "story", &scene.story, &day)), json!([1000, 500, 2500, 1, null]));
    let breakdown = json!({"opus": {
        "implementing": {"input_tokens": 1000, "output_tokens": 500, "cost_millicents": 2500},
        "reviewing": {"input_tokens": 2000, "output_tokens": 1000, "cost_millicents": 5000},
    }});
    assert_eq!(of(&rows, "agent", a, &day)["model_breakdown"], breakdown);
    // Whoever runs it again, for a day or a period, finds the same rows.
    for args in [
        json!({}),
        json!({"period_start": day}),
        json!({"period_start": days_ago(9), "period_end": day}),
        json!({"period_start": "garbage"}),
    ] {
        run("cost_rollup", &scene.tenant, args).await;
        assert_eq!(summaries(&owner, &scene.tenant).await, rows);
    }
}

/// Days that were missed are made up for; suspended tenants and those that a job does not name are left alone.
#[tokio::test]
async fn who_is_counted_and_when() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let a = scene.a.agent();
    for days in [9, 4, 2, 1] {
        Dated::of(&scene.story, a, &noon(days), [1, 1, 1]).write(&owner).await;
    }
    let id = &scene.tenant.id;
    let nothing = json!({"days": 0, "summaries": 0, "period_start": null, "period_end": null});
    let elsewhere = json!({"tenant_ids": ["0190f5ad-0000-7000-8000-000000000000"]});
    assert_eq!(run("cost_rollup", &scene.tenant, elsewhere).await, nothing);
    owner.execute("update tenants set status = 'suspended' where id = $1::text::uuid", &[id]).await.unwrap();
    assert_eq!(run("cost_rollup", &scene.tenant, json!({})).await, nothing);
    owner.execute("update tenants set status = 'active' where id = $1::text::uuid", &[id]).await.unwrap();
    let one = json!({"period_start": days_ago(4), "tenant_ids": [id]});
    assert_eq!(run("cost_rollup", &scene.tenant, one).await["days"], 1);
    // From the last day on that was counted; what is before it somebody has counted, or nobody wants.
    assert_eq!(run("cost_rollup", &scene.tenant, json!({})).await["days"], 2);
    let fresh = Tenant::new().await;
    assert_eq!(run("cost_rollup", &fresh, json!({})).await, nothing);
    let days = summaries(&owner, &scene.tenant).await;
    let mut days: Vec<_> = days.iter().map(|row| text(&row["period_start"])).collect();
    days.dedup();
    assert_eq!(days, [days_ago(4), days_ago(2), days_ago(1)]);
}

/// A period of more days than a job does is no job: nothing of it is done.
#[tokio::test]
async fn a_period_is_a_year_at_most() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    Dated::of(&scene.story, scene.a.agent(), &noon(1), [1, 1, 1]).write(&owner).await;
    let of = |days: u64| json!({"period_start": days_ago(days), "period_end": days_ago(1)});
    for kind in ["cost_rollup", "cost_anomalies"] {
        let error = run_in_vain(kind, &scene.tenant, of(367)).await;
        assert!(error.ends_with("are more than the 366 days that one job is about"), "{error}");
        assert_eq!(summaries(&owner, &scene.tenant).await, [Value::Null; 0]);
    }
    for kind in ["cost_rollup", "cost_anomalies"] {
        let told = run(kind, &scene.tenant, of(366)).await;
        let period = (&told["days"], &told["period_start"], &told["period_end"]);
        assert_eq!(period, (&json!(366), &json!(days_ago(366)), &json!(days_ago(1))));
    }
}

/// What somebody deletes or corrects marks its day, which is counted again before anything else; a day without reports is 0.
#[tokio::test]
async fn a_deletion_is_counted_again() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let (a, user, day) = (scene.a.agent(), &scene.tenant.user, days_ago(20));
    let first = Dated::of(&scene.story, a, &noon(20), [10, 10, 10]).write(&owner).await;
    let second = Dated::of(&scene.story, scene.b.agent(), &noon(20), [5, 5, 5]).write(&owner).await;
    run("cost_rollup", &scene.tenant, json!({"period_start": day})).await;
    let stale = async || {
        let rows = summaries(&owner, &scene.tenant).await;
        rows.iter().filter(|row| row["stale"] == true).map(|row| text(&row["scope_type"])).collect::<Vec<_>>()
    };
    assert_eq!(stale().await, [""; 0]);
    let correction = json!({"cost_millicents": -1});
    user.post(&format!("/token-usage/{first}/correction"), correction).await.expect(201);
    assert_eq!(stale().await, ["agent", "epic", "project", "story"]);
    // A correction is of its own day.
    run("cost_rollup", &scene.tenant, json!({})).await;
    assert_eq!(stale().await, [""; 0]);
    let rows = summaries(&owner, &scene.tenant).await;
    assert_eq!(figures(of(&rows, "story", &scene.story, &day)), json!([15, 15, 15, 2, null]));
    user.delete(&format!("/token-usage/{first}")).await.expect(200);
    assert_eq!(stale().await.len(), 4);
    run("cost_rollup", &scene.tenant, json!({})).await;
    let rows = summaries(&owner, &scene.tenant).await;
    assert_eq!(figures(of(&rows, "project", &scene.project, &day)), json!([5, 5, 5, 1, 5]));
    assert_eq!(figures(of(&rows, "agent", a, &day)), json!([0, 0, 0, 0, null]));
    user.delete(&format!("/token-usage/{second}")).await.expect(200);
    run("cost_rollup", &scene.tenant, json!({})).await;
    let rows = summaries(&owner, &scene.tenant).await;
    assert_eq!(figures(of(&rows, "epic", &scene.epic, &day)), json!([0, 0, 0, 0, null]));
    assert_eq!(of(&rows, "epic", &scene.epic, &day)["model_breakdown"], json!({}));
    assert_eq!(stale().await, [""; 0]);
}

/// A day that nobody has counted yet is counted rightly, also when something of it is deleted at that moment.
#[tokio::test]
async fn a_mark_stays_that_comes_while_its_day_is_counted() {
    let (scene, owner) = (Scene::new().await, connect(&server().owner).await);
    let day = days_ago(3);
    let id = Dated::of(&scene.story, scene.a.agent(), &noon(3), [10, 10, 10]).write(&owner).await;
    scene.tenant.user.delete(&format!("/token-usage/{id}")).await.expect(200);
    let rows = summaries(&owner, &scene.tenant).await;
    assert_eq!(figures(of(&rows, "story", &scene.story, &day)), json!([0, 0, 0, 0, null]));
    assert_eq!(of(&rows, "story", &scene.story, &day)["stale"], true);
    run("cost_rollup", &scene.tenant, json!({})).await;
    let rows = summaries(&owner, &scene.tenant).await;
    assert!(rows.iter().all(|row| row["stale"] == false && row["report_count"] == 0));
}
