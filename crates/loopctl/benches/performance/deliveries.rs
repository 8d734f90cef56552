//! `--deliveries [COUNT]`: what claims cost beside a queue of deliveries that drains, and what that leaves behind.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Client;

use crate::bench::{Bench, tidy};
use crate::data;
use crate::note;
use crate::results::median;
use crate::service::Service;
use crate::tenants::Tenant;
use crate::transitions::{self, ACTIONS};

/// How many events are queued if nothing else is said.
const COUNT: usize = 10_000;
/// Tenants with a webhook each: enough that every place is taken.
const RECEIVING: usize = 8;
/// Stories that are claimed at a time, and how often.
const CLAIMS: usize = 1_280;
const ROUNDS: usize = 5;
const CONNECTIONS: usize = 16;

/// The number after `--deliveries`, if that is given.
pub(crate) fn wanted() -> Option<usize> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--deliveries");
    arguments.next()?;
    Some(arguments.next().and_then(|count| count.parse().ok()).unwrap_or(COUNT))
}

#[allow(clippy::print_stdout, reason = "the table is this program's result")]
pub(crate) async fn run(scratch: &std::path::Path, count: usize) {
    let url = receive();
    let service = Service::start(scratch).await;
    let bench = Bench::new(service).await;
    let owner = bench.service.owner().await;
    let claiming = [Tenant::create(&bench.service, "claiming").await];
    note("plans of stories to be claimed");
    let mut plans = Vec::new();
    for number in 0..=2 * ROUNDS {
        let plan = transitions::plan(&claiming, &format!("plan-{number}"), CLAIMS).await;
        transitions::step(&bench, &claiming, &plan, &ACTIONS[0], CONNECTIONS).await;
        plans.push(plan);
    }
    let mut bell = None;
    for number in 0..RECEIVING {
        let tenant = Tenant::create(&bench.service, &format!("receiving-{number}")).await;
        let made = tenant.user.post("/webhooks", &json!({"url": url, "events": ["story.verified"]})).await;
        let id = made["webhook"]["id"].as_str().expect("an id");
        bell = Some((format!("/webhooks/{id}/test"), tenant));
    }
    let (test, receiving) = bell.expect("a webhook");
    note(&format!("a queue of {count} deliveries"));
    // Nothing is delivered for them yet, and what so many new rows cost by themselves is over before anything is measured.
    owner
        .batch_execute("update tenants set status = 'suspended' where slug like 'receiving-%'")
        .await
        .expect("a pause");
    data::queue_deliveries(&owner, count).await;
    tidy(&owner).await;
    let mut plans = plans.iter();
    let mut claim = async || {
        let plan = plans.next().expect("a plan");
        transitions::step(&bench, &claiming, plan, &ACTIONS[1], CONNECTIONS).await.rate
    };
    claim().await;
    note("claims alone");
    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(claim().await);
    }
    note(&format!("claims beside {count} deliveries"));
    owner
        .batch_execute("update tenants set status = 'active' where slug like 'receiving-%'")
        .await
        .expect("deliveries");
    // What others change is looked for every few seconds, and at once when something is queued by the server itself.
    receiving.user.post(&test, &json!({})).await;
    let began = Instant::now();
    let mut beside = Vec::new();
    for _ in 0..ROUNDS {
        let rate = claim().await;
        if data::pending_deliveries(&owner).await > 0 {
            beside.push(rate);
        }
    }
    let (shared, left) = (began.elapsed(), data::pending_deliveries(&owner).await);
    let (drained, most) = drain(&owner).await;
    let both = began.elapsed();
    let (dead, sizes) = data::traces_of_deliveries(&owner).await;
    let (alone, beside) = (median(alone), median(beside));
    let per_second = |events: usize, span: Duration| events as f64 / span.as_secs_f64();
    println!("| | |\n|---|---|");
    println!("| claims alone | {alone:.0}/s |");
    println!("| claims while {count} deliveries drain | {beside:.0}/s, {:.0} % |", 100.0 * beside / alone);
    println!("| deliveries beside claims | {:.0}/s |", per_second(count - left, shared));
    if left > 0 {
        println!("| deliveries alone | {:.0}/s |", per_second(left, drained));
    }
    println!("| all of them | {:.1} s |", both.as_secs_f64());
    println!("| most dead rows on the way, and at the end | {} and {dead} |", most.max(dead));
    println!("| sizes of the tables of events and webhooks | {sizes} |");
}

/// Waits until nothing is pending; how long that took, and the most dead rows that there were meanwhile.
async fn drain(owner: &Client) -> (Duration, i64) {
    let (began, mut most) = (Instant::now(), 0);
    while data::are_deliveries_pending(owner).await {
        most = most.max(data::dead_rows_of_deliveries(owner).await);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    (began.elapsed(), most)
}

/// A receiver on a thread of its own; where it is.
fn receive() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a port");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
    });
    url
}

/// Says yes to whatever comes. A request is small and comes in one piece or two: its end is that of its JSON.
async fn answer(mut stream: TcpStream) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        if bytes[..length].ends_with(b"}")
            && stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err()
        {
            return;
        }
    }
}
