//! A small HTTP/1.1 client with kept-alive connections: the load must cost less than what it measures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::Service;

/// What a load came to.
pub(crate) struct Load {
    /// Requests per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) median: f64,
    /// 99 of 100 requests took at most so many milliseconds.
    pub(crate) tail: f64,
}

/// GETs these paths in turn, from `clients` connections, for `span`.
pub(crate) async fn get(
    service: &Service,
    keys: &[String],
    paths: &[String],
    clients: usize,
    span: Duration,
) -> Load {
    let requests = paths.iter().map(|path| format!("GET /api/v1{path}")).collect();
    load(service, keys, requests, clients, span, true).await
}

/// Claims these stories, each once, from `clients` connections, for at most `span`.
pub(crate) async fn claim(
    service: &Service,
    keys: &[String],
    stories: &[String],
    clients: usize,
    span: Duration,
) -> Load {
    let requests = stories.iter().map(|id| format!("POST /api/v1/stories/{id}/claim")).collect();
    load(service, keys, requests, clients, span, false).await
}

async fn load(
    service: &Service,
    keys: &[String],
    requests: Vec<String>,
    clients: usize,
    span: Duration,
    again: bool,
) -> Load {
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let workers: Vec<_> = (0..clients)
        .map(|client| {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            let (key, address) = (keys[client % keys.len()].clone(), service.address.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await;
                let mut times = Vec::new();
                while began.elapsed() < span {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if !again && number >= requests.len() {
                        break;
                    }
                    let sent = Instant::now();
                    let head = connection.request(&requests[number % requests.len()], &key).await;
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                    times.push(sent.elapsed().as_secs_f64() * 1000.0);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.expect("a client"));
    }
    let elapsed = began.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Load { rate: times.len() as f64 / elapsed, median: at(0.5), tail: at(0.99) }
}

/// One request on a connection of its own; the whole answer.
pub(crate) async fn once(address: &str, request: &str, key: &str) -> String {
    Connection::open(address).await.request(request, key).await
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: Vec::with_capacity(1 << 20) }
    }

    /// Sends a request line without a body and reads the answer; its head.
    async fn request(&mut self, line: &str, key: &str) -> String {
        let text = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
        );
        self.stream.write_all(text.as_bytes()).await.expect("the server reads");
        self.buffer.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.buffer).await.expect("an answer") > 0, "cut off");
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            let length: usize = head
                .lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
                .expect("a length");
            while self.buffer.len() < end + 4 + length {
                assert!(self.stream.read_buf(&mut self.buffer).await.expect("a body") > 0, "cut off");
            }
            return head;
        }
    }
}
