//! `budget set|list|show|delete`: what may be spent.

mod limits;
mod names;

use chrono::Utc;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use self::limits::{Unit, amount};
use self::names::Names;
use super::cost::{burn_lines, fields, set_aside, trend};
use super::{changes, one_of};
use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::output::{footer, note, rows_of};
use crate::resolve::Found;
use crate::table::plain;
use crate::{figures, pages, resolve, terminal};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set a budget, or change the one that is there (orchestrator; to lift one that blocks: user)
    Set(Setting),
    /// List budgets; with a project only those of it, of its epics and stories, and of agents
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

#[derive(Debug, Args)]
pub(crate) struct Setting {
    /// What is limited: project, per_story, per_epic, per_agent (each of a project by itself), story, epic or agent
    #[arg(long)]
    scope: String,
    /// How much may be spent, in --unit; none removes that limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    limit: Option<String>,
    /// The story, epic or agent: id, number or name
    #[arg(long, value_name = "REF")]
    scope_id: Option<String>,
    /// What --limit counts: tokens, dollars (0.05), or millicents, of which 100000 are a dollar. The other limit stays
    #[arg(long, default_value = "tokens")]
    unit: String,
    /// How many tokens may be read, or none
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    input_limit: Option<String>,
    /// How many tokens may be written, or none
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    output_limit: Option<String>,
    /// Percentage at which a warning is given (80)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u64).range(1..=100))]
    threshold: Option<u64>,
    /// warn, or block: no story is reported as done beyond the limit; claims are refused only with --reserve
    #[arg(long)]
    enforcement: Option<String>,
    /// What a claim of a story sets aside, or none: millicents, or dollars with --unit dollars
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    reserve: Option<String>,
}

/// Scopes that a project has, and those of one thing.
const OF_PROJECT: &[&str] = &["project", "per_story", "per_epic", "per_agent"];
const SCOPES: &[&str] =
    &["project", "per_project", "per_story", "per_epic", "per_agent", "story", "epic", "agent"];
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
    "reserve_millicents",
];
/// What people read of a budget in a list, below what it is of.
const TOLD: &[&str] =
    &["cost", "tokens", "input", "output", "warning", "enforcement", "reserve", "top target", "id"];
const NONE: &str = "No budgets.";
/// The page of a list that says nothing of its size.
const USUAL_PAGE: u32 = 20;

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Set(setting) => set(context, setting).await,
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

impl Setting {
    /// The scope in the server's words: a project has one budget as a whole, by either name.
    fn scope(&self) -> Result<&str, Error> {
        one_of("scope", &self.scope, SCOPES)?;
        let scope = if self.scope == "per_project" { "project" } else { self.scope.as_str() };
        if !OF_PROJECT.contains(&scope) && self.scope_id.is_none() {
            return Err(Error::Usage(format!("--scope {scope} needs --scope-id: which {scope}")));
        }
        Ok(scope)
    }

    /// The members that were given; what is to be removed is null.
    fn limits(&self) -> Result<Map<String, Value>, Error> {
        one_of("unit", &self.unit, Unit::WORDS)?;
        if let Some(word) = &self.enforcement {
            one_of("enforcement", word, ENFORCEMENTS)?;
        }
        let unit = Unit::of(&self.unit);
        let read = |option: &str, text: &Option<String>, unit| {
            text.as_ref().map(|text| amount(option, text, unit)).transpose()
        };
        let member = if unit == Unit::Tokens { "token_limit" } else { "budget_millicents" };
        let limits = changes([
            (member, read("--limit", &self.limit, unit)?),
            ("budget_input_tokens", read("--input-limit", &self.input_limit, Unit::Tokens)?),
            ("budget_output_tokens", read("--output-limit", &self.output_limit, Unit::Tokens)?),
            ("alert_threshold_pct", self.threshold.map(Value::from)),
            ("enforcement", self.enforcement.clone().map(Value::from)),
            ("reserve_millicents", read("--reserve", &self.reserve, unit.of_money())?),
        ])?;
        Ok(limits.as_object().cloned().unwrap_or_default())
    }
}

/// Changes the budget that there is, or makes one. It is looked for first, because whoever may change one may not make every one.
async fn set(context: &Context, setting: Setting) -> Result<(), Error> {
    let (scope, limits) = (setting.scope()?, setting.limits()?);
    let client = context.client()?;
    let found = match (scope, &setting.scope_id) {
        ("story", Some(reference)) => resolve::story(context, &client, reference).await?,
        ("epic", Some(reference)) => resolve::epic(context, &client, reference).await?,
        ("agent", Some(reference)) => resolve::agent(&client, reference).await?,
        (_, Some(reference)) => resolve::project(&client, reference).await?,
        (_, None) => resolve::project_for(context, &client, &format!("A budget {scope}")).await?,
    };
    let mut known = of_scope(&client, scope, &found.id).await?;
    if known.is_none() {
        match create(&client, scope, &found.id, &limits).await {
            // Somebody was first.
            Err(Error::Server(conflict)) if conflict.status == 409 => {
                known = of_scope(&client, scope, &found.id).await?;
                if known.is_none() {
                    return Err(Error::Server(conflict));
                }
            }
            created => return show(context, &client, &created?).await,
        }
    }
    let budget = known.unwrap_or_default();
    let path = path(budget["id"].as_str().unwrap_or_default())?;
    let changed = client.write(Method::PATCH, &path, Some(&limits.clone().into())).await?;
    if let Some(beside) = stays(&budget, &limits).filter(|_| context.output.human()) {
        note(&format!("note: the limit of {beside} stays beside it"));
    }
    show(context, &client, &changed).await
}

async fn create(
    client: &Client,
    scope: &str,
    scope_id: &str,
    limits: &Map<String, Value>,
) -> Result<Value, Error> {
    let mut budget =
        Map::from_iter([("scope_type".to_owned(), scope.into()), ("scope_id".to_owned(), scope_id.into())]);
    let given = limits.iter().filter(|(_, value)| !value.is_null());
    budget.extend(given.map(|(member, value)| (member.clone(), value.clone())));
    if !["token_limit", "budget_millicents"].iter().any(|limit| budget.contains_key(*limit)) {
        return Err(Error::Usage("There is no such budget yet: --limit says how much it allows".to_owned()));
    }
    client.post("/token-budgets", Some(&budget.into())).await
}

/// The limit that a budget has already, where one of another kind is added.
fn stays(budget: &Value, limits: &Map<String, Value>) -> Option<String> {
    let is_added =
        |limit: &str| budget[limit].is_null() && limits.get(limit).is_some_and(|limit| !limit.is_null());
    if is_added("token_limit") {
        return fields::total(budget, "budget_millicents").map(figures::dollars);
    }
    let tokens = fields::total(budget, "token_limit").filter(|_| is_added("budget_millicents"))?;
    Some(format!("{} tokens", figures::tokens(tokens)))
}

/// The budget that a scope has.
async fn of_scope(client: &Client, scope: &str, scope_id: &str) -> Result<Option<Value>, Error> {
    let filters = [("scope_type", scope), ("scope_id", scope_id)];
    let body = pages::by_page(client, "/token-budgets", &filters).await?;
    let found = rows_of(&body).iter().find(|row| row["scope_type"] == scope && row["scope_id"] == scope_id);
    Ok(found.cloned())
}

async fn list(context: &Context, paging: &Paging) -> Result<(), Error> {
    let client = context.client()?;
    let project = resolve::configured_project(context, &client).await?;
    let (body, names) = match &project {
        Some(project) => {
            let (body, names) = of_project(&client, project, paging).await?;
            (body, Some(names))
        }
        None => (pages::list(&client, "/token-budgets", &[], paging).await?, None),
    };
    if !context.output.human() {
        return context.output.list(&body, COLUMNS, NONE);
    }
    let names = match names {
        Some(names) => names,
        None => Names::of_list(&client, rows_of(&body), None).await?,
    };
    let rows: Vec<Value> = rows_of(&body).iter().map(|budget| told(budget, &names)).collect();
    if rows.is_empty() {
        return context.output.rows(&body, &rows, COLUMNS, NONE);
    }
    let mut block = Block::new(context.output.screen());
    for row in &rows {
        block.blank();
        block.heading("", &plain(&row["scope"]));
        block.facts(&TOLD.iter().map(|name| Fact::new(*name, plain(&row[*name]))).collect::<Vec<_>>());
    }
    block.blank();
    block.line(footer(&body, rows.len()));
    context.output.block(block)
}

/// The budgets of a project and of what is in it, with agents, which may work in any: no filter of the server's says that.
async fn of_project(client: &Client, project: &Found, paging: &Paging) -> Result<(Value, Names), Error> {
    let mut body = pages::by_page(client, "/token-budgets", &[]).await?;
    let names = Names::of_list(client, rows_of(&body), Some(project)).await?;
    let rows = rows_of(&body).iter().filter(|row| row["scope_type"] == "agent" || names.know(row));
    let mut rows: Vec<Value> = rows.cloned().collect();
    let (count, mut page, mut size) = (rows.len(), 1, rows.len().max(1));
    if paging.is_given() {
        size = paging.limit.unwrap_or(USUAL_PAGE) as usize;
        page = paging.page.unwrap_or(1) as usize;
        rows = rows.into_iter().skip((page - 1).saturating_mul(size)).take(size).collect();
    }
    body["meta"] =
        json!({"page": page, "page_size": size, "total_count": count, "total_pages": count.div_ceil(size)});
    body["data"] = rows.into();
    Ok((body, names))
}

/// A budget as people read it in a table: `$0.03 of $5.00 (0%)`.
fn told(budget: &Value, names: &Names) -> Value {
    let used = |limit, spent, shown: fn(_) -> String| {
        let limit = fields::total(budget, limit)?;
        let spent = fields::total(budget, spent).unwrap_or_default();
        let percent = spent.percent_of(limit).unwrap_or_default().0;
        Some(format!("{} of {} ({percent}%)", shown(spent), shown(limit)))
    };
    let limit = |name, shown: fn(_) -> String| fields::total(budget, name).map(shown);
    let cost = used("budget_millicents", "current_spend_millicents", figures::dollars);
    let held = set_aside(budget).map_or_else(String::new, |held| format!(", {held} set aside"));
    json!({
        "scope": names.scope(budget),
        "top target": names.top_target(budget),
        "cost": cost.map(|cost| cost + &held),
        "tokens": used("token_limit", "current_tokens", figures::tokens),
        "input": limit("budget_input_tokens", figures::tokens),
        "output": limit("budget_output_tokens", figures::tokens),
        "warning": fields::percent(budget, "alert_threshold_pct"),
        "enforcement": budget["enforcement"],
        "reserve": limit("reserve_millicents", figures::dollars),
        "id": budget["id"],
    })
}

/// A budget with its members, and below them as bars.
async fn show(context: &Context, client: &Client, body: &Value) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.object(body, "token_budget");
    }
    let budget = &body["token_budget"];
    let names = Names::of_one(client, budget).await?;
    let mut told = Map::from_iter([("scope".to_owned(), names.scope(budget).into())]);
    told.extend(budget.as_object().cloned().unwrap_or_default());
    if let Some(target) = names.top_target(budget) {
        told.insert("top_target".to_owned(), target.into());
    }
    context.output.object(&told.into(), "")?;
    // How it goes on is known of projects alone.
    let project = budget["scope_id"].as_str().filter(|_| budget["scope_type"] == "project");
    let trend = match project {
        Some(project) => trend(client, project).await?,
        None => None,
    };
    let trend = trend.as_ref().map(|trend| (trend, Utc::now().date_naive()));
    let lines = burn_lines(budget, trend, terminal::width());
    if lines.is_empty() { Ok(()) } else { context.output.line(&format!("\n{}", lines.join("\n"))) }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("/token-budgets/{}", resolve::id("budget", id)?))
}
