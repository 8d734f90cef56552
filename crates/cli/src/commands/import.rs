//! `import PATH`: a file, standard input or a directory of story files becomes one request.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use loopctl_core::import::written_number;
use reqwest::Method;
use serde_json::Value;

use crate::client::Client;
use crate::config::Setting;
use crate::context::Context;
use crate::directory::Known;
use crate::error::Error;
use crate::output::rows_of;
use crate::resolve::Found;
use crate::{directory, json_argument, output, pages, progress, resolve, table};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directories with us_*.json files (project.json is not read), together one plan; or one JSON file, or - for
    /// standard input
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Update what exists, add what is missing
    #[arg(long)]
    merge: bool,
    /// Give new stories the status that `export --dir` noted: done stays done, everything else starts as pending
    #[arg(long)]
    with_status: bool,
    /// Leave out dependencies on what is neither in the directories nor, with --merge, in the project; and name them
    #[arg(long)]
    drop_unknown_dependencies: bool,
    /// Print what would be sent and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// Largest import body that the server accepts.
const LIMIT: usize = 10 * 1024 * 1024;

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let (payload, files) = read(context, &arguments).await?;
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
    let project = target(context, &client).await?;
    if std::io::stderr().is_terminal() {
        output::note(&announcement(&payload, files, size));
    }
    let query = if arguments.merge { "?merge=true" } else { "" };
    let path = format!("/projects/{}/import{query}", project.id);
    let bar = progress::waiting("importing");
    let imported = client.write(Method::POST, &path, Some(&payload)).await;
    bar.finish_and_clear();
    match imported {
        Ok(answer) => show(context, &answer),
        Err(Error::Server(mut error)) if error.status == 409 && !arguments.merge => {
            error.advice = Some("Use --merge to update what exists and add what is missing.".to_owned());
            Err(Error::Server(error))
        }
        Err(error) => Err(error),
    }
}

async fn target(context: &Context, client: &Client) -> Result<Found, Error> {
    resolve::configured_project(context, client).await?.ok_or_else(|| {
        Error::Usage("Missing --project. Usage: loopctl import <path> --project <project>".to_owned())
    })
}

/// What the project has. Of its stories and epics, which may be many and large, hardly more than the numbers is kept.
async fn known_to_server(context: &Context) -> Result<Known, Error> {
    let client = context.client()?;
    let id = target(context, &client).await?.id;
    let mut known = Known::default();
    pages::each_of_stories(&client, &[("project_id", &id)], |page| {
        known.stories.extend(rows_of(&page).iter().filter_map(|row| {
            let source_file = row["metadata"][directory::SOURCE_FILE].as_str().map(ToOwned::to_owned);
            Some((written_number(&row["number"])?, source_file))
        }));
    })
    .await?;
    pages::each_page(&client, &format!("/projects/{id}/epics"), &[], |page| {
        known.epics.extend(rows_of(&page).iter().filter_map(|row| row["number"].as_u64()));
    })
    .await?;
    Ok(known)
}

/// What a merge of directories has to know. Where there is no project yet, a dry run shows what a new one would get; an
/// import says itself that it needs one.
async fn merged_into(context: &Context, arguments: &Arguments) -> Result<Option<Known>, Error> {
    if !arguments.merge {
        return Ok(None);
    }
    if arguments.dry_run && context.config.get(Setting::Project).is_none() {
        return Ok(Some(Known::default()));
    }
    match known_to_server(context).await {
        Err(Error::NotFound(_)) if arguments.dry_run => Ok(Some(Known::default())),
        known => known.map(Some),
    }
}

/// The request, and the number of files it was made from.
async fn read(context: &Context, arguments: &Arguments) -> Result<(Value, usize), Error> {
    let paths = arguments.paths.as_slice();
    for path in paths {
        if path.as_os_str() != "-" && !path.exists() {
            return Err(Error::Usage(format!("Path not found: {}", path.display())));
        }
    }
    let document = match (paths, paths.iter().find(|path| !path.is_dir())) {
        ([only], Some(_)) => only,
        (_, Some(file)) => {
            let message = "is no directory: import it by itself. Only directories can be imported together";
            return Err(Error::Usage(format!("{} {message}", file.display())));
        }
        (_, None) => {
            let options = directory::Options {
                merge: merged_into(context, arguments).await?,
                with_status: arguments.with_status,
                drop_unknown: arguments.drop_unknown_dependencies,
            };
            let import = directory::import(paths, options)?;
            for line in &import.notes {
                output::note(line);
            }
            if import.without_status > 0 {
                output::note(&format!(
                    "Warning: work in progress and rejections cannot be imported; stories that start as pending: {}",
                    import.without_status
                ));
            }
            return Ok((import.body, import.files));
        }
    };
    if arguments.with_status {
        return Err(Error::Usage("--with-status needs a directory that `export --dir` wrote".to_owned()));
    }
    if arguments.drop_unknown_dependencies {
        return Err(Error::Usage("--drop-unknown-dependencies needs a directory of story files".to_owned()));
    }
    let content = read_document(document)?;
    if let Some(what) = directory::part_of_plan(document, &content) {
        return Err(Error::Usage(format!("{}: this is {what}: name its directory", document.display())));
    }
    Ok((content, 1))
}

/// A document is sent as it is.
fn read_document(path: &Path) -> Result<Value, Error> {
    let text = if path.as_os_str() == "-" { json_argument::stdin() } else { std::fs::read_to_string(path) };
    let text = text.map_err(|error| Error::Usage(format!("Cannot read {}: {error}", path.display())))?;
    json_argument::parse(&text)
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
    for line in ignored(&answer["import"]) {
        output::note(&line);
    }
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
    let orphans = summary["stories_orphaned"].as_array().map_or(&[][..], Vec::as_slice);
    let names = orphans.iter().map(|orphan| {
        let text = |key: &str| table::one_line(&table::plain(&orphan[key]));
        format!("{} {}", text("number"), text("title"))
    });
    let lines = directory::named("Not in the import, left alone: ", names, orphans.len());
    lines.iter().try_for_each(|line| context.output.line(line))
}

/// What the server says that it did not read. It names the first ones, and counts all.
fn ignored(summary: &Value) -> Vec<String> {
    let named = summary["ignored"].as_array().map_or(&[][..], Vec::as_slice);
    let count = summary["ignored_count"].as_u64().and_then(|count| usize::try_from(count).ok());
    directory::not_read(named.iter().map(table::plain), count.unwrap_or(named.len()))
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
