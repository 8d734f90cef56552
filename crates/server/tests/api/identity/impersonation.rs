//! A superadmin inside a tenant.

use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::{Value, json};

use super::{RANDOM_ID, sql};
use crate::support::{Caller, Reach, Tenant, bring, server, text, unique};

pub(crate) async fn superadmin() -> (Caller, String) {
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    (Caller::with_key(&key.raw_key), key.id.to_string())
}

/// The superadmin inside a tenant, with or without an effective role.
pub(crate) fn inside(superadmin: &Caller, tenant: &str, role: Option<&str>) -> Caller {
    let mut caller = superadmin.clone();
    caller.headers.push(("x-impersonate-tenant", tenant.to_owned()));
    caller.headers.extend(role.map(|role| ("x-effective-role", role.to_owned())));
    caller
}

/// The role is looked at first, then whether there is a tenant at all.
#[tokio::test]
async fn without_a_tenant_there_is_nothing_to_see() {
    let (superadmin, _) = superadmin().await;
    let mut with_role = superadmin.clone();
    with_role.headers.push(("x-effective-role", "user".to_owned()));
    for caller in
        [&superadmin, &with_role, &inside(&superadmin, "", None), &inside(&superadmin, "  ", Some("user"))]
    {
        for (method, path) in [
            (Method::GET, "/tenants/me"),
            (Method::PATCH, "/tenants/me"),
            (Method::GET, "/projects"),
            (Method::POST, "/projects"),
            (Method::GET, "/projects/not-a-uuid"),
            (Method::GET, "/api_keys"),
            (Method::GET, "/agents"),
            (Method::GET, "/stories/ready"),
            (Method::GET, "/stories"),
        ] {
            let error = caller.send(caller.request(method, path)).await.expect_error(400, "bad_request");
            assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header", "{path}");
        }
        // The role is looked at first.
        caller.post_empty("/agents/register").await.expect_error(403, "forbidden");
    }
}

/// Only an id names a tenant.
#[tokio::test]
async fn unknown_tenants_are_404() {
    let tenant = Tenant::new().await;
    let (superadmin, _) = superadmin().await;
    for target in [
        RANDOM_ID,
        "00000000-0000-0000-0000-000000000000",
        "not-a-uuid",
        &tenant.slug,
        &tenant.id.replace('-', ""),
        "*",
    ] {
        for path in ["/projects", "/api_keys", "/tenants/me"] {
            let error = inside(&superadmin, target, Some("user"))
                .get(path)
                .await
                .expect_error(404, "tenant_not_found");
            assert_eq!(error["message"], "Tenant not found", "{target}");
        }
    }
}

/// For any other key the headers mean nothing.
#[tokio::test]
async fn tenant_keys_stay_where_they_are() {
    let (mine, other) = (Tenant::new().await, Tenant::new().await);
    let project = mine.project().await;
    other.project().await;
    for target in [other.id.as_str(), RANDOM_ID, "not-a-uuid", ""] {
        let caller = inside(&mine.user, target, Some("agent"));
        let list = caller.get("/projects").await.expect(200);
        assert_eq!(list["meta"]["total_count"], 1);
        assert_eq!(list["data"][0]["id"], project);
        // The role stays as well.
        assert_eq!(caller.get("/api_keys").await.expect(200)["meta"]["total_count"], 1);
        assert_eq!(caller.get("/tenants/me").await.expect(200)["tenant"]["id"], mine.id);
    }
    let agent = mine.agent().await;
    inside(&agent, &other.id, Some("user")).get("/api_keys").await.expect_error(403, "forbidden");
}

/// One tenant's rows and no other's, suspended or not.
#[tokio::test]
async fn impersonation_sees_one_tenant() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (project, foreign) = (tenant.project().await, other.project().await);
    let (superadmin, _) = superadmin().await;
    for status in ["active", "suspended", "deactivated"] {
        let update = format!("update tenants set status = '{status}' where id = $1::text::uuid");
        sql(&update, &tenant.id).await;
        for target in [tenant.id.clone(), tenant.id.to_uppercase()] {
            let caller = inside(&superadmin, &target, None);
            let list = caller.get("/projects").await.expect(200);
            assert_eq!(list["meta"]["total_count"], 1);
            assert_eq!(list["data"][0]["id"], project);
            caller.get(&format!("/projects/{foreign}")).await.expect_error(404, "not_found");
            let me = caller.get("/tenants/me").await.expect(200);
            assert_eq!((&me["tenant"]["id"], &me["tenant"]["status"]), (&json!(tenant.id), &json!(status)));
            // Its own key is not the tenant's.
            let keys = caller.get("/api_keys").await.expect(200);
            assert_eq!(keys["meta"]["total_count"], 1);
            assert_eq!(keys["data"][0]["role"], "user");
        }
    }
}

/// Without an effective role the key passes every `at least`, and no exact role.
#[tokio::test]
async fn the_effective_role_is_exactly_that() {
    let tenant = Tenant::new().await;
    let (superadmin, _) = superadmin().await;
    let at = |action: &str| format!("/stories/{RANDOM_ID}/{action}");
    for ignored in [None, Some("superadmin"), Some("")] {
        let caller = inside(&superadmin, &tenant.id, ignored);
        let name = unique("renamed");
        caller.patch("/tenants/me", json!({"name": name})).await.expect(200);
        caller.post(&at("claim"), json!({})).await.expect_error(403, "forbidden");
        caller.post(&at("verify"), json!({})).await.expect_error(403, "forbidden");
        caller.post(&at("contract"), json!({})).await.expect_error(403, "forbidden");
        caller.post_empty("/agents/register").await.expect_error(403, "forbidden");
        // Imports name the superadmin.
        caller
            .post(&format!("/projects/{RANDOM_ID}/import"), json!({"epics": []}))
            .await
            .expect_error(404, "not_found");
        assert_eq!(caller.get("/tenants/me").await.expect(200)["api_key"]["role"], "superadmin");
    }
    let agent = inside(&superadmin, &tenant.id, Some("agent"));
    agent.post(&at("claim"), json!({})).await.expect_error(404, "not_found");
    agent.patch("/tenants/me", json!({})).await.expect_error(403, "forbidden");
    agent.get("/agents").await.expect_error(403, "forbidden");
    let orchestrator = inside(&superadmin, &tenant.id, Some("orchestrator"));
    orchestrator.get("/agents").await.expect(200);
    orchestrator.get("/api_keys").await.expect_error(403, "forbidden");
    orchestrator.post(&at("claim"), json!({})).await.expect_error(403, "forbidden");
    let user = inside(&superadmin, &tenant.id, Some("user"));
    user.get("/api_keys").await.expect(200);
    user.post_empty("/agents/register").await.expect_error(403, "forbidden");
    for caller in [&user, &inside(&superadmin, &tenant.id, None)] {
        let error = caller
            .post("/api_keys", json!({"name": "x", "role": "superadmin"}))
            .await
            .expect_error(403, "forbidden");
        assert_eq!(error["message"], "Forbidden");
    }
}

/// Whatever is done is told of the superadmin, with the role that it took.
#[tokio::test]
async fn every_change_is_attributed() {
    let tenant = Tenant::new().await;
    let (implementer, reviewer) = (tenant.agent().await, tenant.agent().await);
    let (orchestrator, story) = (tenant.orchestrator().await, tenant.story().await);
    bring(&story, Reach::Contracted, &implementer, &reviewer, &orchestrator).await;
    let (superadmin, key_id) = superadmin().await;
    let before = tenant.audit_log().await.len();
    let admin = inside(&superadmin, &tenant.id, None);
    let user = inside(&superadmin, &tenant.id, Some("user"));
    let agent = inside(&superadmin, &tenant.id, Some("agent"));
    let slug = unique("by-admin");
    let project = user.post("/projects", json!({"name": "P", "slug": slug})).await.expect(201);
    admin.patch("/tenants/me", json!({"settings": {"timezone": "UTC"}})).await.expect(200);
    user.post("/api_keys", json!({"name": "k", "role": "agent"})).await.expect(201);
    agent.post("/agents/register", json!({"name": "a", "agent_type": "implementer"})).await.expect(201);
    let payload = json!({"epics": [{"number": 1, "title": "E", "stories": []}]});
    admin.post(&format!("/projects/{}/import", text(&project["project"]["id"])), payload).await.expect(201);
    let artifact = json!({"artifact_type": "test", "path": "a.rs"});
    agent.post(&format!("/stories/{story}/artifacts"), artifact).await.expect(201);
    let log = tenant.audit_log().await.split_off(before);
    let told: Vec<_> = log
        .iter()
        .map(|row| {
            assert_eq!(row["actor_type"], "superadmin", "{row:#}");
            assert_eq!(row["actor_id"], key_id, "{row:#}");
            assert_eq!(row["actor_label"], format!("superadmin:impersonating:{}", tenant.slug));
            assert_eq!(row["metadata"]["impersonated_by"], key_id);
            assert!(text(&row["metadata"]["impersonated_at"]).ends_with('Z'));
            let entry = format!("{}/{}", text(&row["entity_type"]), text(&row["action"]));
            (entry, row["metadata"]["effective_role"].clone())
        })
        .collect();
    let expected = [
        ("project/created", json!("user")),
        ("tenant/updated", Value::Null),
        ("api_key/created", json!("user")),
        ("agent/registered", json!("agent")),
        ("epic/created", Value::Null),
        ("project/imported", Value::Null),
        ("artifact_report/created", json!("agent")),
    ];
    let mut told: Vec<_> = told.iter().map(|(entry, role)| (entry.as_str(), role.clone())).collect();
    told.sort_by_key(|(entry, _)| expected.iter().position(|(known, _)| known == entry));
    assert_eq!(told, expected);
    // The event's own metadata is merged with it.
    assert_eq!(log.last().unwrap()["metadata"]["story_id"], story);
    // A tenant key's changes carry none of it.
    tenant.project().await;
    let log = tenant.audit_log().await;
    let row = log.last().unwrap();
    assert_eq!((&row["actor_type"], &row["actor_label"]), (&json!("api_key"), &json!("user:root")));
    assert_eq!(row["metadata"], json!({}));
    let own = tenant.user.get("/tenants/me").await.expect(200)["api_key"]["id"].clone();
    assert_eq!((&row["actor_id"], &row["project_id"]), (&own, &row["entity_id"]));
}

/// Registering as somebody else does not bind the superadmin's key.
#[tokio::test]
async fn registration_leaves_the_superadmins_key_alone() {
    let tenant = Tenant::new().await;
    let (superadmin, key_id) = superadmin().await;
    let agent = inside(&superadmin, &tenant.id, Some("agent"));
    for name in ["one", "two"] {
        let body = json!({"name": name, "agent_type": "orchestrator"});
        let registered = agent.post("/agents/register", body).await.expect(201);
        assert_eq!(registered["agent"]["tenant_id"], tenant.id);
    }
    let bound =
        sql("update api_keys set name = name where id = $1::text::uuid and agent_id is not null", &key_id);
    assert_eq!(bound.await, 0);
    let me = agent.get("/tenants/me").await.expect(200);
    assert_eq!(me["api_key"]["agent_id"], Value::Null);
    let body = json!({"name": "one", "agent_type": "orchestrator"});
    agent.post("/agents/register", body).await.expect_error(422, "validation_failed");
}

/// What is meant to narrow the rights of a superadmin must not leave them whole because of a slip.
#[tokio::test]
async fn an_unknown_effective_role_is_refused() {
    let tenant = Tenant::new().await;
    let (superadmin, _) = superadmin().await;
    for role in ["king", "User", "AGENT", "agents", "user,agent", "owner", "üser", "ag ent"] {
        let caller = inside(&superadmin, &tenant.id, Some(role));
        for (method, path) in [
            (Method::GET, "/projects"),
            (Method::PATCH, "/tenants/me"),
            (Method::POST, "/agents/register"),
            (Method::GET, "/projects/not-a-uuid"),
        ] {
            let error = caller.send(caller.request(method, path)).await.expect_error(400, "bad_request");
            let message = text(&error["message"]);
            for word in ["X-Effective-Role", "user", "orchestrator", "agent"] {
                assert!(message.contains(word), "{message}");
            }
        }
        // The tenant is looked at first, and without one, or for any other key, a role has no effect.
        inside(&superadmin, RANDOM_ID, Some(role))
            .get("/projects")
            .await
            .expect_error(404, "tenant_not_found");
        inside(&tenant.user, &tenant.id, Some(role)).get("/projects").await.expect(200);
        let mut nowhere = superadmin.clone();
        nowhere.headers.push(("x-effective-role", role.to_owned()));
        let error = nowhere.get("/projects").await.expect_error(400, "bad_request");
        assert_eq!(error["message"], "Superadmin must use X-Impersonate-Tenant header");
    }
    // Two roles are none.
    let mut twice = inside(&superadmin, &tenant.id, Some("agent"));
    twice.headers.push(("x-effective-role", "user".to_owned()));
    twice.get("/projects").await.expect_error(400, "bad_request");
}
