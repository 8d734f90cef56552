//! Servers remember for a moment what keys say about their holders. Nobody is let in by it who was told to be out.

mod wire;

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_postgres::AsyncMessage;

use self::wire::Other;
use super::sql;
use crate::conventions::health::Line;
use crate::support::{BOUND, Caller, PATIENCE, Tenant, connect, rounds, server, text};

/// A new key of this role, and where it is revoked.
async fn new_key(tenant: &Tenant, role: &str) -> (Caller, String) {
    let key = tenant.user.post("/api_keys", json!({"name": "k", "role": role})).await.expect(201);
    let caller = Caller::with_key(&text(&key["api_key"]["raw_key"]));
    (caller, format!("/api_keys/{}", text(&key["api_key"]["id"])))
}

/// Since something was changed: no request that is sent when the bound has passed is answered otherwise than as changed, and
/// once one was answered so, all are. `changed` says of an answer whether it is.
async fn noticed_in_time(caller: &Caller, since: Instant, changed: impl Fn(&Value) -> bool) {
    let mut noticed = false;
    loop {
        let sent = since.elapsed();
        let answer = caller.get("/tenants/me").await.body;
        let now = changed(&answer);
        assert!(now || sent < BOUND, "sent {sent:?} after the change: {answer:#}");
        assert!(now || !noticed, "noticed, and forgotten: {answer:#}");
        noticed = now;
        if sent > 2 * BOUND {
            return;
        }
    }
}

fn refused(answer: &Value) -> bool {
    answer["error"]["code"] == "invalid_api_key"
}

/// However many requests are under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revoked_key_is_refused_at_once_where_it_was_revoked() {
    let tenant = Tenant::new().await;
    for _ in 0..rounds(5) {
        let (key, path) = new_key(&tenant, "agent").await;
        let (served, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let crowd: Vec<_> = (0..8)
            .map(|_| {
                let (key, served, stop) = (key.clone(), Arc::clone(&served), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let sent = Instant::now();
                        answers.push((sent, key.get("/tenants/me").await.status));
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    answers
                })
            })
            .collect();
        let so_many_more = async |count: usize| {
            let until = served.load(Ordering::Relaxed) + count;
            while served.load(Ordering::Relaxed) < until {
                assert!(crowd.iter().all(|one| !one.is_finished()));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        so_many_more(80).await;
        tenant.user.delete(&path).await.expect(200);
        let revoked = Instant::now();
        so_many_more(80).await;
        stop.store(true, Ordering::Relaxed);
        let answers: Vec<_> = join_all(crowd).await.into_iter().flat_map(Result::unwrap).collect();
        assert!(answers.iter().any(|(_, status)| *status == 200));
        let after: Vec<_> = answers.iter().filter(|(sent, _)| *sent > revoked).collect();
        assert!(!after.is_empty() && after.iter().all(|(_, status)| *status == 401), "{after:?}");
    }
}

/// Until one was refused while what was read of it would still have counted: that was because it was told.
#[tokio::test]
async fn another_server_is_told_of_a_revocation() {
    let (tenant, other) = (Tenant::new().await, Other::start().await);
    other.until_it(true, &tenant.user).await;
    let told = async {
        loop {
            let (key, path) = new_key(&tenant, "agent").await;
            let there = other.caller(&key);
            let asked = Instant::now();
            there.get("/tenants/me").await.expect(200);
            tenant.user.delete(&path).await.expect(200);
            let revoked = Instant::now();
            while !refused(&there.get("/tenants/me").await.body) {}
            let told = asked.elapsed() < BOUND;
            noticed_in_time(&there, revoked, refused).await;
            if told {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    other.stop().await;
}

/// Whether it notices or not that it is told nothing any more. When it has, it asks, until it can listen again.
#[tokio::test]
async fn another_server_that_is_not_told_refuses_in_time() {
    let (tenant, other) = (Tenant::new().await, Other::start().await);
    for lost in [Line::Cut, Line::Silent] {
        other.until_it(true, &tenant.user).await;
        let (key, path) = new_key(&tenant, "agent").await;
        let there = other.caller(&key);
        there.get("/tenants/me").await.expect(200);
        other.listening.send(lost).unwrap();
        there.get("/tenants/me").await.expect(200);
        tenant.user.delete(&path).await.expect(200);
        noticed_in_time(&there, Instant::now(), refused).await;

        other.until_it(false, &tenant.user).await;
        let (key, path) = new_key(&tenant, "agent").await;
        let there = other.caller(&key);
        there.get("/tenants/me").await.expect(200);
        tenant.user.delete(&path).await.expect(200);
        assert!(refused(&there.get("/tenants/me").await.body), "{lost:?}: it asks");
        other.listening.send(Line::Open).unwrap();
    }
    other.until_it(true, &tenant.user).await;
    other.stop().await;
}

/// Who says again that a key is to be revoked is told that it is, and it is: also where nobody has told of the first time.
#[tokio::test]
async fn a_revocation_that_is_repeated_elsewhere_counts_there_at_once() {
    let (tenant, other) = (Tenant::new().await, Other::start().await);
    other.until_it(true, &tenant.user).await;
    other.listening.send(Line::Silent).unwrap();
    let user_there = other.caller(&tenant.user);
    for _ in 0..3 {
        let (key, path) = new_key(&tenant, "agent").await;
        let there = other.caller(&key);
        there.get("/tenants/me").await.expect(200);
        tenant.user.delete(&path).await.expect(200);
        user_there.delete(&path).await.expect(200);
        assert!(refused(&there.get("/tenants/me").await.body));
    }
    other.stop().await;
}

/// By hand, in the database. What was refused is not remembered.
#[tokio::test]
async fn a_tenant_that_is_suspended_is_refused_in_time_and_let_in_at_once() {
    let tenant = Tenant::new().await;
    let set = async |status: &str| {
        let update = format!("update tenants set status = '{status}' where id = $1::text::uuid");
        sql(&update, &tenant.id).await;
    };
    for status in ["suspended", "deactivated"] {
        tenant.user.get("/tenants/me").await.expect(200);
        set(status).await;
        let denied = |answer: &Value| answer["error"]["code"] == "tenant_not_active";
        noticed_in_time(&tenant.user, Instant::now(), denied).await;
        set("active").await;
        tenant.user.get("/tenants/me").await.expect(200);
    }
}

/// To the moment, as the database's clock has it.
#[tokio::test]
async fn a_key_that_has_expired_is_refused() {
    let tenant = Tenant::new().await;
    let (key, path) = new_key(&tenant, "agent").await;
    let id = path.rsplit('/').next().unwrap();
    key.get("/tenants/me").await.expect(200);
    let owner = connect(&server().owner).await;
    let soon =
        "update api_keys set expires_at = clock_timestamp() + interval '1.5 s' where id = $1::text::uuid";
    owner.execute(soon, &[&id]).await.unwrap();
    let expired = "select expires_at <= clock_timestamp() from api_keys where id = $1::text::uuid";
    let expired = owner.prepare(expired).await.unwrap();
    let mut refusals = 0;
    while refusals < 20 {
        let over: bool = owner.query_one(&expired, &[&id]).await.unwrap().get(0);
        let answer = key.get("/tenants/me").await;
        if over {
            answer.expect_error(401, "invalid_api_key");
            refusals += 1;
        }
    }
}

/// The key that registers an agent is that agent's from then on.
#[tokio::test]
async fn a_key_that_was_bound_is_its_agents() {
    let (tenant, other) = (Tenant::new().await, Other::start().await);
    other.until_it(true, &tenant.user).await;
    let (key, _) = new_key(&tenant, "agent").await;
    let there = other.caller(&key);
    for caller in [&key, &there] {
        assert_eq!(caller.get("/tenants/me").await.expect(200)["api_key"]["agent_id"], Value::Null);
    }
    let body = json!({"name": "a", "agent_type": "implementer"});
    let agent = text(&key.post("/agents/register", body).await.expect(201)["agent"]["id"]);
    let bound = Instant::now();
    assert_eq!(key.get("/tenants/me").await.expect(200)["api_key"]["agent_id"], agent);
    noticed_in_time(&there, bound, |answer| answer["api_key"]["agent_id"] == agent).await;
    other.stop().await;
}

/// A key is asked for once a second, however often it is used, and whatever is said to be a key every time.
#[tokio::test]
async fn what_is_remembered_is_not_asked_for() {
    let (tenant, other) = (Tenant::new().await, Other::start().await);
    other.until_it(true, &tenant.user).await;
    let (user, nobody) = (other.caller(&tenant.user), other.caller(&Caller::with_key("lc_unknown")));
    let (before, began) = (other.asked_for(&user), Instant::now());
    for _ in 0..200 {
        user.get("/tenants/me").await.expect(200);
    }
    let asked = other.asked_for(&user) - before;
    // A few more, for whatever other tests may let the server forget.
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 5;
    assert!(asked <= most, "asked {asked} times in {:?}", began.elapsed());
    for times in 1..=5 {
        assert!(refused(&nobody.get("/tenants/me").await.body));
        assert_eq!(other.asked_for(&nobody), times);
    }
    other.stop().await;
}

/// Commits that tell something take turns in the whole cluster: those that note the use of keys must not.
#[tokio::test]
async fn only_what_authentication_reads_is_told() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let owner = connect(&server().owner).await;
    let (listener, mut connection) = server().owner.connect().await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(message) = message {
                let _ = tell.send((message.channel().to_owned(), message.payload().to_owned()));
            }
        }
    });
    let end = format!("end_of_{}", tenant.id.replace('-', "_"));
    listener.batch_execute(&format!("listen loopctl_key_changes; listen {end}")).await.unwrap();
    let key = format!("update api_keys set {{}} where tenant_id = '{}' and agent_id is not null", tenant.id);
    let own = format!("update tenants set {{}} where id = '{}'", tenant.id);
    let limit =
        |limit: &str| format!("settings = settings || '{{\"rate_limit_requests_per_minute\": {limit}}}'");
    let agents = format!("update agents set {{}} where tenant_id = '{}'", tenant.id);
    let ids = format!("(select array_agg(id) from api_keys where tenant_id = '{}')", tenant.id);
    for (change, tells) in [
        (key.replace("{}", "last_used_at = clock_timestamp()"), false),
        (format!("select note_key_uses({ids}, array[0, 0])"), false),
        (agents.replace("{}", "last_seen_at = clock_timestamp()"), false),
        (agents.replace("{}", "status = 'idle', name = 'renamed', metadata = '{\"a\": 1}'"), false),
        (
            own.replace(
                "{}",
                "settings = settings || '{\"a\": 1}', name = 'renamed', email = null, updated_at = now()",
            ),
            false,
        ),
        (own.replace("{}", "status = status, slug = slug"), false),
        (own.replace("{}", &limit("1000000")), false),
        (own.replace("{}", &limit("1000001")), true),
        (key.replace("{}", "superseded_at = now(), updated_at = now(), revoked_at = revoked_at"), false),
        (key.replace("{}", "name = 'renamed'"), true),
        (key.replace("{}", "expires_at = now() + interval '1 day'"), true),
        (key.replace("{}", "expires_at = null"), true),
        (key.replace("{}", "revoked_at = now()"), true),
        (own.replace("{}", "status = 'suspended'"), true),
        (own.replace("{}", "slug = slug || '-renamed'"), true),
        (format!("delete from api_keys where tenant_id = '{}' and agent_id is not null", tenant.id), true),
    ] {
        // With the other triggers put aside as well.
        let aside = if tells { "set session_replication_role = replica;" } else { "" };
        owner.batch_execute(&format!("{aside} {change}; notify {end}")).await.unwrap();
        let mut heard = 0;
        loop {
            let told = tokio::time::timeout(PATIENCE, told.recv()).await.expect("an end").unwrap();
            if told.0 == end {
                break;
            }
            heard += usize::from(told.1 == tenant.id);
        }
        assert_eq!(heard > 0, tells, "{change}");
    }
    drop(agent);
}

/// Or a change would be noticed only when what was remembered is too old.
#[tokio::test]
async fn whatever_authentication_reads_is_told() {
    let owner = connect(&server().owner).await;
    for (table, rows) in [("api_keys", "ak"), ("tenants", "t")] {
        let read = format!(
            r"select distinct m[1] from pg_proc, regexp_matches(prosrc, '\m[{rows}]\.(\w+)', 'g') m
              where oid = 'authenticate(text, uuid)'::regprocedure"
        );
        let told = format!(
            r"select distinct m[1] from pg_trigger, regexp_matches(lower(pg_get_triggerdef(oid)), '\mold\.(\w+)', 'g') m
              where tgrelid = '{table}'::regclass and tgname = '{table}_tell_change'"
        );
        let columns = async |sql: &str| -> BTreeSet<String> {
            owner.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
        };
        let (read, told) = (columns(&read).await, columns(&told).await);
        assert!(read.len() >= 3, "{table}: {read:?}");
        assert_eq!(read, told, "{table}");
    }
}
