//! `knowledge ingest|jobs`: what is known elsewhere, made drafts.

use std::path::Path;

use chrono::{DateTime, TimeDelta};
use clap::Args;
use reqwest::Url;
use serde_json::{Value, json};

use super::text_of;
use crate::client::Client;
use crate::commands::{given, not_blank};
use crate::context::Context;
use crate::error::Error;
use crate::layout::table::{Column, said};
use crate::output::rows_of;
use crate::{json_argument, output, progress, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A page (https://...), a file with text, or - for standard input
    #[arg(value_name = "URL|FILE|-")]
    source: String,
    /// What the drafts are said to come from (web_article of a page, else ingestion)
    #[arg(long, value_name = "TYPE")]
    source_type: Option<String>,
    /// What the drafts keep of it: JSON object or @file
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge ingest https://example.com/postmortem\n  \
    loopctl knowledge ingest notes.md --source-type session_log --project my-app\n  \
    git log -1 --format=%B | loopctl knowledge ingest -";

/// The most characters that are taken.
const LONGEST: usize = 500_000;
const LONGEST_TYPE: usize = 64;
/// A job ends, and is told, within the same moment.
const TOGETHER: TimeDelta = TimeDelta::seconds(2);
const TOLD: &[Column<'_>] = &[
    Column::time("inserted_at").called("when"),
    Column::status("state"),
    Column::text("source"),
    Column::number("article_count").called("drafts"),
    Column::text("skipped").called("known already").if_any(),
    Column::text("error").if_any(),
    Column::id("id"),
];
const COLUMNS: &[&str] =
    &["id", "state", "source_type", "url", "article_count", "inserted_at", "completed_at", "error"];

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    if let Some(kind) = &arguments.source_type
        && not_blank("--source-type", kind)?.chars().count() > LONGEST_TYPE
    {
        return Err(Error::Usage(format!("--source-type has more than {LONGEST_TYPE} characters")));
    }
    let metadata = arguments.metadata.map(|text| json_argument::object("--metadata", &text)).transpose()?;
    let (url, content) = match page(&arguments.source)? {
        Some(url) => (Some(url), None),
        None => (None, Some(text_of(Path::new(&arguments.source), LONGEST)?)),
    };
    let usual = if url.is_some() { "web_article" } else { "ingestion" };
    let client = context.client()?;
    let body = given([
        ("source_type", Some(arguments.source_type.unwrap_or_else(|| usual.to_owned()).into())),
        ("url", url.map(Value::from)),
        ("content", content.map(Value::from)),
        ("metadata", metadata),
        ("project_id", resolve::named_project(context, &client).await?.map(Value::from)),
    ]);
    let bar = progress::waiting("sending");
    let answer = client.post("/knowledge/ingest", Some(&body)).await?;
    bar.finish_and_clear();
    context.output.object(&answer, "data")?;
    if context.output.human() {
        output::note("note: it is read in the background: `loopctl knowledge jobs` says what becomes of it");
    }
    Ok(())
}

/// The address of a page, if it is one.
fn page(source: &str) -> Result<Option<String>, Error> {
    if !source.contains("://") {
        return Ok(None);
    }
    let url = Url::parse(source).ok().filter(|url| {
        ["http", "https"].contains(&url.scheme()) && url.username().is_empty() && url.password().is_none()
    });
    let Some(url) = url else {
        return Err(Error::Usage(
            "Invalid address: it must be http:// or https://, without a name and a password".to_owned(),
        ));
    };
    Ok(Some(url.into()))
}

pub(super) async fn jobs(context: &Context) -> Result<(), Error> {
    let client = context.client()?;
    let body = client.get("/knowledge/ingestion-jobs", &[]).await?;
    let mut rows: Vec<Value> = rows_of(&body).iter().map(job).collect();
    if context.output.human() && !rows.is_empty() {
        name_skipped(&client, &mut rows).await;
    }
    context.output.table(&body, &rows, COLUMNS, TOLD, "Nothing was ingested in the last 7 days.")
}

/// Which articles were not made, because there are such: the log has their titles, and jobs do not. Where the log cannot be read,
/// jobs are shown without.
async fn name_skipped(client: &Client, rows: &mut [Value]) {
    let since = rows.iter().filter_map(|row| row["inserted_at"].as_str()).min().unwrap_or_default();
    let query = [("since", since), ("action", "knowledge.content_ingested")];
    let Ok(log) = client.get("/changes", &query).await else { return };
    for row in rows {
        let told = rows_of(&log).iter().find(|entry| is_told(row, entry));
        let skipped = told.map(|entry| &entry["new_state"]["skipped_titles"]);
        row["skipped"] = skipped.map(said).unwrap_or_default().into();
    }
}

/// Whether an entry of the log is about the end of a job. It does not name the job, but what was made, of what, and when.
fn is_told(job: &Value, entry: &Value) -> bool {
    let time = |value: &Value| value.as_str().and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    let together = time(&job["completed_at"])
        .zip(time(&entry["inserted_at"]))
        .is_some_and(|(ended, told)| (ended - told).abs() <= TOGETHER);
    let state = &entry["new_state"];
    together && ["article_ids", "url", "source_type"].iter().all(|name| job[*name] == state[*name])
}

/// A job with what went wrong last.
fn job(row: &Value) -> Value {
    let mut row = row.clone();
    let last = row["errors"].as_array().and_then(|errors| errors.last());
    row["error"] = json!(last.map(|error| table::plain(&error["error"])));
    let url = table::plain(&row["url"]);
    row["source"] = if url.is_empty() { row["source_type"].clone() } else { url.into() };
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_of_the_job_that_ended_then() {
        let job = json!({"id": 12, "article_ids": [], "url": null, "source_type": "notes",
            "completed_at": "2026-11-30T05:23:59.362160Z"});
        let entry = |second: u32, ids: Value| {
            json!({"inserted_at": format!("2026-11-30T05:23:{second}.361Z"), "new_state": {"article_ids": ids, "url": null,
                "source_type": "notes", "skipped_titles": ["Notes"]}})
        };
        assert!(is_told(&job, &entry(59, json!([]))));
        assert!(!is_told(&job, &entry(50, json!([]))), "another one");
        assert!(!is_told(&job, &entry(59, json!(["a"]))));
        assert!(!is_told(&json!({"article_ids": []}), &json!({})));
    }

    #[test]
    fn pages_have_addresses() {
        assert_eq!(page("https://example.com/a b").unwrap().unwrap(), "https://example.com/a%20b");
        for file in ["notes.md", "-", "C:\\notes", "mailto:a@b"] {
            assert_eq!(page(file).unwrap(), None, "{file}");
        }
        for bad in ["ftp://example.com", "https://me@example.com", "https://", "file:///etc/passwd"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
