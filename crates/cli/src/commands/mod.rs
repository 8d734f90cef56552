//! The client's commands, one file per group: options and code together.

pub(crate) mod agent;
pub(crate) mod api;
pub(crate) mod auth;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod progress;
pub(crate) mod project;
pub(crate) mod review;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod stories;
pub(crate) mod tenant;

use crate::args::{ClientCommand as Command, GlobalOptions};
use crate::context::Context;
use crate::error::Error;
use crate::output::Format;

/// Runs a client command and gives its exit code.
pub(crate) async fn run(globals: &GlobalOptions, command: Command) -> u8 {
    let context = match Context::new(globals) {
        Ok(context) => context,
        Err(error) => return error.report(Format::Human),
    };
    match dispatch(&context, command).await {
        Ok(()) => 0,
        Err(error) => error.report(context.output.format()),
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<(), Error> {
    match command {
        Command::Auth(command) => auth::run(context, command).await,
        Command::Config(command) => settings::run(context, command),
        Command::Tenant(command) => tenant::run(context, command).await,
        Command::Keys(command) => keys::run(context, command).await,
        Command::Agent(command) => agent::run(context, command).await,
        Command::Project(command) => project::run(context, command).await,
        Command::Import(arguments) => import::run(context, arguments).await,
        Command::Status(arguments) => status::run(context, arguments).await,
        Command::Next(arguments) => stories::next(context, arguments).await,
        Command::Blocked(arguments) => stories::blocked(context, arguments).await,
        Command::Pending(arguments) => stories::pending(context, arguments).await,
        Command::History(arguments) => stories::history(context, arguments).await,
        Command::Contract(arguments) => progress::contract(context, arguments).await,
        Command::Claim(arguments) => progress::claim(context, arguments).await,
        Command::Start(arguments) => progress::start(context, arguments).await,
        Command::RequestReview(arguments) => progress::request_review(context, arguments).await,
        Command::Report(arguments) => progress::report(context, arguments).await,
        Command::Unclaim(arguments) => progress::unclaim(context, arguments).await,
        Command::ReviewComplete(arguments) => review::complete(context, arguments).await,
        Command::Verify(arguments) => review::verify(context, arguments).await,
        Command::Reject(arguments) => review::reject(context, arguments).await,
        Command::ForceUnclaim(arguments) => review::force_unclaim(context, arguments).await,
        Command::Health => api::health(context).await,
        Command::Api(arguments) => api::call(context, arguments).await,
    }
}

/// Checks a word against the words that are allowed, before anything is sent.
fn one_of(what: &str, word: &str, valid: &[&str]) -> Result<(), Error> {
    if valid.contains(&word) {
        return Ok(());
    }
    Err(Error::Usage(format!("Invalid {what} '{word}'. Valid {what}s: {}", valid.join(", "))))
}
