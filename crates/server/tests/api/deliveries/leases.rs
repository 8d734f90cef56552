//! Several servers on one database: a webhook is one server's at a time, and what a server has lost is not its to record.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use loopctl_server::config::DatabaseOptions;
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::json;
use tokio::sync::Notify;
use tokio_postgres::config::Host;

use super::claims::Queue;
use super::{Answering, Receiver, Webhook, agents, eventually, options, server, tenant};
use crate::support::Tenant;

/// Another server on the same database.
async fn second() -> Server {
    let app = &server().app;
    let [Host::Unix(directory)] = app.get_hosts() else { panic!("the test cluster has a socket") };
    let (directory, port) = (directory.display(), app.get_ports()[0]);
    let url = format!("postgres:///loopctl?host={directory}&port={port}&user=loopctl_app");
    let database = DatabaseOptions::External { url, admin_url: None };
    Server::start(&options(ServeOptions::local(database))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_never_deliver_to_one_webhook_at_once() {
    let second = second().await;
    let mut receivers = Vec::new();
    for _ in 0..3 {
        let (tenant, receiver) = (tenant().await, Receiver::always(200).await);
        let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
        receivers.push((tenant, receiver, webhook));
    }
    // Turns change hands while more comes.
    for _ in 0..10 {
        for (tenant, _, _) in &receivers {
            agents(tenant, 2).await;
        }
    }
    for (_, receiver, webhook) in &receivers {
        eventually("deliveries", async || {
            let deliveries = webhook.deliveries().await;
            let delivered = deliveries.iter().filter(|delivery| delivery["status"] == "delivered");
            (delivered.count() == 20).then_some(())
        })
        .await;
        assert_eq!((receiver.received().len(), receiver.peak.load(Ordering::SeqCst)), (20, 1));
    }
    // Whoever stops gives back what it had taken.
    second.stop().await.unwrap();
}

/// Somebody else has the lease by the time the receiver answers: what came of it is theirs to find out.
#[tokio::test]
async fn what_was_lost_meanwhile_is_not_recorded() {
    let go = Arc::new(Notify::new());
    let going = Arc::clone(&go);
    let waits = move |nth| -> Answering {
        let going = Arc::clone(&going);
        Box::pin(async move {
            if nth == 1 {
                going.notified().await;
            }
            (200, format!("answer {nth}"))
        })
    };
    let (tenant, receiver) = (tenant().await, Receiver::answering(waits).await);
    let webhook = Webhook::of(&tenant, &receiver.url, &["agent.registered"]).await;
    agents(&tenant, 1).await;
    receiver.expect(1).await;
    webhook
        .execute("update webhooks set lease = gen_random_uuid(), leased_until = 'infinity' where id = $1")
        .await;
    go.notify_one();
    // The first server is done when it takes the next one.
    let (other, control) = (super::tenant().await, Receiver::always(200).await);
    let beside = Webhook::of(&other, &control.url, &["agent.registered"]).await;
    agents(&other, 1).await;
    beside.settled("delivered").await;
    eventually("answer", async || (receiver.under_way.load(Ordering::SeqCst) == 0).then_some(())).await;
    let untouched = webhook.delivery("event", |_| true).await;
    assert_eq!((&untouched["status"], &untouched["attempts"]), (&json!("pending"), &json!(0)));
    let still =
        "select from webhooks where id = $1 and leased_until = 'infinity' and last_delivery_at is null";
    assert_eq!(webhook.execute(still).await, 1);
    // Its new holder is gone: the same event arrives again.
    webhook.execute("update webhooks set leased_until = clock_timestamp() where id = $1").await;
    webhook.ring().await;
    let requests = receiver.expect(2).await;
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    let delivered = webhook.settled("delivered").await;
    assert_eq!((&delivered["attempts"], &delivered["response_excerpt"]), (&json!(1), &json!("answer 2")));
}

/// Nobody waits for a server that is gone, although its receiver never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_gives_back_what_it_had_taken() {
    let (queue, receiver) = (Queue::new().await, Receiver::never().await);
    let server = Server::start(&options(ServeOptions::local(queue.options.clone()))).await.unwrap();
    let tenant = Tenant::at(&queue.config, &format!("http://{}", server.address)).await;
    let body = json!({"url": receiver.url, "events": ["agent.registered"]});
    tenant.user.post("/webhooks", body).await.expect(201);
    tenant.agent().await;
    receiver.expect(1).await;
    let taken = "select from webhooks where lease is not null and leased_until > now()";
    assert_eq!(queue.owner.execute(taken, &[]).await.unwrap(), 1);
    server.stop().await.unwrap();
    assert_eq!(queue.owner.execute("select from webhooks where lease is null", &[]).await.unwrap(), 1);
    let untouched = "select from webhook_events where status = 'pending' and attempts = 0";
    assert_eq!(queue.owner.execute(untouched, &[]).await.unwrap(), 1);
}
