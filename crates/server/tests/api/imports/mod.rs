//! What an import refuses, what it writes, and that it is all or nothing.

mod edges;
mod fresh;
mod large;
mod merging;
mod messages;
mod mutations;
mod races;
mod refusals;
mod unread;

use serde_json::{Value, json};

use crate::support::{Caller, Reply, Tenant, connect, server};

async fn import(caller: &Caller, project: &str, payload: Value) -> Reply {
    caller.post(&format!("/projects/{project}/import"), payload).await
}

async fn merge(caller: &Caller, project: &str, payload: Value) -> Reply {
    caller.post(&format!("/projects/{project}/import?merge=true"), payload).await
}

/// A story of a payload with nothing but what it needs.
fn good(number: &str) -> Value {
    json!({"number": number, "title": format!("Story {number}")})
}

/// One epic with these stories.
fn epic_with(stories: Value) -> Value {
    json!({"epics": [{"number": 1, "title": "Epic", "stories": stories}]})
}

/// A story's detail by its number.
async fn show(tenant: &Tenant, project: &str, number: &str) -> Value {
    let id = tenant.story_id(project, number).await;
    tenant.user.get(&format!("/stories/{id}")).await.expect(200)["story"].clone()
}

/// Everything that an import can leave in a project.
#[derive(Debug, Default, PartialEq)]
struct Rows {
    epics: i64,
    stories: i64,
    criteria: i64,
    story_edges: i64,
    epic_edges: i64,
    audit: i64,
}

async fn rows(project: &str) -> Rows {
    rows_of(&connect(&server().owner).await, project).await
}

/// As [`rows`], for those who ask often.
async fn rows_of(client: &tokio_postgres::Client, project: &str) -> Rows {
    let row = client
        .query_one(
            "select (select count(*) from epics where project_id = p.id),
                    (select count(*) from stories where project_id = p.id),
                    (select count(*) from story_acceptance_criteria c join stories s on s.id = c.story_id
                     where s.project_id = p.id),
                    (select count(*) from story_dependencies where project_id = p.id),
                    (select count(*) from epic_dependencies where project_id = p.id),
                    (select count(*) from audit_log where project_id = p.id)
             from projects p where p.id = $1::text::uuid",
            &[&project],
        )
        .await
        .unwrap();
    Rows {
        epics: row.get(0),
        stories: row.get(1),
        criteria: row.get(2),
        story_edges: row.get(3),
        epic_edges: row.get(4),
        audit: row.get(5),
    }
}

/// An entry of a project's audit log.
#[derive(Debug)]
struct Entry {
    /// `story/created`
    what: String,
    entity_id: String,
    label: String,
    old: Option<Value>,
    new: Option<Value>,
    metadata: Value,
}

/// The audit log of a project, without its creation, in order.
async fn audit(project: &str) -> Vec<Entry> {
    let rows = connect(&server().owner)
        .await
        .query(
            "select entity_type || '/' || action, entity_id::text, actor_label, old_state, new_state, metadata
             from audit_log where project_id = $1::text::uuid and (entity_type, action) <> ('project', 'created')
             order by position",
            &[&project],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| Entry {
            what: row.get(0),
            entity_id: row.get(1),
            label: row.get(2),
            old: row.get(3),
            new: row.get(4),
            metadata: row.get(5),
        })
        .collect()
}

/// The entries of this kind.
fn of<'a>(entries: &'a [Entry], what: &str) -> Vec<&'a Entry> {
    entries.iter().filter(|entry| entry.what == what).collect()
}
