//! `man`: manual pages, made from the parser.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::args::Cli;
use crate::error::Error;
use crate::examples::with_examples;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Command whose page is meant; without one, loopctl itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write the pages of all commands into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// What its help ends with.
pub(crate) const EXAMPLES: &str = "Examples:\n  \
    loopctl man --dir ~/.local/share/man/man1    # then: man loopctl-keys-create\n  \
    loopctl man keys create | man -l -";

/// Prints a page, or writes all, and gives the exit code.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    let printed = match &arguments.dir {
        Some(dir) => write_all(dir),
        None => named(&arguments.command).and_then(|command| page(&command)),
    };
    match printed {
        Ok(text) => output::print_text(text.trim_end()),
        Err(error) => error.report(Format::Human),
    }
}

/// All commands, as they are documented: `help` is no command of its own, and global options stand in the page of loopctl.
fn root() -> Command {
    let mut root = with_examples(Cli::command()).disable_help_subcommand(true);
    root.build();
    root
}

/// The command with this name.
fn named(words: &[String]) -> Result<Command, Error> {
    let root = root();
    let found = words.iter().try_fold(&root, |command, word| command.find_subcommand(word));
    found.cloned().ok_or_else(|| {
        let name = words.join(" ");
        Error::Usage(format!("Unknown command: {name}. Run 'loopctl help' for available commands"))
    })
}

/// Writes a page for every command; what was done, in words.
fn write_all(dir: &Path) -> Result<String, Error> {
    let cannot = |path: &Path, error: std::io::Error| {
        Error::Usage(format!("Cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
    let mut commands = vec![root()];
    let mut written = 0;
    while let Some(command) = commands.pop() {
        let path = dir.join(format!("{}.1", full_name(&command)));
        std::fs::write(&path, page(&command)?).map_err(|error| cannot(&path, error))?;
        written += 1;
        commands.extend(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned());
    }
    Ok(format!("{written} pages written to {}", dir.display()))
}

/// `loopctl-keys-create`
fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command) -> Result<String, Error> {
    let of_root = full_name(command) == "loopctl";
    let mut shown = command.clone().mut_args(|argument| {
        let elsewhere = argument.is_global_set() && !of_root;
        if elsewhere { argument.hide(true) } else { argument }
    });
    // A page puts the name before it by itself.
    let about = shown.get_about().map(ToString::to_string).unwrap_or_default();
    if let Some(about) = about.strip_prefix("loopctl - ") {
        shown = shown.about(about.to_owned());
    }
    let mut text = Vec::new();
    // Without a date the next word would be taken for one.
    let version = concat!("loopctl ", env!("CARGO_PKG_VERSION"));
    let page = Man::new(shown).date(" ").source(version).manual("loopctl manual");
    let mut made = page.render(&mut text);
    if !of_root {
        let mut end = Roff::default();
        end.control("SH", ["SEE ALSO"]);
        end.text([bold("loopctl"), roman("(1), which has the options that all commands take")]);
        made = made.and_then(|()| end.to_writer(&mut text));
    }
    made.map_err(|error| error.to_string())
        .and_then(|()| String::from_utf8(text).map_err(|error| error.to_string()))
        .map_err(|error| Error::Other(format!("No page can be made of {}: {error}", full_name(command))))
}
