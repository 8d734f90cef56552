//! Receivers that fail, for a while or for good.

use chrono::DateTime;
use serde_json::{Value, json};

use super::{Receiver, Webhook, agents, eventually, tenant};

/// Seconds from the last attempt to the next one.
fn pause(delivery: &Value) -> f64 {
    let [last, next] = ["last_attempt_at", "next_attempt_at"]
        .map(|name| DateTime::parse_from_rfc3339(delivery[name].as_str().unwrap()).unwrap());
    (next - last).num_microseconds().unwrap() as f64 / 1e6
}

fn waits(delivery: &Value, seconds: f64) {
    let pause = pause(delivery);
    assert!(pause >= seconds && pause <= seconds * 1.1 + 0.1, "{pause} instead of {seconds}");
}

#[tokio::test]
async fn who_fails_twice_and_then_works() {
    let failing = |nth| (if nth <= 2 { 500 } else { 201 }, format!("answer {nth}"));
    let receiver = Receiver::answering(move |nth| Box::pin(async move { failing(nth) })).await;
    let tenant = tenant().await;
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 1).await;
    for (attempt, seconds) in [(1, 60.0), (2, 300.0)] {
        let failed = webhook.delivery("a failure", |delivery| delivery["attempts"] == attempt).await;
        assert_eq!(failed["status"], "pending");
        assert_eq!(failed["error"], format!("HTTP 500: answer {attempt}"));
        assert_eq!((&failed["response_status"], &failed["delivered_at"]), (&json!(500), &json!(null)));
        waits(&failed, seconds);
        assert_eq!(webhook.shown().await["consecutive_failures"], 0);
        if attempt == 2 {
            webhook.execute("update webhooks set consecutive_failures = 4 where id = $1").await;
        }
        webhook.time_passes().await;
    }
    let delivered = webhook.settled("delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["error"]), (&json!(3), &json!(null)));
    assert_eq!(
        (&delivered["response_status"], &delivered["response_excerpt"]),
        (&json!(201), &json!("answer 3"))
    );
    let shown = webhook.shown().await;
    assert_eq!(shown["consecutive_failures"], 0);
    assert!(shown["last_delivery_at"].is_string());
    let requests = receiver.received();
    for (request, attempt) in requests.iter().zip(["1", "2", "3"]) {
        assert_eq!(request.body, requests[0].body);
        assert_eq!(request.header("x-webhook-id"), requests[0].header("x-webhook-id"));
        assert_eq!(request.header("x-loopctl-attempt"), attempt);
    }
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn six_failures_are_the_last() {
    let (tenant, receiver) = (tenant().await, Receiver::always(503).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 1).await;
    for (attempt, seconds) in [(1, 60.0), (2, 300.0), (3, 1500.0), (4, 7200.0), (5, 36_000.0)] {
        let failed = webhook.delivery("a failure", |delivery| delivery["attempts"] == attempt).await;
        waits(&failed, seconds);
        webhook.time_passes().await;
    }
    let exhausted = webhook.settled("exhausted").await;
    assert_eq!((&exhausted["attempts"], &exhausted["error"]), (&json!(6), &json!("HTTP 503: told")));
    assert_eq!(exhausted["next_attempt_at"], Value::Null);
    let shown = webhook.shown().await;
    assert_eq!((&shown["consecutive_failures"], &shown["active"]), (&json!(1), &json!(true)));
    assert_eq!(receiver.received().len(), 6);
}

/// What was tried five times is tried once more.
async fn give_up(webhook: &Webhook) {
    let sql = "update webhook_events set attempts = 5, next_attempt_at = clock_timestamp()
               where webhook_id = $1 and status = 'pending'";
    webhook.execute(sql).await;
    webhook.ring().await;
}

#[tokio::test]
async fn too_many_that_were_given_up_switch_a_webhook_off() {
    let (tenant, receiver) = (tenant().await, Receiver::always(500).await);
    let settings = json!({"settings": {"webhook_max_consecutive_failures": 3}});
    tenant.user.patch("/tenants/me", settings).await.expect(200);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    // Tests do not count.
    webhook.execute("update webhooks set consecutive_failures = 2 where id = $1").await;
    let ping = webhook.ping().await;
    receiver.expect(1).await;
    webhook.delivery("a failure", |delivery| delivery["attempts"] == 1).await;
    give_up(&webhook).await;
    let exhausted = webhook.settled("exhausted").await;
    assert_eq!(exhausted["id"], ping);
    let shown = webhook.shown().await;
    assert_eq!((&shown["consecutive_failures"], &shown["active"]), (&json!(2), &json!(true)));
    // Events do; and what still waits then is not sent.
    agents(&tenant, 2).await;
    receiver.expect(4).await;
    eventually("failures", async || {
        let deliveries = webhook.deliveries().await;
        deliveries.iter().filter(|delivery| delivery["attempts"] == 1).count().eq(&2).then_some(())
    })
    .await;
    let sql = "update webhook_events set attempts = 5, next_attempt_at = clock_timestamp()
               where id = (select id from webhook_events where webhook_id = $1 and status = 'pending' order by id limit 1)";
    webhook.execute(sql).await;
    webhook.ring().await;
    let shown = eventually("switching off", async || {
        Some(webhook.shown().await).filter(|shown| shown["active"] == false)
    })
    .await;
    assert_eq!(shown["consecutive_failures"], 3);
    webhook.time_passes().await;
    let deliveries = eventually("end", async || {
        let deliveries = webhook.deliveries().await;
        deliveries.iter().all(|delivery| delivery["status"] != "pending").then_some(deliveries)
    })
    .await;
    let statuses: Vec<_> = deliveries.iter().map(|delivery| delivery["status"].as_str().unwrap()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "exhausted").count(), 2, "{statuses:?}");
    let failed = deliveries.iter().find(|delivery| delivery["status"] == "failed").unwrap();
    assert_eq!((&failed["error"], &failed["attempts"]), (&json!("webhook_deactivated"), &json!(1)));
    assert_eq!(receiver.received().len(), 5);
    let told = tenant.user.get("/audit?entity_type=webhook&action=webhook_auto_disabled").await.expect(200);
    assert_eq!(told["data"].as_array().unwrap().len(), 1);
    let told = &told["data"][0];
    assert_eq!(
        (&told["actor_type"], &told["actor_label"]),
        (&json!("system"), &json!("system:auto_disable"))
    );
    assert_eq!(
        (&told["entity_id"], &told["new_state"]),
        (
            &json!(webhook.id),
            &json!({"consecutive_failures": 3, "threshold": 3, "last_error": "HTTP 500: told"})
        )
    );
}

/// Ten, unless a number says otherwise.
#[tokio::test]
async fn a_threshold_that_is_none_is_not_followed() {
    let (tenant, receiver) = (tenant().await, Receiver::always(500).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    let settings = "update tenants set settings = '{\"webhook_max_consecutive_failures\": \"three\"}'
                    where id = (select tenant_id from webhooks where id = $1)";
    webhook.execute(settings).await;
    for (failures, active) in [(8, true), (9, false)] {
        webhook.execute("delete from webhook_events where webhook_id = $1").await;
        webhook
            .execute(&format!("update webhooks set consecutive_failures = {failures} where id = $1"))
            .await;
        agents(&tenant, 1).await;
        webhook.delivery("a failure", |delivery| delivery["attempts"] == 1).await;
        give_up(&webhook).await;
        webhook.settled("exhausted").await;
        let shown = webhook.shown().await;
        assert_eq!(
            (&shown["consecutive_failures"], &shown["active"]),
            (&json!(failures + 1), &json!(active))
        );
    }
}

#[tokio::test]
async fn a_webhook_that_was_switched_off_is_told_nothing() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    // Nobody delivers to it while it is somebody else's.
    let taken = "update webhooks set lease = gen_random_uuid(), leased_until = 'infinity' where id = $1";
    webhook.execute(taken).await;
    agents(&tenant, 1).await;
    webhook.caller.patch(&format!("/webhooks/{}", webhook.id), json!({"active": false})).await.expect(200);
    webhook.execute("update webhooks set lease = null, leased_until = null where id = $1").await;
    let failed = webhook.settled("failed").await;
    assert_eq!((&failed["error"], &failed["attempts"]), (&json!("webhook_deactivated"), &json!(0)));
    assert!(failed["last_attempt_at"].is_string());
    assert_eq!(receiver.received().len(), 0);
    assert_eq!(webhook.shown().await["consecutive_failures"], 0);
}

#[tokio::test]
async fn a_redirect_leads_nowhere_and_a_private_address_is_not_reached() {
    let (tenant, inside) = (tenant().await, Receiver::always(200).await);
    let to = inside.url.clone();
    let redirecting = axum::Router::new()
        .route("/hook", axum::routing::post(async move || axum::response::Redirect::temporary(&to)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, redirecting).await });
    let webhook = Webhook::of(&tenant, &url, &["agent.registered"]).await;
    agents(&tenant, 1).await;
    let failed = webhook.delivery("a failure", |delivery| delivery["attempts"] == 1).await;
    assert_eq!((&failed["error"], &failed["response_status"]), (&json!("HTTP 307: "), &json!(307)));
    // As if it had been allowed once.
    webhook.execute("update webhooks set url = 'http://10.0.0.1/' where id = $1").await;
    webhook.time_passes().await;
    let failed = webhook.delivery("a failure", |delivery| delivery["attempts"] == 2).await;
    assert_eq!((&failed["error"], &failed["response_status"]), (&json!("blocked_address"), &json!(null)));
    assert_eq!(inside.received().len(), 0);
}

/// What cannot be signed is not tried, and waits until somebody has mended it.
#[tokio::test]
async fn a_secret_that_cannot_be_read_is_not_the_receivers_fault() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    webhook.execute("update webhooks set signing_secret = signing_secret || '\\x00' where id = $1").await;
    agents(&tenant, 1).await;
    let put_off = webhook.delivery("a note", |delivery| delivery["error"].is_string()).await;
    assert_eq!((&put_off["status"], &put_off["attempts"]), (&json!("pending"), &json!(0)));
    assert_eq!(put_off["error"], "delivery_error: the signing secret cannot be read");
    let mend = "update webhooks set signing_secret = substr(signing_secret, 1, length(signing_secret) - 1) where id = $1";
    webhook.execute(mend).await;
    assert_eq!(receiver.received().len(), 0);
    webhook.time_passes().await;
    let delivered = webhook.settled("delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["error"]), (&json!(1), &json!(null)));
}
