//! `completions`: what makes a shell complete commands and options, made from the parser.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use clap_complete::aot::Generator;

use crate::args::Cli;
use crate::error::Error;
use crate::output::{self, Format};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// What its help ends with.
pub(crate) const PLACES: &str = "Examples:\n  \
    loopctl completions bash > ~/.local/share/bash-completion/completions/loopctl\n  \
    loopctl completions fish > ~/.config/fish/completions/loopctl.fish\n  \
    loopctl completions zsh > ~/.zfunc/_loopctl    # a directory of your fpath";

/// Prints the script and gives the exit code.
pub(crate) fn run(arguments: &Arguments) -> u8 {
    match script(arguments.shell) {
        Ok(script) => output::print_text(script.trim_end()),
        Err(error) => error.report(Format::Human),
    }
}

fn script(shell: Shell) -> Result<String, Error> {
    let mut command = Cli::command();
    command.set_bin_name("loopctl");
    command.build();
    let mut script = Vec::new();
    let made = shell.try_generate(&command, &mut script).map_err(|error| error.to_string());
    made.and_then(|()| String::from_utf8(script).map_err(|error| error.to_string()))
        .map_err(|error| Error::Other(format!("No script can be made for {shell}: {error}")))
}
