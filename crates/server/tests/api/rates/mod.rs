//! How often keys may call, and what they are told of it.
//!
//! A minute may end in the middle of a test. What is to be within one minute is tried again, with a tenant of its own, until it was.

mod crowds;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Config;
use uuid::Uuid;

use crate::identity::impersonation::{inside, superadmin};
use crate::support::{BOUND, Caller, Reply, Tenant, TestServer, connect, server, unique};

/// A tenant each of whose keys may make so many requests a minute. It has made none.
pub(crate) async fn limited_to(limit: i64) -> Tenant {
    limited_on(server(), limit).await
}

async fn limited_on(server: &TestServer, limit: i64) -> Tenant {
    let tenant = Tenant::untouched(&server.owner, &server.base).await;
    set(&server.owner, &tenant, &limit.to_string()).await;
    tenant
}

/// Sets the limit by hand, to anything.
async fn set(owner: &Config, tenant: &Tenant, limit: &str) {
    let sql =
        "update tenants set settings = jsonb_build_object('rate_limit_requests_per_minute', $2::text::jsonb)
               where id = $1::text::uuid";
    connect(owner).await.execute(sql, &[&tenant.id, &limit]).await.unwrap();
}

/// Further keys of a tenant, for which nobody has asked over HTTP.
async fn keys(server: &TestServer, tenant: &Tenant, count: usize) -> Vec<Caller> {
    let owner = connect(&server.owner).await;
    let mut keys = Vec::new();
    for _ in 0..count {
        let raw = unique("lc_key");
        let sql = "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role)
                   values ($1::text::uuid, $2::text::uuid, 'k', $3, left($4, 8), 'user')";
        let (id, hash) = (Uuid::now_v7().to_string(), hex::encode(Sha256::digest(&raw)));
        owner.execute(sql, &[&id, &tenant.id, &hash, &raw]).await.unwrap();
        keys.push(Caller::with_key(&raw).at(&server.base));
    }
    keys
}

/// What an answer tells of the limit: how many requests there may be, how many are left, and when the minute ends.
fn told(reply: &Reply) -> Option<(i64, i64, i64)> {
    let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap().parse().unwrap());
    Some((header("x-ratelimit-limit")?, header("x-ratelimit-remaining")?, header("x-ratelimit-reset")?))
}

/// Whether all of them were given in the same minute. Those that tell nothing belong to each.
fn of_one_minute<'a>(replies: impl IntoIterator<Item = &'a Reply>) -> bool {
    let mut resets: Vec<_> = replies.into_iter().filter_map(told).map(|(_, _, reset)| reset).collect();
    resets.dedup();
    resets.len() <= 1
}

/// An answer that is no refusal of this kind, with so many requests left of a limit.
#[track_caller]
fn assert_left(reply: &Reply, limit: i64, left: i64) {
    let (of, remaining, _) = told(reply).expect("a limit");
    assert_eq!((of, remaining), (limit, left), "{reply:?}");
    assert_ne!(reply.status, 429, "{reply:?}");
}

/// One request too many.
#[track_caller]
fn assert_refused(reply: &Reply, limit: i64) {
    let (of, remaining, reset) = told(reply).expect("a limit");
    assert_eq!((of, remaining, reset % 60), (limit, 0, 0), "{reply:?}");
    let seconds: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let error = json!({
        "status": 429, "code": "rate_limited", "message": format!("Too many requests. Retry after {seconds} seconds."),
        "retry_after_seconds": seconds,
    });
    assert_eq!((reply.status, &reply.body), (429, &json!({"error": error})));
}

#[tokio::test]
async fn one_more_than_the_limit_is_refused() {
    let replies = loop {
        let tenant = limited_to(3).await;
        let mut replies = Vec::new();
        for _ in 0..5 {
            replies.push(tenant.user.get("/tenants/me").await);
        }
        if of_one_minute(&replies) {
            break replies;
        }
    };
    for (reply, left) in replies.iter().zip([2, 1, 0]) {
        assert_eq!(reply.status, 200);
        assert_left(reply, 3, left);
    }
    replies[3..].iter().for_each(|reply| assert_refused(reply, 3));
}

/// And nobody of another one.
#[tokio::test]
async fn the_keys_of_a_tenant_may_make_three_times_as_many() {
    let (replies, others) = loop {
        let (tenant, other) = (limited_to(2).await, limited_to(2).await);
        let keys = keys(server(), &tenant, 4).await;
        let mut replies = Vec::new();
        for nth in [0, 0, 1, 1, 2, 2, 3, 3, 3] {
            replies.push(keys[nth].get("/tenants/me").await);
        }
        let others = [other.user.get("/tenants/me").await];
        if of_one_minute(replies.iter().chain(&others)) {
            break (replies, others);
        }
    };
    for (reply, left) in replies.iter().zip([1, 0, 1, 0, 1, 0]) {
        assert_left(reply, 2, left);
    }
    // Of the fresh key as well: it has been used up before the tenant was asked, and after that is refused by itself.
    replies[6..].iter().for_each(|reply| assert_refused(reply, 2));
    assert_left(&others[0], 2, 1);
}

#[tokio::test]
async fn superadmins_are_not_counted() {
    let (superadmin, _) = superadmin().await;
    loop {
        let tenant = limited_to(1).await;
        let inside = [inside(&superadmin, &tenant.id, None), inside(&superadmin, &tenant.id, Some("user"))];
        for caller in inside.iter().cycle().take(6) {
            let reply = caller.get("/tenants/me").await;
            assert_eq!((reply.status, told(&reply)), (200, None));
            assert!(!reply.headers.contains_key("retry-after"));
        }
        for path in ["/admin/stats", "/projects", "/agents/register"] {
            let reply = superadmin.get(path).await;
            assert_eq!(told(&reply), None, "{path}: {}", reply.status);
        }
        let theirs = [tenant.user.get("/tenants/me").await, tenant.user.get("/tenants/me").await];
        if of_one_minute(&theirs) {
            assert_left(&theirs[0], 1, 0);
            assert_refused(&theirs[1], 1);
            return;
        }
    }
}

/// Whatever becomes of a request of somebody who is let in, it counts and is told so; of nobody else is anything counted.
#[tokio::test]
async fn every_answer_to_a_key_that_is_let_in_tells_the_limit() {
    let (superadmin, nobody) = (superadmin().await.0, Caller::nobody());
    loop {
        let tenant = limited_to(100).await;
        let mut replies = Vec::new();
        for (status, method, path, body) in [
            (200, Method::GET, "/projects", Value::Null),
            (404, Method::GET, "/projects/nothing", Value::Null),
            (422, Method::POST, "/projects", json!({})),
            (400, Method::POST, "/projects", json!("{")),
            (403, Method::POST, "/agents/register", json!({})),
            (403, Method::GET, "/admin/tenants", Value::Null),
            (404, Method::DELETE, "/api_keys/0190163d-8694-739b-aea5-966c26f8ad91", Value::Null),
            (200, Method::GET, "/changes/stream", Value::Null),
        ] {
            let request = tenant.user.request(method, path);
            let request = match &body {
                Value::Null => request,
                Value::String(broken) => {
                    request.header("content-type", "application/json").body(broken.clone())
                }
                body => request.json(body),
            };
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            let header = |name: &str| response.headers()[name].to_str().unwrap().parse::<i64>().unwrap();
            assert_eq!(header("x-ratelimit-limit"), 100, "{path}");
            replies.push((header("x-ratelimit-remaining"), header("x-ratelimit-reset")));
        }
        let left: Vec<_> = replies.iter().map(|(left, _)| *left).collect();
        if replies.iter().all(|(_, reset)| *reset == replies[0].1) {
            assert_eq!(left, [99, 98, 97, 96, 95, 94, 93, 92]);
            break;
        }
    }
    let suspended = limited_to(1).await;
    let sql = "update tenants set status = 'suspended' where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&suspended.id]).await.unwrap();
    let astray = inside(&superadmin, "0190163d-8694-739b-aea5-966c26f8ad91", None);
    for (caller, status) in [
        (&nobody, 401),
        (&Caller::with_key("lc_unknown"), 401),
        (&suspended.user, 403),
        (&suspended.user, 403),
        (&astray, 404),
    ] {
        let reply = caller.get("/tenants/me").await;
        assert_eq!((reply.status, told(&reply)), (status, None));
    }
    for path in ["//health", "/", "/nowhere"] {
        assert_eq!(told(&nobody.get(path).await), None, "{path}");
    }
}

/// From the next request on, whether that makes it more or less.
#[tokio::test]
async fn a_limit_that_is_changed_counts_at_once() {
    loop {
        let tenant = limited_to(200).await;
        let key = keys(server(), &tenant, 1).await.remove(0);
        let mut replies = Vec::new();
        for (limit, requests) in [(None, 5), (Some(3), 2), (Some(7), 3), (Some(40), 2), (Some(9), 3)] {
            if let Some(limit) = limit {
                let body = json!({"settings": {"rate_limit_requests_per_minute": limit}});
                replies.push(tenant.user.patch("/tenants/me", body).await);
            }
            for _ in 0..requests {
                replies.push(key.get("/tenants/me").await);
            }
        }
        if !of_one_minute(&replies) {
            continue;
        }
        let of_key =
            replies.iter().filter(|reply| reply.body.get("api_key").is_some() || reply.status == 429);
        let seen: Vec<_> = of_key
            .map(|reply| {
                let (limit, left, _) = told(reply).unwrap();
                (reply.status, limit, left)
            })
            .collect();
        let expected = [
            (200, 200, 199),
            (200, 200, 198),
            (200, 200, 197),
            (200, 200, 196),
            (200, 200, 195),
            (429, 3, 0),
            (429, 3, 0),
            (200, 7, 1),
            (200, 7, 0),
            (429, 7, 0),
            (200, 40, 32),
            (200, 40, 31),
            (429, 9, 0),
            (429, 9, 0),
            (429, 9, 0),
        ];
        assert_eq!(seen, expected);
        return;
    }
}

/// By hand, in the database: noticed within a second, and what is no limit is as if there were none.
#[tokio::test]
async fn what_is_no_limit_counts_as_not_set() {
    let tenant = limited_to(200).await;
    let limit = async || told(&tenant.user.get("/tenants/me").await).unwrap().0;
    for (value, expected) in [
        ("7", 7),
        ("\"5\"", 300),
        ("11", 11),
        ("0", 300),
        ("12", 12),
        ("-1", 300),
        ("13", 13),
        ("null", 300),
        ("14", 14),
        ("1.5", 300),
    ] {
        set(&server().owner, &tenant, value).await;
        let changed = std::time::Instant::now();
        loop {
            let sent = changed.elapsed();
            let told = limit().await;
            if told == expected {
                break;
            }
            assert!(sent < BOUND, "{value}: {told} {sent:?} later");
        }
    }
}

/// A row for each key and tenant that has called, and however often it is one.
#[tokio::test]
async fn counters_begin_anew_and_do_not_grow() {
    let tenant = limited_to(4).await;
    let keys = keys(server(), &tenant, 2).await;
    let owner = connect(&server().owner).await;
    // As if all of it had been used up in an earlier minute.
    let used = "insert into rate_windows (tenant_id, id, minute, issued)
                select $1::text::uuid, id, floor(extract(epoch from clock_timestamp()) / 60) - 1, 100
                from api_keys where tenant_id = $1::text::uuid
                union all select $1::text::uuid, $1::text::uuid, 7, 100";
    owner.execute(used, &[&tenant.id]).await.unwrap();
    for key in keys.iter().chain([&tenant.user]) {
        assert_left(&key.get("/tenants/me").await, 4, 3);
        for _ in 0..5 {
            key.get("/tenants/me").await;
        }
    }
    let rows = "select count(*), min(minute) from rate_windows where tenant_id = $1::text::uuid";
    let row = owner.query_one(rows, &[&tenant.id]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 4);
    assert!(row.get::<_, i64>(1) > 7, "the tenant's own as well");
}
