//! Clients that hold connections and do not finish their sentences.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Daemon, PATIENCE, Scratch, call_with, client, long_tests, run_on};

const IDLE: usize = 400;
const HALF_HEADS: usize = 100;
const HALF_BODIES: usize = 100;

/// Connections on which something has been said, and nothing follows.
struct Stalled {
    what: &'static str,
    /// How long the server is patient with them.
    patience: Duration,
    sockets: Vec<TcpStream>,
}

impl Stalled {
    fn new(what: &'static str, patience: u64, server: &Daemon, count: usize, said: &str) -> Self {
        let address = server.base.strip_prefix("http://").unwrap();
        let open = || {
            let mut socket = TcpStream::connect(address).unwrap();
            socket.write_all(said.as_bytes()).unwrap();
            socket
        };
        let sockets = (0..count).map(|_| open()).collect();
        Self { what, patience: Duration::from_secs(patience), sockets }
    }

    fn all(server: &Daemon, key: &str) -> [Self; 3] {
        let post = format!(
            "POST /api/v1/projects HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 99\r\n\r\n"
        );
        [
            Self::new("idle", 75, server, IDLE, ""),
            Self::new("half a head", 30, server, HALF_HEADS, "GET /api/v1/tenants/me HTTP/1.1\r\nauth"),
            Self::new("half a body", 30, server, HALF_BODIES, &format!("{post}{{\"name\"")),
        ]
    }

    /// Waits until the server has closed all of them, and gives what it said before.
    fn closed(&mut self) -> Vec<String> {
        let read = |socket: &mut TcpStream| {
            // The time of the others, too, and then some: that it comes to an end is all that is asked.
            socket.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
            let mut said = String::new();
            match socket.read_to_string(&mut said) {
                Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
                    panic!("{} is not closed: {error}", self.what)
                }
                _ => said,
            }
        };
        self.sockets.iter_mut().map(read).collect()
    }
}

async fn others_are_served(server: &Daemon, key: &str) {
    let url = format!("{}/api/v1/tenants/me", server.base);
    for _ in 0..50 {
        // With a connection of its own each time.
        let (status, _) = call_with(&client(), "GET", &url, Some(key), None).await.unwrap();
        assert_eq!(status, 200);
    }
}

fn serve(dir: &Scratch) -> (Daemon, String) {
    let command = "operator tenant create --name Acme --slug acme --email ops@acme.test";
    let key = run_on(dir.path(), command).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    (Daemon::start(dir.path()), key)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_finish_a_sentence_keeps_nobody_out_and_the_server_from_nothing() {
    let dir = Scratch::new();
    let (server, key) = serve(&dir);
    let mut stalled = Stalled::all(&server, &key);
    others_are_served(&server, &key).await;
    server.signal(Signal::SIGTERM);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    // Nobody had to be cut off for want of time: none of them was waited for.
    assert!(log.contains("stopping") && !log.contains("still running"), "{log}");
    for stalled in &mut stalled {
        stalled.closed();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_ended_in_its_time() {
    if !long_tests() {
        return;
    }
    let dir = Scratch::new();
    let (server, key) = serve(&dir);
    let before = Instant::now();
    let waiting = Stalled::all(&server, &key).map(|mut kind| {
        std::thread::spawn(move || {
            let said = kind.closed();
            assert!(before.elapsed() >= kind.patience, "{} was given {:?}", kind.what, before.elapsed());
            (kind.what, said)
        })
    });
    for (what, said) in waiting.map(|kind| kind.join().unwrap()) {
        for said in said.iter().filter(|_| what == "half a body") {
            assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
            let (_, body) = said.split_once("\r\n\r\n").unwrap();
            let error: Value = serde_json::from_str(body).unwrap();
            assert_eq!(error["error"]["code"], "request_timeout", "{error}");
        }
    }
    others_are_served(&server, &key).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_too_many_is_told_so_and_the_next_is_served_when_there_is_room() {
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let server = Daemon::start_with(&[data_dir, ("LOOPCTL_MAX_CONNECTIONS", "3")]);
    let health = format!("{}/health", server.base);
    let mut held = Stalled::new("idle", 75, &server, 3, "");
    let (status, body) = call_with(&client(), "GET", &health, None, None).await.unwrap();
    assert_eq!((status, &body["error"]["code"]), (503, &json!("too_many_connections")), "{body}");
    held.sockets.pop();
    // The server sees that it is closed a moment later.
    let deadline = Instant::now() + PATIENCE;
    while call_with(&client(), "GET", &health, None, None).await.unwrap().0 != 200 {
        assert!(Instant::now() < deadline, "no room for the next one");
    }
    server.stop();
}
