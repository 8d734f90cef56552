//! `cost-anomalies`: stories that stand out by what they cost.

use std::collections::HashMap;

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use super::NOTHING;
use super::fields::{money, named, text};
use crate::args::Paging;
use crate::client::Client;
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::layout::status::words;
use crate::layout::{Screen, times};
use crate::output::{footer, rows_of};
use crate::pages;
use crate::resolve::{self, Found};

#[derive(Debug, Args)]
pub(crate) struct AnomaliesArguments {
    /// Also those that were resolved
    #[arg(long)]
    include_resolved: bool,
    /// Note that the anomaly with this id was dealt with (user)
    #[arg(long, value_name = "ID", conflicts_with_all = ["include_resolved", "limit", "page"])]
    resolve: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

const ANOMALIES: &[&str] = &[
    "id",
    "anomaly_type",
    "story_id",
    "story_title",
    "deviation_factor",
    "story_cost_millicents",
    "reference_avg_millicents",
    "resolved",
];

/// What else people read where there are none.
const NONE_OPEN: &str = "No open anomalies (--include-resolved shows the others; a job looks every night)";
const NONE: &str = "No anomalies (a job looks every night)";

pub(crate) async fn anomalies(context: &Context, arguments: AnomaliesArguments) -> Result<(), Error> {
    if let Some(id) = arguments.resolve {
        let path = format!("/cost-anomalies/{}", resolve::id("anomaly", &id)?);
        let answer = context.client()?.write(Method::PATCH, &path, None).await?;
        return context.output.object(&answer, "cost_anomaly");
    }
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "The list of anomalies").await?;
    let body = if arguments.include_resolved {
        with_resolved(&client, &project, &arguments.paging).await?
    } else {
        let filters = [("project_id", project.id.as_str())];
        pages::list(&client, "/cost-anomalies", &filters, &arguments.paging).await?
    };
    if !context.output.human() {
        let rows: Vec<Value> = rows_of(&body).iter().map(|row| named(row, ANOMALIES)).collect();
        return context.output.rows(&body, &rows, ANOMALIES, NOTHING);
    }
    let rows = rows_of(&body);
    if rows.is_empty() && body["meta"]["total_count"].as_u64().unwrap_or(0) == 0 {
        let hint = if arguments.include_resolved { NONE } else { NONE_OPEN };
        return context.output.line(&format!("{NOTHING}\n{hint}"));
    }
    let numbers = if rows.is_empty() { HashMap::new() } else { numbers(&client, &project, rows).await? };
    if rows.is_empty() {
        return context.output.rows(&body, rows, ANOMALIES, NOTHING);
    }
    let mut block = Block::new(context.output.screen());
    block.heading("", "Cost Anomalies");
    for row in rows {
        tell(&mut block, row, &numbers, context.output.screen());
    }
    block.blank();
    block.line(footer(&body, rows.len()));
    context.output.block(block)
}

/// An anomaly as people read it.
fn tell(block: &mut Block<'_>, row: &Value, numbers: &HashMap<String, String>, screen: &Screen) {
    let number = numbers.get(&text(row, "story_id")).map_or("", String::as_str);
    block.blank();
    block.heading(number, &text(row, "story_title"));
    let resolved = if row["resolved"] == true { "yes" } else { "" };
    block.facts(&[
        Fact::new("type", words(&text(row, "anomaly_type"))),
        Fact::new("cost", money(row, "story_cost_millicents")),
        Fact::new("compared with", compared(row)),
        Fact::new("factor", text(row, "deviation_factor")),
        Fact::new("found", times::told(&text(row, "inserted_at"), screen)),
        Fact::new("resolved", resolved),
        Fact::new("id", text(row, "id")),
    ]);
}

/// With what its cost was compared: `project median $0.90`.
fn compared(row: &Value) -> String {
    let what = match row["metadata"]["baseline"].as_str() {
        Some("project") => "project median ",
        Some("epic") => "epic mean ",
        Some("budget") if row["metadata"]["budget_id"].is_null() => "tenant's budget ",
        Some("budget") => "budget ",
        _ if row["anomaly_type"] == "claim_mismatch" => "measured ",
        _ => "",
    };
    format!("{what}{}", money(row, "reference_avg_millicents"))
}

/// The numbers of the stories that stand out.
async fn numbers(client: &Client, project: &Found, rows: &[Value]) -> Result<HashMap<String, String>, Error> {
    let mut numbers = HashMap::new();
    let of_project = [("project_id", project.id.as_str())];
    pages::each_of_stories(client, &of_project, |page| {
        let stories =
            rows_of(&page).iter().filter(|story| rows.iter().any(|row| row["story_id"] == story["id"]));
        numbers.extend(stories.map(|story| (text(story, "id"), text(story, "number"))));
    })
    .await?;
    Ok(numbers)
}

/// Anomalies that were resolved, and those that were not. A server that does not know that both may be asked for at once has
/// left out the first.
async fn with_resolved(client: &Client, project: &Found, paging: &Paging) -> Result<Value, Error> {
    let path = "/cost-anomalies";
    let of_project = ("project_id", project.id.as_str());
    let mut body = pages::list(client, path, &[of_project, ("include_resolved", "true")], paging).await?;
    if paging.is_given() || rows_of(&body).iter().any(|row| row["resolved"] == true) {
        return Ok(body);
    }
    let resolved = pages::by_page(client, path, &[of_project, ("resolved", "true")]).await?;
    if rows_of(&resolved).is_empty() {
        return Ok(body);
    }
    let mut rows = [rows_of(&body), rows_of(&resolved)].concat();
    rows.sort_by_key(|row| std::cmp::Reverse(text(row, "inserted_at")));
    body["meta"] = json!({"page": 1, "page_size": rows.len(), "total_count": rows.len(), "total_pages": 1});
    body["data"] = rows.into();
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_anomaly_says_what_it_was_compared_with() {
        let compared = |kind: &str, metadata: Value| {
            compared(&json!({"anomaly_type": kind, "metadata": metadata, "reference_avg_millicents": 90_000}))
        };
        let baseline = |baseline: &str| json!({ "baseline": baseline });
        assert_eq!(compared("high_cost", baseline("project")), "project median $0.90");
        assert_eq!(compared("suspiciously_low", baseline("epic")), "epic mean $0.90");
        let of_budget = json!({"baseline": "budget", "budget_id": "b"});
        assert_eq!(compared("budget_exceeded", of_budget), "budget $0.90");
        let of_tenant = json!({"baseline": "budget", "budget_id": null});
        assert_eq!(compared("budget_exceeded", of_tenant), "tenant's budget $0.90");
        assert_eq!(compared("claim_mismatch", json!({})), "measured $0.90");
        assert_eq!(compared("high_cost", Value::Null), "$0.90");
    }
}
