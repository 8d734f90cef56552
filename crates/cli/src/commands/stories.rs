//! Lists of stories: `next`, `blocked`, `pending`.

use serde_json::Value;

use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::{pages, resolve, table};

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
