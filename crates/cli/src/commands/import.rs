//! `import PATH`: a file, standard input or a directory of story files becomes one request.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::{directory, json_argument, output, resolve};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// JSON file, directory with us_*.json files (its project.json is not read), or - for standard input
    path: PathBuf,
    /// Update what exists, add what is missing
    #[arg(long)]
    merge: bool,
    /// Give new stories the status that `export --dir` noted: done stays done, everything else starts as pending
    #[arg(long)]
    with_status: bool,
    /// Print what would be sent and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Largest import body that the server accepts.
const LIMIT: usize = 10 * 1024 * 1024;

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let (payload, files) = read(&arguments)?;
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
    if std::io::stderr().is_terminal() {
        output::note(&announcement(&payload, files, size));
    }
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

/// The request, and the number of files it was made from.
fn read(arguments: &Arguments) -> Result<(Value, usize), Error> {
    let path = arguments.path.as_path();
    if path.as_os_str() != "-" && !path.exists() {
        return Err(Error::Usage(format!("Path not found: {}", path.display())));
    }
    if path.is_dir() {
        let options = directory::Options { merge: arguments.merge, with_status: arguments.with_status };
        let import = directory::import(path, options)?;
        if import.without_status > 0 {
            output::note(&format!(
                "Warning: work in progress and rejections cannot be imported; stories that start as pending: {}",
                import.without_status
            ));
        }
        return Ok((import.body, import.files));
    }
    if arguments.with_status {
        return Err(Error::Usage("--with-status needs a directory that `export --dir` wrote".to_owned()));
    }
    Ok((read_document(path)?, 1))
}

/// A document is sent as it is.
fn read_document(path: &Path) -> Result<Value, Error> {
    let text = if path.as_os_str() == "-" { json_argument::stdin() } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Error::Usage(format!("Cannot read {}: {error}", path.display())))?;
    directory::parse(&text)
        .map_err(|error| Error::Usage(format!("{}: invalid JSON: {error}", path.display())))
}

/// What a person reads while a large import takes its time.
fn announcement(payload: &Value, files: usize, size: usize) -> String {
    let epics = payload["epics"].as_array().map_or(&[][..], Vec::as_slice);
    let stories: usize = epics.iter().filter_map(|epic| epic["stories"].as_array()).map(Vec::len).sum();
    let amount = match size {
        0..1_000_000 => format!("{:.1} KB", size as f64 / 1e3),
        _ => format!("{:.1} MB", size as f64 / 1e6),
    };
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    format!("Read {stories} stories in {} epics from {files}, sending {amount}...", epics.len())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_announcement_says_what_was_read() {
        let payload = json!({"epics": [{"stories": [1, 2]}, {"stories": [3]}, {}]});
        assert_eq!(
            announcement(&payload, 5, 3_140_000),
            "Read 3 stories in 3 epics from 5 files, sending 3.1 MB..."
        );
        assert_eq!(
            announcement(&json!({}), 1, 1_500),
            "Read 0 stories in 0 epics from 1 file, sending 1.5 KB..."
        );
    }
}
