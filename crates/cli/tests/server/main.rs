//! The server's side of the built binary, as its users run it: `serve`, `operator`, `migrate`, `demo`, and what is
//! left when clients and server are killed in the middle of everything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: clippy knows only test functions"
)]

mod connections;
mod crash;
mod deliveries;
mod demo;
mod disk;
mod external;
mod jobs;
mod lifecycle;
mod log;
mod memory;
mod metrics;
mod rates;
mod secrets;
mod support;
