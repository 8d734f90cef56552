//! The server over real HTTP on a real PostgreSQL, one file per area of the contract. Tests run in parallel,
//! each with a tenant of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: clippy knows only test functions"
)]

mod conformance;
mod support;

mod admin;
mod conventions;
mod cost;
mod cursors;
mod database;
mod deliveries;
mod discovery;
mod events;
mod exports;
mod fair;
mod fuzz;
mod hangups;
mod identity;
mod imports;
mod isolation;
mod jobs;
mod knowledge;
mod mcp;
mod measured;
mod newcomer;
mod orchestrator_state;
mod pages;
mod races;
mod rates;
mod signup;
mod skills;
mod trust_loop;
mod ui_tests;
mod walk;
mod webhooks;
mod work_breakdown;
