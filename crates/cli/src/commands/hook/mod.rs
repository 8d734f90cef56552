//! `hook stop|subagent-stop`: whether an agent that would stop has work of its own left, told to the program that runs it.
//!
//! The rules are pure: what the program says (`host`), what is held and whether it keeps the agent (`held`), how that is said
//! (`host` again). Around them: the server (`ask`), and what was said before (`memory`).

mod ask;
mod held;
mod host;
mod memory;

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::time::Duration;

use clap::{Arg, Args, CommandFactory, Subcommand};

use self::ask::Answer;
use self::held::{Verdict, verdict};
use self::host::Stopping;
use self::memory::Memory;
use crate::args::{Cli, GlobalOptions};
use crate::client;
use crate::commands::init::Host;
use crate::config::Setting;
use crate::context::Context;
use crate::error::Error;
use crate::output;

/// How long programs are kept waiting at most, unless something else is said: for their own input, and for the server.
const PATIENCE: Duration = Duration::from_millis(700);
/// Of what a program sends no more is read. The longest part is the agent's last message.
const LONGEST_INPUT: u64 = 4 * 1024 * 1024;

/// What the help of both commands ends with.
const FAILS_OPEN: &str = "The exit code is always 0. When the server does not answer within 0.7 s (or --timeout), or the key is missing \
    or refused, the agent may stop, and a note on stderr says why.";

/// `loopctl hook …`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// When an agent would stop: keep it at work while a story waits for its next step
    #[command(after_help = FAILS_OPEN)]
    Stop(Arguments),
    /// The same for a subagent, once for each
    #[command(after_help = FAILS_OPEN)]
    SubagentStop(Arguments),
}

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The program that calls: claude-code, codex, gemini, cursor or copilot
    #[arg(long, value_enum, hide_possible_values = true)]
    host: Host,
}

/// Whether these arguments of the process call a hook. Programs take some exit codes for an order, so that a mistake in their
/// settings must not have one.
pub(crate) fn is_called(arguments: impl Iterator<Item = OsString>) -> bool {
    let command = Cli::command();
    let mut arguments = arguments.skip(1);
    while let Some(word) = arguments.next() {
        if !word.as_encoded_bytes().starts_with(b"-") {
            return word == OsStr::new("hook");
        }
        // Options of every command may come first, some of them with a value.
        let takes_value = |argument: &Arg| {
            argument.get_action().takes_values()
                && argument.get_long().is_some_and(|name| word == OsStr::new(&format!("--{name}")))
        };
        if command.get_arguments().any(takes_value) {
            arguments.next();
        }
    }
    false
}

/// Answers the program on stdout. The exit code is 0, whatever happens: only so it takes the answer for one.
pub(crate) async fn run(globals: &GlobalOptions, command: Command) -> u8 {
    let (Command::Stop(Arguments { host }) | Command::SubagentStop(Arguments { host })) = command;
    let patience = globals.timeout.map_or(PATIENCE, Duration::from_secs);
    let decided = tokio::time::timeout(patience, decide(host, globals)).await;
    let decided = decided.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs_f32())));
    let answer = match decided {
        Ok(answer) => answer,
        Err(why) => {
            output::note(&format!("loopctl hook: lets the agent stop without having looked: {why}"));
            None
        }
    };
    if let Some(answer) = answer.as_deref().or(host::let_go(host)) {
        output::print_text(answer);
    }
    0
}

/// The answer that keeps the agent, if it is to be kept.
async fn decide(host: Host, globals: &GlobalOptions) -> Result<Option<String>, String> {
    let stopping = host::read(&input().await?)?;
    if stopping.is_over {
        return Ok(None);
    }
    let told = |error: Error| error.to_line();
    let globals = globals.clone();
    let context = aside(move || for_agents(&globals)).await?.map_err(told)?;
    let answer = ask::ask(&context).await.map_err(told)?;
    aside(move || judge(host, &stopping, &answer)).await?
}

/// What reads files, where it holds up nobody: what is there may be no file, or on a disk that does not answer.
async fn aside<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())
}

/// The settings, with the key of the session, and never for a server to which it would be sent in clear.
fn for_agents(globals: &GlobalOptions) -> Result<Context, Error> {
    let mut context = Context::new(globals)?;
    if let Some((key, _)) = context.config.agent_key() {
        context.config.set_option(Setting::ApiKey, &key);
    }
    if let Some(server) = context.config.get(Setting::Server) {
        client::server_for_agents(&server)?;
    }
    Ok(context)
}

/// The same of what is known, after it was written down that it was given.
fn judge(host: Host, stopping: &Stopping, Answer { held, named }: &Answer) -> Result<Option<String>, String> {
    if held.is_empty() {
        return Ok(None);
    }
    // Who cannot remember might say the same for ever.
    let memory = Memory::open().map_err(|why| format!("cannot remember what was said before: {why}"))?;
    match verdict(held, &memory.said(&stopping.session), stopping.kept, *named) {
        Verdict::LetGo => Ok(None),
        Verdict::Block(reason, reasons) => {
            memory.remember(&stopping.session, &reasons).map_err(|error| error.to_line())?;
            Ok(Some(host::block(host, stopping, &reason)))
        }
    }
}

/// What the program sends. A thread of its own reads it: one that waits for ever must not hold up the end of the process.
async fn input() -> Result<String, String> {
    let (read, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut stdin = std::io::stdin().lock();
        let result = stdin.by_ref().take(LONGEST_INPUT + 1).read_to_end(&mut text).and_then(|_| {
            // What is too long is read nevertheless: who cannot write to the end may take that for a failure.
            std::io::copy(&mut stdin, &mut std::io::sink())
        });
        let _ = read.send(result.map(|_| text));
    });
    let text = match wait.await {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return Err(format!("standard input cannot be read ({error})")),
        Err(_) => return Err("standard input cannot be read".to_owned()),
    };
    if text.len() as u64 > LONGEST_INPUT {
        return Err(format!("what the hook was sent is longer than {LONGEST_INPUT} bytes"));
    }
    String::from_utf8(text).map_err(|_| "what the hook was sent is not UTF-8".to_owned())
}
