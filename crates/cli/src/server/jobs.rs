//! `loopctl operator jobs …`: what is done in the background, and one of it now.

use chrono::NaiveDate;
use clap::Subcommand;
use loopctl_server::operator::{list_jobs, run_job};
use serde_json::{Map, Value, json};

use super::{DatabaseArguments, Failure, close, open};
use crate::layout::table::Column;
use crate::output::{self, Format, Output, rows_of};

/// What people see of them: the next fire and the last end are what is looked for first, and a kind is what `jobs run` takes.
const TOLD: &[Column<'_>] = &[
    Column::reference("kind"),
    Column::text("schedule"),
    Column::time("next_at"),
    Column::time("last_success_at").called("done"),
    Column::number("waiting"),
    Column::number("failed"),
    Column::text("last_error").called("error").if_any(),
];
const COLUMNS: &[&str] = &[
    "kind",
    "schedule",
    "next_at",
    "last_started_at",
    "last_success_at",
    "waiting",
    "running",
    "failed",
    "last_error",
];

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// What is done in the background, when, and what has become of it
    List(DatabaseArguments),
    /// Do one of it now, and wait for its end (exit 1 when it fails)
    Run {
        #[command(flatten)]
        database: DatabaseArguments,
        /// Which, as `list` calls it
        #[arg(value_name = "KIND")]
        kind: String,
        /// For which tenant: id or slug
        #[arg(long, value_name = "REF")]
        tenant: Option<String>,
        /// What it is told besides, as a JSON object: {"period_start": "2026-11-01", "period_end": "2026-11-30"}
        #[arg(long, value_name = "JSON", value_parser = object)]
        args: Option<Map<String, Value>>,
    },
}

/// As many days as one job is about.
const MOST_DAYS: i64 = 366;

fn object(text: &str) -> Result<Map<String, Value>, String> {
    let told: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "it is no JSON object".to_owned())?;
    period(&told)?;
    Ok(told)
}

/// Checks the days that a job is told to be about: what is no period would mean yesterday.
fn period(told: &Map<String, Value>) -> Result<(), String> {
    let day = |name: &str| match told.get(name).filter(|day| !day.is_null()) {
        None => Ok(None),
        Some(Value::String(text)) if text.len() == 10 && text.parse::<NaiveDate>().is_ok() => {
            Ok(text.parse::<NaiveDate>().ok())
        }
        Some(other) => Err(format!("{name} must be a day such as \"2026-11-30\": it is {other}")),
    };
    match (day("period_start")?, day("period_end")?) {
        (None, Some(_)) => Err("period_end needs period_start".to_owned()),
        (Some(first), Some(last)) if last < first => {
            Err(format!("period_end ({last}) must not be before period_start ({first})"))
        }
        (Some(first), Some(last)) if (last - first).num_days() >= MOST_DAYS => {
            Err(format!("from period_start to period_end are more than {MOST_DAYS} days"))
        }
        _ => Ok(()),
    }
}

/// Runs the command. Its result is JSON: `jobs`, or a `job`.
pub(super) async fn run(command: &Command) -> Result<Value, Failure> {
    match command {
        Command::List(arguments) => {
            let database = open(arguments).await?;
            let jobs = list_jobs(&database).await.map(|jobs| json!({"jobs": jobs}));
            close(database, jobs.map_err(Failure::Operator)).await
        }
        Command::Run { database, kind, tenant, args } => {
            let database = open(database).await?;
            let told = args.clone().unwrap_or_default();
            let job = run_job(&database, kind, tenant.as_deref(), &told).await.map(|job| json!({"job": job}));
            close(database, job.map_err(Failure::Operator)).await
        }
    }
}

/// Prints what [`run`] gave, in the format that is wanted; the exit code.
pub(crate) fn print(body: &Value, format: Format) -> u8 {
    let output = Output::new(format, false);
    let printed = match body.get("job") {
        Some(job) if format != Format::Json => output.object(job, ""),
        _ => output.table(body, rows_of(body), COLUMNS, TOLD, "There are no jobs."),
    };
    if let Err(error) = printed {
        return error.report(format);
    }
    match body.get("job").filter(|job| job["state"] != "completed") {
        Some(job) => {
            output::note(&format!("Error: {} failed: {}", text(&job["kind"]), text(&job["error"])));
            1
        }
        None => 0,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_one_or_it_is_refused() {
        for (args, why) in [
            ("[]", "it is no JSON object"),
            (
                r#"{"period_start": "2026-1-1"}"#,
                "period_start must be a day such as \"2026-11-30\": it is \"2026-1-1\"",
            ),
            (
                r#"{"period_start": "2026-02-30"}"#,
                "period_start must be a day such as \"2026-11-30\": it is \"2026-02-30\"",
            ),
            (
                r#"{"period_start": 20260101}"#,
                "period_start must be a day such as \"2026-11-30\": it is 20260101",
            ),
            (r#"{"period_end": "2026-01-01"}"#, "period_end needs period_start"),
            (
                r#"{"period_start": "2026-01-02", "period_end": "2026-01-01"}"#,
                "period_end (2026-01-01) must not be before period_start (2026-01-02)",
            ),
            (
                r#"{"period_start": "2025-01-01", "period_end": "2026-01-02"}"#,
                "from period_start to period_end are more than 366 days",
            ),
        ] {
            assert_eq!(object(args).unwrap_err(), why, "{args}");
        }
        for args in [
            "{}",
            r#"{"batch": 5}"#,
            r#"{"period_start": "2026-01-01"}"#,
            r#"{"period_start": "2026-01-01", "period_end": null}"#,
            r#"{"period_start": "2025-01-01", "period_end": "2026-01-01"}"#,
        ] {
            assert!(object(args).is_ok(), "{args}");
        }
    }
}
