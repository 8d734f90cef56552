//! `loopctl operator jobs …`: what is done in the background, and one of it now.

use clap::Subcommand;
use loopctl_server::operator::{list_jobs, run_job};
use serde_json::{Map, Value, json};

use super::{DatabaseArguments, Failure, close, open};
use crate::output::{self, Format, Output};

/// Columns for people. The next fire and the last end are what is looked for first.
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

fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "it is no JSON object".to_owned())
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
        _ => output.list(body, COLUMNS, "There are no jobs."),
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
