//! Projects, epics, stories, their dependencies and the two queues, one by one.

mod dependencies;
mod epic_changes;
mod epic_deletion;
mod epic_races;
mod epics;
mod graph;
mod ordering;
mod paging;
mod plan_races;
mod progress;
mod project_changes;
mod project_races;
mod projects;
mod queues;
mod random_plans;
mod random_queues;
mod readiness;
mod stories;
mod story_changes;
mod story_creation;
mod story_deletion;

use loopctl_server::operator::create_superadmin_key;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::types::ToSql;

use crate::support::{Caller, Reply, Tenant, connect, server, text, unique};

/// One member of every item of a list.
#[track_caller]
fn column(body: &Value, member: &str) -> Vec<String> {
    body["data"]
        .as_array()
        .unwrap_or_else(|| panic!("a list: {body:#}"))
        .iter()
        .map(|item| text(&item[member]))
        .collect()
}

/// The names of an object's members, sorted.
#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// `meta` of every list.
fn meta(page: i64, page_size: i64, total_count: i64, total_pages: i64) -> Value {
    json!({
        "page": page, "page_size": page_size, "total_count": total_count, "total_pages": total_pages,
        "limit": page_size, "offset": (page - 1) * page_size,
    })
}

/// Runs a statement as the owner: what no endpoint does yet.
async fn sql(statement: &str, params: &[&(dyn ToSql + Sync)]) -> u64 {
    let changed = connect(&server().owner).await.execute(statement, params).await;
    changed.unwrap()
}

async fn archive(tenant: &Tenant, project: &str) {
    tenant.user.delete(&format!("/projects/{project}")).await.expect(200);
}

/// A superadmin inside the tenant.
async fn superadmin(tenant: &Tenant) -> Caller {
    let key = create_superadmin_key(&server().owner, &unique("root")).await.unwrap();
    let mut caller = Caller::with_key(&key.raw_key);
    caller.headers.push(("x-impersonate-tenant", tenant.id.clone()));
    caller
}

/// Sends a body with a method, `PATCH` or its twin `PUT`.
async fn change(who: &Caller, method: Method, path: &str, body: Value) -> Reply {
    who.send(who.request(method, path).json(&body)).await
}

/// The audit entries of an entity without its creation, oldest first: what happened, the old and the new state.
async fn told(tenant: &Tenant, entity: &str) -> Vec<Value> {
    let log = tenant.audit_log().await;
    log.iter()
        .filter(|entry| entry["entity_id"] == entity && entry["action"] != "created")
        .map(|entry| {
            let what = format!("{}/{}", text(&entry["entity_type"]), text(&entry["action"]));
            json!([what, entry["old_state"], entry["new_state"]])
        })
        .collect()
}

/// The id of an epic by its number.
async fn epic_id(tenant: &Tenant, project: &str, number: i64) -> String {
    let path = format!("/projects/{project}/epics?page_size=100");
    let list = tenant.user.get(&path).await.expect(200);
    let epics = list["data"].as_array().unwrap();
    let epic = epics.iter().find(|epic| epic["number"] == number);
    text(&epic.unwrap_or_else(|| panic!("no epic {number}"))["id"])
}

/// A story of an import without anything else.
fn plain(number: &str) -> Value {
    json!({"number": number, "title": format!("Story {number}")})
}

/// An imported story that is verified from the start.
fn verified(number: &str) -> Value {
    json!({"number": number, "title": format!("Story {number}"), "initial_verified_status": "pass"})
}
