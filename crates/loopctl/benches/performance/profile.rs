//! `--profile`: which statements PostgreSQL runs for each kind of request, those within triggers included, and what each
//! of them takes. Asks the extension `pg_stat_statements`, which makes everything a little slower.

#![allow(clippy::print_stdout, reason = "the tables are this program's result")]

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use tokio_postgres::Client;

use crate::bench::{Bench, SPAN};
use crate::http::{Until, request};
use crate::note;
use crate::requests::{LIST, READY, STORY};
use crate::service::Service;
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS};
use crate::usage;

/// Stories to read, of which some take their steps.
const STORIES: usize = 2_000;
const STEPS: usize = 500;
/// One at a time: the time of a statement has its waiting in it, for locks and for processors.
const CONNECTIONS: usize = 1;
/// Statements of one kind of request, those that take longest.
const TOP: i64 = 8;

const SETTINGS: &str = "
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = all
pg_stat_statements.track_planning = on
";

pub(crate) async fn run(scratch: &Path) {
    let service = Service::start(scratch).await;
    // Loaded so it does nothing yet. A server that is told to load what is not there would not start.
    if let Err(error) = service.owner().await.batch_execute("load 'pg_stat_statements'").await {
        println!("This PostgreSQL cannot be profiled: pg_stat_statements cannot be loaded ({error}).");
        println!(
            "The extension comes with PostgreSQL's contrib modules, in a package of its own on some systems."
        );
        return;
    }
    drop(service);
    let settings = scratch.join("postgres/postgresql.conf");
    let mut file = OpenOptions::new().append(true).open(settings).expect("the cluster's settings");
    file.write_all(SETTINGS.as_bytes()).expect("they can be written");

    let bench = Bench::new(Service::start(scratch).await).await;
    let owner = bench.service.owner().await;
    owner.batch_execute("create extension pg_stat_statements").await.expect("it is loaded");
    let tenants = Tenant::several(&bench.service, 1).await;
    let (tenant, stories) = (&tenants[0], transitions::plan(&tenants, "profile", STORIES).await);
    owner.batch_execute("vacuum analyze").await.expect("statistics");

    let project = tenant.user.get("/projects").await["data"][0]["id"].as_str().expect("an id").to_owned();
    let get = |path: String| request("GET", &path, &tenant.agent.key, "");
    let show = stories[0].iter().map(|id| get(format!("/stories/{id}"))).collect();
    let list = vec![get(format!("/stories?project_id={project}&limit=100"))];
    let ready = vec![get(format!("/stories/ready?project_id={project}&limit=100"))];
    for (what, requests) in [(STORY, show), (LIST, list), (READY, ready)] {
        profile(&bench, &owner, what, requests, Until::Over(SPAN)).await;
    }
    for action in &ACTIONS {
        let requests = transitions::requests(tenant, &stories[0][..STEPS], action);
        profile(&bench, &owner, action.name, requests, Until::Done).await;
    }
    let reviewer = usage::reviewer(&bench.service, tenant).await;
    let (without, with) = stories[0][..STEPS].split_at(STEPS / 2);
    let used = usage::body();
    for (what, stories, body) in [("report", without, ""), ("report with usage", with, used.as_str())] {
        let requests = usage::reports(&reviewer, stories, body);
        profile(&bench, &owner, what, requests, Until::Done).await;
    }
}

/// Prints what PostgreSQL did while these requests were answered, per request.
async fn profile(bench: &Bench, owner: &Client, what: &str, requests: Vec<Vec<u8>>, until: Until) {
    note(what);
    owner.batch_execute("select pg_stat_statements_reset()").await.expect("the extension");
    let load = bench.load(requests, CONNECTIONS, until).await;
    let sum = "select sum(total_exec_time + total_plan_time) from pg_stat_statements where toplevel";
    let all: f64 = owner.query_one(sum, &[]).await.expect("statements").get(0);
    println!(
        "**{what}**: {:.2} ms; {:.2} ms of PostgreSQL's processors, {:.2} ms in statements; {:.0} bytes of WAL\n",
        load.median,
        load.cost.postgres,
        all / load.requests as f64,
        load.cost.wal
    );
    println!(
        "| ms a request | to plan it | calls a request | ms a call | WAL, bytes a request | within | statement |"
    );
    println!("|---:|---:|---:|---:|---:|---|---|");
    let sql = "select total_exec_time, total_plan_time, calls::float8, mean_exec_time, wal_bytes::float8, toplevel, query
        from pg_stat_statements
        where query !~ 'pg_stat_statements|pg_current_wal'
        order by total_exec_time + total_plan_time desc limit $1";
    for row in owner.query(sql, &[&TOP]).await.expect("statements") {
        let number = |column| row.get::<_, f64>(column);
        let each = |column| number(column) / load.requests as f64;
        let within = if row.get(5) { "" } else { "another" };
        println!(
            "| {:.3} | {:.3} | {:.2} | {:.3} | {:.0} | {within} | `{}` |",
            each(0),
            each(1),
            each(2),
            number(3),
            each(4),
            short(row.get(6))
        );
    }
    println!();
}

/// A statement on a line.
fn short(sql: &str) -> String {
    const MOST: usize = 110;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
