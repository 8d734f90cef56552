//! `loopctl init`: sets up the hosts that a repository is worked on with, so that whichever agent runs there knows the loop, has
//! the MCP server, and is asked by a hook what it holds when it stops.
//!
//! `plan` says what becomes of each file, from what `disk` has found and `targets` says belongs there; `block` and `json` put
//! something into a text so that it can be taken out again; `disk` does it.

mod block;
mod disk;
mod folders;
mod hosts;
mod json;
mod mask;
mod plan;
mod root;
#[cfg(test)]
mod round_trip;
mod show;
mod targets;
mod texts;

pub(crate) use hosts::Host;
pub(crate) use root::root_here;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;

use self::disk::Repository;
use self::hosts::Role;
use self::plan::{Direction, Step};
use self::targets::{Wish, targets};
use crate::client;
use crate::commands::programs::is_on_path;
use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::output::{self, Format};
use crate::table;
use crate::terminal::Style;

/// `loopctl init`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The repository (default: the git repository around the current directory, or this directory)
    #[arg(long, value_name = "PATH")]
    dir: Option<PathBuf>,
    /// Set up this host, whatever is found: claude-code, codex, gemini, cursor or copilot. Can be repeated
    #[arg(long = "host", value_name = "NAME", value_enum, hide_possible_values = true)]
    hosts: Vec<Host>,
    /// Whose key agents have here: implementer, reviewer or orchestrator
    #[arg(long, value_enum, default_value = "implementer", hide_possible_values = true)]
    role: Role,
    /// Write without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    /// Take out what was put in; with --host, only what is that host's
    #[arg(long)]
    remove: bool,
    /// Replace, or take out, also what somebody has changed between loopctl's markers or in its skill
    #[arg(long)]
    force: bool,
}

/// What its help ends with.
pub(crate) const NOTES: &str = "No key is ever written: the files name the environment variable that holds it.\n\
    Exit code: 1 when --dry-run has found something to write, or the answer was no.";

/// Plans, shows, asks, writes.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Error> {
    let root = match &arguments.dir {
        Some(named) => named.clone(),
        None => unnamed()?,
    };
    let (repository, hosts) = look_around(&root, arguments)?;
    let server = match arguments.remove {
        true => String::new(),
        false => server(context)?,
    };
    let wish = Wish {
        hosts: hosts.iter().map(|(host, _)| *host).collect(),
        role: arguments.role,
        server,
        force: arguments.force,
    };
    let direction = match arguments.remove {
        true => Direction::TakeOut { shared: arguments.hosts.is_empty() },
        false => Direction::PutIn,
    };
    let steps = plan::plan(&wish, repository.disk(), direction)
        .map_err(|problems| Error::Problems("Nothing was written.".to_owned(), problems))?;

    let shown =
        Shown { context, arguments, repository: &repository, hosts: &hosts, steps: &steps, wish: &wish };
    let changes = steps.iter().filter(|step| step.changes()).count();
    if changes == 0 {
        return shown.end(false);
    }
    let files = if changes == 1 { "1 file".to_owned() } else { format!("{changes} files") };
    if arguments.dry_run {
        shown.begin()?;
        shown.end(false)?;
        return Err(Error::Undone(format!("{files} would change. Run it without --dry-run to write")));
    }
    if !arguments.yes {
        if !std::io::stdin().is_terminal() {
            return Err(Error::Usage(format!(
                "init asks before it writes, and nobody can answer here. {files} would change: see --dry-run, or write with --yes"
            )));
        }
        shown.begin()?;
        if !agreed(&files)? {
            return Err(Error::Undone("Nothing was written".to_owned()));
        }
    } else if context.output.human() {
        shown.begin()?;
    }
    repository.apply(&steps)?;
    shown.end(true)
}

/// The directory, where none was named.
fn unnamed() -> Result<PathBuf, Error> {
    let here = std::env::current_dir()
        .map_err(|error| Error::Usage(format!("This directory cannot be read: {error}")))?;
    if root::is_everything(&here, root::home().as_deref()) {
        return Err(Error::Usage(format!(
            "{} is no repository: what is put there counts for everything below. Go to a repository, or name one: \
             loopctl init --dir PATH (--dir . if you mean this)",
            here.display()
        )));
    }
    let root = root_here(&here);
    if root != here {
        output::note(&format!(
            "In {}, the root of this repository (--dir . is this directory alone)",
            root.display()
        ));
    }
    Ok(root)
}

/// The repository, and the hosts that are to be set up, each with the reason.
fn look_around(root: &Path, arguments: &Arguments) -> Result<(Repository, Vec<(Host, String)>), Error> {
    // What a host is given does not change where its files are.
    let everything =
        Wish { hosts: Host::ALL.to_vec(), role: arguments.role, server: String::new(), force: false };
    let paths: Vec<_> = targets(&everything).iter().map(|target| target.path).collect();
    let repository = Repository::read(root, &paths)?;
    let home = root::home();
    let reason = |host: Host| match (arguments.hosts.contains(&host), arguments.hosts.is_empty()) {
        (true, _) => Some("it was named".to_owned()),
        (false, false) => None,
        // What was put in may be of any host.
        (false, true) if arguments.remove => Some("all are looked at".to_owned()),
        (false, true) => host.found(
            |path| repository.has(path),
            is_on_path,
            |name| home.as_ref().is_some_and(|home| home.join(name).is_dir()),
        ),
    };
    let hosts = Host::ALL.into_iter().filter_map(|host| Some((host, reason(host)?))).collect();
    Ok((repository, hosts))
}

/// The address that is written. It cannot hold a password.
fn server(context: &Context) -> Result<String, Error> {
    let server = context.config.get(Setting::Server).ok_or_else(|| {
        Error::NotConfigured("No server configured. Name it: loopctl init --server <url>".to_owned())
    })?;
    client::server_for_agents(&server)?;
    Ok(server.trim_end_matches('/').to_owned())
}

fn agreed(files: &str) -> Result<bool, Error> {
    output::note(&format!("Change {files}? (y/N)"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Error::Usage(format!("Cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What there is to show.
#[derive(Debug)]
struct Shown<'a> {
    context: &'a Context,
    arguments: &'a Arguments,
    repository: &'a Repository,
    hosts: &'a [(Host, String)],
    steps: &'a [Step],
    wish: &'a Wish,
}

impl Shown<'_> {
    /// Before anything is written: what would change. Programs find it in the answer.
    fn begin(&self) -> Result<(), Error> {
        let output = &self.context.output;
        if output.human() {
            output.styled(&show::diffs(self.steps, Style::of_stdout().is_shown()))?;
            // It is asked about now.
            return output.flush();
        }
        if !self.arguments.dry_run {
            output::notes(show::diffs(self.steps, false).trim_end());
        }
        Ok(())
    }

    /// At the end: which files, and what is left to do.
    fn end(&self, written: bool) -> Result<(), Error> {
        let output = &self.context.output;
        let next = if self.arguments.remove { Vec::new() } else { show::next_steps(self.wish) };
        let rows = show::rows(self.steps);
        match output.format() {
            Format::Json => {
                let root = self.repository.root();
                output.json(&show::body(root, self.arguments.role, self.hosts, self.steps, written, &next))
            }
            Format::Csv => output.line(&table::csv(&show::COLUMNS, &rows)),
            Format::Human => {
                output.line(&table::human(&show::COLUMNS, &rows))?;
                if !self.steps.iter().any(Step::changes) {
                    output.line("\nNothing to change.")?;
                }
                if next.is_empty() {
                    return Ok(());
                }
                output.line(&format!("\nNext steps:\n- {}", next.join("\n- ")))
            }
        }
    }
}
