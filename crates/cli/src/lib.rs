//! The command line: it is parsed, one command is run, and its result turned into an exit code.

mod args;
mod bars;
mod client;
mod commands;
mod config;
mod context;
mod demo;
mod directory;
mod error;
mod examples;
mod figures;
mod json_argument;
mod layout;
mod mcp;
mod moment;
mod output;
mod pages;
mod progress;
mod replace;
mod resolve;
mod server;
mod skill_files;
mod slug;
mod table;
mod terminal;
mod usage;

use std::process::ExitCode;
use std::time::Duration;

use args::{Cli, Command, GlobalOptions};
use commands::{completions, doctor, hook, man};
use context::Context;
use output::{Format, Output};
use tokio::runtime::Builder;

/// How long the end of the process waits for what still blocks.
const LAST: Duration = Duration::from_secs(1);

/// Does what the arguments of this process say, and gives its exit code.
#[must_use]
pub fn main() -> ExitCode {
    if mcp::is_meant(std::env::args_os().next().as_deref()) {
        return in_runtime(Builder::new_current_thread(), mcp::run(&GlobalOptions::default()), LAST);
    }
    let cli = match usage::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(stop) => {
            let code = stop.print();
            return ExitCode::from(if hook::is_called(std::env::args_os()) { 0 } else { code });
        }
    };
    match cli.command {
        // Who calls a hook waits for nothing but its answer.
        Some(Command::Hook(_)) => in_runtime(Builder::new_current_thread(), run(cli), Duration::ZERO),
        // What does several things at once.
        Some(
            Command::Serve(_)
            | Command::Worker(_)
            | Command::Migrate(_)
            | Command::Operator(_)
            | Command::Backup(_)
            | Command::Restore(_)
            | Command::Demo(_),
        ) => in_runtime(Builder::new_multi_thread(), run(cli), LAST),
        // Clients wait for one answer after the other: more threads would only take time to start.
        _ => in_runtime(Builder::new_current_thread(), run(cli), LAST),
    }
}

/// Runs to the end, and then waits so long at most for what still blocks.
fn in_runtime(mut builder: Builder, run: impl Future<Output = u8>, last: Duration) -> ExitCode {
    match builder.enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run);
            // Not for ever: somebody may be waiting for a PostgreSQL that does not stop.
            runtime.shutdown_timeout(last);
            ExitCode::from(code)
        }
        Err(error) => {
            output::note(&format!("Error: Cannot start the runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs the command and gives its exit code.
async fn run(cli: Cli) -> u8 {
    match cli.command {
        None => output::print_text(&usage::overview()),
        Some(Command::Serve(arguments)) => {
            server::run_serve(&arguments).await.map_or_else(|failure| failure.report_briefly(), |()| 0)
        }
        Some(Command::Worker(arguments)) => {
            server::run_worker(&arguments).await.map_or_else(|failure| failure.report_briefly(), |()| 0)
        }
        Some(Command::Migrate(arguments)) => finish(server::run_migrate(&arguments).await, &cli.globals),
        Some(Command::Operator(command)) => finish(server::run_operator(&command).await, &cli.globals),
        Some(Command::Backup(arguments)) => {
            server::backup::run_backup(&arguments, &output(&cli.globals)).await
        }
        Some(Command::Restore(arguments)) => {
            server::backup::run_restore(&arguments, &output(&cli.globals)).await
        }
        Some(Command::Mcp) => mcp::run(&cli.globals).await,
        Some(Command::Doctor) => doctor::run(&cli.globals).await,
        Some(Command::Hook(command)) => hook::run(&cli.globals, command).await,
        Some(Command::Completions(arguments)) => completions::run(&arguments),
        Some(Command::Man(arguments)) => man::run(&arguments),
        Some(Command::Demo(arguments)) => demo::run(&arguments, cli.globals.format).await,
        Some(Command::Client(command)) => commands::run(&cli.globals, command).await,
    }
}

/// How a command on the server's side prints: what else may be wrong with the client's settings is no matter there.
fn output(globals: &GlobalOptions) -> Output {
    let typed = || Output::new(globals.format.unwrap_or(Format::Json), globals.data_only);
    Context::new(globals).map_or_else(|_| typed(), |context| context.output)
}

/// Prints what a command on the server's side gave; the exit code.
fn finish(result: Result<serde_json::Value, server::Failure>, globals: &GlobalOptions) -> u8 {
    result.map_or_else(|failure| failure.report(), |body| server::shown::print(&body, &output(globals)))
}
