//! `cargo bench`: loopctl over HTTP against what PostgreSQL could do at most, and against the same statements, through
//! pgbench on the same embedded cluster, in one run. Rates depend on the machine; the ratios and the costs are what
//! counts.
//!
//! Prints the tables of `docs/performance.md` on stdout and progress on stderr. With `--profile`, instead, what PostgreSQL
//! does for each kind of request; with `--deliveries [COUNT]`, what claims are while so many deliveries of webhooks drain; with
//! `--usage`, what reports cost that say what was used; with `--analytics [REPORTS]`, how long analytics take over so many; with
//! `--knowledge`, what searches cost over many articles; with `--commands`, what commands take as whole processes; with
//! `--against PROGRAM`, what this build's requests take over those of another build.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark stops where it fails"
)]

mod against;
mod analytics;
mod bench;
mod bulk;
mod commands;
mod cost;
mod data;
mod deliveries;
mod export;
mod floor;
mod knowledge;
mod profile;
mod ready;
mod report;
mod requests;
mod results;
#[path = "../support/mod.rs"]
mod support;
mod transitions;
mod usage;

use bench::Bench;
use service::Service;
use support::{api, http, note, service, tenants};

/// Starts on a data directory that exists; the median counts.
const STARTS: usize = 3;

fn main() {
    // `cargo test --benches` runs this with arguments of the test harness; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let profile = std::env::args().any(|argument| argument == "--profile");
    // One thread: the client shares the machine with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let scratch = service::scratch_dir();
    runtime.block_on(async {
        if let Some(other) = against::wanted() {
            return against::run(&scratch, &other).await;
        }
        note("starting loopctl on a scratch cluster");
        drop(Service::start(&scratch).await);
        match (deliveries::wanted(), analytics::wanted()) {
            (Some(count), _) => deliveries::run(&scratch, count).await,
            (None, Some(reports)) => analytics::run(&scratch, reports).await,
            (None, None) if profile => profile::run(&scratch).await,
            (None, None) if usage::is_wanted() => usage::run(&scratch).await,
            (None, None) if commands::is_wanted() => commands::run(&scratch).await,
            (None, None) if knowledge::is_wanted() => knowledge::run(&scratch).await,
            (None, None) => measure(&scratch).await,
        }
    });
    std::fs::remove_dir_all(&scratch).expect("the scratch directory goes away");
}

async fn measure(scratch: &std::path::Path) {
    let mut starts = Vec::new();
    for _ in 1..STARTS {
        starts.push(Service::start(scratch).await.first_answer);
    }
    let service = Service::start(scratch).await;
    starts.push(service.first_answer);
    let idle_memory = service.idle_memory().await;
    let bench = Bench::new(service).await;
    // What has to do with few stories comes first: later there are hundreds of thousands.
    report::requests(&requests::measure(&bench).await);
    note("import, bulk claim");
    let bulk = bulk::measure(&bench).await;
    let growth = ready::measure(&bench).await;
    report::ready(&growth.ready);
    note("export");
    let export = export::measure(&bench, &growth).await;
    report::values(&bulk, &export, bulk::median(starts), idle_memory);
}
