//! `ui-test start|finding|complete|list|show`: runs of a user interface test and what they found.

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::args::Paging;
use crate::commands::{given, not_blank};
use crate::context::Context;
use crate::error::Error;
use crate::layout::block::{Block, Fact};
use crate::layout::table::Column;
use crate::output::rows_of;
use crate::{pages, resolve, table};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a run
    Start {
        /// Guide that the run follows
        #[arg(long, value_name = "TEXT")]
        guide_reference: Option<String>,
        /// Anything worth knowing
        #[arg(long, value_name = "TEXT")]
        notes: Option<String>,
    },
    /// Add a finding to an open run
    Finding(Finding),
    /// End a run
    Complete {
        /// Id of the run
        run: String,
        /// What the run says
        #[arg(long, value_name = "TEXT")]
        summary: String,
        /// How the run ended; decided by the findings when absent
        #[arg(long, value_parser = ["passed", "failed"])]
        status: Option<String>,
    },
    /// List the runs of a project
    List {
        /// Only runs with this status
        #[arg(long, value_parser = ["running", "passed", "failed", "cancelled"])]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a run and its findings
    Show {
        /// Id of the run
        run: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Finding {
    /// Id of the run
    run: String,
    /// How bad it is
    #[arg(long, value_parser = ["bug", "enhancement", "blocker"])]
    severity: String,
    /// What is wrong, in a few words
    #[arg(long, value_name = "TEXT")]
    title: String,
    /// How to get there
    #[arg(long, value_name = "TEXT")]
    steps: Option<String>,
    /// What should happen
    #[arg(long, value_name = "TEXT")]
    expected: Option<String>,
    /// What happens
    #[arg(long, value_name = "TEXT")]
    actual: Option<String>,
    /// Where a screenshot lies
    #[arg(long, value_name = "PATH")]
    screenshot_path: Option<String>,
}

const COLUMNS: &[&str] = &[
    "id",
    "status",
    "guide_reference",
    "findings_count",
    "critical_count",
    "high_count",
    "started_at",
    "completed_at",
];

const TOLD: &[Column<'_>] = &[
    Column::text("guide_reference").called("guide"),
    Column::status("status"),
    Column::number("findings_count").called("findings"),
    Column::number("critical_count").called("critical").if_wide(),
    Column::number("high_count").called("high").if_wide(),
    Column::time("started_at"),
    Column::time("completed_at").if_wide(),
    Column::reference("id"),
];

pub(crate) async fn run(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Start { guide_reference, notes } => {
            let body = given([
                ("guide_reference", guide_reference.map(Value::from)),
                ("notes", notes.map(Value::from)),
            ]);
            let client = context.client()?;
            let project = resolve::project_for(context, &client, "ui-test start").await?;
            let answer = client.post(&format!("/projects/{}/ui_test_runs", project.id), Some(&body)).await?;
            context.output.object(&answer, "data")
        }
        Command::Finding(arguments) => finding(context, arguments).await,
        Command::Complete { run, summary, status } => {
            let path = format!("{}/complete", path(&run)?);
            let summary = not_blank("--summary", &summary)?;
            let body = given([("summary", Some(summary.into())), ("status", status.map(Value::from))]);
            let answer = context.client()?.post(&path, Some(&body)).await?;
            show(context, &answer)
        }
        Command::List { status, paging } => {
            let client = context.client()?;
            let project = resolve::project_for(context, &client, "ui-test list").await?;
            let filters = status.as_ref().map(|status| ("status", status.as_str()));
            let path = format!("/projects/{}/ui_test_runs", project.id);
            let body = pages::list(&client, &path, &Vec::from_iter(filters), &paging).await?;
            context.output.table(&body, rows_of(&body), COLUMNS, TOLD, "No runs.")
        }
        Command::Show { run } => {
            let answer = context.client()?.get(&path(&run)?, &[]).await?;
            show(context, &answer)
        }
    }
}

fn path(run: &str) -> Result<String, Error> {
    Ok(format!("/ui_test_runs/{}", resolve::id("run", run)?))
}

async fn finding(context: &Context, arguments: Finding) -> Result<(), Error> {
    let path = format!("{}/findings", path(&arguments.run)?);
    let body = given([
        ("severity", Some(arguments.severity.into())),
        ("title", Some(not_blank("--title", &arguments.title)?.into())),
        ("steps", arguments.steps.map(Value::from)),
        ("expected", arguments.expected.map(Value::from)),
        ("actual", arguments.actual.map(Value::from)),
        ("screenshot_path", arguments.screenshot_path.map(Value::from)),
    ]);
    let answer = context.client()?.post(&path, Some(&body)).await?;
    if context.output.is_json() {
        return context.output.json(&answer);
    }
    // The run stands beside the finding, whole. Its count is what matters here.
    let mut finding = answer["data"].clone();
    if let Some(members) = finding.as_object_mut() {
        members.insert("findings_of_the_run".to_owned(), answer["ui_test_run"]["findings_count"].clone());
    }
    context.output.object(&finding, "")
}

/// People get the findings below the run, each with what is known of it.
fn show(context: &Context, body: &Value) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.object(body, "data");
    }
    let mut run = body["data"].clone();
    let findings = run.as_object_mut().and_then(|run| run.shift_remove("findings")).unwrap_or_default();
    context.output.object(&run, "")?;
    let mut block = Block::new(context.output.screen());
    found(&mut block, rows_of(&findings));
    context.output.block(block)
}

fn found(block: &mut Block<'_>, findings: &[Value]) {
    block.line(String::new());
    if findings.is_empty() {
        return block.line("No findings.".to_owned());
    }
    for (number, finding) in (1..).zip(findings.iter().map(finding_row)) {
        let of = |name: &str| table::plain(&finding[name]);
        block.blank();
        block.heading(&format!("{number}."), &of("title"));
        block.facts(&[
            Fact::status("severity", of("severity")),
            Fact::new("steps", of("steps")),
            Fact::new("expected", of("expected")),
            Fact::new("actual", of("actual")),
            Fact::new("screenshot", of("screenshot_path")),
        ]);
    }
}

/// Findings of the other kind of client have a step and a description instead of steps and a title.
fn finding_row(finding: &Value) -> Value {
    let either = |one: &str, other: &str| {
        if finding[one].is_null() { finding[other].clone() } else { finding[one].clone() }
    };
    let mut row = finding.clone();
    if row.is_object() {
        row["title"] = either("title", "description");
        row["steps"] = either("steps", "step");
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn findings_of_both_kinds_have_a_title() {
        let row = finding_row(&json!({"severity": "high", "description": "d", "step": "3"}));
        assert_eq!((&row["title"], &row["steps"]), (&json!("d"), &json!("3")));
        let row = finding_row(&json!({"severity": "bug", "title": "t", "description": "d"}));
        assert_eq!((&row["title"], &row["steps"]), (&json!("t"), &Value::Null));
    }
}
