//! `loopctl operator jobs …`: what is done in the background, and one of it now.

use chrono::NaiveDate;
use clap::Subcommand;
use loopctl_server::operator::{list_jobs, run_job};
use serde_json::{Map, Value, json};

use super::{DatabaseArguments, Failure, close, open};
use crate::error::Error;
use crate::layout::table::Column;
use crate::output::{Output, rows_of};
use crate::{json_argument, progress};

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
        /// The first day that it is about, in UTC: 2026-11-01
        #[arg(long, value_name = "DAY")]
        from: Option<NaiveDate>,
        /// The last one; that of --from if nothing is said
        #[arg(long, value_name = "DAY", requires = "from")]
        to: Option<NaiveDate>,
        /// What it is told besides, as a JSON object, @file or -: {"retention_days": 30}
        #[arg(long, value_name = "JSON")]
        args: Option<String>,
    },
}

/// As many days as one job is about.
const MOST_DAYS: i64 = 366;

/// What a job is told besides what those of the schedule are told.
fn told(
    args: Option<&str>,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
) -> Result<Map<String, Value>, String> {
    let args = args.map(|args| json_argument::object("--args", args)).transpose();
    let mut told = match args.map_err(|error| error.to_line())? {
        Some(Value::Object(told)) => told,
        _ => Map::new(),
    };
    for (option, name, day) in [("--from", "period_start", from), ("--to", "period_end", to)] {
        let Some(day) = day else { continue };
        if told.insert(name.to_owned(), day.to_string().into()).is_some() {
            return Err(format!("{option} and {name} of --args are the same: give one of them"));
        }
    }
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
        Command::Run { database, kind, tenant, from, to, args } => {
            let told = told(args.as_deref(), *from, *to).map_err(Failure::Setting)?;
            let database = open(database).await?;
            let bar = progress::waiting(format!("doing {kind}"));
            let job = run_job(&database, kind, tenant.as_deref(), &told).await.map(|job| json!({"job": job}));
            bar.finish_and_clear();
            close(database, job.map_err(Failure::Operator)).await
        }
    }
}

/// Prints the kinds of jobs.
pub(super) fn list(body: &Value, output: &Output) -> Result<(), Error> {
    output.table(body, rows_of(body), COLUMNS, TOLD, "There are no jobs.")
}

/// Why a job that was run has not done what it was to, if it has not.
pub(super) fn failed(body: &Value) -> Option<String> {
    let job = body.get("job").filter(|job| job["state"] != "completed")?;
    Some(format!("{} failed: {}", text(&job["kind"]), text(&job["error"])))
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
            ("[]", "Invalid JSON in --args: it must be an object"),
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
            assert_eq!(told(Some(args), None, None).unwrap_err(), why, "{args}");
        }
        for args in [
            "{}",
            r#"{"batch": 5}"#,
            r#"{"period_start": "2026-01-01"}"#,
            r#"{"period_start": "2026-01-01", "period_end": null}"#,
            r#"{"period_start": "2025-01-01", "period_end": "2026-01-01"}"#,
        ] {
            assert!(told(Some(args), None, None).is_ok(), "{args}");
        }
    }

    #[test]
    fn days_are_options_or_arguments() {
        let day = |text: &str| Some(text.parse().unwrap());
        let both = told(Some(r#"{"batch": 5}"#), day("2026-11-01"), day("2026-11-30")).unwrap();
        assert_eq!(
            Value::from(both),
            json!({"batch": 5, "period_start": "2026-11-01", "period_end": "2026-11-30"})
        );
        assert_eq!(
            Value::from(told(None, day("2026-11-01"), None).unwrap()),
            json!({"period_start": "2026-11-01"})
        );
        assert_eq!(told(None, None, None).unwrap(), Map::new());
        let twice = told(Some(r#"{"period_start": "2026-11-01"}"#), day("2026-11-01"), None);
        assert_eq!(twice.unwrap_err(), "--from and period_start of --args are the same: give one of them");
        let turned = told(None, day("2026-11-02"), day("2026-11-01")).unwrap_err();
        assert!(turned.contains("must not be before"), "{turned}");
    }
}
