//! `cargo bench`: loopctl over HTTP against the same statements through pgbench, on the same embedded cluster,
//! in one run. Rates depend on the machine; the ratios are what counts.
//!
//! Prints the table of `docs/performance.md` on stdout and progress on stderr.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark stops where it fails"
)]

mod bulk;
mod data;
mod floor;
mod http;
mod service;

use std::time::Duration;

use bulk::Bulk;
use data::Fixture;
use service::Service;

/// Clients at once, for both sides. The machine has two cores, which client, server and database share.
const CLIENTS: usize = 4;
/// How long each measurement runs.
const SPAN: Duration = Duration::from_secs(5);

/// One line of the table.
struct Line {
    what: &'static str,
    /// Transactions per second through pgbench.
    floor: f64,
    http: http::Load,
}

fn main() {
    // `cargo test --benches` runs this with arguments of the test harness; there is nothing to test here.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let scratch = service::scratch_dir();
    note("starting loopctl on a scratch cluster");
    drop(Service::start(&scratch).await);
    let service = Service::start(&scratch).await;
    let (warm_start, idle_memory) = (service.first_answer, service.idle_memory().await);
    let fixture = Fixture::create(&service).await;

    let mut lines = Vec::new();
    let mut measure = async |what, paths: Vec<String>, scripts: Vec<String>| {
        note(what);
        let http = http::get(&service, &fixture.agent_keys, &paths, CLIENTS, SPAN).await;
        let floor = floor::run(&service, &scripts, CLIENTS, SPAN).await;
        lines.push(Line { what, floor, http });
    };
    measure("story by id", fixture.story_paths(), fixture.story_scripts()).await;
    measure("list of 100 stories", fixture.list_paths(), fixture.list_scripts()).await;
    for (what, project) in [
        ("ready, 1k stories, 100 ready, the rest verified", &fixture.done_1k),
        ("ready, 10k stories, 100 ready, the rest verified", &fixture.done_10k),
        ("ready, 100k stories, 100 ready, the rest verified", &fixture.done_100k),
        ("ready, 1k stories, 100 ready, the rest blocked", &fixture.open_1k),
        ("ready, 10k stories, 100 ready, the rest blocked", &fixture.open_10k),
    ] {
        measure(what, fixture.ready_paths(project), fixture.ready_scripts(project)).await;
    }
    note("claim");
    let floor = floor::run(&service, &[fixture.claim_script()], CLIENTS, SPAN).await;
    let http = http::claim(&service, &fixture.agent_keys, &fixture.contracted, CLIENTS, SPAN).await;
    lines.push(Line { what: "claim", floor, http });

    note("import, bulk claim, export");
    // The claims above took stories from the front.
    let untouched = fixture.contracted.iter().rev().take(1_000).cloned().collect::<Vec<_>>();
    let bulk = bulk::measure(&service, &fixture.agent_keys[0], &untouched).await;

    print(&lines, &bulk, warm_start, idle_memory);
    drop(service);
    std::fs::remove_dir_all(&scratch).expect("the scratch directory goes away");
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
fn print(lines: &[Line], bulk: &Bulk, warm_start: Duration, idle_memory: u64) {
    println!("| what | pgbench, tx/s | loopctl, req/s | ratio | p50, ms | p99, ms |");
    println!("|---|---:|---:|---:|---:|---:|");
    for Line { what, floor, http } in lines {
        let ratio = http.rate / floor;
        println!(
            "| {what} | {floor:.0} | {:.0} | {ratio:.2} | {:.2} | {:.2} |",
            http.rate, http.median, http.tail
        );
    }
    let rate = |what: &str| {
        lines.iter().find(|line| line.what.starts_with(what)).map_or(0.0, |line| line.http.median)
    };
    let growth = |kind: &str, to: &str| {
        let of = |size: &str| rate(&format!("ready, {size} stories, 100 ready, the rest {kind}"));
        of(to) / of("1k")
    };
    println!();
    println!("| what | value |");
    println!("|---|---:|");
    println!(
        "| ready at 10k over ready at 1k, median time, the rest verified | {:.2} |",
        growth("verified", "10k")
    );
    println!(
        "| ready at 100k over ready at 1k, median time, the rest verified | {:.2} |",
        growth("verified", "100k")
    );
    println!(
        "| ready at 10k over ready at 1k, median time, the rest blocked | {:.2} |",
        growth("blocked", "10k")
    );
    let ratio = |one: Duration, other: Duration| one.as_secs_f64() / other.as_secs_f64();
    let megabytes = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "| import of 5,000 stories with 8,000 dependencies, one request | {:.2} s |",
        bulk.import.as_secs_f64()
    );
    println!(
        "| that import over the same rows by plain SQL | {:.2} |",
        ratio(bulk.import, bulk.import_floor)
    );
    println!(
        "| ready right after that import over ready later | {:.2} |",
        ratio(bulk.ready_at_once, bulk.ready_later)
    );
    println!(
        "| 50 claims in one bulk call over 50 single claims | {:.2} |",
        ratio(bulk.bulk_claim, bulk.single_claims)
    );
    println!(
        "| export of 20,000 stories, {:.1} MB | {:.2} s |",
        megabytes(bulk.export_size),
        bulk.export.as_secs_f64()
    );
    println!("| most memory that exports added | {:.1} MB |", megabytes(bulk.export_memory));
    println!("| warm start to the first 200 | {} ms |", warm_start.as_millis());
    println!("| idle server, without PostgreSQL | {:.1} MB |", megabytes(idle_memory));
}

#[allow(clippy::print_stderr, reason = "progress, beside the result")]
fn note(text: &str) {
    eprintln!("{text} …");
}
