//! The `loopctl` binary.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// One that gives back to the system what is free: a server's memory is what its requests take now, and not what they once took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    loopctl_cli::main()
}
