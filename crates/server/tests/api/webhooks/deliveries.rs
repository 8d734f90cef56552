//! The log of what was delivered, and delivering once more.

use serde_json::{Value, json};

use super::{NOBODY, subscribed};
use crate::support::{Tenant, connect, server, text};

/// A webhook with so many events, of which the database then says what it is told.
async fn with_events(tenant: &Tenant, count: usize) -> String {
    let webhook = subscribed(tenant, &["agent.registered"], None).await;
    for _ in 0..count {
        tenant.user.post_empty(&format!("/webhooks/{webhook}/test")).await.expect(200);
    }
    webhook
}

async fn execute(sql: &str, id: &str) {
    connect(&server().owner).await.execute(sql, &[&id]).await.unwrap();
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_without_what_they_say() {
    let tenant = Tenant::new().await;
    let webhook = with_events(&tenant, 30).await;
    let path = format!("/webhooks/{webhook}/deliveries");
    let first = tenant.user.get(&path).await.expect(200);
    let rows = first["data"].as_array().unwrap().clone();
    assert_eq!((rows.len(), &first["meta"]["total_count"]), (25, &json!(30)));
    let times: Vec<_> = rows.iter().map(|row| text(&row["inserted_at"])).collect();
    assert!(times.is_sorted_by(|a, b| a > b));
    let members: Vec<_> = rows[0].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "id",
        "event_type",
        "status",
        "attempts",
        "delivered_at",
        "error",
        "response_status",
        "latency_ms",
        "response_excerpt",
        "last_attempt_at",
        "next_attempt_at",
        "inserted_at",
    ];
    assert_eq!(members, expected);
    assert!(rows[0]["next_attempt_at"].is_string() && !first.to_string().contains("This is a test event"));
    // On from there, by cursor and by page.
    let next = tenant.user.get(&format!("{path}?cursor={}", text(&first["next_cursor"]))).await.expect(200);
    let second = tenant.user.get(&format!("{path}?page=2")).await.expect(200);
    let ids = |list: &Value| {
        list["data"].as_array().unwrap().iter().map(|row| text(&row["id"])).collect::<Vec<_>>()
    };
    assert_eq!((ids(&next).len(), ids(&next)), (5, ids(&second)));
    assert_eq!(next["next_cursor"], Value::Null);
    let one = tenant.user.get(&format!("{path}?limit=1&page=30")).await.expect(200);
    assert_eq!(ids(&one)[0], ids(&second)[4]);
    for (parameters, size) in [("page_size=0", 1), ("page_size=1000", 30), ("page_size=x", 25)] {
        let page = tenant.user.get(&format!("{path}?{parameters}")).await.expect(200);
        assert_eq!(ids(&page).len(), size, "{parameters}");
    }
}

#[tokio::test]
async fn deliveries_are_found_by_status_and_type() {
    let tenant = Tenant::new().await;
    let webhook = with_events(&tenant, 2).await;
    tenant.agent().await;
    let path = format!("/webhooks/{webhook}/deliveries");
    let sql = "update webhook_events set status = 'delivered', attempts = 1, delivered_at = now(), response_status = 200,
                      latency_ms = 12, response_excerpt = 'thanks', last_attempt_at = now()
               where webhook_id = $1::text::uuid and event_type = 'agent.registered'";
    execute(sql, &webhook).await;
    let found = async |parameters: &str| {
        let list = tenant.user.get(&format!("{path}?{parameters}")).await.expect(200);
        list["data"].as_array().unwrap().clone()
    };
    let delivered = found("status=delivered").await;
    assert_eq!((delivered.len(), &delivered[0]["event_type"]), (1, &json!("agent.registered")));
    let (status, excerpt) = (&delivered[0]["response_status"], &delivered[0]["response_excerpt"]);
    assert_eq!((status, excerpt, &delivered[0]["latency_ms"]), (&json!(200), &json!("thanks"), &json!(12)));
    assert_eq!(delivered[0]["next_attempt_at"], Value::Null);
    assert_eq!(found("status=pending").await.len(), 2);
    assert_eq!(found("event_type=webhook.test").await.len(), 2);
    assert_eq!(found("event_type=webhook.test&status=delivered").await.len(), 0);
    for parameters in ["status=lost", "event_type=none.such"] {
        let error = tenant.user.get(&format!("{path}?{parameters}")).await;
        error.expect_error(422, "validation_failed");
    }
    tenant.user.get(&format!("{path}?cursor=none")).await.expect(400);
}

#[tokio::test]
async fn what_is_over_is_delivered_once_more() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let webhook = subscribed(&tenant, &["agent.registered"], None).await;
    let other = subscribed(&tenant, &["agent.registered"], None).await;
    tenant.agent().await;
    let event = super::queued(&webhook).await.remove(0);
    let id = text(&event["id"]);
    let again = |webhook: &str, id: &str| format!("/webhooks/{webhook}/deliveries/{id}/redeliver");
    // Not there: unknown, none, another webhook's, another tenant's.
    for path in [
        again(&webhook, NOBODY),
        again(&webhook, "none"),
        again("none", &id),
        again(NOBODY, &id),
        again(&other, &id),
    ] {
        tenant.user.post_empty(&path).await.expect_error(404, "not_found");
    }
    stranger.user.post_empty(&again(&webhook, &id)).await.expect_error(404, "not_found");
    tenant.user.post_empty(&again(&webhook, &id)).await.expect_error(409, "delivery_pending");
    for status in ["exhausted", "failed", "delivered"] {
        let sql = format!(
            "update webhook_events set status = '{status}', attempts = 6, error = 'HTTP 500: no', delivered_at = now(),
                    next_attempt_at = 'infinity' where id = $1::text::uuid"
        );
        execute(&sql, &id).await;
        // An inactive webhook would only let it fail.
        let path = format!("/webhooks/{webhook}");
        tenant.user.patch(&path, json!({"active": false})).await.expect(200);
        tenant.user.post_empty(&again(&webhook, &id)).await.expect_error(409, "webhook_inactive");
        tenant.user.patch(&path, json!({"active": true})).await.expect(200);
        let answer = tenant.user.post_empty(&again(&webhook, &id)).await.expect(200);
        assert_eq!((&answer["webhook_event_id"], &answer["status"]), (&json!(id), &json!("pending")));
        let now = super::queued(&webhook).await.remove(0);
        assert_eq!((&now["status"], &now["delivered_at"]), (&json!("pending"), &Value::Null));
        assert_ne!(now["next_attempt_at"], "infinity");
        // What receivers know it by, and what it says, stay.
        assert_eq!((&now["id"], &now["payload"]), (&event["id"], &event["payload"]));
        let entry = tenant.audit_log().await.pop().unwrap();
        assert_eq!(entry["action"], "redelivered");
        assert_eq!(entry["new_state"], json!({"webhook_event_id": id}));
    }
    // A test is delivered to an inactive one as well.
    tenant.user.patch(&format!("/webhooks/{webhook}"), json!({"active": false})).await.expect(200);
    let test = tenant.user.post_empty(&format!("/webhooks/{webhook}/test")).await.expect(200);
    let test = text(&test["webhook_event_id"]);
    execute("update webhook_events set status = 'exhausted' where id = $1::text::uuid", &test).await;
    tenant.user.post_empty(&again(&webhook, &test)).await.expect(200);
}

/// What is deleted after so many days, by the statement of that job.
#[tokio::test]
async fn what_is_over_is_forgotten_after_a_while_and_what_is_pending_never() {
    let (tenant, stranger) = (Tenant::new().await, Tenant::new().await);
    let (webhook, theirs) = (with_events(&tenant, 8).await, with_events(&stranger, 1).await);
    let owner = connect(&server().owner).await;
    let age = async |webhook: &str, status: &str, days: i32| {
        let sql = "update webhook_events set status = $2, inserted_at = now() - make_interval(days => $3)
                   where id = (select id from webhook_events where webhook_id = $1::text::uuid and status = 'pending'
                               and inserted_at > now() - interval '1 day' limit 1)";
        assert_eq!(owner.execute(sql, &[&webhook, &status, &days]).await.unwrap(), 1);
    };
    for (status, days) in [
        ("delivered", 45),
        ("delivered", 29),
        ("exhausted", 31),
        ("failed", 45),
        ("failed", 91),
        ("pending", 400),
    ] {
        age(&webhook, status, days).await;
    }
    age(&theirs, "delivered", 400).await;
    let clean = async |days: i32| {
        let (_, named) = loopctl_server::statements().find(|(_, named)| named.name == "CLEAN_UP").unwrap();
        let mut app = connect(&server().app).await;
        let tx = app.transaction().await.unwrap();
        let set = "set_config('role', 'loopctl_app', true), set_config('loopctl.tenant_id', $1, true)";
        tx.query(&format!("select {set}"), &[&tenant.id]).await.unwrap();
        let id: uuid::Uuid = tenant.id.parse().unwrap();
        let count: i64 = tx.query_one(named.text, &[&id, &days]).await.unwrap().get(0);
        tx.commit().await.unwrap();
        count
    };
    assert_eq!([clean(30).await, clean(30).await], [3, 0]);
    let left = super::queued(&webhook).await;
    let statuses = |status: &str| left.iter().filter(|event| event["status"] == status).count();
    assert_eq!([statuses("delivered"), statuses("failed"), statuses("pending")], [1, 1, 3]);
    assert_eq!(super::queued(&theirs).await.len(), 1);
}
