//! Who is taken next, as the database decides it: in a database of this test's own, where nobody delivers.

use std::collections::BTreeMap;

use loopctl_server::config::{Database, DatabaseOptions};
use loopctl_server::db::Login;
use loopctl_server::operator;
use tokio_postgres::Client;
use tokio_postgres::config::Host;
use uuid::Uuid;

use super::{owner, server};
use crate::support::{connect, unique};

/// A database without a server.
pub(super) struct Queue {
    pub(super) options: DatabaseOptions,
    pub(super) config: Login,
    pub(super) owner: Client,
    app: Client,
}

impl Queue {
    pub(super) async fn new() -> Self {
        let name = unique("claims").replace('-', "_");
        owner().await.batch_execute(&format!("create database {name}")).await.unwrap();
        let [Host::Unix(directory)] = server().owner.get_hosts() else {
            panic!("the test cluster has a socket")
        };
        let (directory, port) = (directory.display(), server().owner.get_ports()[0]);
        let url = |user| format!("postgres:///{name}?host={directory}&port={port}&user={user}");
        let options =
            DatabaseOptions::External { url: url("loopctl_app"), admin_url: Some(url("loopctl_owner")) };
        let database = Database::open(&options).await.unwrap();
        database.migrate().await.unwrap();
        let (owner, app) = (connect(&database.owner).await, connect(&database.app).await);
        Self { options, config: database.owner, owner, app }
    }

    async fn tenant(&self) -> Uuid {
        let slug = unique("tenant");
        let email = format!("{slug}@loopctl.test");
        operator::create_tenant(&self.config, &slug, &slug, &email)
            .await
            .unwrap()
            .0
            .id
            .to_string()
            .parse()
            .unwrap()
    }

    /// A webhook with so many events, of which the first has waited for so many seconds.
    async fn webhook(&self, tenant: Uuid, events: i32, waited: i32, struggling: bool) -> Uuid {
        let id = Uuid::now_v7();
        let webhook = "insert into webhooks (tenant_id, id, url, signing_secret, events, struggling)
                       values ($1, $2, 'https://hooks.example/', '', '{story.verified}', $3)";
        self.owner.execute(webhook, &[&tenant, &id, &struggling]).await.unwrap();
        let queued = "insert into webhook_events (tenant_id, id, webhook_id, event_type, payload, position, next_attempt_at)
                      select $1, gen_random_uuid(), $2, 'story.verified', '{}', n, now() - make_interval(secs => $4::int - n)
                      from generate_series(1, $3::int) n";
        self.owner.execute(queued, &[&tenant, &id, &events, &waited]).await.unwrap();
        id
    }

    /// What is taken with so many places, of which these are taken, by struggling webhooks or others; and when there is more.
    async fn claim(
        &self,
        places: i32,
        busy: &[Uuid],
        struggling: &[Uuid],
    ) -> (Vec<(Uuid, Uuid)>, Option<f64>) {
        let sql = "select tenant_ids, webhook_ids, next_in from claim_webhooks($1, 60, $2, $3, $4)";
        let params: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
            &[&Uuid::now_v7(), &places, &busy, &struggling];
        let row = self.app.query_one(sql, params).await.unwrap();
        let (tenants, webhooks): (Vec<Uuid>, Vec<Uuid>) = (row.get(0), row.get(1));
        (tenants.into_iter().zip(webhooks).collect(), row.get(2))
    }
}

fn per_tenant(claimed: &[(Uuid, Uuid)]) -> BTreeMap<Uuid, usize> {
    claimed.iter().fold(BTreeMap::new(), |mut counts, (tenant, _)| {
        *counts.entry(*tenant).or_default() += 1;
        counts
    })
}

#[tokio::test]
async fn places_are_shared_out_fairly() {
    let queue = Queue::new().await;
    assert_eq!(queue.claim(8, &[], &[]).await, (vec![], None));
    let (greedy, modest) = (queue.tenant().await, queue.tenant().await);
    for _ in 0..6 {
        queue.webhook(greedy, 3, 1000, false).await;
    }
    let other = queue.webhook(modest, 1, 10, false).await;
    // A quarter of the places, however long the greedy one has waited; and there is more to do at once.
    let (claimed, next_in) = queue.claim(8, &[], &[]).await;
    assert_eq!(per_tenant(&claimed), BTreeMap::from([(greedy, 2), (modest, 1)]));
    assert!(claimed.contains(&(modest, other)) && next_in.unwrap() <= 0.0, "{next_in:?}");
    // What it has already counts, also when there is room; and a webhook that is taken is not taken again.
    assert_eq!(queue.claim(8, &[greedy, greedy, modest], &[]).await.0, []);
    let (claimed, _) = queue.claim(8, &[greedy], &[]).await;
    assert_eq!(per_tenant(&claimed), BTreeMap::from([(greedy, 1)]));
    assert_eq!(queue.claim(8, &[modest; 8], &[]).await.0, [], "no place is free");
    // Who has fewest goes first.
    let third = queue.tenant().await;
    let newest = queue.webhook(third, 1, 2, false).await;
    let (claimed, _) = queue.claim(8, &[greedy, modest, modest, modest, modest, modest, modest], &[]).await;
    assert_eq!(claimed, [(third, newest)]);
}

#[tokio::test]
async fn who_struggles_gets_half_at_most() {
    let queue = Queue::new().await;
    let mut tenants = Vec::new();
    for _ in 0..8 {
        let tenant = queue.tenant().await;
        queue.webhook(tenant, 5, 5000, true).await;
        queue.webhook(tenant, 5, 4000, true).await;
        tenants.push(tenant);
    }
    let living = queue.webhook(tenants[0], 1, 1, false).await;
    let (claimed, _) = queue.claim(8, &[], &[]).await;
    assert!(claimed.contains(&(tenants[0], living)), "{claimed:?}");
    assert_eq!(claimed.len(), 5, "half of eight, and the one that works");
    // Of a tenant's own places, too.
    assert!(per_tenant(&claimed).values().all(|count| *count <= 2));
    let taken: Vec<Uuid> = claimed.iter().map(|(tenant, _)| *tenant).collect();
    assert_eq!(queue.claim(8, &taken, &taken[1..]).await.0, []);
}

/// What is not due, is somebody's, or is a suspended tenant's, is not taken; a lease that has ended is nobody's.
#[tokio::test]
async fn what_is_not_to_be_taken() {
    let queue = Queue::new().await;
    let tenant = queue.tenant().await;
    let later = queue.webhook(tenant, 1, -99, false).await;
    let (claimed, next_in) = queue.claim(8, &[], &[]).await;
    assert_eq!(claimed, []);
    assert!((90.0..=101.0).contains(&next_in.unwrap()), "{next_in:?}");
    let sql = "update webhook_events set attempts = 2, next_attempt_at = now() where webhook_id = $1";
    queue.owner.execute(sql, &[&later]).await.unwrap();
    queue.owner.execute("update tenants set status = 'suspended' where id = $1", &[&tenant]).await.unwrap();
    assert_eq!(queue.claim(8, &[], &[]).await.0, []);
    queue.owner.execute("update tenants set status = 'active' where id = $1", &[&tenant]).await.unwrap();
    assert_eq!(queue.claim(8, &[], &[]).await.0, [(tenant, later)]);
    assert_eq!(queue.claim(8, &[], &[]).await.0, []);
    queue.owner.execute("update webhooks set leased_until = now()", &[]).await.unwrap();
    assert_eq!(queue.claim(8, &[], &[]).await.0, [(tenant, later)]);
    queue.owner.execute("update webhook_events set status = 'delivered'", &[]).await.unwrap();
    queue.owner.execute("update webhooks set lease = null, leased_until = null", &[]).await.unwrap();
    assert_eq!(queue.claim(8, &[], &[]).await, (vec![], None));
    let stats = "select pending, oldest_pending_age from webhook_queue_stats()";
    let row = queue.app.query_one(stats, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, f64>(1)), (0, 0.0));
}

/// A long queue costs no more than a short one: as many pages are looked at.
#[tokio::test]
async fn a_long_queue_is_not_read() {
    let queue = Queue::new().await;
    let tenant = queue.tenant().await;
    queue.webhook(tenant, 1, 1, false).await;
    let long = queue.webhook(tenant, 50_000, 100_000, false).await;
    // The first time the plans are made.
    queue.claim(8, &[tenant; 8], &[]).await;
    let sql = "explain (analyze, buffers, format json) select * from claim_webhooks(gen_random_uuid(), 60, 8, $1, '{}')";
    let sql = sql.replace("$1", &format!("array_fill('{tenant}'::uuid, array[8])"));
    let plan: serde_json::Value = queue.app.query_one(&sql, &[]).await.unwrap().get(0);
    let pages = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
    let read = pages("Shared Hit Blocks") + pages("Shared Read Blocks");
    assert!(read < 200, "{read} pages");
    let app = "set role loopctl_app; set loopctl.tenant_id = '";
    queue.app.batch_execute(&format!("{app}{tenant}'")).await.unwrap();
    let sql = format!("explain (analyze, buffers, format json) select next_webhook_events('{long}')");
    let plan: serde_json::Value = queue.app.query_one(&sql, &[]).await.unwrap().get(0);
    let read = plan[0]["Plan"]["Shared Hit Blocks"].as_i64().unwrap()
        + plan[0]["Plan"]["Shared Read Blocks"].as_i64().unwrap();
    assert!(read < 200, "{read} pages");
    let row = queue.app.query_one("select pending from webhook_queue_stats()", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 50_001);
}
