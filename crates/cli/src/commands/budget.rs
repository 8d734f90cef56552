//! `budget set|list|show|delete`: what may be spent.

use chrono::Utc;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::cost::{burn_lines, fields, set_aside, trend};
use super::{given, given_parameters, one_of};
use crate::args::Paging;
use crate::client::{Client, borrowed};
use crate::context::Context;
use crate::error::Error;
use crate::output::rows_of;
use crate::{bars, figures, pages, resolve};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a budget, or change the one that is there (orchestrator; to lift one that blocks: user)
    Set {
        /// What is limited: project, per_story, per_epic, per_agent (each of a project by itself), story, epic or agent
        #[arg(long)]
        scope: String,
        /// How much may be spent
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// The story, epic or agent: id, number or name
        #[arg(long, value_name = "REF")]
        scope_id: Option<String>,
        /// What is counted: tokens, or millicents, of which 100000 are a dollar
        #[arg(long, default_value = "tokens")]
        unit: String,
        /// Percentage at which a warning is given (80)
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(1..=100))]
        threshold: Option<u64>,
        /// warn, or block: nothing more is reported as done, nor claimed
        #[arg(long)]
        enforcement: Option<String>,
        /// Millicents that a claim of a story sets aside
        #[arg(long, value_name = "MILLICENTS", value_parser = clap::value_parser!(u64).range(1..))]
        reserve: Option<u64>,
    },
    /// List budgets; with --project only those of the project as a whole, and of each of its stories, epics and agents
    List(Paging),
    /// One budget, and how much of it is gone
    Show {
        /// Id of the budget
        id: String,
    },
    /// Delete a budget; what was spent stays known (user)
    Delete {
        /// Id of the budget
        id: String,
    },
}

/// Scopes that a project has, and those of one thing.
const OF_PROJECT: &[&str] = &["project", "per_story", "per_epic", "per_agent"];
const SCOPES: &[&str] =
    &["project", "per_project", "per_story", "per_epic", "per_agent", "story", "epic", "agent"];
const UNITS: &[&str] = &["tokens", "millicents"];
const ENFORCEMENTS: &[&str] = &["warn", "block"];

const COLUMNS: &[&str] = &[
    "id",
    "scope_type",
    "scope_id",
    "budget_millicents",
    "current_spend_millicents",
    "token_limit",
    "current_tokens",
    "alert_threshold_pct",
    "enforcement",
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Set { scope, limit, scope_id, unit, threshold, enforcement, reserve } => {
            one_of("scope", &scope, SCOPES)?;
            one_of("unit", &unit, UNITS)?;
            if let Some(word) = &enforcement {
                one_of("enforcement", word, ENFORCEMENTS)?;
            }
            // A project has one budget as a whole, by either name.
            let scope = if scope == "per_project" { "project" } else { &scope };
            if !OF_PROJECT.contains(&scope) && scope_id.is_none() {
                return Err(Error::Usage(format!("--scope {scope} needs --scope-id: which {scope}")));
            }
            let member = if unit == "tokens" { "token_limit" } else { "budget_millicents" };
            let limits = given([
                (member, Some(limit.into())),
                ("alert_threshold_pct", threshold.map(Value::from)),
                ("enforcement", enforcement.map(Value::from)),
                ("reserve_millicents", reserve.map(Value::from)),
            ]);
            set(context, scope, scope_id.as_deref(), limits).await
        }
        Command::List(paging) => list(context, &paging).await,
        Command::Show { id } => {
            let path = path(&id)?;
            let client = context.client()?;
            show(context, &client, &client.get(&path, &[]).await?).await
        }
        Command::Delete { id } => {
            let path = path(&id)?;
            let answer = context.client()?.write(Method::DELETE, &path, None).await?;
            context.output.object(&answer, "token_budget")
        }
    }
}

async fn set(context: &Context, scope: &str, scope_id: Option<&str>, limits: Value) -> Result<(), Error> {
    let client = context.client()?;
    let found = match (scope, scope_id) {
        ("story", Some(reference)) => resolve::story(context, &client, reference).await?,
        ("epic", Some(reference)) => resolve::epic(context, &client, reference).await?,
        ("agent", Some(reference)) => resolve::agent(&client, reference).await?,
        (_, Some(reference)) => resolve::project(&client, reference).await?,
        (_, None) => resolve::project_for(context, &client, &format!("A budget {scope}")).await?,
    };
    let mut budget = json!({"scope_type": scope, "scope_id": found.id});
    if let (Value::Object(budget), Value::Object(limits)) = (&mut budget, &limits) {
        budget.extend(limits.clone());
    }
    let answer = match client.post("/token-budgets", Some(&budget)).await {
        Err(Error::Server(conflict)) if conflict.status == 409 => {
            let Some(id) = of_scope(&client, scope, &found.id).await? else {
                return Err(Error::Server(conflict));
            };
            client.write(Method::PATCH, &path(&id)?, Some(&limits)).await?
        }
        answer => answer?,
    };
    show(context, &client, &answer).await
}

/// The id of the budget that a scope has.
async fn of_scope(client: &Client, scope: &str, scope_id: &str) -> Result<Option<String>, Error> {
    let filters = [("scope_type", scope), ("scope_id", scope_id)];
    let body = pages::by_page(client, "/token-budgets", &filters).await?;
    let found = rows_of(&body).iter().find(|row| row["scope_type"] == scope && row["scope_id"] == scope_id);
    Ok(found.and_then(|row| row["id"].as_str()).map(ToOwned::to_owned))
}

async fn list(context: &Context, paging: &Paging) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::named_project(context, &client).await?;
    let filters = given_parameters([("scope_id", project)]);
    let body = pages::list(&client, "/token-budgets", &borrowed(&filters), paging).await?;
    if !context.output.human() {
        return context.output.list(&body, COLUMNS, "No budgets.");
    }
    let columns = ["scope_type", "scope_id", "cost", "tokens", "enforcement", "id"];
    let rows: Vec<Value> = rows_of(&body).iter().map(told).collect();
    context.output.rows(&body, &rows, &columns, "No budgets.")
}

/// A budget as people read it in a table: `$0.03 of $5.00 (0%)`.
fn told(budget: &Value) -> Value {
    let used = |limit, spent, shown: fn(_) -> String| {
        let limit = fields::total(budget, limit)?;
        let spent = fields::total(budget, spent).unwrap_or_default();
        let percent = spent.percent_of(limit).unwrap_or_default().0;
        Some(format!("{} of {} ({percent}%)", shown(spent), shown(limit)))
    };
    let mut row = budget.clone();
    let cost = used("budget_millicents", "current_spend_millicents", figures::dollars);
    let held = set_aside(budget).map_or_else(String::new, |held| format!(", {held} set aside"));
    row["cost"] = cost.map(|cost| cost + &held).into();
    row["tokens"] = used("token_limit", "current_tokens", figures::tokens).into();
    row
}

/// A budget with its members, and below them as bars.
async fn show(context: &Context, client: &Client, body: &Value) -> Result<(), Error> {
    context.output.object(body, "token_budget")?;
    if !context.output.human() {
        return Ok(());
    }
    let budget = &body["token_budget"];
    // How it goes on is known of projects alone.
    let project = budget["scope_id"].as_str().filter(|_| budget["scope_type"] == "project");
    let trend = match project {
        Some(project) => trend(client, project).await?,
        None => None,
    };
    let trend = trend.as_ref().map(|trend| (trend, Utc::now().date_naive()));
    let lines = burn_lines(budget, trend, bars::width());
    if lines.is_empty() { Ok(()) } else { context.output.line(&format!("\n{}", lines.join("\n"))) }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("/token-budgets/{}", resolve::id("budget", id)?))
}
