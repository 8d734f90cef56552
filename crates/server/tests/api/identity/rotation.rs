//! Keys that are rotated: the new one, the old one's grace period, and who comes too late.

use std::sync::OnceLock;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{RANDOM_ID, assert_401, sql};
use crate::support::{Caller, Tenant, text};

async fn key(tenant: &Tenant, body: Value) -> (String, Caller) {
    let key = tenant.user.post("/api_keys", body).await.expect(201)["api_key"].clone();
    (text(&key["id"]), Caller::with_key(&text(&key["raw_key"])))
}

fn rotate(id: &str) -> String {
    format!("/api_keys/{id}/rotate")
}

/// How many hours from now that is, to the nearest.
fn hours(time: &Value) -> i64 {
    let left = text(time).parse::<DateTime<Utc>>().unwrap() - Utc::now();
    (left + TimeDelta::minutes(30)).num_hours()
}

#[tokio::test]
async fn refused_rotations() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (id, caller) = key(&tenant, json!({"name": "k", "role": "agent"})).await;
    for missing in [RANDOM_ID, "not-a-uuid"] {
        tenant.user.post(&rotate(missing), json!({})).await.expect_error(404, "not_found");
    }
    other.user.post(&rotate(&id), json!({})).await.expect_error(404, "not_found");
    tenant.user.post(&rotate(&id), json!([])).await.expect(422);
    caller.get("/tenants/me").await.expect(200);
    tenant.user.delete(&format!("/api_keys/{id}")).await.expect(200);
    let told = tenant.audit_log().await.len();
    let error = tenant.user.post(&rotate(&id), json!({})).await.expect_error(422, "key_revoked");
    assert_eq!(error["message"], "Cannot rotate a revoked key");
    assert_eq!(tenant.audit_log().await.len(), told);
}

/// The new key is like the old one, which works on until the end of its grace period; both are told of.
#[tokio::test]
async fn a_key_is_rotated() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let (id, old) =
        key(&tenant, json!({"name": "k", "role": "orchestrator", "agent_id": agent.agent()})).await;
    let rotated = tenant.user.post(&rotate(&id), json!({"grace_period_hours": 12})).await;
    assert_eq!(rotated.headers["cache-control"], "no-store");
    let rotated = rotated.expect(201);
    let new = &rotated["new_key"];
    for (field, value) in [
        ("name", json!("k")),
        ("role", json!("orchestrator")),
        ("agent_id", json!(agent.agent())),
        ("expires_at", Value::Null),
    ] {
        assert_eq!(new[field], value, "{field}");
    }
    let raw = text(&new["raw_key"]);
    assert!(raw.len() == 43 && new["key_prefix"] == raw[..8] && new["id"] != json!(id));
    assert_eq!(hours(&rotated["old_key_expires_at"]), 12);
    for caller in [&old, &Caller::with_key(&raw)] {
        let me = caller.get("/tenants/me").await.expect(200);
        assert_eq!(me["api_key"]["agent_id"], agent.agent());
    }
    let log = tenant.audit_log().await;
    let [.., first, second] = &log[..] else { panic!("two entries") };
    assert_eq!((&first["action"], &first["entity_id"]), (&json!("rotated"), &json!(id)));
    assert_eq!(first["old_state"], json!({"expires_at": null}));
    assert_eq!(
        first["new_state"],
        json!({"new_key_id": new["id"], "new_key_prefix": new["key_prefix"], "expires_at": rotated["old_key_expires_at"]})
    );
    assert_eq!((&second["action"], &second["entity_id"]), (&json!("created"), &new["id"]));
    // Once; the new one can be rotated again.
    let error = tenant.user.post(&rotate(&id), json!({})).await.expect_error(422, "key_superseded");
    assert_eq!(error["message"], "Cannot rotate a superseded key");
    tenant.user.post(&rotate(&text(&new["id"])), json!({})).await.expect(201);
}

/// No key lives longer because it was rotated, and none counts twice against the limit.
#[tokio::test]
async fn grace_periods() {
    let tenant = Tenant::new().await;
    let body = json!({"settings": {"max_api_keys": 2}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let (mut id, _) = key(&tenant, json!({"name": "k", "role": "agent"})).await;
    for (sent, expected) in [
        (json!({}), 24),
        (json!({"grace_period_hours": 1000}), 168),
        (json!({"grace_period_hours": "12"}), 12),
        (json!({"grace_period_hours": 1.6}), 2),
        (json!({"grace_period_hours": "soon"}), 24),
        (json!({"grace_period_hours": null}), 24),
    ] {
        let rotated = tenant.user.post(&rotate(&id), sent.clone()).await.expect(201);
        assert_eq!(hours(&rotated["old_key_expires_at"]), expected, "{sent}");
        id = text(&rotated["new_key"]["id"]);
    }
    let soon = Utc::now() + TimeDelta::hours(3);
    sql(&format!("update api_keys set expires_at = '{soon}' where id = $1::text::uuid"), &id).await;
    let rotated = tenant.user.post(&rotate(&id), json!({"grace_period_hours": 100})).await.expect(201);
    assert_eq!((hours(&rotated["old_key_expires_at"]), &rotated["new_key"]["expires_at"]), (3, &Value::Null));
    tenant.user.delete(&format!("/api_keys/{}", text(&rotated["new_key"]["id"]))).await.expect(200);
    for none in [json!({"grace_period_hours": 0}), json!({"grace_period_hours": -5})] {
        let (id, caller) = key(&tenant, json!({"name": "k", "role": "agent"})).await;
        caller.get("/tenants/me").await.expect(200);
        let rotated = tenant.user.post(&rotate(&id), none).await.expect(201);
        assert_401(caller.get("/tenants/me").await, "invalid_api_key", "Invalid API key");
        tenant.user.delete(&format!("/api_keys/{}", text(&rotated["new_key"]["id"]))).await.expect(200);
    }
}

/// One's own key as well: the answer names the one to go on with.
#[tokio::test]
async fn of_many_rotations_one_wins() {
    let tenant = Tenant::new().await;
    let own = tenant.user.get("/tenants/me").await.expect(200)["api_key"]["id"].clone();
    let path = rotate(&text(&own));
    let replies = join_all((0..16).map(|_| tenant.user.post_empty(&path))).await;
    let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(won.len(), 1);
    for reply in lost {
        reply.expect_error(422, "key_superseded");
    }
    let new = won.into_iter().next().unwrap().expect(201)["new_key"].clone();
    Caller::with_key(&text(&new["raw_key"])).get("/api_keys").await.expect(200);
    assert_eq!(tenant.user.get("/api_keys").await.expect(200)["meta"]["total_count"], 2);
}

/// Whoever is busy with the old key goes on with it, and changes to the new one when they have it: nobody is refused.
#[tokio::test]
async fn nobody_is_refused_while_a_key_is_rotated() {
    let tenant = Tenant::new().await;
    let body = json!({"settings": {"rate_limit_requests_per_minute": 100_000}});
    tenant.user.patch("/tenants/me", body).await.expect(200);
    let (id, old) = key(&tenant, json!({"name": "k", "role": "agent"})).await;
    let new = OnceLock::new();
    let client = async |nth: usize| {
        let (mut with_old, mut with_new) = (0, 0);
        while with_new < 25 {
            // Half of them hear of the new key late.
            let caller =
                if nth.is_multiple_of(2) || with_old > 60 { new.get().unwrap_or(&old) } else { &old };
            caller.get("/tenants/me").await.expect(200);
            if std::ptr::eq(caller, &old) { with_old += 1 } else { with_new += 1 }
        }
    };
    let rotation = async {
        old.get("/tenants/me").await.expect(200);
        let answer = tenant.user.post(&rotate(&id), json!({})).await.expect(201);
        assert!(new.set(Caller::with_key(&text(&answer["new_key"]["raw_key"]))).is_ok());
    };
    tokio::join!(join_all((0..8).map(client)), rotation);
}
