//! A small HTTP/1.1 client with kept-alive connections: the load must cost less than what it measures. Requests are bytes
//! that were written beforehand, and of answers only the status and the length are looked at.

use std::io::{Error, ErrorKind, Result};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

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
    (head(method, path, key, body.len()) + body).into_bytes()
}

/// What comes before a body of so many bytes.
pub(crate) fn head(method: &str, path: &str, key: &str, length: usize) -> String {
    format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Sends these requests in turn, over so many connections, each of which waits for its answer.
pub(crate) async fn load(address: &str, requests: Vec<Vec<u8>>, connections: usize, until: Until) -> Times {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await.expect("the server listens"));
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
    Connection::open(address).await.expect("the server listens").ask(request).await;
}

/// How much of a long answer is kept.
const KEPT: usize = 1 << 17;

pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    spent: bool,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        TcpStream::connect(address).await.and_then(Self::of)
    }

    pub(crate) fn of(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(2 * KEPT), spent: false })
    }

    /// Whether nothing more can be asked over it: the server closes it, or has answered before it had heard everything.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent
    }

    /// Sends a request and reads the answer, which has to be a success.
    async fn ask(&mut self, request: &[u8]) {
        let status = self.exchange(&[request]).await.expect("an answer");
        assert!(
            (200..210).contains(&status),
            "{}\n{}",
            String::from_utf8_lossy(request),
            String::from_utf8_lossy(&self.buffer)
        );
    }

    /// Sends a request in pieces and reads the answer to its end; its status.
    pub(crate) async fn exchange(&mut self, request: &[&[u8]]) -> Result<u16> {
        let sent = self.send_and_receive(request).await?;
        self.spent = !sent || head_of(&self.buffer).is_some_and(|head| field(head, "connection").is_some());
        status(&self.buffer).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Whether everything was sent, once the answer is there.
    async fn send_and_receive(&mut self, request: &[&[u8]]) -> Result<bool> {
        let (mut reader, mut writer) = self.stream.split();
        // Who is refused early cannot say everything, and has an answer all the same.
        let mut send = pin!(async {
            for piece in request {
                writer.write_all(piece).await?;
            }
            Ok::<_, Error>(())
        });
        let mut receive = pin!(receive(&mut reader, &mut self.buffer));
        tokio::select! {
            sent = &mut send => receive.await.map(|()| sent.is_ok()),
            received = &mut receive => received.map(|()| false),
        }
    }
}

/// Reads an answer to its end, and keeps what of it matters.
async fn receive(reader: &mut ReadHalf<'_>, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    let (mut end, mut dropped) = (None, 0);
    loop {
        if reader.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        end = end.or_else(|| head_of(buffer).map(End::of));
        match end {
            Some(End::At(length)) if dropped + buffer.len() >= length => return Ok(()),
            Some(End::OfChunks) if buffer.ends_with(LAST_CHUNK) => return Ok(()),
            Some(_) if buffer.len() > KEPT => {
                let middle = KEPT / 2..buffer.len() - LAST_CHUNK.len();
                dropped += middle.len();
                buffer.drain(middle);
            }
            _ => {}
        }
    }
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Where an answer ends.
#[derive(Clone, Copy)]
enum End {
    /// After so many bytes, with its head.
    At(usize),
    /// Where its last chunk does. JSON has no line ends that would look like it.
    OfChunks,
}

impl End {
    fn of(head: &[u8]) -> Self {
        match field(head, "content-length") {
            Some(length) => Self::At(head.len() + length.parse::<usize>().expect("a length")),
            None if field(head, "transfer-encoding").is_some() => Self::OfChunks,
            None => Self::At(head.len()),
        }
    }
}

/// The head of an answer, once it is there.
fn head_of(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(&answer[..end + 4])
}

/// What a head says under a name.
fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let mut lines = str::from_utf8(head).ok()?.lines().filter_map(|line| line.split_once(':'));
    lines.find_map(|(other, value)| other.eq_ignore_ascii_case(name).then(|| value.trim()))
}

/// The status of an answer that has begun.
pub(crate) fn status(answer: &[u8]) -> Option<u16> {
    str::from_utf8(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()?.parse().ok()
}
