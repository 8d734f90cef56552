//! `doctor`: whether all is there that an agent needs, and what mends what is not.
//!
//! `gather` looks, and changes nothing. What it has seen is judged by pure rules: of the server, the key, the project and the clock
//! (`server`), of the programs that run agents (`hosts`, over what `program` reads in their files), of PostgreSQL (`database`).

mod database;
mod finding;
mod gather;
mod hosts;
mod program;
mod server;

use chrono::Utc;
use serde_json::{Value, json};

use self::finding::{Finding, Level, count};
use crate::args::GlobalOptions;
use crate::commands::init::root_here;
use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::output::{Format, Output};
use crate::table;

/// How long each answer is waited for, in seconds, unless something else is said.
const PATIENCE: u64 = 5;

/// Looks, tells, and gives the exit code: 1 when something is an error.
pub(crate) async fn run(globals: &GlobalOptions) -> u8 {
    let mut globals = globals.clone();
    globals.timeout = globals.timeout.or(Some(PATIENCE));
    let (output, findings) = match Context::new(&globals) {
        Ok(mut context) => {
            let key = context.config.agent_key();
            if let Some((key, _)) = &key {
                context.config.set_option(Setting::ApiKey, key);
            }
            let findings = with_settings(&context, key).await;
            (context.output, findings)
        }
        Err(error) => {
            let finding =
                Finding::error("settings", error.to_line()).mend("loopctl config show, or mend the file");
            let mut findings = vec![finding];
            findings.extend(of_programs().await);
            (Output::new(globals.format.unwrap_or(Format::Json), globals.data_only), findings)
        }
    };
    match show(&output, &findings) {
        Ok(()) => u8::from(count(&findings, Level::Error) > 0),
        Err(error) => error.report(output.format()),
    }
}

/// With the key, and where it is from.
async fn with_settings(context: &Context, key: Option<(String, &'static str)>) -> Vec<Finding> {
    let seen = gather::server(context).await;
    let health = seen.as_ref().and_then(|seen| seen.answer.as_ref().ok());
    let answers = health.is_some_and(|health| health.version.is_some());
    let mut findings = server::server(seen.as_ref(), env!("CARGO_PKG_VERSION"));
    let (key, project) = gather::key_and_project(context, key, answers).await;
    findings.extend(server::key(&key, Utc::now()));
    findings.extend(server::project(&project));
    findings.extend(of_programs().await);
    findings.extend(database::postgres(&gather::postgres(seen.as_ref()), answers));
    findings
}

async fn of_programs() -> Vec<Finding> {
    match std::env::current_dir() {
        Ok(directory) => {
            // Where `init` puts it.
            let (seen, around) = gather::programs(&root_here(&directory)).await;
            hosts::hosts(&seen, &around)
        }
        Err(error) => {
            vec![Finding::error("mcp", format!("this directory cannot be read: {error}")).mend("cd")]
        }
    }
}

fn show(output: &Output, findings: &[Finding]) -> Result<(), Error> {
    let rows: Vec<Value> = findings.iter().map(Finding::json).collect();
    if !output.human() {
        let body = json!({"data": rows, "errors": count(findings, Level::Error),
                          "warnings": count(findings, Level::Warning)});
        return output.list(&body, &["level", "check", "what", "mend"], "");
    }
    let cells: Vec<Vec<String>> = findings.iter().flat_map(lines).collect();
    output.line(&table::aligned(&cells).join("\n"))?;
    let told = |level: Level, one: &str| match count(findings, level) {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    output.line(&format!("{}, {}", told(Level::Error, "error"), told(Level::Warning, "warning")))
}

/// A finding as rows of a table, what mends it below.
fn lines(finding: &Finding) -> Vec<Vec<String>> {
    let row = |level: &str, check: &str, text: String| vec![level.to_owned(), check.to_owned(), text];
    let mut rows = vec![row(finding.level.name(), finding.check, finding.what.clone())];
    rows.extend(finding.mend.as_ref().map(|mend| row("", "", format!("-> {mend}"))));
    rows
}
