//! `knowledge lint`: what is wrong with the wiki.

use clap::Args;
use serde_json::{Value, json};

use super::{of_project, text};
use crate::client::borrowed;
use crate::commands::given_parameters;
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::Format;
use crate::table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// After so many days without a change an article is stale (90)
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    stale_days: Option<u32>,
    /// How many articles each category should have (3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2_147_483_647))]
    min_coverage: Option<u32>,
    /// At most so many findings of each kind (50)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    max_per_category: Option<u32>,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge lint --format human\n  \
    loopctl knowledge lint --project my-app --stale-days 30 --format csv";

/// Kinds of findings, in the order in which they are shown.
const KINDS: &[&str] =
    &["contradiction_clusters", "broken_sources", "stale_articles", "orphan_articles", "coverage_gaps"];
const TOLD: &[Column<'_>] = &[
    Column::word("kind"),
    Column::status("severity"),
    Column::text("what"),
    Column::text("suggested_action").called("what helps"),
    Column::id("article_id"),
];
const COLUMNS: &[&str] = &["kind", "severity", "what", "article_id", "suggested_action"];

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let client = context.client()?;
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let query = given_parameters([
        ("stale_days", number(arguments.stale_days)),
        ("min_coverage", number(arguments.min_coverage)),
        ("max_per_category", number(arguments.max_per_category)),
    ]);
    let path = of_project(context, &client, "lint").await?;
    let body = client.get(&path, &borrowed(&query)).await?;
    let rows = rows(&body);
    match context.output.format() {
        Format::Json => context.output.json(&body),
        Format::Csv => context.output.line(&table::csv(COLUMNS, &table::cells(COLUMNS, &rows))),
        Format::Human => {
            if !rows.is_empty() {
                context.output.columns(TOLD, &rows)?;
            }
            context.output.line(&table::one_line(&sum(&body)))
        }
    }
}

/// Findings of all kinds, a row each.
fn rows(body: &Value) -> Vec<Value> {
    let of = |kind: &&str| {
        let found = body["data"][*kind].as_array().cloned().unwrap_or_default();
        let kind = (*kind).to_owned();
        found.into_iter().map(move |mut row| {
            let what = what(&row);
            row["kind"] = json!(kind);
            row["what"] = json!(what);
            if row["article_id"].is_null() {
                row["article_id"] = json!(text_of_all(&row["article_ids"]));
            }
            row
        })
    };
    KINDS.iter().flat_map(of).collect()
}

/// What a finding is about.
fn what(row: &Value) -> String {
    if row["titles"].is_array() {
        return text_of_all(&row["titles"]);
    }
    if row["current_count"].is_number() {
        return format!("{}: {} of {}", text(row, "category"), row["current_count"], row["threshold"]);
    }
    match row["days_since_update"].as_i64() {
        Some(days) => format!("{} ({days} days)", text(row, "title")),
        None => text(row, "title").to_owned(),
    }
}

fn text_of_all(texts: &Value) -> String {
    let texts = texts.as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().map(table::plain).collect::<Vec<_>>().join(", ")
}

/// `7 issues in 12 articles: 5 coverage_gaps, 2 stale_articles`
fn sum(body: &Value) -> String {
    let summary = &body["summary"];
    let counts: Vec<String> = KINDS
        .iter()
        .filter_map(|kind| {
            Some((kind, summary["total_per_category"][*kind].as_u64().filter(|count| *count > 0)?))
        })
        .map(|(kind, count)| {
            let part = if summary["truncated"][*kind] == true { " (of which some are shown)" } else { "" };
            format!("{count} {kind}{part}")
        })
        .collect();
    let whole = format!(
        "{} issues in {} articles",
        table::plain(&summary["total_issues"]),
        table::plain(&summary["total_articles"])
    );
    if counts.is_empty() { whole } else { format!("{whole}: {}", counts.join(", ")) }
}
