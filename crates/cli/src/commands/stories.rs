//! Lists of stories: `next`, `blocked`, `pending`; and the `history` of one.

use clap::Args;
use serde_json::{Value, json};

use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::{pages, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// Story: id or number
    story: String,
    #[command(flatten)]
    paging: Paging,
}

/// What a table of stories shows.
pub(super) const COLUMNS: &[&str] = &["id", "number", "title", "agent_status", "verified_status"];

/// And one of those that are stale.
pub(crate) const STALE_COLUMNS: &[&str] =
    &["id", "number", "title", "agent_status", "verified_status", "contract_stale", "verification_stale"];

/// Prints a list of stories. People see at a status where title or criteria have changed since it was reached.
pub(super) fn show(context: &Context, body: &Value, none: &str) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.list(body, COLUMNS, none);
    }
    let rows: Vec<Value> = rows_of(body).iter().cloned().map(marked).collect();
    context.output.rows(body, &rows, COLUMNS, none)
}

/// A story whose statuses say where it is stale: `verified (stale)`.
pub(super) fn marked(mut row: Value) -> Value {
    for (stale, status) in [("contract_stale", "agent_status"), ("verification_stale", "verified_status")] {
        if row[stale] == true {
            row[status] = format!("{} (stale)", table::plain(&row[status])).into();
        }
    }
    row
}

pub(crate) async fn next(context: &Context, paging: Paging) -> Result<(), Error> {
    let client = context.client()?;
    let body = dependency_list(context, &client, "/stories/ready", &paging).await?;
    context.output.list(&body, COLUMNS, "No stories are ready. `loopctl blocked` shows what waits for what.")
}

pub(crate) async fn blocked(context: &Context, paging: Paging) -> Result<(), Error> {
    let client = context.client()?;
    let body = dependency_list(context, &client, "/stories/blocked", &paging).await?;
    let rows: Vec<Value> = rows_of(&body).iter().map(blocked_row).collect();
    context.output.rows(
        &body,
        &rows,
        &["id", "number", "title", "agent_status", "verified_status", "blocked_by"],
        "No stories are blocked.",
    )
}

/// Ready or blocked stories of the given project, or of the whole tenant.
async fn dependency_list(
    context: &Context,
    client: &Client,
    path: &str,
    paging: &Paging,
) -> Result<Value, Error> {
    let project = resolve::configured_project(context, client).await?;
    let project_id = project.as_ref().map(|project| ("project_id", project.id.as_str()));
    pages::list(client, path, &Vec::from_iter(project_id), paging).await
}

/// The story of a `blocked` item with the numbers of its blockers beside it.
fn blocked_row(item: &Value) -> Value {
    let mut row = item["story"].clone();
    let blockers = item["blocking_dependencies"].as_array();
    let numbers = blockers.into_iter().flatten().map(|blocker| table::plain(&blocker["number"]));
    if let Value::Object(members) = &mut row {
        members.insert("blocked_by".to_owned(), numbers.collect::<Vec<_>>().join(", ").into());
    }
    row
}

/// Stories that an orchestrator can verify now.
pub(crate) async fn pending(context: &Context, paging: Paging) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "pending").await?;
    let filters = [
        ("project_id", project.id.as_str()),
        ("agent_status", "reported_done"),
        ("verified_status", "unverified"),
    ];
    let body = pages::stories(&client, &filters, &paging).await?;
    show(context, &body, "No stories wait for verification.")
}

pub(crate) async fn history(context: &Context, arguments: HistoryArguments) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, &arguments.story).await?;
    let path = format!("/stories/{}/history", story.id);
    let body = pages::list(&client, &path, &[], &arguments.paging).await?;
    let rows: Vec<Value> = rows_of(&body).iter().map(|entry| history_row(entry, &story.id)).collect();
    context.output.rows(
        &body,
        &rows,
        &["inserted_at", "entity_type", "action", "actor_label", "change", "entity_id"],
        "No history.",
    )
}

/// How much of a digest people are shown: enough to tell two apart.
const DIGEST: usize = 12;

/// An audit entry with its change in words. Not every server repeats what and whose the entry is.
fn history_row(entry: &Value, story: &str) -> Value {
    let mut row = entry.clone();
    let changes = ["agent_status", "verified_status"].into_iter().filter_map(|key| {
        let (old, new) = (&entry["old_state"][key], entry["new_state"][key].as_str()?);
        match old.as_str() {
            Some(old) if old == new => None,
            Some(old) => Some(format!("{old} -> {new}")),
            None => Some(new.to_owned()),
        }
    });
    let digest = |state: &str| {
        let digest = entry[state]["criteria_digest"].as_str()?;
        Some(digest.chars().take(DIGEST).collect::<String>())
    };
    let criteria = match (digest("old_state"), digest("new_state")) {
        (Some(old), Some(new)) => Some(format!("title or criteria: {old} -> {new}")),
        (None, Some(new)) => Some(format!("criteria {new}")),
        _ => None,
    };
    let change = changes.chain(criteria).collect::<Vec<_>>().join(", ");
    if let Value::Object(members) = &mut row {
        members.insert("change".to_owned(), change.into());
        members.entry("entity_type").or_insert_with(|| json!("story"));
        members.entry("entity_id").or_insert_with(|| story.into());
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_says_what_changed() {
        let entry = json!({"action": "status_changed", "old_state": {"agent_status": "pending", "verified_status": "unverified"},
            "new_state": {"agent_status": "contracted", "verified_status": "unverified"}});
        let row = history_row(&entry, "s");
        assert_eq!((&row["change"], &row["entity_id"]), (&json!("pending -> contracted"), &json!("s")));
        let created = history_row(&json!({"new_state": {"agent_status": "pending"}, "old_state": null}), "s");
        assert_eq!(created["change"], "pending");
    }

    #[test]
    fn history_says_which_criteria_were_meant() {
        let change = |entry: Value| history_row(&entry, "s")["change"].clone();
        let (before, after) = ("a".repeat(64), "b".repeat(64));
        let changed = json!({"action": "criteria_changed", "old_state": {"criteria_digest": before},
            "new_state": {"criteria_digest": after}});
        assert_eq!(change(changed), "title or criteria: aaaaaaaaaaaa -> bbbbbbbbbbbb");
        let contracted = json!({"action": "status_changed", "old_state": {"agent_status": "pending"},
            "new_state": {"agent_status": "contracted", "criteria_digest": before}});
        assert_eq!(change(contracted), "pending -> contracted, criteria aaaaaaaaaaaa");
    }

    #[test]
    fn a_stale_status_is_marked() {
        let of = |contract: bool, verification: bool| {
            let row = marked(json!({"agent_status": "reported_done", "verified_status": "verified",
                                    "contract_stale": contract, "verification_stale": verification}));
            format!("{}, {}", table::plain(&row["agent_status"]), table::plain(&row["verified_status"]))
        };
        assert_eq!(of(false, false), "reported_done, verified");
        assert_eq!(of(true, false), "reported_done (stale), verified");
        assert_eq!(of(false, true), "reported_done, verified (stale)");
        let brief = json!({"number": "1.1", "agent_status": "pending"});
        assert_eq!(marked(brief.clone()), brief);
    }

    #[test]
    fn a_blocked_story_names_its_blockers() {
        let item = json!({"story": {"number": "2.1"}, "blocking_dependencies": [{"number": "1.1"}, {"number": "1.2"}]});
        assert_eq!(blocked_row(&item), json!({"number": "2.1", "blocked_by": "1.1, 1.2"}));
    }
}
