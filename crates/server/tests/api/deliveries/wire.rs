//! What a receiver gets.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::json;
use standardwebhooks::Webhook as Standard;

use super::{Receiver, Webhook, agents, tenant};
use crate::support::{Reach, bring, echo, text};

/// The HMAC by somebody else than us.
fn openssl(secret: &str, body: &[u8]) -> String {
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    openssl.stdin.take().unwrap().write_all(body).unwrap();
    let said = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    said.trim().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_change_of_status_arrives_signed() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["story.status_changed"]).await;
    let (story, agent) = (tenant.story().await, tenant.agent().await);
    agent.post(&format!("/stories/{story}/contract"), echo()).await.expect(200);
    let request = receiver.expect(1).await.remove(0);
    let delivery = webhook.settled("delivered").await;
    let id = text(&delivery["id"]);
    // Who it is from, and what it is.
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("user-agent"), "Loopctl-Webhook/1.0");
    assert_eq!(request.header("x-webhook-id"), id);
    assert_eq!(request.header("webhook-id"), id);
    assert_eq!(request.header("x-loopctl-event"), "story.status_changed");
    assert_eq!(request.header("x-loopctl-attempt"), "1");
    let timestamp: i64 = request.header("x-webhook-timestamp").parse().unwrap();
    assert!(timestamp > 1_700_000_000);
    assert_eq!(request.header("webhook-timestamp"), timestamp.to_string());
    // Signed, as others reckon.
    let signature = format!("sha256={}", openssl(&webhook.secret, &request.body));
    assert_eq!(signature.len(), 71);
    assert_eq!(request.header("x-loopctl-signature"), signature);
    assert_eq!(request.header("x-signature-256"), signature);
    Standard::new(&webhook.whsec).unwrap().verify(&request.body, &request.headers).unwrap();
    let forged = [&request.body[..], b" "].concat();
    assert!(Standard::new(&webhook.whsec).unwrap().verify(&forged, &request.headers).is_err());
    // What it says, twice.
    let body = request.json();
    assert_eq!((&body["id"], &body["event"]), (&json!(id), &json!("story.status_changed")));
    for told in [&body, &body["data"]] {
        assert_eq!((&told["story_id"], &told["agent_id"]), (&json!(story), &json!(agent.agent())));
        assert_eq!((&told["old_status"], &told["new_status"]), (&json!("pending"), &json!("contracted")));
        assert_eq!((&told["timestamp"], &told["event"]), (&delivery["inserted_at"], &body["event"]));
    }
    // What is known of it afterwards.
    assert_eq!((&delivery["attempts"], &delivery["error"]), (&json!(1), &json!(null)));
    assert_eq!((&delivery["response_status"], &delivery["response_excerpt"]), (&json!(200), &json!("told")));
    assert!(delivery["latency_ms"].is_i64() && delivery["delivered_at"].is_string(), "{delivery:#}");
    assert!(webhook.shown().await["last_delivery_at"].is_string());
}

#[tokio::test]
async fn a_test_reaches_a_webhook_that_is_switched_off() {
    let (tenant, receiver) = (tenant().await, Receiver::always(204).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    webhook.execute("update webhooks set active = false, consecutive_failures = 5 where id = $1").await;
    let id = webhook.ping().await;
    let request = receiver.expect(1).await.remove(0);
    assert_eq!((request.header("x-webhook-id"), request.header("x-loopctl-event")), (&*id, "webhook.test"));
    let body = request.json();
    assert_eq!((&body["event"], &body["data"]["webhook_id"]), (&json!("webhook.test"), &json!(webhook.id)));
    assert_eq!((&body["webhook_id"], &body["message"]), (&json!(webhook.id), &json!("This is a test event")));
    assert_eq!(
        request.header("x-signature-256"),
        format!("sha256={}", openssl(&webhook.secret, &request.body))
    );
    webhook.settled("delivered").await;
    // A success is a success; it stays switched off.
    let shown = webhook.shown().await;
    assert_eq!((&shown["consecutive_failures"], &shown["active"]), (&json!(0), &json!(false)));
}

#[tokio::test]
async fn what_is_too_large_is_cut() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["story.rejected"]).await;
    let story = tenant.story().await;
    let (a, b, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    bring(&story, Reach::Reviewed, &a, &b, &o).await;
    let findings = json!({"finding": "x".repeat(100_000)});
    let body = json!({"reason": "bad", "findings": findings});
    o.post(&format!("/stories/{story}/reject"), body).await.expect(200);
    let request = receiver.expect(1).await.remove(0);
    assert!(request.body.len() <= 65_536, "{}", request.body.len());
    assert_eq!(
        request.header("x-signature-256"),
        format!("sha256={}", openssl(&webhook.secret, &request.body))
    );
    let body = request.json();
    assert_eq!((&body["truncated"], &body["story_id"]), (&json!(true), &json!(story)));
    assert_eq!(body["data"]["_truncated_fields"], json!(["old_state", "new_state", "findings"]));
    assert_eq!((&body["data"]["reason"], &body["data"]["findings"]), (&json!("bad"), &json!(null)));
}

/// What is asked for once more is the same event.
#[tokio::test]
async fn a_delivery_is_repeated() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 1).await;
    let id = text(&webhook.settled("delivered").await["id"]);
    let at = format!("/webhooks/{}/deliveries/{id}/redeliver", webhook.id);
    webhook.caller.post(&at, json!({})).await.expect(200);
    let requests = receiver.expect(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    for request in requests {
        assert_eq!((request.header("webhook-id"), request.header("x-loopctl-attempt")), (&*id, "1"));
    }
    webhook.settled("delivered").await;
}
