//! What the programs that measure share: the binary as a child process, tenants, and clients that cost little.

#![allow(dead_code, reason = "each program uses its part of it")]

pub(crate) mod api;
pub(crate) mod http;
pub(crate) mod service;
pub(crate) mod tenants;

#[allow(clippy::print_stderr, reason = "progress, beside the result")]
pub(crate) fn note(text: &str) {
    eprintln!("{text} …");
}
