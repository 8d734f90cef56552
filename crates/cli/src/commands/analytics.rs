//! `analytics trends|models|model-mix|model-profile`: what was used over time, and which models it went to.

use chrono::Utc;
use clap::{Args, Subcommand};
use loopctl_core::moment::Day;
use serde_json::Value;

use super::cost::fields::{measured, money, percent, short, text, tokens};
use super::cost::{NOTHING, table};
use super::given_parameters;
use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::layout::table::Column;
use crate::moment::moment;
use crate::output::rows_of;
use crate::{figures, pages, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What was used day by day, the oldest first (orchestrator)
    Trends {
        /// Week by week; weeks begin on Monday
        #[arg(long)]
        weekly: bool,
        #[command(flatten)]
        days: Days,
        #[command(flatten)]
        paging: Paging,
    },
    /// What each model has cost, the most expensive first, and what became of its stories
    Models {
        #[command(flatten)]
        days: Days,
        #[command(flatten)]
        paging: Paging,
    },
    /// Which models are used in which phase, and whether agents that use several do better (orchestrator)
    ModelMix {
        /// Only of this agent: id or name; agents are compared all the same
        #[arg(long, value_name = "REF")]
        agent: Option<String>,
        #[command(flatten)]
        days: Days,
    },
    /// Which models an agent uses, for what, and what became of it (orchestrator)
    ModelProfile {
        /// Agent: id or name
        agent: String,
        #[command(flatten)]
        days: Days,
    },
}

/// Of which days, in UTC.
#[derive(Debug, Args)]
pub(crate) struct Days {
    /// From this day on: a day, or how long ago (7d)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this day, which is included
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

const TRENDS: &[&str] = &[
    "period",
    "story_count",
    "unique_agents",
    "report_count",
    "total_input_tokens",
    "total_output_tokens",
    "total_cost_millicents",
];
const MODELS: &[&str] = &[
    "model_name",
    "story_count",
    "stories_verified_count",
    "stories_rejected_count",
    "verification_rate_pct",
    "report_count",
    "total_input_tokens",
    "total_output_tokens",
    "total_cost_millicents",
    "avg_cost_per_report_millicents",
];
/// What a model was used for in a phase.
const USES: &[&str] = &[
    "model_name",
    "phase",
    "stories_count",
    "verified_count",
    "rejected_count",
    "verification_rate_pct",
    "total_input_tokens",
    "total_output_tokens",
    "total_cost_millicents",
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Trends { weekly, days, paging } => {
            let mut query = days.query()?;
            query.extend(weekly.then(|| ("granularity", "weekly".to_owned())));
            let client = context.client()?;
            of_project(context, &client, &mut query).await?;
            let body = pages::list(&client, "/analytics/trends", &borrowed(&query), &paging).await?;
            trends(context, &body, if weekly { "week of" } else { "day" })
        }
        Command::Models { days, paging } => {
            let mut query = days.query()?;
            let client = context.client()?;
            of_project(context, &client, &mut query).await?;
            let body = pages::list(&client, "/analytics/models", &borrowed(&query), &paging).await?;
            models(context, &body)
        }
        Command::ModelMix { agent, days } => {
            let mut query = days.query()?;
            let client = context.client()?;
            if let Some(agent) = agent {
                query.push(("agent_id", resolve::agent(&client, &agent).await?.id));
            }
            of_project(context, &client, &mut query).await?;
            let body = client.get("/analytics/model-mix", &borrowed(&query)).await?;
            model_mix(context, &body)
        }
        Command::ModelProfile { agent, days } => {
            let mut query = days.query()?;
            let client = context.client()?;
            let id = resolve::agent(&client, &agent).await?.id;
            of_project(context, &client, &mut query).await?;
            let path = format!("/analytics/agents/{id}/model-profile");
            let body = client.get(&path, &borrowed(&query)).await?;
            model_profile(context, &body)
        }
    }
}

impl Days {
    /// As parameters of the query: of a time the server takes the day.
    fn query(self) -> Result<Vec<(&'static str, String)>, Error> {
        let now = Utc::now();
        let day = |option: &str, sent: Option<String>, day| {
            sent.map(|text| moment(option, &text, day, now)).transpose()
        };
        Ok(given_parameters([
            ("since", day("--since", self.since, Day::Begins)?),
            ("until", day("--until", self.until, Day::Ends)?),
        ]))
    }
}

/// Of the configured project, if there is one; else of all.
async fn of_project(
    context: &Context,
    client: &Client,
    query: &mut Vec<(&'static str, String)>,
) -> Result<(), Error> {
    let project = resolve::configured_project(context, client).await?;
    query.extend(project.map(|project| ("project_id", project.id)));
    Ok(())
}

fn trends(context: &Context, body: &Value, period: &str) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.list(body, TRENDS, NOTHING);
    }
    let columns = ["period", "stories", "agents", "reports", "tokens", "cost"];
    let rows = rows_of(body).iter().map(|row| {
        vec![
            text(row, "period"),
            text(row, "story_count"),
            text(row, "unique_agents"),
            text(row, "report_count"),
            figures::tokens(tokens(row)),
            money(row, "total_cost_millicents"),
        ]
    });
    let told = [
        Column::word("period").called(period),
        Column::number("stories"),
        Column::number("agents"),
        Column::number("reports"),
        Column::number("tokens"),
        Column::number("cost"),
    ];
    context.output.table(body, &table(&columns, rows), &columns, &told, NOTHING)
}

fn models(context: &Context, body: &Value) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.list(body, MODELS, NOTHING);
    }
    let columns = ["model", "stories", "verified", "rejected", "rate", "tokens", "cost", "a report"];
    let rows = rows_of(body).iter().map(|row| {
        vec![
            text(row, "model_name"),
            text(row, "story_count"),
            text(row, "stories_verified_count"),
            text(row, "stories_rejected_count"),
            percent(row, "verification_rate_pct").unwrap_or_default(),
            figures::tokens(tokens(row)),
            money(row, "total_cost_millicents"),
            money(row, "avg_cost_per_report_millicents"),
        ]
    });
    let told = [
        Column::text("model"),
        Column::number("stories"),
        Column::number("verified"),
        Column::number("rejected"),
        Column::number("rate"),
        Column::number("tokens"),
        Column::number("cost"),
        Column::number("a report"),
    ];
    context.output.table(body, &table(&columns, rows), &columns, &told, NOTHING)
}

fn model_mix(context: &Context, body: &Value) -> Result<(), Error> {
    let matrix = rows_of(&body["data"]["matrix"]);
    if !context.output.human() || matrix.is_empty() {
        return context.output.rows(body, matrix, USES, NOTHING);
    }
    let mut block = Block::new(context.output.screen());
    uses(&mut block, matrix);
    block.blank();
    let compared = &body["data"]["comparative"];
    block.facts(&[
        Fact::new("agents with several models", group(&compared["mixed_model"])),
        Fact::new("agents with one", group(&compared["single_model"])),
    ]);
    context.output.block(block)
}

/// What agents come to on average: `2, 75% verified, $0.03 a story`.
fn group(group: &Value) -> String {
    let rate = percent(group, "avg_verification_rate_pct").map(|rate| format!("{rate} verified"));
    let cost = Some(money(group, "avg_cost_per_story_millicents")).filter(|cost| !cost.is_empty());
    let cost = cost.map(|cost| format!("{cost} a story"));
    [Some(text(group, "agent_count")), rate, cost].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn model_profile(context: &Context, body: &Value) -> Result<(), Error> {
    let profile = &body["data"];
    let usage = rows_of(&profile["usage"]);
    if !context.output.human() {
        return context.output.rows(body, usage, USES, NOTHING);
    }
    let mut block = Block::new(context.output.screen());
    block.heading("", &text(profile, "agent_name"));
    block.blank();
    block.facts(&[
        Fact::new("models", text(profile, "model_count")),
        Fact::new("cost", money(profile, "total_cost_millicents")),
    ]);
    block.blank();
    match usage {
        [] => block.line(NOTHING.to_owned()),
        rows => uses(&mut block, rows),
    }
    if let Some(measured) = measured(profile) {
        block.blank();
        block.line(measured);
    }
    context.output.block(block)
}

/// A table of what models were used for.
fn uses(block: &mut Block<'_>, rows: &[Value]) {
    let columns = ["model", "phase", "stories", "verified", "rejected", "rate", "in", "out", "cost", "share"];
    let cells = rows.iter().map(|row| {
        vec![
            text(row, "model_name"),
            text(row, "phase"),
            text(row, "stories_count"),
            text(row, "verified_count"),
            text(row, "rejected_count"),
            percent(row, "verification_rate_pct").unwrap_or_default(),
            short(row, "total_input_tokens"),
            short(row, "total_output_tokens"),
            money(row, "total_cost_millicents"),
            percent(row, "cost_share_pct").unwrap_or_default(),
        ]
    });
    let told = [
        Column::text("model"),
        Column::word("phase"),
        Column::number("stories"),
        Column::number("verified"),
        Column::number("rejected"),
        Column::number("rate"),
        Column::number("in"),
        Column::number("out"),
        Column::number("cost"),
        // Only of an agent's own.
        Column::number("share").if_any(),
    ];
    block.table(&told, &table(&columns, cells));
}
