//! Agents: how a key registers its one agent, and how agents are listed and shown.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{RANDOM_ID, sql};
use crate::support::{Tenant, text};

fn worker(name: &str) -> Value {
    json!({"name": name, "agent_type": "implementer"})
}

/// All failing fields are named together, an unknown type counts as missing, a name is taken once per tenant.
#[tokio::test]
async fn refused_registrations() {
    let tenant = Tenant::new().await;
    let taken = tenant.key("agent").await;
    taken.post("/agents/register", worker("taken")).await.expect(201);
    let key = tenant.key("agent").await;
    let (told, blank) = (tenant.audit_log().await.len(), "can't be blank");
    for (body, details) in [
        (json!({}), json!({"name": [blank], "agent_type": [blank]})),
        (json!({"name": "  ", "agent_type": ""}), json!({"name": [blank], "agent_type": [blank]})),
        (json!({"name": "a", "agent_type": "supervisor"}), json!({"agent_type": ["is invalid"]})),
        (json!({"name": "a", "agent_type": "Implementer"}), json!({"agent_type": ["is invalid"]})),
        (json!({"name": "a", "agent_type": 7}), json!({"agent_type": ["is invalid"]})),
        (json!({"name": "a", "agent_type": null}), json!({"agent_type": [blank]})),
        (json!({"name": 7, "agent_type": "implementer"}), json!({"name": ["is invalid"]})),
        (worker(&"x".repeat(256)), json!({"name": ["should be at most 255 character(s)"]})),
        (
            json!({"name": "a", "agent_type": "implementer", "metadata": []}),
            json!({"metadata": ["is invalid"]}),
        ),
        (
            worker("taken"),
            json!({"tenant_id": ["has already been taken for this tenant"], "name": ["has already been taken for this tenant"]}),
        ),
    ] {
        let error = key.post("/agents/register", body.clone()).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], details, "{body}");
    }
    assert_eq!(tenant.audit_log().await.len(), told);
    // The key is free still. Names are compared as they are, and 255 characters are characters.
    key.post("/agents/register", worker(&"é".repeat(255))).await.expect(201);
    // And the other tenant has names of its own.
    let other = Tenant::new().await.key("agent").await;
    other.post("/agents/register", worker("taken")).await.expect(201);
}

/// A key registers one agent and is bound to it from then on; the registration is told in the log.
#[tokio::test]
async fn registration() {
    let tenant = Tenant::new().await;
    let key = tenant.key("agent").await;
    let body = json!({"name": "w", "agent_type": "implementer", "metadata": {"model": {"a": [1]}},
                      "status": "idle", "tenant_id": RANDOM_ID, "id": RANDOM_ID});
    let registered = key.post("/agents/register", body).await.expect(201);
    let mut agent = registered["agent"].clone();
    for time in ["inserted_at", "updated_at", "last_seen_at"] {
        assert!(agent.as_object_mut().unwrap().remove(time).unwrap().is_string(), "{time}");
    }
    let id = text(&agent.as_object_mut().unwrap().remove("id").unwrap());
    assert_ne!(id, RANDOM_ID);
    assert_eq!(
        agent,
        json!({"tenant_id": tenant.id, "name": "w", "agent_type": "implementer", "status": "active",
               "metadata": {"model": {"a": [1]}}})
    );
    let me = key.get("/tenants/me").await.expect(200);
    assert_eq!(me["api_key"]["agent_id"], id);
    // One key, one agent: said before anything else is looked at.
    for body in [worker("second"), worker("w"), json!({}), json!({"agent_type": 7})] {
        key.post("/agents/register", body).await.expect_error(409, "key_already_bound");
    }
    let log = tenant.audit_log().await;
    let row = log.last().unwrap();
    assert_eq!((&row["entity_type"], &row["action"]), (&json!("agent"), &json!("registered")));
    assert_eq!((&row["entity_id"], &row["old_state"]), (&json!(id), &Value::Null));
    assert_eq!(row["new_state"], json!({"name": "w", "agent_type": "implementer", "status": "active"}));
    assert_eq!((&row["actor_type"], &row["actor_id"]), (&json!("api_key"), &me["api_key"]["id"]));
    assert_eq!(row["actor_label"], format!("agent:{}", text(&me["api_key"]["name"])));
    // A key that was created for an agent is bound from the start.
    tenant.user.delete(&format!("/api_keys/{}", text(&me["api_key"]["id"]))).await.expect(200);
    let created = tenant
        .user
        .post("/api_keys", json!({"name": "again", "role": "agent", "agent_id": id}))
        .await
        .expect(201);
    let bound = crate::support::Caller::with_key(&text(&created["api_key"]["raw_key"]));
    bound.post("/agents/register", worker("third")).await.expect_error(409, "key_already_bound");
    // Null metadata is no metadata.
    let key = tenant.key("agent").await;
    let body = json!({"name": "n", "agent_type": "orchestrator", "metadata": null});
    let registered = key.post("/agents/register", body).await.expect(201);
    assert_eq!(registered["agent"]["metadata"], json!({}));
}

/// Also when the key is used at once from many places: exactly one registration succeeds.
#[tokio::test]
async fn one_key_registers_one_agent() {
    for _ in 0..3 {
        let tenant = Tenant::new().await;
        let key = tenant.key("agent").await;
        let names: Vec<_> = (0..12).map(|number| format!("racer-{number}")).collect();
        let replies = join_all(names.iter().map(|name| key.post("/agents/register", worker(name)))).await;
        let (won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
        assert_eq!(won.len(), 1);
        for reply in lost {
            reply.expect_error(409, "key_already_bound");
        }
        let agents = tenant.key("orchestrator").await.get("/agents").await.expect(200);
        assert_eq!(agents["total"], 1);
        assert_eq!(agents["data"][0]["id"], won[0].body["agent"]["id"]);
        let told = tenant.audit_log().await;
        assert_eq!(told.iter().filter(|row| row["action"] == "registered").count(), 1);
    }
}

/// One name from many keys at once.
#[tokio::test]
async fn one_name_is_one_agent() {
    let tenant = Tenant::new().await;
    let mut keys = Vec::new();
    for _ in 0..8 {
        keys.push(tenant.key("agent").await);
    }
    let replies = join_all(keys.iter().map(|key| key.post("/agents/register", worker("wanted")))).await;
    let (won, lost): (Vec<_>, Vec<_>) = keys.iter().zip(replies).partition(|(_, reply)| reply.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 7));
    for (key, reply) in lost {
        reply.expect_error(422, "validation_failed");
        // The loser is not bound to anybody.
        assert_eq!(key.get("/tenants/me").await.expect(200)["api_key"]["agent_id"], Value::Null);
    }
}

/// Filters and orders. What is no known word here is ignored: a list of agents is for people to look at.
#[tokio::test]
async fn agents_are_listed() {
    let tenant = Tenant::new().await;
    let orchestrator = tenant.key("orchestrator").await;
    let empty = orchestrator.get("/agents").await.expect(200);
    assert_eq!((&empty["agents"], &empty["total"]), (&json!([]), &json!(0)));
    for (name, agent_type) in [
        ("delta", "orchestrator"),
        ("alpha", "implementer"),
        ("charlie", "orchestrator"),
        ("bravo", "implementer"),
    ] {
        let body = json!({"name": name, "agent_type": agent_type});
        tenant.key("agent").await.post("/agents/register", body).await.expect(201);
    }
    // What was seen so far is noted by then.
    orchestrator.get("/agents").await.expect(200);
    let id = "$1::text::uuid";
    sql(
        &format!("update agents set last_seen_at = null where tenant_id = {id} and name = 'alpha'"),
        &tenant.id,
    )
    .await;
    sql(&format!("update agents set status = 'idle' where tenant_id = {id} and name = 'bravo'"), &tenant.id)
        .await;
    let names = async |query: &str| {
        let list = orchestrator.get(&format!("/agents?{query}")).await.expect(200);
        assert_eq!(list["agents"], list["data"], "{query}");
        assert_eq!(list["total"], list["meta"]["total_count"], "{query}");
        let names = list["data"].as_array().unwrap().iter().map(|agent| text(&agent["name"]));
        names.collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("", "alpha bravo charlie delta"),
        ("sort_by=name", "alpha bravo charlie delta"),
        ("sort_by=bogus", "alpha bravo charlie delta"),
        ("sort_by=inserted_at", "delta alpha charlie bravo"),
        ("sort_by=last_seen_at", "delta charlie bravo alpha"),
        // Ties in the order of ids, which is the order of registration.
        ("sort_by=agent_type", "alpha bravo delta charlie"),
        ("sort_by=status", "delta alpha charlie bravo"),
        ("agent_type=orchestrator", "charlie delta"),
        ("agent_type=bogus&status=bogus", "alpha bravo charlie delta"),
        ("status=idle", "bravo"),
        ("status=deactivated", ""),
        ("status=active&agent_type=implementer", "alpha"),
        ("agent_type=orchestrator&page_size=1&page=2", "delta"),
    ] {
        assert_eq!(names(query).await, expected, "{query}");
    }
    // A user sees them as well.
    assert_eq!(tenant.user.get("/agents").await.expect(200)["total"], 4);
}

/// As it is listed; an agent of another tenant is as unknown as one that never was.
#[tokio::test]
async fn one_agent_is_shown() {
    let (tenant, other) = (Tenant::new().await, Tenant::new().await);
    let (agent, orchestrator) = (tenant.agent().await, tenant.key("orchestrator").await);
    let path = format!("/agents/{}", agent.agent());
    let error = other.user.get(&path).await.expect_error(404, "not_found");
    assert_eq!(error["message"], "Not found");
    orchestrator.get(&format!("/agents/{RANDOM_ID}")).await.expect_error(404, "not_found");
    let shown = orchestrator.get(&path).await.expect(200);
    assert_eq!(shown["agent"]["id"], agent.agent());
    let listed = orchestrator.get("/agents").await.expect(200);
    assert_eq!(shown["agent"], listed["data"][0]);
}
