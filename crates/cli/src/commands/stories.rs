//! Lists of stories: `next`, `blocked`, `pending`.

use serde_json::Value;

use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::layout::status;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{pages, resolve, table};

/// What a table of stories shows.
pub(super) const COLUMNS: &[&str] = &["id", "number", "title", "agent_status", "verified_status"];

/// And one of those that are stale.
pub(crate) const STALE_COLUMNS: &[&str] =
    &["id", "number", "title", "agent_status", "verified_status", "contract_stale", "verification_stale"];

/// What people see of stories in a list.
pub(super) const TOLD: &[Column<'_>] = &[
    Column::reference("number"),
    Column::text("title"),
    Column::status("status"),
    Column::number("estimated_hours").called("hours").if_any(),
    Column::time("updated_at").if_wide(),
    Column::id("id"),
];
const TOLD_BLOCKED: &[Column<'_>] = &[
    Column::reference("number"),
    Column::text("title"),
    Column::status("status"),
    Column::text("blocked_by").called("waits for"),
    Column::id("id"),
];
const TOLD_PENDING: &[Column<'_>] = &[
    Column::reference("number"),
    Column::text("title"),
    Column::status("status"),
    Column::time("reported_done_at").called("reported").if_any(),
    Column::id("id"),
];

/// Prints a list of stories. People see where each stands, and whether title or criteria have changed since.
pub(super) fn show(context: &Context, body: &Value, columns: &[&str], none: &str) -> Result<(), Error> {
    shown(context, body, columns, TOLD, none)
}

fn shown(
    context: &Context,
    body: &Value,
    columns: &[&str],
    told_columns: &[Column<'_>],
    none: &str,
) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.list(body, columns, none);
    }
    let rows: Vec<Value> = rows_of(body).iter().map(told).collect();
    context.output.table(body, &rows, columns, told_columns, none)
}

/// A story with where it stands, in one word.
pub(super) fn told(story: &Value) -> Value {
    let mut row = story.clone();
    if row.is_object() {
        row["status"] = status::of_story(story).into();
    }
    row
}

pub(crate) async fn next(context: &Context, paging: Paging) -> Result<(), Error> {
    let client = context.client()?;
    let body = dependency_list(context, &client, "/stories/ready", &paging).await?;
    show(context, &body, COLUMNS, "No stories are ready. `loopctl blocked` shows what waits for what.")
}

pub(crate) async fn blocked(context: &Context, paging: Paging) -> Result<(), Error> {
    let client = context.client()?;
    let body = dependency_list(context, &client, "/stories/blocked", &paging).await?;
    let rows: Vec<Value> = rows_of(&body).iter().map(blocked_row).collect();
    let columns = ["id", "number", "title", "agent_status", "verified_status", "blocked_by"];
    context.output.table(&body, &rows, &columns, TOLD_BLOCKED, "No stories are blocked.")
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
    let mut row = told(&item["story"]);
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
    shown(context, &body, COLUMNS, TOLD_PENDING, "No stories wait for verification.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_blocked_story_names_its_blockers() {
        let item = json!({"story": {"number": "2.1"}, "blocking_dependencies": [{"number": "1.1"}, {"number": "1.2"}]});
        assert_eq!(blocked_row(&item), json!({"number": "2.1", "status": "", "blocked_by": "1.1, 1.2"}));
    }
}
