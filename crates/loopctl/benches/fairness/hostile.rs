//! What hostile clients do: each sends its requests in turn, again and again, in a manner of its own. They have a thread of their own, so
//! that those whose waiting is measured do not wait for them in this process.

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::support::http::{Connection, head, status};

/// How long who was turned away waits: what is measured is not how fast a client can be refused.
const PAUSE: Duration = Duration::from_millis(20);
/// After how long who leaves is gone, in turns. Who leaves at once is seen to have left before anything is begun.
const LEAVES_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(100), Duration::from_millis(300)];
/// How long who reads nothing stays, unless it is sent away before.
const STAY: Duration = Duration::from_secs(40);

/// A request whose body others may send as well.
#[derive(Clone)]
pub(crate) struct Request {
    head: Vec<u8>,
    body: Arc<[u8]>,
}

impl Request {
    pub(crate) fn get(path: &str, key: &str) -> Self {
        Self::with("GET", path, key, &Arc::default())
    }

    pub(crate) fn with(method: &str, path: &str, key: &str, body: &Arc<[u8]>) -> Self {
        Self { head: head(method, path, key, body.len()).into_bytes(), body: Arc::clone(body) }
    }

    /// What it is sent as.
    pub(crate) fn pieces(&self) -> [&[u8]; 2] {
        [&self.head, &self.body]
    }

    pub(crate) fn first_line(&self) -> String {
        let end = self.head.iter().position(|byte| *byte == b'\r').unwrap_or(self.head.len());
        String::from_utf8_lossy(&self.head[..end]).into_owned()
    }

    /// Nothing at all.
    pub(crate) fn none() -> Self {
        Self { head: Vec::new(), body: Arc::default() }
    }

    /// A head that does not end.
    pub(crate) fn half_a_head(path: &str, key: &str) -> Self {
        let mut request = Self::get(path, key);
        request.head.truncate(request.head.len() - 2);
        request
    }

    /// A body that stops after so many bytes.
    pub(crate) fn half_a_body(path: &str, key: &str, body: &Arc<[u8]>, stops: usize) -> Self {
        let head = head("POST", path, key, body.len()).into_bytes();
        Self { head, body: body[..stops].into() }
    }
}

/// How a client behaves.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Reads every answer, and asks again over the same connection.
    Reads,
    /// Closes its connection some moments after its last byte is sent.
    Leaves,
    /// Reads nothing.
    Ignores,
    /// Reads a byte a second.
    Dawdles,
    /// Has not said everything, and waits for what the server makes of it.
    Halts,
}

pub(crate) struct Client {
    pub(crate) requests: Vec<Request>,
    pub(crate) manner: Manner,
}

impl Client {
    /// So many of a kind, each of which begins with another of these requests.
    pub(crate) fn crowd(count: usize, manner: Manner, requests: &[Request]) -> Vec<Self> {
        (0..count)
            .map(|number| {
                let mut in_turn = requests.to_vec();
                in_turn.rotate_left(number % requests.len());
                Self { requests: in_turn, manner }
            })
            .collect()
    }

    async fn go_on(&self, address: &str, tally: &Tally) {
        let mut kept = None;
        for (number, request) in self.requests.iter().cycle().enumerate() {
            let answered = match self.manner {
                Manner::Reads => ask(&mut kept, address, request).await.map(Some),
                Manner::Leaves => leave(address, request, number).await.map(|()| None),
                Manner::Ignores => ignore(address, request).await.map(|()| None),
                Manner::Dawdles => dawdle(address, request).await,
                Manner::Halts => wait(address, request).await,
            };
            tally.count(&answered);
            if !matches!(answered, Ok(None | Some(200..429))) {
                sleep(PAUSE).await;
            }
        }
    }
}

async fn ask(kept: &mut Option<Connection>, address: &str, request: &Request) -> Result<u16> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => Connection::of(connect(address).await?)?,
    };
    let status = connection.exchange(&request.pieces()).await?;
    *kept = (!connection.is_spent()).then_some(connection);
    Ok(status)
}

async fn send(address: &str, request: &Request) -> Result<TcpStream> {
    let mut stream = connect(address).await?;
    for piece in request.pieces() {
        stream.write_all(piece).await?;
    }
    Ok(stream)
}

async fn leave(address: &str, request: &Request, turn: usize) -> Result<()> {
    let _unread = send(address, request).await?;
    sleep(LEAVES_AFTER[turn % LEAVES_AFTER.len()]).await;
    Ok(())
}

async fn ignore(address: &str, request: &Request) -> Result<()> {
    let _unread = send(address, request).await?;
    sleep(STAY).await;
    Ok(())
}

async fn dawdle(address: &str, request: &Request) -> Result<Option<u16>> {
    let mut stream = send(address, request).await?;
    let mut begin = Vec::new();
    let mut byte = [0];
    while let Ok(1..) = stream.read(&mut byte).await {
        if begin.len() < 12 {
            begin.push(byte[0]);
        }
        sleep(Duration::from_secs(1)).await;
    }
    Ok(status(&begin))
}

async fn wait(address: &str, request: &Request) -> Result<Option<u16>> {
    let mut stream = send(address, request).await?;
    let mut begin = [0; 512];
    let length = stream.read(&mut begin).await?;
    // Closed without a word.
    Ok(status(&begin[..length]))
}

/// All attackers are on this machine, whose ports have to suffice.
async fn connect(address: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let stream = socket.connect(address.parse().expect("an address")).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What hostile clients were answered.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) done: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    pub(crate) limited: AtomicUsize,
    pub(crate) unavailable: AtomicUsize,
    pub(crate) failed: AtomicUsize,
    /// No connection, or no whole answer.
    pub(crate) cut_off: AtomicUsize,
    /// Nobody waited for an answer, or none was due.
    pub(crate) unread: AtomicUsize,
}

impl Tally {
    fn count(&self, answered: &Result<Option<u16>>) {
        let counter = match answered {
            Ok(Some(200..300)) => &self.done,
            Ok(Some(429)) => &self.limited,
            Ok(Some(503)) => &self.unavailable,
            Ok(Some(500..)) => &self.failed,
            Ok(Some(_)) => &self.refused,
            Ok(None) => &self.unread,
            Err(_) => &self.cut_off,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// An attack that goes on until it is stopped.
pub(crate) struct Running {
    pub(crate) tally: Arc<Tally>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn begin(clients: &Arc<Vec<Client>>, address: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let tally = Arc::new(Tally::default());
        let (clients, address, counted) = (Arc::clone(clients), address.to_owned(), Arc::clone(&tally));
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                for number in 0..clients.len() {
                    let (clients, address, tally) =
                        (Arc::clone(&clients), address.clone(), Arc::clone(&counted));
                    tokio::spawn(async move { clients[number].go_on(&address, &tally).await });
                }
                // Whoever began it stops it, or is gone.
                let _ = stopped.await;
            });
            // Their connections close with the runtime.
        });
        Self { tally, stop, thread }
    }

    pub(crate) fn stop(self) -> Arc<Tally> {
        // It cannot have stopped by itself.
        let _ = self.stop.send(());
        self.thread.join().expect("the attack");
        self.tally
    }
}
