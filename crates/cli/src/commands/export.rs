//! `export`: a project as one document, or as the directory of story files that `import` takes.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use indicatif::ProgressBar;

use crate::client::{Download, JSON};
use crate::context::Context;
use crate::error::Error;
use crate::replace::Replacement;
use crate::{directory, output, progress, resolve};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write a directory of story files; `import` reads all of it but project.json (use `project update`)
    #[arg(long, value_name = "DIR", conflicts_with = "out")]
    dir: Option<PathBuf>,
    /// Write the document to this file; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write into a directory that is not empty, in place of the export that is there
    #[arg(long, requires = "dir")]
    force: bool,
}

pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    if let Some(root) = &arguments.dir {
        directory::check_target(root, arguments.force)?;
    }
    let client = context.client()?;
    let project = resolve::project_for(context, &client, "export").await?;
    let path = format!("/projects/{}/export", project.id);
    match (arguments.dir, arguments.out.filter(|out| out.as_os_str() != "-")) {
        (Some(root), _) => {
            let bar = progress::waiting("exporting");
            let document = client.get(&path, &[]).await?;
            bar.finish_and_clear();
            let written = directory::export(&root, &document)?;
            for old in &written.removed {
                output::note(&format!("Removed {old}: written by an earlier export, not part of this one"));
            }
            for other in &written.others {
                output::note(&format!("Warning: {other} is not part of this export, but `import` reads it"));
            }
            context.output.aside(&format!("{} files written to {}", written.files, root.display()))
        }
        (None, Some(out)) => {
            let file = Replacement::of(&out)?;
            let bar = progress::bytes();
            let size = to_file(client.download(&path, JSON).await?, file, |bytes| bar.inc(bytes)).await?;
            bar.finish_and_clear();
            context.output.aside(&format!("{size} bytes written to {}", out.display()))
        }
        (None, None) => match to_stdout(context, client.download(&path, JSON).await?).await? {
            true => context.output.line(""),
            false => Ok(()),
        },
    }
}

/// Writes what arrives to a file, and gives its size.
pub(super) async fn to_file(
    mut download: Download<'_>,
    mut file: Replacement,
    arrived: impl Fn(u64),
) -> Result<u64, Error> {
    let mut size = 0;
    while let Some(bytes) = download.chunk().await? {
        file.write(bytes.as_ref())?;
        let more = bytes.as_ref().len() as u64;
        size += more;
        arrived(more);
    }
    file.finish()?;
    Ok(size)
}

/// Passes on what arrives. False when nobody reads any more.
pub(super) async fn to_stdout(context: &Context, mut download: Download<'_>) -> Result<bool, Error> {
    // A terminal that shows what arrives needs nothing else to show that it does.
    let bar = if std::io::stdout().is_terminal() { ProgressBar::hidden() } else { progress::bytes() };
    while let Some(bytes) = download.chunk().await? {
        bar.inc(bytes.as_ref().len() as u64);
        if !context.output.bytes(bytes.as_ref())? {
            return Ok(false);
        }
    }
    Ok(true)
}
