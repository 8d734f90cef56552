//! What happened: the `history` of a story, `audit`, the log as the tenant's owner reads it, and `changes`, the feed that
//! orchestrators follow.

mod feed;
mod spent;
mod told;

use chrono::Utc;
use clap::Args;
use loopctl_core::moment::Day;
use serde_json::{Value, json};

pub(super) use self::feed::{Feed, Heard};
use self::told::described;
pub(super) use self::told::told;
use super::{deps, given_parameters};
use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::layout::times;
use crate::moment::moment;
use crate::output::{note, rows_of};
use crate::{pages, progress, resolve, table};

const TOLD: &[Column<'_>] = &[
    Column::time("inserted_at").called("when"),
    Column::reference("of").if_any(),
    Column::word("actor_label").called("who"),
    Column::text("what"),
    Column::id("entity_id"),
];
const COLUMNS: &[&str] = &["inserted_at", "entity_type", "action", "actor_label", "change", "entity_id"];

#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// Story: id or number
    story: String,
    #[command(flatten)]
    paging: Paging,
}

/// Which entries.
#[derive(Debug, Args)]
struct Filters {
    /// Only of this kind of thing: story, epic, project, ...
    #[arg(long, value_name = "TYPE")]
    entity_type: Option<String>,
    /// Only this action: created, status_changed, verified, ...
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    filters: Filters,
    /// Only by this kind of actor: api_key, superadmin, system or human
    #[arg(long, value_name = "TYPE")]
    actor_type: Option<String>,
    /// Only of the thing with this id
    #[arg(long, value_name = "ID")]
    entity: Option<String>,
    /// Only since then: a time, a day, or how long ago (30m, 2h, 7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only until then; a day is included
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// All of them, however many pages that takes
    #[arg(long, conflicts_with_all = ["page", "page_size"])]
    all: bool,
    /// Page, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    page: Option<u32>,
    /// Rows per page (20)
    #[arg(long, visible_alias = "limit", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    page_size: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ChangesArguments {
    /// What is later than this: a time, a day, or how long ago (30m, 2h, 7d); with --follow from now on unless given
    #[arg(long, value_name = "TIME", required_unless_present = "follow")]
    since: Option<String>,
    #[command(flatten)]
    filters: Filters,
    /// Changes per answer (1000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: Option<u32>,
    /// All of them, however many answers that takes
    #[arg(long)]
    all: bool,
    /// Print each change on a line of its own as it happens, until interrupted
    #[arg(long, conflicts_with = "all")]
    follow: bool,
}

pub(crate) async fn history(context: &Context, arguments: HistoryArguments) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, &arguments.story).await?;
    let path = format!("/stories/{}/history", story.id);
    let body = pages::list(&client, &path, &[], &arguments.paging).await?;
    let rows = rows_of(&body).iter().map(|entry| {
        let mut row = described(entry);
        // Not every server repeats what and whose the entry is.
        if let Value::Object(members) = &mut row {
            members.entry("entity_type").or_insert_with(|| json!("story"));
            members.entry("entity_id").or_insert_with(|| story.id.as_str().into());
        }
        row
    });
    // All of it is about one story.
    let told: Vec<_> = TOLD.iter().filter(|column| !column.is_of("of")).copied().collect();
    context.output.table(&body, &rows.collect::<Vec<_>>(), COLUMNS, &told, "No history.")
}

pub(crate) async fn audit(context: &Context, arguments: AuditArguments) -> Result<(), Error> {
    let all = arguments.all;
    let mut query = arguments.query()?;
    let client = context.client()?;
    if let Some(project) = resolve::configured_project(context, &client).await? {
        query.insert(0, ("project_id", project.id));
    }
    let body = entries(&client, "/audit", query, all).await?;
    let rows: Vec<Value> = rows_of(&body).iter().map(told).collect();
    let rows = of_what(context, &client, rows).await;
    context.output.table(&body, &rows, COLUMNS, TOLD, "No entries.")
}

/// How many projects are asked what their stories and epics are called.
const PROJECTS: usize = 3;

/// The entries, each with the number of the story or epic that it is about: ids tell people nothing. Where numbers cannot be had,
/// entries are shown without.
async fn of_what(context: &Context, client: &Client, mut rows: Vec<Value>) -> Vec<Value> {
    if !context.output.human() {
        return rows;
    }
    let mut projects: Vec<String> = Vec::new();
    for row in rows.iter().filter(|row| row["of"].is_null()) {
        if let Some(id) = row["project_id"].as_str().filter(|id| !projects.iter().any(|known| known == id)) {
            projects.push(id.to_owned());
        }
    }
    for project in projects.iter().take(PROJECTS) {
        let path = format!("/projects/{project}/dependency_graph");
        let Ok(graph) = client.get(&path, &[]).await else { continue };
        let numbers = deps::numbers(&graph["graph"]);
        for row in rows.iter_mut().filter(|row| row["of"].is_null()) {
            let number = told::things(row).into_iter().find_map(|id| numbers.get(id.as_str()));
            if let Some(number) = number {
                row["of"] = table::plain(number).into();
            }
        }
    }
    rows
}

/// The log of all tenants, or of one. Projects are of one tenant: none is asked for here.
pub(crate) async fn audit_of_all(
    context: &Context,
    arguments: AuditArguments,
    tenant: Option<&str>,
) -> Result<(), Error> {
    let all = arguments.all;
    let mut query = arguments.query()?;
    let client = context.client()?;
    if let Some(tenant) = tenant {
        query.insert(0, ("tenant_id", resolve::tenant(&client, tenant).await?.id));
    }
    let body = entries(&client, "/admin/audit", query, all).await?;
    let rows = rows_of(&body).iter().map(|entry| {
        let mut row = told(entry);
        row["tenant"] = entry["tenant_slug"].clone();
        row
    });
    let columns = [&["tenant"], COLUMNS].concat();
    let told = [&[Column::reference("tenant")], TOLD].concat();
    context.output.table(&body, &rows.collect::<Vec<_>>(), &columns, &told, "No entries.")
}

/// A page of a log, or all of it.
async fn entries(
    client: &Client,
    path: &str,
    mut query: Vec<(&'static str, String)>,
    all: bool,
) -> Result<Value, Error> {
    if !all {
        return client.get(path, &borrowed(&query)).await;
    }
    // Up to what is newest now: entries that come meanwhile would move those of further pages, and some would be read twice.
    let newest = [borrowed(&query), vec![("page_size", "1")]].concat();
    let newest = client.get(path, &newest).await?;
    if let Some(at) = rows_of(&newest).first().and_then(|entry| entry["inserted_at"].as_str()) {
        query.retain(|(name, _)| *name != "to");
        query.push(("to", at.to_owned()));
    }
    pages::by_page(client, path, &borrowed(&query)).await
}

impl AuditArguments {
    /// As parameters of the query.
    fn query(self) -> Result<Vec<(&'static str, String)>, Error> {
        let now = Utc::now();
        let time = |option: &str, sent: &Option<String>, day| {
            sent.as_ref().map(|text| moment(option, text, day, now)).transpose()
        };
        let (from, to) =
            (time("--since", &self.since, Day::Begins)?, time("--until", &self.until, Day::Ends)?);
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        Ok(given_parameters([
            ("entity_type", self.filters.entity_type),
            ("action", self.filters.action),
            ("actor_type", self.actor_type),
            ("entity_id", self.entity),
            ("from", from),
            ("to", to),
            ("page", number(self.page)),
            ("page_size", number(self.page_size)),
        ]))
    }
}

pub(crate) async fn changes(context: &Context, arguments: ChangesArguments) -> Result<(), Error> {
    let now = Utc::now();
    let since = arguments.since.as_ref().map(|text| moment("--since", text, Day::Begins, now)).transpose()?;
    let client = context.client()?;
    let filters = given_parameters([
        ("project_id", resolve::configured_project(context, &client).await?.map(|project| project.id)),
        ("entity_type", arguments.filters.entity_type),
        ("action", arguments.filters.action),
        ("limit", arguments.limit.map(|limit| limit.to_string())),
    ]);
    if arguments.follow {
        return follow(context, &client, &filters, since).await;
    }
    let mut since = since.unwrap_or_default();
    let mut body = read(&client, &filters, &since).await?;
    let bar = progress::reading();
    while arguments.all
        && let Some(next) = body["next_since"].as_str()
    {
        since = next.to_owned();
        let mut more = read(&client, &filters, &since).await?;
        let mut rows = body["data"].take();
        if let (Some(rows), Some(further)) = (rows.as_array_mut(), more["data"].as_array_mut()) {
            rows.append(further);
        }
        bar.set_position(rows.as_array().map_or(0, Vec::len) as u64);
        more["data"] = rows;
        body = more;
    }
    bar.finish_and_clear();
    let rows: Vec<Value> = rows_of(&body).iter().map(told).collect();
    let rows = of_what(context, &client, rows).await;
    if context.output.human() && !rows.is_empty() {
        // The feed does not count: it has no end.
        context.output.columns(TOLD, &rows)?;
    } else {
        context.output.rows(&body, &rows, COLUMNS, "No changes.")?;
    }
    if !context.output.is_json() && body["has_more"] == true {
        let cursor = body["cursor"].as_str().unwrap_or_default();
        note(&format!("note: there are more: --all, or --since {cursor}"));
    }
    Ok(())
}

/// Prints changes as they happen. A server that is away for a while is waited for: nothing is missed by that.
async fn follow(
    context: &Context,
    client: &Client,
    filters: &[(&'static str, String)],
    since: Option<String>,
) -> Result<(), Error> {
    let mut feed = Feed::new(client, filters, since);
    let mut away = false;
    loop {
        match feed.next().await? {
            Heard::Change(change) => {
                if !context.output.bytes(line(context, &change).as_bytes())? {
                    return Ok(());
                }
            }
            Heard::Reached => {
                if std::mem::take(&mut away) {
                    note("The server answers again.");
                }
            }
            Heard::Ended => {}
            Heard::Away(error) => {
                if !std::mem::replace(&mut away, true) {
                    error.report(context.output.format());
                    note("Waiting for the server.");
                }
            }
        }
    }
}

/// A change on one line: for people in words, for programs as it is.
fn line(context: &Context, change: &Value) -> String {
    if !context.output.human() {
        return format!("{change}\n");
    }
    let row = told(change);
    let screen = context.output.screen();
    // It has just happened: when, says the clock.
    let time = times::to_the_second(&table::plain(&row["inserted_at"]));
    let others = ["of", "actor_label", "what"].iter().map(|member| table::plain(&row[*member]));
    let id = screen.is_wide.then(|| table::plain(&row["entity_id"]));
    let words = std::iter::once(time).chain(others).chain(id);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    table::one_line(&words.join("  ")) + "\n"
}

/// What is later than `since`, as much of it as comes at once.
async fn read(client: &Client, filters: &[(&'static str, String)], since: &str) -> Result<Value, Error> {
    let mut query = borrowed(filters);
    query.push(("since", since));
    client.get("/changes", &query).await
}
