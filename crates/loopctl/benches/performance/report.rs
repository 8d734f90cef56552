//! The tables of `docs/performance.md`.

#![allow(clippy::print_stdout, reason = "the tables are this program's result")]

use std::time::Duration;

use crate::bulk::Bulk;
use crate::export::Export;
use crate::floor::Floor;
use crate::ready::Ready;
use crate::requests::{CONNECTIONS, HEADLINE, STORY, TENANTS};
use crate::results::{Results, Row};
use crate::transitions::ACTIONS;

/// Floors, and single requests over [`HEADLINE`] connections and over others.
pub(crate) fn requests(results: &Results) {
    println!("| floor | connections | pgbench, tx/s | PostgreSQL, CPU ms | WAL, bytes |");
    println!("|---|---:|---:|---:|---:|");
    for floor in [Floor::Read, Floor::Write] {
        for connections in CONNECTIONS {
            let median = |of: fn(&_) -> f64| results.median_floor(floor, connections, of);
            println!(
                "| {} | {connections} | {:.0} | {:.3} | {:.0} |",
                floor.name(),
                median(|pgbench| pgbench.rate),
                median(|pgbench| pgbench.cost.postgres),
                median(|pgbench| pgbench.cost.wal)
            );
        }
    }
    println!();
    println!(
        "| over {HEADLINE} connections | tenants | loopctl, req/s | of the floor | of the same statements | p50, ms | p99, ms \
         | server, CPU ms | PostgreSQL, CPU ms | client, CPU ms | WAL, bytes |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in results.rows.iter().filter(|row| row.connections == HEADLINE) {
        println!(
            "| {} | {} | {:.0} | {:.3} | {} | {:.2} | {:.2} | {:.3} | {:.3} | {:.3} | {:.0} |",
            row.what,
            row.tenants,
            row.rate(),
            row.of_floor(),
            row.of_same().map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            row.median(|round| round.load.median),
            row.median(|round| round.load.tail),
            row.cost(|cost| cost.server),
            row.cost(|cost| cost.postgres),
            row.cost(|cost| cost.client),
            row.cost(|cost| cost.wal)
        );
    }
    println!();
    let heads: Vec<String> = CONNECTIONS.iter().map(|count| format!(" {count} |")).collect();
    println!("| req/s (of the floor), by connections | tenants |{}", heads.concat());
    println!("|---|---:|{}", "---:|".repeat(CONNECTIONS.len()));
    for what in [STORY].into_iter().chain(ACTIONS.iter().map(|action| action.name)) {
        for tenants in [1, TENANTS] {
            let cell = |row: &Row| format!(" {:.0} ({:.3}) |", row.rate(), row.of_floor());
            let rows = CONNECTIONS.iter().filter_map(|count| results.row(what, tenants, *count));
            println!("| {what} | {tenants} |{}", rows.map(cell).collect::<String>());
        }
    }
    println!();
}

/// How the ready queue grows.
pub(crate) fn ready(measured: &[Ready]) {
    println!(
        "| ready, a page of 100, over 1 connection | stories | loopctl, req/s | of the same statements | p50, ms | over 1k \
         | PostgreSQL, CPU ms |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for Ready { rest, size, same, load } in measured {
        let smallest = measured.iter().find(|other| other.rest == *rest).map_or(load, |first| &first.load);
        println!(
            "| {} | {} | {:.1} | {:.2} | {:.2} | {:.2} | {:.3} |",
            rest.name(),
            thousands(*size),
            load.rate,
            load.rate / same,
            load.median,
            load.median / smallest.median,
            load.cost.postgres
        );
    }
    println!();
}

/// Everything else.
pub(crate) fn values(bulk: &Bulk, export: &Export, warm_start: Duration, idle_memory: u64) {
    println!("| what | value |");
    println!("|---|---:|");
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
        "| export of 100,000 stories, {:.1} MB | {:.2} s |",
        megabytes(export.size),
        export.time.as_secs_f64()
    );
    println!("| most memory that exports added | {:.1} MB |", megabytes(export.memory));
    println!("| warm start to the first 200 | {} ms |", warm_start.as_millis());
    println!("| idle server, without PostgreSQL | {:.1} MB |", megabytes(idle_memory));
}

fn thousands(count: usize) -> String {
    format!("{}k", count / 1_000)
}
