//! Parsing, the usage text, and what is said when the command line is wrong.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};

use crate::args::Cli;
use crate::output;

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
        output::note(&self.text);
        self.exit
    }
}

/// Parses the arguments of the process.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Stop> {
    let command = Cli::command().override_help(format!("{}\n", text()));
    command
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| stop(&error))
}

/// The usage text: every command with its arguments, and the global options.
pub(crate) fn text() -> String {
    let mut root = Cli::command();
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
        columns(&commands),
        columns(&options.collect::<Vec<_>>()),
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

fn columns(rows: &[(String, String)]) -> String {
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, right)| format!("  {left:width$}  {right}")).collect::<Vec<_>>().join("\n")
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
            Stop {
                text: format!("Unknown command: {name}\nRun 'loopctl help' for available commands."),
                exit: 2,
            }
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Stop { text: format!("Error: Missing command\n{text}"), exit: 2 }
        }
        _ => Stop { text: mistake(&text), exit: 2 },
    }
}

/// clap's message as one line, and its usage line under it.
fn mistake(rendered: &str) -> String {
    let (message, usage) = rendered.split_once("Usage:").unwrap_or((rendered, ""));
    let message =
        message.trim_start_matches("error:").split("For more information").next().unwrap_or_default();
    let line = format!("Error: {}", message.split_whitespace().collect::<Vec<_>>().join(" "));
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
        Cli::command().debug_assert();
    }

    #[test]
    fn usage_lists_every_command_and_the_global_options() {
        let text = text();
        assert!(text.starts_with("loopctl - Agent-native project state store CLI\n"));
        for expected in
            ["\nCommands:\n", "  keys create ", "  claim <STORY>", "\nGlobal options:\n", "--format <FORMAT>"]
        {
            assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
        }
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
    fn mistakes_are_one_line_and_a_usage_hint() {
        let stop = parse_words("loopctl keys create --role agent").unwrap_err();
        assert_eq!(stop.exit, 2);
        let lines: Vec<&str> = stop.text.lines().collect();
        assert_eq!(lines[0], "Error: the following required arguments were not provided: --name <NAME>");
        assert!(lines[1].starts_with("Usage: loopctl keys create --name <NAME>"), "{}", stop.text);
    }
}
