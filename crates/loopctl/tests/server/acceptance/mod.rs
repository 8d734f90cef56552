//! The command line beside a real server, as its users have it: how each command ends, what it prints, and what is at the server
//! afterwards, by its API.

mod admin;
mod connection;
mod cost;
mod events;
mod login;
mod plans;
mod printed;
mod references;
mod running;
mod settings;
mod skills;
mod start;
mod team;
mod tls;
mod trust_loop;

use crate::support::Run;

/// A failure as programs and people need it: the exit code, nothing on standard output, and one error, which says this.
#[track_caller]
fn refused(run: &Run, code: i32, told: &str) {
    assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{run:?}");
    let errors = run.stderr.lines().filter(|line| line.starts_with("Error: ")).count();
    assert!(run.stderr.starts_with("Error: ") && errors == 1, "one error: {run:?}");
    assert!(run.stderr.contains(told), "{told}: {run:?}");
}
