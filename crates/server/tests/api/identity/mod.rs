//! Who calls, and what they may do.

mod agents;
pub(crate) mod impersonation;
mod keys;
mod names;
mod remembered;
mod roles;
mod rotation;
mod tenants;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, Reply, Tenant, a_moment, connect, server, text};

const RANDOM_ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// Runs one statement as the owner, to make a situation that the API cannot: triggers do not stand in its way.
/// `$1` is a text.
async fn sql(statement: &str, argument: &str) -> u64 {
    let owner = connect(&server().owner).await;
    owner.batch_execute("set session_replication_role = replica").await.unwrap();
    owner.execute(statement, &[&argument]).await.unwrap()
}

/// 401 with the scheme that would help.
#[track_caller]
fn assert_401(reply: Reply, code: &str, message: &str) {
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert_eq!(reply.expect_error(401, code)["message"], message);
}

/// A missing header, another scheme and a scheme without a token are all the same: nobody.
#[tokio::test]
async fn without_a_bearer_token_nobody_calls() {
    let tenant = Tenant::new().await;
    let key = tenant.user.key.clone().unwrap();
    let nobody = Caller::nobody();
    for (method, path) in [
        (Method::GET, "/tenants/me"),
        (Method::PATCH, "/tenants/me"),
        (Method::GET, "/projects"),
        (Method::POST, "/agents/register"),
        (Method::GET, "/projects/not-a-uuid"),
    ] {
        assert_401(nobody.send(nobody.request(method, path)).await, "unauthorized", "Unauthorized");
    }
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer    ",
        "Basic YTpi",
        &format!("Basic {key}"),
        &format!("Token {key}"),
        &format!("BearerX {key}"),
        &format!("Bearer{key}"),
        &key,
    ] {
        let request = nobody.request(Method::GET, "/tenants/me").header("authorization", value);
        assert_401(nobody.send(request).await, "unauthorized", "Unauthorized");
    }
    let valid = format!("Bearer {key}");
    let twice = nobody
        .request(Method::GET, "/tenants/me")
        .header("authorization", &valid)
        .header("authorization", &valid);
    assert_401(nobody.send(twice).await, "unauthorized", "Unauthorized");
    let no_text =
        nobody.request(Method::GET, "/tenants/me").header("authorization", b"Bearer \xff\xfe".as_slice());
    assert_401(nobody.send(no_text).await, "unauthorized", "Unauthorized");
    // A key is taken from nowhere else.
    let elsewhere =
        nobody.request(Method::GET, &format!("/tenants/me?api_key={key}")).header("x-api-key", &key);
    assert_401(nobody.send(elsewhere).await, "unauthorized", "Unauthorized");
}

/// Tenants are not to be had this way.
#[tokio::test]
async fn tenants_are_not_created_over_the_network() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "x", "slug": "xx", "email": "x@x.test"});
    for path in ["/tenants/register", "/tenants", "/admin/tenants"] {
        let reply = Caller::nobody().post(path, body.clone()).await;
        assert!([401, 403, 404].contains(&reply.status), "{path}: {}", reply.status);
        let reply = tenant.user.post(path, body.clone()).await;
        assert!([403, 404].contains(&reply.status), "{path}: {}", reply.status);
    }
}

/// Unknown keys, and what is only almost a key.
#[tokio::test]
async fn unknown_keys_are_401() {
    let tenant = Tenant::new().await;
    let key = tenant.user.key.clone().unwrap();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(key.as_bytes()));
    for token in [
        "lc_unknown",
        &key[..42],
        &key[3..],
        &format!("{key}x"),
        &format!("{key} {key}"),
        &key.to_uppercase(),
        &hash,
        "' or true --",
        &"x".repeat(5000),
    ] {
        let reply = Caller::with_key(token).get("/tenants/me").await;
        assert_401(reply, "invalid_api_key", "Invalid API key");
    }
}

/// Blanks and the scheme's case do not matter.
#[tokio::test]
async fn a_key_authenticates() {
    let tenant = Tenant::new().await;
    let key = tenant.user.key.clone().unwrap();
    let nobody = Caller::nobody();
    for value in [
        format!("Bearer {key}"),
        format!("Bearer   {key}  "),
        format!("bearer {key}"),
        format!("BEARER {key}"),
    ] {
        let request = nobody.request(Method::GET, "/tenants/me").header("authorization", &value);
        assert_eq!(nobody.send(request).await.expect(200)["tenant"]["id"], tenant.id, "{value}");
    }
}

/// On the next request, and not told apart from unknown keys.
#[tokio::test]
async fn revoked_and_expired_keys_are_401() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "k", "role": "user", "expires_at": "2099-01-01T00:00:00Z"});
    let key = tenant.user.post("/api_keys", body).await.expect(201)["api_key"].clone();
    let (id, caller) = (text(&key["id"]), Caller::with_key(&text(&key["raw_key"])));
    caller.get("/tenants/me").await.expect(200);
    sql("update api_keys set expires_at = clock_timestamp() where id = $1::text::uuid", &id).await;
    a_moment().await;
    assert_401(caller.get("/tenants/me").await, "invalid_api_key", "Invalid API key");
    assert_401(caller.get("/projects/nope").await, "invalid_api_key", "Invalid API key");
    sql("update api_keys set expires_at = null where id = $1::text::uuid", &id).await;
    caller.get("/tenants/me").await.expect(200);
    tenant.user.delete(&format!("/api_keys/{id}")).await.expect(200);
    assert_401(caller.get("/tenants/me").await, "invalid_api_key", "Invalid API key");
    // One's own key, too.
    let own = tenant.user.get("/tenants/me").await.expect(200)["api_key"]["id"].clone();
    tenant.user.delete(&format!("/api_keys/{}", text(&own))).await.expect(200);
    assert_401(tenant.user.get("/tenants/me").await, "invalid_api_key", "Invalid API key");
}

/// Use is noted, also when the role check refuses.
#[tokio::test]
async fn use_is_noted() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let fresh = tenant.key("agent").await;
    let last_used = async |caller: &Caller| {
        let prefix = &caller.key.as_ref().unwrap()[..8];
        let keys = tenant.user.get("/api_keys").await.expect(200);
        let keys = keys["data"].as_array().unwrap();
        keys.iter().find(|key| key["key_prefix"] == prefix).unwrap()["last_used_at"].clone()
    };
    assert_eq!(last_used(&fresh).await, Value::Null);
    fresh.get("/api_keys").await.expect(403);
    assert!(last_used(&fresh).await.is_string());
    let old = "2001-01-01T00:00:00.000000Z";
    for (path, status) in [("/tenants/me", 200), ("/api_keys", 403), ("/projects/nope", 404)] {
        sql(
            "update api_keys set last_used_at = '2001-01-01Z' where agent_id = $1::text::uuid",
            agent.agent(),
        )
        .await;
        sql("update agents set last_seen_at = '2001-01-01Z' where id = $1::text::uuid", agent.agent()).await;
        assert_eq!(last_used(&agent).await, old);
        agent.get(path).await.expect(status);
        assert!(text(&last_used(&agent).await).as_str() > "2026", "{path}");
        let orchestrator = tenant.key("orchestrator").await;
        let shown = orchestrator.get(&format!("/agents/{}", agent.agent())).await.expect(200);
        assert!(text(&shown["agent"]["last_seen_at"]).as_str() > "2026", "{path}");
    }
}

/// Noting the use waits for nobody: a key whose row is locked is noted when it is free again, and others meanwhile.
#[tokio::test]
async fn a_locked_key_still_authenticates() {
    let tenant = Tenant::new().await;
    let (agent, other) = (tenant.agent().await, tenant.key("agent").await);
    let last_used = async |name: &str| {
        let keys = tenant.user.get("/api_keys").await.expect(200);
        let keys = keys["data"].as_array().unwrap();
        let key = keys.iter().find(|key| key["agent_id"].is_string() == (name == "agent"));
        key.filter(|key| key["role"] == "agent").unwrap()["last_used_at"].clone()
    };
    last_used("agent").await;
    sql("update api_keys set last_used_at = null where agent_id = $1::text::uuid", agent.agent()).await;
    let mut owner = connect(&server().owner).await;
    let lock = owner.transaction().await.unwrap();
    let id = agent.agent();
    lock.execute("select from api_keys where agent_id = $1::text::uuid for update", &[&id]).await.unwrap();
    lock.execute("select from agents where id = $1::text::uuid for update", &[&id]).await.unwrap();
    // Whoever waits for a lock gives up in the end, with another answer.
    agent.get("/tenants/me").await.expect(200);
    other.get("/tenants/me").await.expect(200);
    assert_eq!(last_used("agent").await, Value::Null);
    assert!(last_used("other").await.is_string());
    lock.rollback().await.unwrap();
    assert!(last_used("agent").await.is_string());
}

/// Whatever else is wrong, a tenant that is not active is denied.
#[tokio::test]
async fn inactive_tenants_are_denied() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    for status in ["suspended", "deactivated", "pending_enrollment"] {
        let update = format!("update tenants set status = '{status}' where id = $1::text::uuid");
        assert_eq!(sql(&update, &tenant.id).await, 1);
        a_moment().await;
        for reply in [
            tenant.user.get("/tenants/me").await,
            tenant.user.patch("/tenants/me", json!({"name": ""})).await,
            tenant.user.post_empty("/agents/register").await,
            agent.get("/api_keys").await,
            agent.get("/projects/nope").await,
        ] {
            let error = reply.expect_error(403, "tenant_not_active");
            assert_eq!(error["message"], "Access denied", "{status}");
        }
        // Without a route there is nobody to deny.
        tenant.user.get("/nope").await.expect_error(404, "not_found");
        assert_401(Caller::with_key("lc_x").get("/projects").await, "invalid_api_key", "Invalid API key");
    }
    sql("update tenants set status = 'active' where id = $1::text::uuid", &tenant.id).await;
    assert_eq!(tenant.user.get("/tenants/me").await.expect(200)["tenant"]["status"], "active");
}
