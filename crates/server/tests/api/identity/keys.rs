//! API keys: who gets which, how many there are, and how they end.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{RANDOM_ID, sql};
use crate::support::{Caller, Tenant, connect, server, text};

fn new_key(role: &str) -> Value {
    json!({"name": "k", "role": role})
}

/// A superadmin's role is not to be had, whatever else the body says; other faults are named together.
#[tokio::test]
async fn refused_keys() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, foreign) = (tenant.agent().await, other.agent().await);
    let told = tenant.audit_log().await.len();
    for body in [
        json!({"name": "x", "role": "superadmin"}),
        json!({"role": "superadmin"}),
        json!({"role": "superadmin", "expires_at": "soon", "tenant_id": null}),
    ] {
        let error = tenant.user.post("/api_keys", body).await.expect_error(403, "forbidden");
        assert_eq!(error["message"], "Forbidden");
    }
    let (blank, invalid) = ("can't be blank", "is invalid");
    let with = |field: &str, value: Value| json!({"name": "x", "role": "agent", field: value});
    for (body, details) in [
        (json!({}), json!({"name": [blank], "role": [blank]})),
        (json!({"name": " ", "role": " "}), json!({"name": [blank], "role": [blank]})),
        (with("role", json!("boss")), json!({"role": [blank]})),
        (with("role", json!("Agent")), json!({"role": [blank]})),
        (with("role", json!(["agent"])), json!({"role": [blank]})),
        (with("role", Value::Null), json!({"role": [blank]})),
        (with("name", json!(7)), json!({"name": [invalid]})),
        (with("name", json!("x".repeat(256))), json!({"name": ["should be at most 255 character(s)"]})),
        (with("expires_at", json!("soon")), json!({"expires_at": [invalid]})),
        (with("expires_at", json!(4_102_444_800_i64)), json!({"expires_at": [invalid]})),
        (with("expires_at", json!("2099-01-01")), json!({"expires_at": [invalid]})),
        (with("expires_at", json!("2099-01-01T00:00:00")), json!({"expires_at": [invalid]})),
        (with("expires_at", json!("2099-13-01T00:00:00Z")), json!({"expires_at": [invalid]})),
        (with("expires_at", json!("2020-01-01T00:00:00Z")), json!({"expires_at": ["must be in the future"]})),
        (with("agent_id", json!("nope")), json!({"agent_id": [invalid]})),
        (with("agent_id", json!(7)), json!({"agent_id": [invalid]})),
        (with("agent_id", json!(RANDOM_ID)), json!({"agent_id": ["does not exist"]})),
        (with("agent_id", json!(foreign.agent())), json!({"agent_id": ["does not exist"]})),
        (json!({"name": "x", "role": "user", "agent_id": agent.agent()}), json!({"agent_id": [invalid]})),
        (
            json!({"role": "boss", "expires_at": "soon", "agent_id": "x"}),
            json!({"name": [blank], "role": [blank], "expires_at": [invalid], "agent_id": [invalid]}),
        ),
    ] {
        let error = tenant.user.post("/api_keys", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{body}");
    }
    let keys = tenant.user.get("/api_keys?include_revoked=true").await.expect(200);
    assert_eq!(keys["meta"]["total_count"], 2);
    assert_eq!(tenant.audit_log().await.len(), told);
}

/// The raw key is shown once, and authenticates.
#[tokio::test]
async fn a_new_key_works() {
    let tenant = Tenant::new().await;
    for role in ["user", "orchestrator", "agent"] {
        let body = json!({"name": "é".repeat(255), "role": role, "tenant_id": RANDOM_ID, "id": RANDOM_ID});
        let created = tenant.user.post("/api_keys", body).await.expect(201)["api_key"].clone();
        let raw = text(&created["raw_key"]);
        assert!(raw.len() == 43 && raw.starts_with("lc_"), "{raw}");
        assert!(raw[3..].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(created["key_prefix"], raw[..8]);
        let mut fields: Vec<_> = created.as_object().unwrap().keys().collect();
        fields.sort();
        assert_eq!(
            fields,
            ["agent_id", "expires_at", "id", "inserted_at", "key_prefix", "name", "raw_key", "role"]
        );
        let me = Caller::with_key(&raw).get("/tenants/me").await.expect(200);
        assert_eq!((&me["tenant"]["id"], &me["api_key"]["role"]), (&json!(tenant.id), &json!(role)));
        assert_eq!(me["api_key"]["id"], created["id"]);
        let log = tenant.audit_log().await;
        let row = log.last().unwrap();
        assert_eq!((&row["entity_type"], &row["action"]), (&json!("api_key"), &json!("created")));
        assert_eq!((&row["entity_id"], &row["old_state"]), (&created["id"], &Value::Null));
        assert_eq!(
            row["new_state"],
            json!({"name": created["name"], "role": role, "key_prefix": created["key_prefix"], "agent_id": null,
                   "expires_at": null})
        );
    }
}

/// The limit comes before validation; only keys that could be used count.
#[tokio::test]
async fn the_limit() {
    let tenant = Tenant::new().await;
    let limit = async |limit: i64| {
        let body = json!({"settings": {"max_api_keys": limit}});
        tenant.user.patch("/tenants/me", body).await.expect(200);
    };
    let refused = async |body: Value, limit: i64| {
        let error = tenant.user.post("/api_keys", body).await.expect_error(422, "api_key_limit_reached");
        assert_eq!(error["message"], format!("API key limit reached (max: {limit})"));
    };
    limit(0).await;
    refused(new_key("agent"), 0).await;
    limit(2).await;
    let created = tenant.user.post("/api_keys", new_key("agent")).await.expect(201);
    let id = text(&created["api_key"]["id"]);
    refused(new_key("agent"), 2).await;
    refused(json!({}), 2).await;
    refused(json!({"role": "boss"}), 2).await;
    let superadmin = tenant.user.post("/api_keys", new_key("superadmin")).await;
    superadmin.expect_error(403, "forbidden");
    for gone in ["expires_at = now()", "superseded_at = now()", "dispatch_id = id", "revoked_at = now()"] {
        sql(&format!("update api_keys set {gone} where id = $1::text::uuid"), &id).await;
        let created = tenant.user.post("/api_keys", new_key("agent")).await.expect(201);
        refused(new_key("agent"), 2).await;
        let other = text(&created["api_key"]["id"]);
        tenant.user.delete(&format!("/api_keys/{other}")).await.expect(200);
        let back = "update api_keys set expires_at = null, superseded_at = null, dispatch_id = null, revoked_at = null
                    where id = $1::text::uuid";
        sql(back, &id).await;
        refused(new_key("agent"), 2).await;
    }
    // Not set: 100.
    let body = json!({"settings": {"max_api_keys": null}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    tenant.user.post("/api_keys", new_key("agent")).await.expect(201);
}

/// Concurrent creates never exceed the limit.
#[tokio::test]
async fn the_limit_holds_under_concurrency() {
    let tenant = Tenant::new().await;
    let body = json!({"settings": {"max_api_keys": 8}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let replies = join_all((0..20).map(|_| tenant.user.post("/api_keys", new_key("agent")))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(won.len(), 7, "beside the tenant's first key");
    for reply in lost {
        reply.expect_error(422, "api_key_limit_reached");
    }
    let keys = tenant.user.get("/api_keys").await.expect(200);
    assert_eq!(keys["meta"]["total_count"], 8);
    let told = tenant.audit_log().await;
    let created = told.iter().filter(|row| row["entity_type"] == "api_key" && row["action"] == "created");
    assert_eq!(created.count(), 8);
}

/// So that an agent can change its key, a dead key makes room.
#[tokio::test]
async fn one_live_key_per_agent_and_role() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let body = |role: &str| json!({"name": "k", "role": role, "agent_id": agent.agent()});
    let taken = "agent already has an active key with this role";
    let refused = async |role: &str| {
        let error = tenant.user.post("/api_keys", body(role)).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"tenant_id": [taken], "agent_id": [taken]}));
    };
    refused("agent").await;
    let created = tenant.user.post("/api_keys", body("orchestrator")).await.expect(201);
    assert_eq!(created["api_key"]["agent_id"], agent.agent());
    refused("orchestrator").await;
    // Superseded and dispatch keys do not stand in the way, nor do revoked ones.
    let id = text(&created["api_key"]["id"]);
    for gone in ["superseded_at = now()", "dispatch_id = id"] {
        sql(&format!("update api_keys set {gone} where id = $1::text::uuid"), &id).await;
        let next = tenant.user.post("/api_keys", body("orchestrator")).await.expect(201);
        refused("orchestrator").await;
        tenant.user.delete(&format!("/api_keys/{}", text(&next["api_key"]["id"]))).await.expect(200);
    }
    let replies = join_all((0..10).map(|_| tenant.user.post("/api_keys", body("orchestrator")))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        assert_eq!(reply.expect_error(422, "validation_failed")["details"]["agent_id"], json!([taken]));
    }
}

/// Only the tenant's own; revoked ones when asked for.
#[tokio::test]
async fn keys_are_listed_without_their_secret() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    other.key("agent").await;
    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        let created = tenant.user.post("/api_keys", json!({"name": name, "role": "agent"})).await.expect(201);
        ids.push(text(&created["api_key"]["id"]));
    }
    tenant.user.delete(&format!("/api_keys/{}", ids[1])).await.expect(200);
    let names = async |query: &str| {
        let list = tenant.user.get(&format!("/api_keys{query}")).await.expect(200);
        assert_eq!(list["api_keys"], list["data"]);
        let keys = list["data"].as_array().unwrap();
        assert_eq!(list["meta"]["total_count"], keys.len());
        for key in keys {
            let mut fields: Vec<_> = key.as_object().unwrap().keys().collect();
            fields.sort();
            assert_eq!(
                fields,
                [
                    "agent_id",
                    "expires_at",
                    "id",
                    "inserted_at",
                    "key_prefix",
                    "last_used_at",
                    "name",
                    "revoked_at",
                    "role"
                ]
            );
        }
        keys.iter().map(|key| text(&key["name"])).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names("").await, "third first root");
    for query in ["?include_revoked=false", "?include_revoked=yes", "?include_revoked="] {
        assert_eq!(names(query).await, "third first root", "{query}");
    }
    for query in ["?include_revoked=true", "?include_revoked=1"] {
        assert_eq!(names(query).await, "third second first root", "{query}");
    }
    // Expired keys are still shown.
    sql("update api_keys set expires_at = now() where id = $1::text::uuid", &ids[0]).await;
    assert_eq!(names("").await, "third first root");
}

/// Revoking again changes nothing, not even the time; another tenant's key is not there.
#[tokio::test]
async fn revocation() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let created = tenant.user.post("/api_keys", new_key("agent")).await.expect(201)["api_key"].clone();
    let path = format!("/api_keys/{}", text(&created["id"]));
    let key = Caller::with_key(&text(&created["raw_key"]));
    other.user.delete(&path).await.expect_error(404, "not_found");
    tenant.user.delete(&format!("/api_keys/{RANDOM_ID}")).await.expect_error(404, "not_found");
    key.get("/tenants/me").await.expect(200);
    // At once from many places, and again: one time, told once.
    let replies = join_all((0..10).map(|_| tenant.user.delete(&path))).await;
    let mut answers: Vec<_> = replies.into_iter().map(|reply| reply.expect(200)).collect();
    answers.push(tenant.user.delete(&path).await.expect(200));
    let revoked = answers[0]["api_key"].clone();
    assert!(answers.iter().all(|answer| answer["api_key"] == revoked));
    assert_eq!(
        revoked,
        json!({"id": created["id"], "name": "k", "key_prefix": created["key_prefix"], "role": "agent",
               "revoked_at": text(&revoked["revoked_at"])})
    );
    key.get("/tenants/me").await.expect_error(401, "invalid_api_key");
    let log = tenant.audit_log().await;
    let told: Vec<_> = log.iter().filter(|row| row["action"] == "revoked").collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["entity_id"], created["id"]);
    assert_eq!(told[0]["old_state"], json!({"revoked_at": null}));
    assert_eq!(told[0]["new_state"], json!({"revoked_at": revoked["revoked_at"]}));
}

/// The database holds the rules as well, whoever writes.
#[tokio::test]
async fn the_database_guards_keys() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let created = tenant.user.post("/api_keys", new_key("agent")).await.expect(201);
    let id = text(&created["api_key"]["id"]);
    let foreign = other.agent().await;
    let owner = connect(&server().owner).await;
    for (change, error) in [
        ("role = 'user'".to_owned(), "api_key_role_immutable"),
        ("role = 'superadmin', tenant_id = null".to_owned(), "api_key_role_immutable"),
        (format!("tenant_id = '{}'", other.id), "api_key_role_immutable"),
        (format!("agent_id = '{}'", foreign.agent()), "api_keys_have_agents"),
        ("key_hash = 'x'".to_owned(), "api_keys_key_hash_check"),
    ] {
        let update = format!("update api_keys set {change} where id = $1::text::uuid");
        let refused = owner.execute(&update, &[&id]).await.unwrap_err();
        let message = refused.as_db_error().unwrap().message().to_owned();
        assert!(message.contains(error), "{change}: {message}");
    }
    let insert = "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role)
                  values (gen_random_uuid(), $1::text::uuid, 'x', repeat('0', 64), 'lc_', $2::text)";
    for (tenant_id, role) in [(Some(&tenant.id), "superadmin"), (None, "user"), (None, "agent")] {
        let refused = owner.execute(insert, &[&tenant_id, &role]).await.unwrap_err();
        let constraint = refused.as_db_error().unwrap().constraint().map(str::to_owned);
        assert_eq!(constraint.as_deref(), Some("api_keys_superadmin_has_no_tenant"), "{role}");
    }
}
