//! Parsing, the usage text, and what is said when the command line is wrong.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use strsim::normalized_damerau_levenshtein;

use crate::args::Cli;
use crate::error::Error;
use crate::examples::with_examples;
use crate::layout::text::hanging;
use crate::table::one_line;
use crate::{output, terminal};

/// Parsing ended without a command to run: help, version, or a mistake.
#[derive(Debug)]
pub(crate) struct Stop {
    text: String,
    exit: u8,
}

impl Stop {
    /// Prints the text (help to stdout, mistakes to stderr) and gives the exit code.
    pub(crate) fn print(&self) -> u8 {
        if self.exit == 0 {
            return output::print_text(&self.text);
        }
        output::notes(&self.text);
        self.exit
    }

    /// The same of a command line within another one: help, or what is wrong.
    pub(crate) fn text(self) -> Result<String, Error> {
        if self.exit == 0 { Ok(self.text) } else { Err(Error::Refused(self.text)) }
    }
}

/// Parses the arguments of the process.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let mut command = command();
    // Made only where it may be shown: it needs every command, and most lines are of one.
    if arguments.iter().any(|word| word == "help" || word == "--help" || word == "-h") {
        command = command.override_help(format!("{}\n", overview()));
    }
    let matches = command.try_get_matches_from_mut(arguments).map_err(|error| stop(&error))?;
    if let Some(option) = empty_option(&command, &matches) {
        let text = format!("Error: --{option} is empty. Give it a value, or leave it out");
        return Err(Stop { text, exit: 2 });
    }
    Cli::from_arg_matches(&matches).map_err(|error| stop(&error))
}

fn command() -> clap::Command {
    with_examples(without_empty_variables(taking_hyphens(Cli::command())))
}

/// An environment variable that is empty counts as unset.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let value = argument.get_env().and_then(std::env::var_os);
        if value.is_some_and(|value| is_blank(&value)) { argument.env(Resettable::Reset) } else { argument }
    });
    command.mut_subcommands(without_empty_variables)
}

/// An option that was given and says nothing: mostly a shell variable that is not set. To act as if it had not been given
/// would be to act as somebody else, or on something else. Free texts, whose values are called `TEXT`, may be empty.
fn empty_option<'a>(command: &'a clap::Command, matches: &ArgMatches) -> Option<&'a str> {
    let is_empty = |argument: &&clap::Arg| {
        let id = argument.get_id().as_str();
        !argument.is_positional()
            && argument.get_action().takes_values()
            && !argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "TEXT"))
            && matches.value_source(id) == Some(ValueSource::CommandLine)
            && matches.get_raw(id).is_some_and(|mut values| values.any(is_blank))
    };
    let here = command.get_arguments().find(is_empty).and_then(clap::Arg::get_long);
    here.or_else(|| {
        let (name, matches) = matches.subcommand()?;
        empty_option(command.find_subcommand(name)?, matches)
    })
}

fn is_blank(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| text.trim().is_empty())
}

/// Options of the command, and of those below it, take values that begin with `-`. Only paths do not:
/// `--out --force` is a forgotten name, not a file.
fn taking_hyphens(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|argument| {
        let takes = !argument.is_positional()
            && argument.get_action().takes_values()
            && argument.get_value_parser().type_id() != TypeId::of::<PathBuf>();
        if takes { argument.allow_hyphen_values(true) } else { argument }
    });
    command.mut_subcommands(taking_hyphens)
}

/// The usage text: every command with its arguments, and the global options. On a terminal no line is wider than that.
pub(crate) fn overview() -> String {
    text(std::io::stdout().is_terminal().then(terminal::width))
}

fn text(width: Option<usize>) -> String {
    let mut root = command();
    root.build();
    let mut commands = Vec::new();
    for command in root.get_subcommands() {
        collect("", command, &mut commands);
    }
    let options = root.get_arguments().map(|option| {
        let short = option.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = match option.get_action().takes_values() {
            true => option.get_value_names().map_or(String::new(), |names| format!(" <{}>", names.join(" "))),
            false => String::new(),
        };
        let name = format!("{short}--{}{value}", option.get_long().unwrap_or_default());
        (name, option.get_help().map(ToString::to_string).unwrap_or_default())
    });
    format!(
        "{}\n\nUsage: loopctl [global options] <command> [arguments] [options]\n\nCommands:\n{}\n\n\
         Global options:\n{}\n\nRun 'loopctl help <command>' for the options of a command.",
        root.get_about().map(ToString::to_string).unwrap_or_default(),
        columns(&commands, width),
        columns(&options.collect::<Vec<_>>(), width),
    )
}

/// Adds the command, or the commands below it, as (name with arguments, description).
fn collect(parent: &str, command: &clap::Command, into: &mut Vec<(String, String)>) {
    if command.is_hide_set() {
        return;
    }
    let name = format!("{parent}{}", command.get_name());
    if command.has_subcommands() && command.get_name() != "help" {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            collect(&format!("{name} "), below, into);
        }
        return;
    }
    let arguments =
        command.get_positionals().filter(|argument| !argument.is_hide_set()).map(ToString::to_string);
    let full = std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ");
    into.push((full, command.get_about().map(ToString::to_string).unwrap_or_default()));
}

/// Names and what they stand for, beside each other. Where lines have a width, a name that would take too much of it has a line to itself.
fn columns(rows: &[(String, String)], width: Option<usize>) -> String {
    let widest = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    let room = width.map_or(widest, |width| widest.min(width * 2 / 5));
    let lines = rows.iter().flat_map(|(left, right)| {
        let (alone, lead) = match left.len() <= room {
            true => (None, format!("  {left:room$}  ")),
            false => (Some(format!("  {left}")), " ".repeat(room + 4)),
        };
        let beside = match width {
            Some(width) => hanging(&lead, right, width),
            None => vec![lead + right],
        };
        alone.into_iter().chain(beside)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn stop(error: &clap::Error) -> Stop {
    let rendered = error.render().to_string();
    let text = rendered.trim_end().to_owned();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop { text, exit: 0 },
        ErrorKind::InvalidSubcommand => {
            let name = match error.get(ContextKind::InvalidSubcommand) {
                Some(ContextValue::String(name)) => name.as_str(),
                _ => "",
            };
            Stop { text: unknown(name, error), exit: 2 }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Stop { text: format!("Error: Missing command\n{text}"), exit: 2 }
        }
        _ => Stop { text: mistake(&text), exit: 2 },
    }
}

/// How much of a word must be the same, for somebody to have meant it.
const NEAR: f64 = 0.6;

/// What is no command, what it may have been meant to be, and where all are.
fn unknown(name: &str, error: &clap::Error) -> String {
    let mut lines = vec![format!("Unknown command: {}", one_line(name))];
    let suggested = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(several)) => several.clone(),
        Some(ContextValue::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    // Some that are suggested have little more in common with it than a letter.
    let near = suggested.into_iter().filter(|other| normalized_damerau_levenshtein(name, other) >= NEAR);
    let near: Vec<String> = near.collect();
    if !near.is_empty() {
        lines.push(format!("Did you mean '{}'?", one_line(&near.join("' or '"))));
    }
    // `Usage: loopctl knowledge ...`: the group that was named.
    let rendered = error.render().to_string();
    let usage = rendered.split_once("Usage: loopctl ").map_or("", |(_, usage)| usage);
    let group: Vec<&str> = usage
        .split_whitespace()
        .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    let help = [&["help"], group.as_slice()].concat().join(" ");
    lines.push(format!("Run 'loopctl {help}' for available commands."));
    lines.join("\n")
}

/// clap's message as one line, and its usage line under it.
fn mistake(rendered: &str) -> String {
    let (message, usage) = rendered.split_once("Usage:").unwrap_or((rendered, ""));
    let message =
        message.trim_start_matches("error:").split("For more information").next().unwrap_or_default();
    // clap advises to put `--` before what it does not know, which would make a story of a misspelt option.
    let message = message.lines().filter(|line| !line.trim_start().starts_with("tip: to pass"));
    let words: Vec<&str> = message.flat_map(str::split_whitespace).collect();
    let line = format!("Error: {}", words.join(" "));
    match usage.lines().next().map(str::trim) {
        Some(usage) if !usage.is_empty() => format!("{line}\nUsage: {usage}"),
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn parse_words(line: &str) -> Result<Cli, Stop> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn usage_lists_every_command_and_the_global_options() {
        let text = text(None);
        assert!(text.starts_with("loopctl - Agent-native project state store CLI\n"));
        for expected in
            ["\nCommands:\n", "  keys create ", "  claim <STORY>", "\nGlobal options:\n", "--format <FORMAT>"]
        {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
    }

    #[test]
    fn on_a_terminal_usage_is_no_wider_than_that() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for width in [80, 120, 200] {
            let text = text(Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(width), "{widest:?} of {width}\n{text}");
            assert_eq!(words(&text), words(&super::text(None)));
        }
    }

    #[test]
    fn what_is_no_command_is_told_from_what_may_be_meant() {
        let told = |line: &str| parse_words(line).unwrap_err().text;
        assert_eq!(
            told("loopctl nonexistent"),
            "Unknown command: nonexistent\nRun 'loopctl help' for available commands."
        );
        let near = told("loopctl stroy list");
        assert!(near.starts_with("Unknown command: stroy\nDid you mean 'story'?\n"), "{near}");
        let group = told("loopctl knowledge pipeline");
        assert!(group.ends_with("Run 'loopctl help knowledge' for available commands."), "{group}");
        let option = told("loopctl verify 2.1 --sumary x");
        assert!(option.contains("--summary"), "{option}");
    }

    #[test]
    fn global_options_stand_anywhere() {
        for line in [
            "loopctl --format human project list",
            "loopctl project --format=human list",
            "loopctl project list --format human",
        ] {
            let cli = parse_words(line).unwrap();
            assert_eq!(cli.globals.format, Some(Format::Human), "{line}");
        }
    }

    #[test]
    fn values_may_begin_with_a_hyphen() {
        for line in [
            "loopctl project update big --name -x --repo -y",
            "loopctl project create x --slug -x",
            "loopctl story update 2.1 --hours -5 --metadata -",
            "loopctl state load --key -k",
            "loopctl verify 2.1 --summary -s --review-type -r --commit -c",
            "loopctl status --project --odd--",
        ] {
            assert!(parse_words(line).is_ok(), "{line}: {:?}", parse_words(line));
        }
        // Numbers are still checked, and the name of a file cannot be forgotten.
        let stop = parse_words("loopctl epic update 2 --position -1").unwrap_err();
        assert!(stop.text.contains("-1 is not in 0.."), "{}", stop.text);
        assert_eq!(parse_words("loopctl export --dir --force").unwrap_err().exit, 2);
        let stop = parse_words("loopctl claim 2.1 --sumary x").unwrap_err();
        assert_eq!(stop.text.lines().next().unwrap(), "Error: unexpected argument '--sumary' found");
    }

    /// Every option of every command, but free texts.
    #[test]
    fn an_empty_option_is_a_mistake() {
        fn every(command: &clap::Command, path: &[String], check: &mut impl FnMut(&[String], &clap::Arg)) {
            for argument in command.get_arguments().filter(|argument| !argument.is_positional()) {
                if argument.get_action().takes_values() {
                    check(path, argument);
                }
            }
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                every(below, &[path, &[below.get_name().to_owned()]].concat(), check);
            }
        }
        // It is the options alone that are looked at.
        fn nothing_required(command: clap::Command) -> clap::Command {
            let command = command.mut_args(|argument| argument.required(false));
            command.mut_subcommands(nothing_required)
        }
        let relaxed = nothing_required(command());
        let mut root = command();
        root.build();
        let mut checked = 0;
        every(&root, &["loopctl".to_owned()], &mut |path, option| {
            let long = option.get_long().unwrap();
            let free = option.get_value_names().unwrap().iter().any(|name| name == "TEXT");
            for blank in ["", " "] {
                let mut relaxed = relaxed.clone();
                let line = [path, &[format!("--{long}={blank}")]].concat();
                let matches = relaxed.try_get_matches_from_mut(&line);
                let refused = matches.map_or(true, |matches| empty_option(&relaxed, &matches) == Some(long));
                assert_eq!(refused, !free, "{line:?}");
            }
            checked += 1;
        });
        assert!(checked > 100, "{checked}");

        for line in
            ["loopctl next --project=", "loopctl --api-key= next", "loopctl story update 2.1 --title="]
        {
            let stop = parse_words(line).unwrap_err();
            assert!(stop.exit == 2 && stop.text.contains(" is empty. Give it a value"), "{}", stop.text);
        }
        for line in
            ["loopctl project update x --description=", "loopctl epic update 2 --phase= --description="]
        {
            assert!(parse_words(line).is_ok(), "an empty text clears: {line}");
        }
    }

    #[test]
    fn help_is_compact_and_says_nothing_twice() {
        fn every(command: &mut clap::Command) {
            assert!(command.get_long_about().is_none(), "{}", command.get_name());
            let help = command.render_help().to_string();
            for doubled in
                ["passed or failed", "bug, enhancement or blocker", "active or archived", "pass or partial"]
            {
                assert!(!(help.contains(doubled) && help.contains("[possible values")), "{help}");
            }
            command.get_subcommands_mut().for_each(every);
        }
        every(&mut command());
    }

    #[test]
    fn mistakes_are_one_line_and_a_usage_hint() {
        let stop = parse_words("loopctl keys create --role agent").unwrap_err();
        assert_eq!(stop.exit, 2);
        let lines: Vec<&str> = stop.text.lines().collect();
        assert_eq!(lines[0], "Error: the following required arguments were not provided: --name <NAME>");
        assert!(lines[1].starts_with("Usage: loopctl keys create --name <NAME>"), "{}", stop.text);
    }
}
