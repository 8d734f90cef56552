//! `loopctl demo`: a team of agents works through a backlog on a real server of its own, some of them cheat, and
//! the audit log shows that it did not help them.

mod backlog;
mod board;
mod plan;
mod proof;
mod report;
mod scratch;
mod tally;
mod team;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use loopctl_postgres::EmbeddedOptions;
use loopctl_server::config::{APPLICATION, DatabaseOptions};
use loopctl_server::serve::{ServeError, ServeOptions, Server};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::backlog::Backlog;
use self::proof::Proof;
use self::report::Report;
use self::scratch::Scratch;
use self::team::Team;
use self::work::Shop;
use crate::error::Error;
use crate::output::{self, Format, Output};

/// `loopctl demo`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Decides who cheats where and what is rejected; the same seed gives the same numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Implementers that work in parallel
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u8).range(2..=40))]
    agents: u8,
    /// Keep the demo's database in this new directory (default: a temporary one, removed afterwards)
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The directory with the programs `postgres` and `initdb`
    #[arg(long, env = "LOOPCTL_PG_BIN", value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    /// An archive (.tar.gz or .tar.xz) of PostgreSQL programs to unpack and use
    #[arg(long, env = "LOOPCTL_PG_BUNDLE", value_name = "FILE")]
    pg_bundle: Option<String>,
}

/// The exit code after Ctrl-C, as shells give it.
const INTERRUPTED: u8 = 130;

/// Why there is no report.
#[derive(Debug)]
enum Stopped {
    Failed(Error),
    Interrupted,
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Runs the demo and gives the exit code. `format` is what stands on the command line: people watch demos, so
/// the default is theirs.
pub(crate) async fn run(arguments: &Arguments, format: Option<Format>) -> u8 {
    let format = format.unwrap_or(Format::Human);
    if format == Format::Csv {
        return Error::Usage("The demo prints --format human or json".to_owned()).report(format);
    }
    match play(arguments).await {
        Ok(report) => print(&report, format),
        Err(Stopped::Failed(error)) => error.report(format),
        Err(Stopped::Interrupted) => {
            output::note("Stopped; everything is tidied up.");
            INTERRUPTED
        }
    }
}

fn print(report: &Report, format: Format) -> u8 {
    let output = Output::new(format, false);
    let printed = match format {
        Format::Json => output.json(&report.json()),
        _ => output.line(&report.text()),
    };
    match printed {
        Err(error) => error.report(format),
        Ok(()) => u8::from(!report.proof.holds()),
    }
}

/// Starts a server, lets the team work, and leaves nothing behind, however it ends.
async fn play(arguments: &Arguments) -> Result<Report, Stopped> {
    let mut signals = Signals::listen().map_err(|error| Error::Other(error.to_string()))?;
    let backlog = Backlog::shipped()?;
    let scratch = Scratch::new(arguments.data_dir.as_deref())?;
    let bar = progress_bar(backlog.stories.len());
    // Not cut short by a signal, because half a database is hard to tidy up: the signal waits the second.
    let server = Server::start(&options(arguments, &scratch)).await.map_err(failed)?;
    let began = Instant::now();
    let outcome = tokio::select! {
        outcome = work(&server, arguments, &backlog, &bar) => outcome.map_err(Stopped::from),
        () = signals.arrived() => Err(Stopped::Interrupted),
    };
    let elapsed = began.elapsed();
    bar.finish_and_clear();
    let stopped = server.stop().await.map_err(failed);
    let (mut report, user_key) = outcome?;
    stopped?;
    report.elapsed = elapsed;
    if scratch.stays() {
        let dir = scratch.path().display();
        output::notes(&format!(
            "The database of the demo is in {dir}. To look around, run `loopctl serve --data-dir {dir}` and\n\
             `loopctl auth login --server http://localhost:4000 --key {user_key}`.\n"
        ));
    }
    Ok(report)
}

/// The demo itself, against a running server.
async fn work(
    server: &Server,
    arguments: &Arguments,
    backlog: &Backlog,
    bar: &ProgressBar,
) -> Result<(Report, String), Error> {
    let agents = usize::from(arguments.agents);
    let team = Arc::new(Team::assemble(server, agents, backlog).await?);
    bar.set_message("0 cheats refused");
    let shop = Shop::new(Arc::clone(&team), backlog, arguments.seed, bar.clone());
    let counts = shop.run().await?;
    let stories = backlog.stories.len();
    let report = Report {
        seed: arguments.seed,
        agents,
        epics: backlog.epics,
        stories,
        counts,
        proof: Proof::read(&team, stories).await?,
        elapsed: std::time::Duration::ZERO,
    };
    Ok((report, team.user_key.clone()))
}

fn options(arguments: &Arguments, scratch: &Scratch) -> ServeOptions {
    let embedded = EmbeddedOptions {
        pg_bin: arguments.pg_bin.clone(),
        bundle: arguments.pg_bundle.clone(),
        ..EmbeddedOptions::new(&APPLICATION, scratch.path())
    };
    ServeOptions::local(DatabaseOptions::Embedded(embedded))
}

fn failed(error: ServeError) -> Stopped {
    Stopped::Failed(Error::Other(error.to_string()))
}

/// On stderr, and only where that is a terminal.
fn progress_bar(stories: usize) -> ProgressBar {
    let bar = ProgressBar::new(stories as u64).with_finish(ProgressFinish::AndClear);
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {pos}/{len} stories verified, {msg}") {
        bar.set_style(style.progress_chars("##."));
    }
    bar.set_message("starting the server");
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    bar
}

/// The signals that end the demo. Listened to from the start, so that none is missed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn arrived(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
