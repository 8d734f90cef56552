//! `loopctl mcp` from the outside: the built binary, spoken to line by line, against a server that records what it is asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests: clippy knows only test functions")]

mod calls;
mod keys;
mod knowledge;
mod plans;
mod protocol;
mod recorder;
mod replies;
mod roles;
mod session;

/// An id.
pub(crate) const U: &str = "0192aaaa-0000-7000-8000-000000000001";
