//! What the parser knows, as `loopctl help` tells it.

use std::process::Command;

/// Every command, as it is typed: `keys create`.
pub(crate) fn commands() -> Vec<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_loopctl")).arg("help").output().unwrap();
    let usage = String::from_utf8(help.stdout).unwrap();
    let lines = usage.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = lines.take_while(|line| !line.is_empty()).map(|line| {
        // The description begins after two blanks, the arguments with a bracket.
        let name = line.trim_start().split("  ").next().unwrap_or_default();
        let words = name.split(' ').take_while(|word| !word.starts_with(['<', '[']));
        words.collect::<Vec<_>>().join(" ")
    });
    let commands: Vec<_> = commands.filter(|command| command != "help").collect();
    assert!(commands.len() > 100, "{commands:?}");
    commands
}

/// The commands by what stands before their last word: `keys` has `create`, and nothing has `next`.
pub(crate) fn groups() -> Vec<(String, String)> {
    let split = |command: String| match command.rsplit_once(' ') {
        Some((group, last)) => (group.to_owned(), last.to_owned()),
        None => (String::new(), command),
    };
    commands().into_iter().map(split).collect()
}
