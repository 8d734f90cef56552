//! The `loopctl` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    loopctl_cli::main()
}
