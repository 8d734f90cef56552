//! Webhooks that come, change and go while others write to the log, at two servers.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::{join, join_all};
use loopctl_server::serve::Server;
use serde_json::{Value, json};

use super::{URL, queued, subscribed};
use crate::conventions::health::line_to;
use crate::races::together;
use crate::support::{Caller, Tenant, connect, echo, rounds, server, somebody_waits_for, text};
use crate::trust_loop::stories;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_holds_for_those_who_come_at_once() {
    let tenant = Tenant::new().await;
    let limit = json!({"settings": {"max_webhooks": 1}});
    tenant.user.patch("/tenants/me", limit).await.expect(200);
    let calls = (0..10).map(|_| {
        let user = tenant.user.clone();
        async move { user.post("/webhooks", json!({"url": URL, "events": ["story.verified"]})).await }
    });
    let replies = together(calls.collect()).await;
    let (created, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!((created.len(), refused.len()), (1, 9));
    for reply in refused {
        reply.expect_error(422, "webhook_limit_reached");
    }
}

/// Contracts each of the stories.
async fn write(agent: &Caller, stories: &[String], done: &AtomicBool) {
    for story in stories {
        agent.post(&format!("/stories/{story}/contract"), echo()).await.expect(200);
    }
    done.store(true, Ordering::Relaxed);
}

/// Agents who write at two servers, while `meanwhile` goes on until one of them is done, three times at least. It is given the tenant's user at the
/// second one.
async fn while_others_write<F>(tenant: &Tenant, mut meanwhile: impl FnMut(Caller) -> F)
where
    F: Future<Output = ()>,
{
    let (_line, options) = line_to("loopctl", 8).await;
    let second = Server::start(&options).await.unwrap();
    let base = format!("http://{}", second.address);
    let all = stories(tenant, rounds(180)).await;
    let (agents, done) = (join_all((0..6).map(|_| tenant.agent())).await, AtomicBool::new(false));
    let writing = agents.iter().zip(all.chunks(all.len() / 6)).enumerate().map(|(n, (agent, stories))| {
        let agent = if n % 2 == 0 { agent.clone() } else { agent.at(&base) };
        let done = &done;
        async move { write(&agent, stories, done).await }
    });
    let others = async {
        let mut round = 0;
        while round < 3 || !done.load(Ordering::Relaxed) {
            meanwhile(tenant.user.at(&base)).await;
            round += 1;
        }
    };
    join(join_all(writing), others).await;
    second.stop().await.unwrap();
}

/// By the log: what happened after a webhook was created and before it was no longer active, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_webhook_is_told_of_what_came_between_its_first_entry_and_its_last() {
    let tenant = Tenant::new().await;
    let settings = json!({"settings": {"max_webhooks": 1000}});
    tenant.user.patch("/tenants/me", settings).await.expect(200);
    let user = &tenant.user;
    while_others_write(&tenant, async |second| {
        let body = json!({"url": URL, "events": ["story.status_changed"]});
        let webhook = text(&user.post("/webhooks", body).await.expect(201)["webhook"]["id"]);
        second.patch(&format!("/webhooks/{webhook}"), json!({"active": false})).await.expect(200);
    })
    .await;
    let log = tenant.audit_log().await;
    let at = |entry: &Value| entry["position"].as_i64().unwrap();
    let steps: Vec<_> = log.iter().filter(|entry| entry["action"] == "status_changed").map(at).collect();
    let mut webhooks: Vec<_> = log.iter().filter(|entry| entry["entity_type"] == "webhook").collect();
    webhooks.sort_by_key(|entry| (text(&entry["entity_id"]), at(entry)));
    let mut told_of_some = 0;
    for entries in webhooks.chunk_by(|a, b| a["entity_id"] == b["entity_id"]) {
        let (first, last) = (at(entries[0]), entries.get(1).map_or(i64::MAX, |entry| at(entry)));
        let expected: Vec<_> = steps.iter().copied().filter(|step| (first..last).contains(step)).collect();
        let told: Vec<_> = queued(&text(&entries[0]["entity_id"])).await.iter().map(at).collect();
        assert_eq!(told, expected, "{entries:?}");
        told_of_some += usize::from(!expected.is_empty());
    }
    assert!(told_of_some > 1, "of {} webhooks", webhooks.len());
    assert!(steps.len() >= 150);
}

/// Whoever deletes waits for nobody who waits for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn webhooks_go_while_they_are_told_something() {
    let tenant = Tenant::new().await;
    let settings = json!({"settings": {"max_webhooks": 1000}});
    tenant.user.patch("/tenants/me", settings).await.expect(200);
    let (user, kept) = (&tenant.user, subscribed(&tenant, &["story.status_changed"], None).await);
    while_others_write(&tenant, async |second| {
        let webhooks = join_all((0..3).map(|_| subscribed(&tenant, &["story.status_changed"], None))).await;
        let second = &second;
        let ways = webhooks.iter().map(|webhook| async move {
            let path = format!("/webhooks/{webhook}");
            let test = async || user.post_empty(&format!("{path}/test")).await;
            let change = async |active: bool| second.patch(&path, json!({"active": active})).await;
            let (tested, changed) = join(test(), change(false)).await;
            assert_eq!([tested.status, changed.status], [200, 200]);
            let ((deleted, tested), changed) = join(join(user.delete(&path), test()), change(true)).await;
            assert_eq!(deleted.status, 204);
            assert!([200, 404].contains(&tested.status) && [200, 404].contains(&changed.status));
        });
        join_all(ways).await;
    })
    .await;
    // Nothing is left of them, and the one that stays was told of every step, once.
    let sql =
        "select count(*), count(distinct position) from webhook_events where tenant_id = $1::text::uuid";
    let row = connect(&server().owner).await.query_one(sql, &[&tenant.id]).await.unwrap();
    let log = tenant.audit_log().await;
    let steps = log.iter().filter(|entry| entry["action"] == "status_changed").count() as i64;
    assert_eq!([row.get::<_, i64>(0), row.get::<_, i64>(1)], [steps; 2]);
    assert_eq!(queued(&kept).await.len() as i64, steps);
}

/// A step that began before a webhook was there, and comes after it in the log.
#[tokio::test]
async fn who_waits_for_the_log_tells_those_who_came_meanwhile() {
    let tenant = Tenant::new().await;
    let (agent, story) = (tenant.agent().await, tenant.story().await);
    let mut owner = connect(&server().owner).await;
    let holding = owner.transaction().await.unwrap();
    let hold = "select from audit_heads where tenant_id = $1::text::uuid for update";
    holding.execute(hold, &[&tenant.id]).await.unwrap();
    let waiting =
        tokio::spawn(async move { agent.post(&format!("/stories/{story}/contract"), echo()).await });
    somebody_waits_for(&holding).await;
    let insert = "insert into webhooks (tenant_id, id, url, signing_secret, events)
                  values ($1::text::uuid, gen_random_uuid(), $2, '', '{story.status_changed}') returning id::text";
    let webhook: String = holding.query_one(insert, &[&tenant.id, &URL]).await.unwrap().get(0);
    holding.commit().await.unwrap();
    waiting.await.unwrap().expect(200);
    assert_eq!(queued(&webhook).await.len(), 1);
}
