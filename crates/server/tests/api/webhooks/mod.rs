//! Webhooks: who may subscribe to what, and what is put into the queue for them.

mod deliveries;
mod matching;
mod notices;
mod races;
mod subscriptions;
mod urls;

use loopctl_core::webhooks::EventType;
use serde_json::{Value, json};

use crate::support::{Tenant, connect, server, text};

/// An address that leads nowhere.
const URL: &str = "https://hooks.invalid/loopctl";

/// An id that nothing has.
const NOBODY: &str = "0190f5ad-0000-7000-8000-000000000000";

/// A new webhook for these events; its id. What is put into the queue for it stays there as it came: it is as if somebody were
/// delivering to it already.
pub(crate) async fn subscribed(tenant: &Tenant, events: &[&str], project: Option<&str>) -> String {
    let body = json!({"url": URL, "events": events, "project_id": project});
    let id = text(&tenant.user.post("/webhooks", body).await.expect(201)["webhook"]["id"]);
    let sql =
        "update webhooks set lease = gen_random_uuid(), leased_until = 'infinity' where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&id]).await.unwrap();
    id
}

/// A new webhook for everything.
async fn told_everything(tenant: &Tenant) -> String {
    subscribed(tenant, EventType::WORDS, None).await
}

/// What was put into the queue for a webhook, in the order in which it happened.
pub(crate) async fn queued(webhook: &str) -> Vec<Value> {
    let sql =
        "select to_jsonb(e) from webhook_events e where webhook_id = $1::text::uuid order by position, id";
    let rows = connect(&server().owner).await.query(sql, &[&webhook]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Of that, the types.
async fn types(webhook: &str) -> Vec<String> {
    queued(webhook).await.iter().map(|event| text(&event["event_type"])).collect()
}
