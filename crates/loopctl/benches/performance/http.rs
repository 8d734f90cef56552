//! A small HTTP/1.1 client with kept-alive connections: the load must cost less than what it measures. Requests are bytes
//! that were written beforehand, and of answers only the status and the length are looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a load goes on.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    /// The requests again and again, so long.
    Over(Duration),
    /// Each request was sent once.
    Done,
}

/// How a load went.
pub(crate) struct Times {
    pub(crate) requests: usize,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Milliseconds.
    pub(crate) median: f64,
    /// 99 of 100 requests took at most so many milliseconds.
    pub(crate) tail: f64,
}

/// The bytes of a request.
pub(crate) fn request(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends these requests in turn, over so many connections, each of which waits for its answer.
pub(crate) async fn load(address: &str, requests: Vec<Vec<u8>>, connections: usize, until: Until) -> Times {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await);
    }
    let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let workers: Vec<_> = open
        .into_iter()
        .map(|mut connection| {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                let mut sent = began;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let over = match until {
                        Until::Over(span) => sent - began >= span,
                        Until::Done => number >= requests.len(),
                    };
                    if over {
                        return times;
                    }
                    connection.ask(&requests[number % requests.len()]).await;
                    let answered = Instant::now();
                    times.push((answered - sent).as_secs_f64() * 1000.0);
                    sent = answered;
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.expect("a client"));
    }
    let elapsed = began.elapsed();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Times { requests: times.len(), elapsed, median: at(0.5), tail: at(0.99) }
}

/// One request on a connection of its own.
pub(crate) async fn once(address: &str, request: &[u8]) {
    Connection::open(address).await.ask(request).await;
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: Vec::with_capacity(1 << 18) }
    }

    /// Sends a request and reads the answer, which has to be a success.
    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.expect("the server reads");
        self.buffer.clear();
        let mut whole = None;
        while whole.is_none_or(|length| self.buffer.len() < length) {
            assert!(self.stream.read_buf(&mut self.buffer).await.expect("an answer") > 0, "cut off");
            whole = whole.or_else(|| length(&self.buffer));
        }
        assert!(
            self.buffer.starts_with(b"HTTP/1.1 20"),
            "{}\n{}",
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(&self.buffer)
        );
    }
}

/// How long an answer is with its head, once that is there.
fn length(answer: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let mut lines = answer[..end].split(|byte| *byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value)
    });
    let body: usize = str::from_utf8(value.expect("a length")).ok()?.trim().parse().expect("a length");
    Some(end + body)
}
