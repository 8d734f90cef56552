//! What superadmins see and do of all tenants.

pub(crate) mod halts;
mod suspension;
mod tenants;
mod violators;

use reqwest::Method;
use serde_json::{Value, json};

use crate::conformance::OPERATIONS;
use crate::identity::impersonation::{inside, superadmin};
use crate::isolation::{everything_of, expect_unchanged, populated};
use crate::support::{Caller, Reply, Tenant, a_moment, connect, server};

/// An id that nothing has.
const NOBODY: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// Every route of superadmins that is mounted, of these two records.
fn routes(tenant: &str, violation: &str) -> Vec<(Method, String)> {
    let routes = OPERATIONS.iter().filter_map(|operation| {
        let path = operation.path.strip_prefix("/api/v1").filter(|path| path.starts_with("/admin/"))?;
        let id = if path.starts_with("/admin/violators") { violation } else { tenant };
        Some((operation.method(), path.replace("{id}", id)))
    });
    let routes: Vec<_> = routes.collect();
    assert!(routes.len() >= 11);
    routes
}

async fn try_it(caller: &Caller, method: &Method, path: &str) -> Reply {
    let request = caller.request(method.clone(), path);
    caller.send(if *method == Method::GET { request } else { request.json(&json!({})) }).await
}

/// Whoever has a tenant's key learns nothing, of no record, and changes nothing: not even as somebody else.
#[tokio::test]
async fn nothing_of_it_is_for_tenants() {
    let (mine, other) = (populated().await, Tenant::new().await);
    let mut callers = vec![mine.tenant.user.clone(), mine.orchestrator.clone(), mine.agent.clone()];
    callers.push(mine.tenant.key("orchestrator").await);
    callers.push(mine.tenant.key("agent").await);
    let before = everything_of(&mine.tenant.id).await;
    for caller in callers.clone() {
        callers.push(inside(&caller, &other.id, Some("superadmin")));
    }
    for (tenant, violation) in
        [(mine.tenant.id.as_str(), mine.violation.as_str()), (&other.id, NOBODY), ("none", "none")]
    {
        for (method, path) in routes(tenant, violation) {
            for caller in &callers {
                let error = try_it(caller, &method, &path).await.expect_error(403, "forbidden");
                assert_eq!(error["message"], "This endpoint requires the superadmin role", "{method} {path}");
            }
            try_it(&Caller::nobody(), &method, &path).await.expect_error(401, "unauthorized");
            try_it(&Caller::with_key("lc_none"), &method, &path).await.expect_error(401, "invalid_api_key");
        }
    }
    expect_unchanged(&everything_of(&mine.tenant.id).await, &before, "all of it");
}

/// The headers of an impersonation are not looked at, whatever they say: the key acts as itself.
#[tokio::test]
async fn a_superadmin_is_nobody_else_here() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (superadmin, key_id) = superadmin().await;
    for target in [other.id.as_str(), NOBODY, "none", ""] {
        for role in [Some("agent"), Some("king"), None] {
            let caller = inside(&superadmin, target, role);
            let shown = caller.get(&format!("/admin/tenants/{}", tenant.id)).await.expect(200);
            assert_eq!(shown["tenant"]["id"], tenant.id);
            let body = json!({"settings": {"note": format!("{target} {role:?}")}});
            caller.patch(&format!("/admin/tenants/{}", tenant.id), body).await.expect(200);
            let row = tenant.audit_log().await.pop().unwrap();
            assert_eq!((&row["actor_type"], &row["actor_id"]), (&json!("superadmin"), &json!(key_id)));
            assert_eq!(row["metadata"], json!({}));
            let label = row["actor_label"].as_str().unwrap();
            assert!(label.starts_with("superadmin:root-"), "{label}");
        }
    }
    // And it changes nothing of the other one.
    assert!(other.audit_log().await.iter().all(|row| row["actor_type"] != "superadmin"));
    // A key that is revoked is one no longer, at once.
    let sql = "update api_keys set revoked_at = now() where id = $1::text::uuid";
    connect(&server().owner).await.execute(sql, &[&key_id]).await.unwrap();
    a_moment().await;
    superadmin.get("/admin/stats").await.expect_error(401, "invalid_api_key");
}

/// Everything is listed, what there is none of with 0.
#[tokio::test]
async fn the_sums_are_over_all_tenants() {
    let (superadmin, _) = superadmin().await;
    let stats = async || superadmin.get("/admin/stats").await.expect(200)["stats"].clone();
    let owner = connect(&server().owner).await;
    let before = stats().await;
    assert_eq!(before.as_object().unwrap().len(), 14, "{before:#}");
    let members = |name: &str| before[name].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut agent_statuses = members("stories_by_agent_status");
    agent_statuses.sort();
    assert_eq!(agent_statuses, ["assigned", "contracted", "implementing", "pending", "reported_done"]);
    let mut verified_statuses = members("stories_by_verified_status");
    verified_statuses.sort();
    assert_eq!(verified_statuses, ["rejected", "unverified", "verified"]);
    // Other tests go on beside this one and take little away: there is at least what this one has made.
    let world = populated().await;
    let after = stats().await;
    for (name, least) in [
        ("total_tenants", 1),
        ("tenants_active", 1),
        ("total_projects", 1),
        ("total_epics", 2),
        ("total_stories", 3),
        ("total_agents", 3),
        ("total_api_keys", 5),
    ] {
        assert!(after[name].as_i64().unwrap() >= least, "{name}: {after:#}");
    }
    let of = |stats: &Value, name: &str| -> i64 {
        stats[name].as_object().unwrap().values().map(|count| count.as_i64().unwrap()).sum()
    };
    for name in ["stories_by_agent_status", "stories_by_verified_status"] {
        assert_eq!(json!(of(&after, name)), after["total_stories"], "{name}");
    }
    assert_eq!(after["active_stories"], after["stories_by_agent_status"]["implementing"]);
    let by_status: i64 = ["active", "suspended", "deactivated", "pending_enrollment"]
        .iter()
        .map(|status| after[format!("tenants_{status}")].as_i64().unwrap())
        .sum();
    assert_eq!(json!(by_status), after["total_tenants"]);
    // An agent that was last seen two days ago does not count. Agents that others' tests make meanwhile may.
    let seen =
        "select count(*) from agents where status = 'active' and last_seen_at > now() - interval '24 hours'";
    let sql = "update agents set last_seen_at = now() - interval '48 hours' where tenant_id = $1::text::uuid";
    owner.execute(sql, &[&world.tenant.id]).await.unwrap();
    let all = "select count(*) from agents where status = 'active' and last_seen_at is not null";
    let before: i64 = owner.query_one(seen, &[]).await.unwrap().get(0);
    let told = stats().await["active_agents"].as_i64().unwrap();
    let after: i64 = owner.query_one(all, &[]).await.unwrap().get(0);
    assert!(before <= told && told + 3 <= after, "{before} {told} {after}");
}
