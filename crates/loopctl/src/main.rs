//! The `loopctl` binary.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// One that gives back to the system what is free: a server's memory is what its requests take now, and not what they once took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How the allocator is set: what was freed is given back within a quarter of a second, and not within ten seconds. Where megabytes come
/// and go, what comes within ten seconds is a large part of all the memory there is.
// SAFETY: the allocator looks for settings under this name, and finds a pointer to a text that ends with a zero.
#[allow(unsafe_code)]
#[unsafe(export_name = "_rjem_malloc_conf")]
static SETTINGS: &[u8; 36] = b"dirty_decay_ms:250,muzzy_decay_ms:0\0";

fn main() -> ExitCode {
    loopctl_cli::main()
}
