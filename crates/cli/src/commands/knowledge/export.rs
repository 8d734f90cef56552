//! `knowledge export`: all that is published, as an archive.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;

use super::of_project;
use crate::client::ZIP;
use crate::commands::export::{to_file, to_stdout};
use crate::context::Context;
use crate::error::Error;
use crate::progress;
use crate::replace::Replacement;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Write the archive to this file; - or nothing is standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "Examples:\n  \
    loopctl knowledge export -o wiki.zip\n  \
    loopctl knowledge export --project my-app > wiki.zip";

pub(super) async fn run(context: &Context, arguments: Arguments) -> Result<(), Error> {
    let out = arguments.out.filter(|out| out.as_os_str() != "-");
    if out.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::Usage("A terminal shows no archive. Name a file with -o".to_owned()));
    }
    let file = out.as_deref().map(Replacement::of).transpose()?;
    let client = context.client()?;
    let download = client.download(&of_project(context, &client, "export").await?, ZIP).await?;
    match (file, out) {
        (Some(file), Some(out)) => {
            let bar = progress::bytes();
            let size = to_file(download, file, |bytes| bar.inc(bytes)).await?;
            bar.finish_and_clear();
            context.output.aside(&format!("{size} bytes written to {}", out.display()))
        }
        _ => to_stdout(context, download).await.map(drop),
    }
}
