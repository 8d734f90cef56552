//! Deliveries of webhooks by a server that is killed in the middle of them, or told to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_postgres::NoTls;

use crate::support::{Daemon, PATIENCE, Scratch, call, run_on};

const WEBHOOKS: usize = 3;
const EVENTS: usize = 40;

/// When the server is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// The request has come, and is not answered.
    Before,
    /// It is answered, and the server has hardly had the time to write that down.
    After,
}

/// What is to be killed: after so many further requests.
struct Plan {
    pid: u32,
    countdown: usize,
    moment: Moment,
}

#[derive(Default)]
struct Seen {
    plan: Option<Plan>,
    /// Every body that came as this event.
    bodies: BTreeMap<String, Vec<Vec<u8>>>,
    /// The events at which the server was killed.
    fatal: BTreeSet<String>,
    /// How long an answer takes.
    pause: Duration,
}

/// Listens for all webhooks.
struct Receiver {
    url: String,
    seen: Arc<Mutex<Seen>>,
    /// Told of each request, and whether the server was killed at it.
    arrivals: UnboundedReceiver<bool>,
}

impl Receiver {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (seen, (arrived, arrivals)) = (Arc::<Mutex<Seen>>::default(), unbounded_channel());
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&shared), arrived.clone()));
            }
        });
        Self { url, seen, arrivals }
    }

    async fn arrival(&mut self) -> bool {
        tokio::time::timeout(PATIENCE, self.arrivals.recv()).await.expect("a request").unwrap()
    }
}

/// Answers what comes on a connection until the other side is gone.
async fn answer(mut stream: TcpStream, seen: Arc<Mutex<Seen>>, arrived: UnboundedSender<bool>) {
    while let Some((id, body)) = request(&mut stream).await {
        let (victim, pause) = {
            let mut seen = seen.lock().unwrap();
            seen.bodies.entry(id.clone()).or_default().push(body);
            let due = seen.plan.as_mut().is_some_and(|plan| {
                plan.countdown = plan.countdown.saturating_sub(1);
                plan.countdown == 0
            });
            let victim = if due { seen.plan.take() } else { None };
            if victim.is_some() {
                seen.fatal.insert(id);
            }
            (victim, seen.pause)
        };
        tokio::time::sleep(pause).await;
        let strike = |plan: &Plan| kill(Pid::from_raw(plan.pid.cast_signed()), Signal::SIGKILL).unwrap();
        if let Some(plan) = victim.as_ref().filter(|plan| plan.moment == Moment::Before) {
            strike(plan);
        }
        let answered = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        if let Some(plan) = victim.as_ref().filter(|plan| plan.moment == Moment::After) {
            strike(plan);
        }
        let _ = arrived.send(victim.is_some());
        if answered.is_err() {
            return;
        }
    }
}

/// The event's id and the body of the next request.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {head}")).trim().to_owned()
    };
    let length: usize = header("content-length:").parse().unwrap();
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((header("webhook-id:"), bytes[end..end + length].to_vec()))
}

/// Starting blocks.
async fn start(dir: &Path) -> Daemon {
    let dir = dir.to_str().unwrap().to_owned();
    let start = move || {
        Daemon::start_with(&[
            ("LOOPCTL_DATA_DIR", &dir),
            ("LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", "127.0.0.0/8"),
            ("LOOPCTL_WEBHOOK_RETRY_SCHEDULE", "1"),
        ])
    };
    tokio::task::spawn_blocking(start).await.unwrap()
}

/// Runs a statement as the database's owner; how many rows it was about.
async fn execute(dir: &Path, sql: &str) -> u64 {
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.join("run").display());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.execute(sql, &[]).await.unwrap()
}

/// A tenant's key and its webhooks, which nobody delivers to yet, with events that wait.
async fn prepare(dir: &Path, base: &str, url: &str, webhooks: usize, events: usize) -> (String, Vec<String>) {
    let created = run_on(dir, "operator tenant create --name Acme --slug acme --email ops@acme.test").json();
    let key = created["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let post = async |path: &str, body: &Value| {
        let (status, answer) =
            call("POST", &format!("{base}/api/v1{path}"), Some(&key), Some(body)).await.unwrap();
        assert!(status < 300, "{path}: {status} {answer}");
        answer
    };
    let mut ids = Vec::new();
    for _ in 0..webhooks {
        let made = post("/webhooks", &json!({"url": url, "events": ["story.verified"]})).await;
        ids.push(made["webhook"]["id"].as_str().unwrap().to_owned());
    }
    execute(dir, "update webhooks set lease = gen_random_uuid(), leased_until = 'infinity'").await;
    for _ in 0..events {
        for id in &ids {
            post(&format!("/webhooks/{id}/test"), &json!({})).await;
        }
    }
    execute(dir, "update webhooks set lease = null, leased_until = null").await;
    (key, ids)
}

/// Waits until everything is delivered.
async fn all_delivered(dir: &Path) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while execute(dir, "select from webhook_events where status <> 'delivered'").await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "not delivered within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_arrives_although_the_server_is_killed_at_it() {
    let (dir, mut receiver) = (Scratch::new(), Receiver::new().await);
    let mut server = start(dir.path()).await;
    receiver.seen.lock().unwrap().pause = Duration::from_millis(5);
    let plan = |server: &Daemon, moment| Some(Plan { pid: server.pid(), countdown: 15, moment });
    receiver.seen.lock().unwrap().plan = plan(&server, Moment::Before);
    prepare(dir.path(), &server.base, &receiver.url, WEBHOOKS, EVENTS).await;
    for next in [Some(Moment::After), Some(Moment::Before), None] {
        while !receiver.arrival().await {}
        tokio::task::spawn_blocking(move || server.wait()).await.unwrap();
        server = start(dir.path()).await;
        receiver.seen.lock().unwrap().plan = next.and_then(|moment| plan(&server, moment));
        // Whoever was killed has its leases for another minute.
        execute(dir.path(), "update webhooks set leased_until = now() where lease is not null").await;
    }
    all_delivered(dir.path()).await;
    judge(&receiver.seen.lock().unwrap());
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}

/// Everything came, as the same each time, and what was not written down came again.
fn judge(seen: &Seen) {
    assert_eq!((seen.bodies.len(), seen.fatal.len()), (WEBHOOKS * EVENTS, 3));
    for (id, bodies) in &seen.bodies {
        assert!(bodies.iter().all(|body| body == &bodies[0]), "{id} was not the same each time");
        let body: Value = serde_json::from_slice(&bodies[0]).unwrap();
        assert_eq!(body["id"], **id);
    }
    let again = seen.fatal.iter().filter(|id| seen.bodies[*id].len() > 1).count();
    assert!(again >= 2, "{again}");
}

/// A server that is told to stop hears the answer, writes it down, and begins nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_brought_to_its_end() {
    let (dir, mut receiver) = (Scratch::new(), Receiver::new().await);
    let server = start(dir.path()).await;
    receiver.seen.lock().unwrap().pause = Duration::from_secs(1);
    prepare(dir.path(), &server.base, &receiver.url, 1, 5).await;
    while receiver.seen.lock().unwrap().bodies.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(!receiver.arrival().await);
    let before = receiver.seen.lock().unwrap().bodies.len();
    assert!(before < 5, "it went on");
    let server = start(dir.path()).await;
    all_delivered(dir.path()).await;
    let counts: Vec<_> = receiver.seen.lock().unwrap().bodies.values().map(Vec::len).collect();
    assert_eq!(counts, [1; 5]);
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}
