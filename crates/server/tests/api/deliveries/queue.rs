//! What goes first, and who waits for whom.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use super::{Receiver, Webhook, agents, eventually, tenant};
use crate::support::text;

/// One after the other, in the order in which they came about.
#[tokio::test]
async fn first_attempts_are_in_order_and_one_at_a_time() {
    let slow = |_| -> super::Answering {
        Box::pin(async {
            tokio::task::yield_now().await;
            (200, String::new())
        })
    };
    let (tenant, receiver) = (tenant().await, Receiver::answering(slow).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    webhook
        .execute("update webhooks set lease = gen_random_uuid(), leased_until = 'infinity' where id = $1")
        .await;
    agents(&tenant, 30).await;
    // Whatever their clocks said: a transaction that began earlier may have come later.
    let shuffled =
        "update webhook_events set next_attempt_at = clock_timestamp() - random() * interval '1 hour'
                    where webhook_id = $1";
    webhook.execute(shuffled).await;
    webhook.execute("update webhooks set lease = null, leased_until = null where id = $1").await;
    let requests = receiver.expect(30).await;
    let told: Vec<_> = requests.iter().map(|request| text(&request.json()["timestamp"])).collect();
    assert!(told.is_sorted(), "{told:#?}");
    assert_eq!((receiver.received().len(), receiver.peak.load(Ordering::SeqCst)), (30, 1));
    // Nothing is left of the work: a lease is given back when nothing is due.
    eventually("end", async || {
        let sql = "select from webhooks where id = $1 and lease is null";
        (webhook.execute(sql).await == 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_event_that_failed_does_not_hold_up_those_behind_it() {
    let first_fails = |nth| -> super::Answering {
        Box::pin(async move { (if nth == 1 { 500 } else { 200 }, String::new()) })
    };
    let (tenant, receiver) = (tenant().await, Receiver::answering(first_fails).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 4).await;
    receiver.expect(4).await;
    let deliveries = eventually("three deliveries", async || {
        let deliveries = webhook.deliveries().await;
        let delivered = deliveries.iter().filter(|delivery| delivery["status"] == "delivered").count();
        (delivered == 3).then_some(deliveries)
    })
    .await;
    let waiting = &deliveries[3];
    assert_eq!((&waiting["status"], &waiting["attempts"]), (&json!("pending"), &json!(1)));
}

/// Receivers that never answer have places of their own, and others go on beside them.
#[tokio::test]
async fn who_never_answers_delays_nobody_else() {
    let dead = Receiver::never().await;
    let mut tenants = Vec::new();
    for _ in 0..4 {
        let tenant = tenant().await;
        let mut webhooks = Vec::new();
        for _ in 0..4 {
            webhooks.push(Webhook::of(&tenant, &dead.url, &["agent.registered"]).await);
        }
        tenants.push((tenant, webhooks));
    }
    for (tenant, _) in &tenants {
        agents(tenant, 3).await;
    }
    dead.expect(8).await;
    let (other, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&other, &receiver.url, &["agent.registered"]).await;
    // A tenant that has dead receivers has another one that is not.
    let (neighbour, living) = (&tenants[0].0, Receiver::always(200).await);
    let beside = Webhook::of(neighbour, &living.url, &["agent.registered"]).await;
    agents(&other, 20).await;
    agents(neighbour, 5).await;
    receiver.expect(20).await;
    living.expect(5).await;
    for webhook in [&webhook, &beside] {
        eventually("deliveries", async || {
            let deliveries = webhook.deliveries().await;
            deliveries.iter().all(|delivery| delivery["status"] == "delivered").then_some(())
        })
        .await;
    }
    // What was never answered is known as such.
    let dead = &tenants[0].1[0];
    let failed = eventually("a timeout", async || {
        dead.deliveries().await.into_iter().find(|delivery| delivery["attempts"] == 1)
    })
    .await;
    assert_eq!((&failed["error"], &failed["response_status"]), (&json!("timeout"), &json!(null)));
    assert!(failed["latency_ms"].as_i64().unwrap() >= 10_000, "{failed:#}");
}

#[tokio::test]
async fn a_tenant_that_is_suspended_is_told_later() {
    let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    let (other, control) = (super::tenant().await, Receiver::always(200).await);
    let beside = Webhook::of(&other, &control.url, &["agent.registered"]).await;
    let status = |status: &str| {
        format!(
            "update tenants set status = '{status}' where id = (select tenant_id from webhooks where id = $1)"
        )
    };
    webhook
        .execute("update webhooks set lease = gen_random_uuid(), leased_until = 'infinity' where id = $1")
        .await;
    agents(&tenant, 2).await;
    webhook.execute(&status("suspended")).await;
    webhook.execute("update webhooks set lease = null, leased_until = null where id = $1").await;
    // The server has looked meanwhile.
    for _ in 0..3 {
        beside.ping().await;
    }
    control.expect(3).await;
    assert_eq!(receiver.received().len(), 0);
    let pending = "select from webhook_events where webhook_id = $1 and status = 'pending' and attempts = 0";
    assert_eq!(webhook.execute(pending).await, 2);
    webhook.execute(&status("active")).await;
    beside.ping().await;
    receiver.expect(2).await;
}

/// Deleted while it is delivered to: there is nothing left to record, and nobody fails.
#[tokio::test]
async fn a_webhook_that_is_deleted_meanwhile() {
    let (arrived, mut arrival) = tokio::sync::mpsc::unbounded_channel();
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let going = std::sync::Arc::clone(&go);
    let waits = move |nth| -> super::Answering {
        let (arrived, going) = (arrived.clone(), std::sync::Arc::clone(&going));
        Box::pin(async move {
            arrived.send(nth).unwrap();
            going.notified().await;
            (200, String::new())
        })
    };
    let (tenant, receiver) = (tenant().await, Receiver::answering(waits).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 3).await;
    arrival.recv().await.unwrap();
    webhook.caller.delete(&format!("/webhooks/{}", webhook.id)).await.expect(204);
    // Events that were read together are delivered for so long after they were.
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.notify_one();
    let left = "select from webhook_events where webhook_id = $1";
    assert_eq!(webhook.execute(left).await, 0);
    // The place is free again, and the server well.
    let (second, well) = (Receiver::always(200).await, super::tenant().await);
    let another = Webhook::of(&well, &second.url, &["agent.registered"]).await;
    agents(&well, 1).await;
    another.settled("delivered").await;
    assert_eq!((receiver.received().len(), webhook.execute(left).await), (1, 0));
}
