//! `import PATH`: a file, standard input or a directory of story files becomes one request.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::{directory, json_argument, resolve};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// JSON file, directory with us_*.json files, or - for standard input
    path: PathBuf,
    /// Update what exists, add what is missing
    #[arg(long)]
    merge: bool,
    /// Print what would be sent and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Largest import body that the server accepts.
const LIMIT: usize = 10 * 1024 * 1024;

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let payload = read(&arguments.path, arguments.merge)?;
    if arguments.dry_run {
        return context.output.json(&payload);
    }
    let size = payload.to_string().len();
    if size > LIMIT {
        return Err(Error::Usage(format!(
            "The import has {size} bytes; the server accepts at most {LIMIT} (10 MiB)"
        )));
    }
    let client = context.client()?;
    let Some(project) = resolve::configured_project(context, &client).await? else {
        return Err(Error::Usage(
            "Missing --project. Usage: loopctl import <path> --project <project>".to_owned(),
        ));
    };
    let query = if arguments.merge { "?merge=true" } else { "" };
    let path = format!("/projects/{}/import{query}", project.id);
    match client.write(Method::POST, &path, Some(&payload)).await {
        Ok(answer) => show(context, &answer),
        Err(Error::Server(mut error)) if error.status == 409 && !arguments.merge => {
            error.advice = Some("Use --merge to update what exists and add what is missing.".to_owned());
            Err(Error::Server(error))
        }
        Err(error) => Err(error),
    }
}

fn read(path: &Path, merge: bool) -> Result<Value, Error> {
    if path.as_os_str() != "-" && !path.exists() {
        return Err(Error::Usage(format!("Path not found: {}", path.display())));
    }
    if path.is_dir() {
        return directory::payload(path, merge);
    }
    let text = if path.as_os_str() == "-" { json_argument::stdin() } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Error::Usage(format!("Cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Usage(format!("{}: invalid JSON: {error}", path.display())))
}

fn show(context: &Context, answer: &Value) -> Result<(), Error> {
    if !context.output.human() {
        return context.output.object(answer, "import");
    }
    let summary = &answer["import"];
    let count = |key: &str| summary[key].as_u64().unwrap_or(0);
    context.output.line(&format!(
        "Imported: {} epics, {} stories, {} dependencies",
        count("epics_created"),
        count("stories_created"),
        count("dependencies_created")
    ))?;
    if summary.get("stories_updated").is_some() {
        context.output.line(&format!(
            "Updated: {} epics, {} stories",
            count("epics_updated"),
            count("stories_updated")
        ))?;
    }
    for orphan in summary["stories_orphaned"].as_array().into_iter().flatten() {
        let text = |key: &str| crate::table::one_line(&crate::table::plain(&orphan[key]));
        context.output.line(&format!(
            "Not in the import, left alone: {} {}",
            text("number"),
            text("title")
        ))?;
    }
    Ok(())
}
