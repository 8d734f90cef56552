//! The client's commands, one file per group: options and code together.

pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod analytics;
pub(crate) mod api;
pub(crate) mod auth;
pub(crate) mod budget;
pub(crate) mod bulk;
pub(crate) mod completions;
pub(crate) mod cost;
pub(crate) mod deps;
pub(crate) mod doctor;
pub(crate) mod epic;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod export;
pub(crate) mod hook;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod knowledge;
pub(crate) mod lifecycle;
pub(crate) mod man;
pub(crate) mod programs;
pub(crate) mod progress;
pub(crate) mod project;
pub(crate) mod review;
pub(crate) mod settings;
pub(crate) mod skill;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod stories;
pub(crate) mod story;
pub(crate) mod tenant;
pub(crate) mod ui_test;
pub(crate) mod usage;
pub(crate) mod watch;
pub(crate) mod webhook;

use serde_json::{Map, Value};

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
    let outcome = dispatch(&context, command).await;
    // What was found out is shown before what went wrong.
    let shown = context.output.finish();
    match outcome.and(shown) {
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
        Command::Epic(command) => epic::run(context, command).await,
        Command::Story(command) => story::run(context, command).await,
        Command::Deps(command) => deps::run(context, command).await,
        Command::Init(arguments) => init::run(context, &arguments),
        Command::Import(arguments) => import::run(context, arguments).await,
        Command::Export(arguments) => export::run(context, arguments).await,
        Command::Status(arguments) => status::run(context, arguments).await,
        Command::Next(arguments) => stories::next(context, arguments).await,
        Command::Blocked(arguments) => stories::blocked(context, arguments).await,
        Command::Pending(arguments) => stories::pending(context, arguments).await,
        Command::History(arguments) => events::history(context, arguments).await,
        Command::Audit(arguments) => events::audit(context, arguments).await,
        Command::Changes(arguments) => events::changes(context, arguments).await,
        Command::Watch(arguments) => watch::run(context, arguments).await,
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
        Command::VerifyAll(arguments) => bulk::verify_epic(context, arguments).await,
        Command::MarkComplete(arguments) => bulk::mark_complete(context, arguments).await,
        Command::Backfill(arguments) => evidence::backfill(context, arguments).await,
        Command::Verifications(arguments) => evidence::verifications(context, arguments).await,
        Command::Artifacts(arguments) => evidence::artifacts(context, arguments).await,
        Command::Criteria(story) => evidence::criteria(context, story).await,
        Command::State(command) => state::run(context, command).await,
        Command::CostSummary(arguments) => cost::summary(context, arguments).await,
        Command::TokenUsage(arguments) => cost::usage(context, arguments).await,
        Command::TokenReport(arguments) => cost::report(context, arguments).await,
        Command::CostAnomalies(arguments) | Command::Anomalies(arguments) => {
            cost::anomalies(context, arguments).await
        }
        Command::Analytics(command) => analytics::run(context, command).await,
        Command::Budget(command) => budget::run(context, command).await,
        Command::Usage(command) => usage::run(context, command).await,
        Command::Skill(command) => skill::run(context, command).await,
        Command::Knowledge(command) => knowledge::run(context, command).await,
        Command::UiTest(command) => ui_test::run(context, command).await,
        Command::Webhook(command) => webhook::run(context, command).await,
        Command::Admin(command) => admin::run(context, command).await,
        Command::Health => api::health(context).await,
        Command::Lifecycle => lifecycle::run(context).await,
        Command::Routes => api::routes(context).await,
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

/// The members that were given, as a request body.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    given.collect::<Map<_, _>>().into()
}

/// The same as parameters of a query.
fn given_parameters<const N: usize>(
    parameters: [(&'static str, Option<String>); N],
) -> Vec<(&'static str, String)> {
    parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The same for a command that is pointless without any.
fn changes<const N: usize>(members: [(&str, Option<Value>); N]) -> Result<Value, Error> {
    match given(members) {
        Value::Object(body) if body.is_empty() => {
            Err(Error::Usage("Nothing to change. `--help` lists what can be changed".to_owned()))
        }
        body => Ok(body),
    }
}

/// Refuses a text that says nothing, before anything is sent.
fn not_blank<'a>(option: &str, text: &'a str) -> Result<&'a str, Error> {
    if text.trim().is_empty() {
        return Err(Error::Usage(format!("{option} must not be blank")));
    }
    Ok(text)
}

/// The answer to a deletion, which the server leaves empty.
fn deleted(context: &Context, id: &str) -> Result<(), Error> {
    context.output.object(&serde_json::json!({"status": "deleted", "id": id}), "")
}
