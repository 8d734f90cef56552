//! Many clients at once, of one server alone: just as many requests pass as may.

use std::collections::HashMap;
use std::slice::from_ref;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use loopctl_server::serve::ServeOptions;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{assert_refused, keys, limited_on, of_one_minute, told};
use crate::mcp::{OLD, ask};
use crate::support::{Caller, PATIENCE, Reply, TestServer, connect, own_database, started};

const CLIENTS: usize = 32;

/// A server beside which there is no other on its database.
static ALONE: LazyLock<TestServer> = LazyLock::new(|| started(ServeOptions::local(own_database())));

/// So many requests of each client, which call with these keys in turns; by key.
async fn crowd(keys: &[Caller], each: usize) -> Vec<(usize, Reply)> {
    let clients = (0..CLIENTS).map(|client| {
        let keys = keys.to_vec();
        tokio::spawn(async move {
            let mut replies = Vec::new();
            for request in 0..each {
                let nth = (client + request) % keys.len();
                replies.push((nth, keys[nth].get("/tenants/me").await));
            }
            replies
        })
    });
    join_all(clients).await.into_iter().flat_map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_one_key_just_as_many_pass_as_may() {
    for limit in [1, 7, 30, 150] {
        let replies = loop {
            let tenant = limited_on(&ALONE, limit).await;
            let replies = crowd(from_ref(&tenant.user), 8).await;
            if of_one_minute(replies.iter().map(|(_, reply)| reply)) {
                break replies;
            }
        };
        let (passed, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|(_, reply)| reply.status == 200);
        let mut left: Vec<_> = passed.iter().map(|(_, reply)| told(reply).unwrap().1).collect();
        left.sort_unstable();
        // Each is told of one less.
        assert_eq!(left, (0..limit).collect::<Vec<_>>());
        assert_eq!(passed.len() + refused.len(), CLIENTS * 8);
        refused.iter().for_each(|(_, reply)| assert_refused(reply, limit));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_tenant_three_times_as_many() {
    for (limit, count) in [(2, 8), (25, 5)] {
        let replies = loop {
            let tenant = limited_on(&ALONE, limit).await;
            let keys = keys(&ALONE, &tenant, count).await;
            let replies = crowd(&keys, 10).await;
            if of_one_minute(replies.iter().map(|(_, reply)| reply)) {
                break replies;
            }
        };
        let mut by_key: HashMap<usize, i64> = HashMap::new();
        for (nth, reply) in &replies {
            *by_key.entry(*nth).or_default() += i64::from(reply.status == 200);
            if reply.status != 200 {
                assert_refused(reply, limit);
            }
        }
        assert_eq!(by_key.values().sum::<i64>(), 3 * limit, "{by_key:?}");
        assert!(by_key.values().all(|passed| *passed <= limit), "{by_key:?}");
    }
}

async fn waits_for(watcher: &Client, locker: i32) -> bool {
    let sql = "select exists (select from pg_stat_activity where $1 = any (pg_blocking_pids(pid)))";
    watcher.query_one(sql, &[&locker]).await.unwrap().get(0)
}

/// How many requests were given up by their clients.
async fn abandoned() -> u64 {
    let metrics = Caller::nobody().at(&ALONE.base).request(Method::GET, "//metrics");
    let text = metrics.send().await.unwrap().text().await.unwrap();
    let of_route = "loopctl_http_requests_abandoned_total{route=\"/api/v1/tenants/me\",method=\"GET\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(of_route));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Who leaves while permits are on their way takes none along.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hangs_up_costs_nothing() {
    let owner = connect(&ALONE.owner).await;
    let watcher = connect(&ALONE.owner).await;
    let locker: i32 = owner.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    loop {
        let tenant = limited_on(&ALONE, 80).await;
        // The first takes ten, of which nine are left; then the tenant's row is held.
        let mut replies = vec![tenant.user.get("/tenants/me").await];
        let (_, _, reset) = told(&replies[0]).unwrap();
        let is_over = || i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() >= reset;
        let hold = format!("begin; select from rate_windows where tenant_id = '{}' for update", tenant.id);
        owner.batch_execute(&hold).await.unwrap();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let user = tenant.user.clone();
                tokio::spawn(async move { user.get("/tenants/me").await })
            })
            .collect();
        let waiting = async {
            while !waits_for(&watcher, locker).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("somebody waits");
        let served = async {
            while clients.iter().filter(|client| client.is_finished()).count() < 9 && !is_over() {
                yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.expect("those are served for whom there is a permit");
        let (before, mut gone) = (abandoned().await, 0);
        for client in clients {
            client.abort();
            match client.await {
                Ok(reply) => replies.push(reply),
                Err(_) => gone += 1,
            }
        }
        let noticed = async {
            while abandoned().await < before + gone {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, noticed).await.expect("the server sees who has left");
        owner.batch_execute("rollback").await.unwrap();
        for _ in 0..100 {
            replies.push(tenant.user.get("/tenants/me").await);
        }
        if of_one_minute(&replies) {
            assert!(gone > 0, "nobody had to wait");
            assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 80);
            return;
        }
    }
}

/// A message to `/mcp` is a request, and so is each further call of the API that a tool makes.
#[tokio::test]
async fn a_tool_costs_as_many_requests_as_it_makes() {
    let listing = ("tools/list", json!({}), 1);
    let call = |tool: &str, arguments: Value, costs: i64| {
        ("tools/call", json!({"name": tool, "arguments": arguments}), costs)
    };
    let asked = [
        listing,
        call("help", json!({}), 1),
        call("get_tenant", json!({}), 1),
        call("get_story", json!({"story_id": Uuid::now_v7()}), 1),
        call("list_ready_stories", json!({"project_id": Uuid::now_v7()}), 1),
    ];
    loop {
        let tenant = limited_on(&ALONE, 50).await;
        let mut replies = vec![tenant.user.get("/tenants/me").await];
        for (method, params, costs) in &asked {
            let answer = ask(&tenant.user, "//mcp", OLD, method, params.clone()).await;
            assert!(answer["result"].is_object(), "{answer}");
            let reply = tenant.user.get("/tenants/me").await;
            if of_one_minute(replies.iter().chain([&reply])) {
                let left = |reply: &Reply| told(reply).unwrap().1;
                assert_eq!(left(replies.last().unwrap()) - left(&reply), costs + 1, "{method} {params}");
            }
            replies.push(reply);
        }
        if of_one_minute(&replies) {
            break;
        }
    }
}
