//! The server's side of the built binary, as its users run it: `serve`, `operator`, `migrate`, `demo`, and what is
//! left when clients and server are killed in the middle of everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: clippy knows only test functions"
)]

mod acceptance;
mod backup;
mod commands;
mod connections;
mod containers;
mod crash;
mod deliveries;
// An authenticator without a browser, as the tests of the API have it.
mod demo;
#[allow(dead_code, reason = "there it is asked for more than here")]
#[path = "../../../server/tests/api/signup/device.rs"]
mod device;
mod disk;
mod external;
mod gate;
mod guide;
mod jobs;
mod leaks;
mod lifecycle;
mod log;
mod memory;
mod metrics;
mod rates;
mod runbook;
mod scripts;
mod secrets;
mod shared;
mod stopping;
mod support;
#[path = "../client/terminal.rs"]
mod terminal;
mod two_servers;
mod watch;
