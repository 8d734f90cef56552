//! What work has cost: `cost-summary` and `token-usage`, `token-report`, `cost-anomalies`.

mod anomalies;
mod burn;
pub(crate) mod fields;
mod outlook;
mod summary;

use clap::Args;
use serde_json::{Map, Value, json};

pub(crate) use self::anomalies::{AnomaliesArguments, anomalies};
pub(super) use self::burn::{Trend, lines as burn_lines, set_aside};
use self::fields::{cost, money, named, percent, short, text};
use self::summary::Summary;
use crate::args::Paging;
use crate::bars::{self, Rows};
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::resolve::{self, Found};
use crate::{figures, pages, terminal};

#[derive(Debug, Args)]
pub(crate) struct SummaryArguments {
    /// Each epic, the most expensive first
    #[arg(long)]
    by_epic: bool,
    /// Each agent, the most expensive first (orchestrator)
    #[arg(long, conflicts_with = "by_epic")]
    by_agent: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UsageArguments {
    #[command(flatten)]
    summary: SummaryArguments,
    /// One agent: id or name (orchestrator)
    #[arg(long, value_name = "REF", conflicts_with = "by_epic")]
    agent: Option<String>,
    /// One story: id or number
    #[arg(long, value_name = "REF", conflicts_with_all = ["by_epic", "by_agent", "agent"])]
    story: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    /// Story: id or number
    #[arg(long, value_name = "REF")]
    story: String,
    #[command(flatten)]
    paging: Paging,
}

/// What people read where nothing was reported.
pub(super) const NOTHING: &str = "No token data available";

/// What the numbers of agents mean.
const PLACES: &str = "rank: 1 has cost most; efficiency: 1 is the cheapest per story";

const EPICS: &[&str] = &[
    "epic_id",
    "epic_number",
    "epic_name",
    "story_count",
    "completed_story_count",
    "total_cost_millicents",
    "avg_cost_per_story_millicents",
    "budget_millicents",
    "utilization_pct",
];
const AGENTS: &[&str] = &[
    "agent_id",
    "agent_name",
    "total_stories_reported",
    "total_input_tokens",
    "total_output_tokens",
    "total_cost_millicents",
    "avg_cost_per_story_millicents",
    "primary_model",
    "efficiency_rank",
];
const REPORTS: &[&str] = &[
    "id",
    "inserted_at",
    "phase",
    "model_name",
    "input_tokens",
    "output_tokens",
    "cost_millicents",
    "corrects_report_id",
];
pub(crate) async fn summary(context: &Context, arguments: SummaryArguments) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "The cost summary").await?;
    if arguments.by_epic {
        let body = pages::by_page(&client, "/analytics/epics", &[("project_id", &project.id)]).await?;
        return show_epics(context, &body);
    }
    if arguments.by_agent {
        let body = pages::by_page(&client, "/analytics/agents", &[("project_id", &project.id)]).await?;
        return show_agents(context, &body, None);
    }
    let body = client.get(&format!("/analytics/projects/{}", project.id), &[]).await?;
    if !context.output.human() {
        return context.output.object(&body, "data");
    }
    let summary = Summary {
        data: body["data"].clone(),
        agents: whole_list(&client, "/analytics/agents", &[("project_id", &project.id)]).await?,
        trend: trend(&client, &project.id).await?,
        budget: budget_of(&client, &project).await?,
        project: project.label,
        today: chrono::Utc::now().date_naive(),
    };
    let lines = summary.lines(terminal::width(), bars::marks());
    context.output.line(&lines.map_or_else(|| NOTHING.to_owned(), |lines| lines.join("\n")))
}

pub(crate) async fn usage(context: &Context, arguments: UsageArguments) -> Result<(), Error> {
    if let Some(story) = arguments.story {
        return report(context, ReportArguments { story, paging: Paging::default() }).await;
    }
    let Some(agent) = arguments.agent else {
        return summary(context, arguments.summary).await;
    };
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "The usage of an agent").await?;
    let agent = resolve::agent(&client, &agent).await?;
    let body = pages::by_page(&client, "/analytics/agents", &[("project_id", &project.id)]).await?;
    show_agents(context, &body, Some(&agent))
}

/// What is reported of a story.
pub(crate) async fn report(context: &Context, arguments: ReportArguments) -> Result<(), Error> {
    let client = context.client()?;
    let story = resolve::story(context, &client, &arguments.story).await?;
    let path = format!("/stories/{}/token-usage", story.id);
    let body = pages::list(&client, &path, &[], &arguments.paging).await?;
    if !context.output.human() {
        return context.output.list(&body, REPORTS, NOTHING);
    }
    let totals = &body["totals"];
    let measured = fields::measured(totals).or_else(|| fields::measured(&body));
    if body["meta"]["total_count"].as_u64().unwrap_or(rows_of(&body).len() as u64) == 0 && measured.is_none()
    {
        return context.output.line(NOTHING);
    }
    let mut lines = vec![
        format!("Token Usage Report: {}", story.label),
        String::new(),
        format!("Total Cost: {}", figures::dollars(cost(totals))),
        format!(
            "Total Tokens: {} ({} in, {} out)",
            figures::tokens(fields::tokens(totals)),
            short(totals, "total_input_tokens"),
            short(totals, "total_output_tokens")
        ),
    ];
    lines.extend(measured);
    context.output.line(&(lines.join("\n") + "\n"))?;
    let columns = ["phase", "model", "input", "output", "cost", "time", "id"];
    let rows = rows_of(&body).iter().map(|report| {
        let is_correction = !report["corrects_report_id"].is_null();
        vec![
            if is_correction { "correction".to_owned() } else { text(report, "phase") },
            text(report, "model_name"),
            short(report, "input_tokens"),
            short(report, "output_tokens"),
            money(report, "cost_millicents"),
            text(report, "inserted_at"),
            text(report, "id"),
        ]
    });
    let told = [
        Column::word("phase"),
        Column::text("model"),
        Column::number("input"),
        Column::number("output"),
        Column::number("cost"),
        Column::time("time").if_wide(),
        Column::reference("id"),
    ];
    context.output.table(&body, &table(&columns, rows), &columns, &told, NOTHING)
}

fn show_epics(context: &Context, body: &Value) -> Result<(), Error> {
    if !context.output.human() {
        let rows: Vec<Value> = rows_of(body).iter().map(|row| named(row, EPICS)).collect();
        return context.output.rows(body, &rows, EPICS, NOTHING);
    }
    let rows = by_cost(body).into_iter().map(|epic| {
        let cells = vec![
            text(epic, "epic_number"),
            text(epic, "epic_name"),
            text(epic, "story_count"),
            money(epic, "total_cost_millicents"),
            money(epic, "avg_cost_per_story_millicents"),
            percent(epic, "utilization_pct").unwrap_or_else(|| "N/A".to_owned()),
        ];
        (cells, cost(epic))
    });
    let columns = ["number", "epic", "stories", "cost", "average", "budget", "share"];
    let whole = rows_of(body).iter().map(cost).sum();
    let rows = Rows { header: before_bar(&columns), texts: &[1], rows: rows.collect(), whole };
    breakdown(context, body, "Epic Cost Breakdown", &columns, rows)
}

/// All agents, or one of them.
fn show_agents(context: &Context, body: &Value, only: Option<&Found>) -> Result<(), Error> {
    let is_shown = |row: &Value| only.is_none_or(|agent| row["agent_id"] == agent.id.as_str());
    let shown = match only {
        Some(_) => part(body, is_shown),
        None => body.clone(),
    };
    if !context.output.human() {
        let rows: Vec<Value> = rows_of(&shown).iter().map(|row| named(row, AGENTS)).collect();
        return context.output.rows(&shown, &rows, AGENTS, NOTHING);
    }
    // Who is looked at alone keeps the place among all.
    let ranked = (1..).zip(by_cost(body)).filter(|(_, row)| is_shown(row));
    let is_measured = rows_of(&shown).iter().any(|row| !row["measured_ratio"].is_null());
    let rows = ranked.map(|(rank, agent): (u64, &Value)| {
        let mut cells = vec![
            rank.to_string(),
            text(agent, "agent_name"),
            text(agent, "total_stories_reported"),
            money(agent, "total_cost_millicents"),
            money(agent, "avg_cost_per_story_millicents"),
            text(agent, "primary_model"),
            text(agent, "efficiency_rank"),
        ];
        if is_measured {
            let ratio = text(agent, "measured_ratio");
            cells.push(if ratio.is_empty() { ratio } else { format!("{ratio}x") });
        }
        (cells, cost(agent))
    });
    let mut columns = vec!["rank", "agent", "stories", "cost", "average", "model", "efficiency", "share"];
    if is_measured {
        columns.insert(columns.len() - 1, "measured");
    }
    let whole = rows_of(body).iter().map(cost).sum();
    let rows = Rows { header: before_bar(&columns), texts: &[1, 5], rows: rows.collect(), whole };
    breakdown(context, &shown, "Agent Cost Breakdown", &columns, rows)?;
    if !rows_of(&shown).is_empty() {
        context.output.line(PLACES)?;
    }
    let Some(agent) = rows_of(&shown).first().filter(|_| only.is_some()) else { return Ok(()) };
    if let Some(measured) = fields::measured(agent) {
        context.output.line(&format!("\n{measured}"))?;
    }
    let mix = summary::model_mix(agent, terminal::width());
    if mix.is_empty() { Ok(()) } else { context.output.line(&format!("\nModel Mix:\n{}", mix.join("\n"))) }
}

fn before_bar<'a>(columns: &'a [&'a str]) -> &'a [&'a str] {
    columns.split_last().map_or(columns, |(_, before)| before)
}

/// A table for people, with what each row is of the whole as a bar.
fn breakdown(
    context: &Context,
    body: &Value,
    heading: &str,
    columns: &[&str],
    rows: Rows<'_>,
) -> Result<(), Error> {
    let rows = rows.fitting(terminal::width());
    let Some(first) = rows.first() else { return context.output.line(NOTHING) };
    let columns = columns.get(..first.len()).unwrap_or(columns);
    context.output.line(&format!("{heading}\n"))?;
    // They fit already: nothing of them is cut once more.
    let told: Vec<Column<'_>> = columns.iter().map(|column| Column::reference(column)).collect();
    context.output.table(body, &table(columns, rows.into_iter()), columns, &told, NOTHING)
}

/// Prepared cells as the rows of a table.
pub(super) fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<Value> {
    let row = |cells: Vec<String>| {
        let members = columns.iter().zip(cells).map(|(column, cell)| ((*column).to_owned(), cell.into()));
        members.collect::<Map<_, _>>().into()
    };
    rows.map(row).collect()
}

/// The rows, the most expensive first.
fn by_cost(body: &Value) -> Vec<&Value> {
    let mut rows: Vec<&Value> = rows_of(body).iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(cost(row)));
    rows
}

/// The list with some of its rows.
fn part(body: &Value, is_shown: impl Fn(&Value) -> bool) -> Value {
    let rows: Vec<Value> = rows_of(body).iter().filter(|row| is_shown(row)).cloned().collect();
    let mut part = body.clone();
    part["meta"] = json!({"page": 1, "page_size": rows.len().max(1), "total_count": rows.len(),
        "total_pages": usize::from(!rows.is_empty())});
    part["data"] = rows.into();
    part
}

/// What a project has used day by day; None where that is closed to this key.
pub(super) async fn trend(client: &Client, project: &str) -> Result<Option<Trend>, Error> {
    let rows = whole_list(client, "/analytics/trends", &[("project_id", project)]).await?;
    Ok(rows.map(|rows| Trend::new(&rows)))
}

/// The budget of a project as a whole.
async fn budget_of(client: &Client, project: &Found) -> Result<Option<Value>, Error> {
    let filters = [("scope_type", "project"), ("scope_id", project.id.as_str())];
    let budgets = whole_list(client, "/token-budgets", &filters).await?.unwrap_or_default();
    let is_of_project =
        |budget: &Value| budget["scope_type"] == "project" && budget["scope_id"] == project.id.as_str();
    Ok(budgets.into_iter().find(is_of_project))
}

/// All rows of a list; None where it is closed to this key, or unknown to the server.
async fn whole_list(
    client: &Client,
    path: &str,
    filters: &[(&str, &str)],
) -> Result<Option<Vec<Value>>, Error> {
    match pages::by_page(client, path, filters).await {
        Ok(body) => Ok(Some(rows_of(&body).to_vec())),
        Err(Error::Server(error)) if matches!(error.status, 403 | 404) => Ok(None),
        Err(error) => Err(error),
    }
}
