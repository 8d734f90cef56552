//! Connections: who gets one, and how long they may take their time. A client that does not finish its sentence, or does
//! not listen to the answer, costs a connection for a while, and nobody anything else.

use std::collections::HashMap;
use std::future::pending;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SndBuf;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::Service as _;

use super::progress::{Answer, Phase, Progress, Watched};
use super::refusal;
use super::socket::Socket;
use crate::http::{Peer, Stay, network_of};
use crate::life::Life;
use crate::metrics;
use crate::routes::Service;

/// The most that a head may hold, and that is kept of an answer for a connection: whoever has no key yet costs no more. There
/// is room for the longest address that may be.
const BUFFER: usize = 96 * 1024;
/// What the system keeps of an answer for a connection. Not more, because it tells that there is room again only when a third of
/// it is read: a client that reads slowly and steadily would look like one that does not.
const SEND_BUFFER: usize = 256 * 1024;
/// How long a client that has not finished its request may go on with it when the process ends.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How often in a row a client is found then to read too little of what was written for it, looked at once for each of its last words,
/// before its answer is given up.
const UNREAD_LOOKS: u32 = 10;
/// How many bytes are enough, from one look to the next.
const STEADY: u64 = 16 * 1024;

/// How many clients are told at once that there is no connection for them, and how long that may take.
const REFUSALS: usize = 32;
const REFUSAL: Duration = Duration::from_secs(2);

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// In all.
    pub most: usize,
    /// From one address. This machine's own, and those of proxies that the operator names, may be more: behind them is everybody else.
    pub most_of_peer: usize,
}

impl Connections {
    /// In all, unless an operator says otherwise.
    pub const MOST: usize = 4096;
    /// From one address, unless an operator says otherwise.
    pub const MOST_OF_PEER: usize = 256;
}

impl Default for Connections {
    fn default() -> Self {
        Self { most: Self::MOST, most_of_peer: Self::MOST_OF_PEER }
    }
}

/// Tells a client that there is no connection for it, once it has asked: before that, an answer is none of its business.
async fn refuse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut bytes = [0; 4096];
    if stream.read(&mut bytes).await? == 0 {
        return Ok(());
    }
    stream.write_all(&refusal::full()).await?;
    stream.shutdown().await?;
    // Closed with something unread, the connection would break before the client has read.
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Accepts connections until the process ends.
pub(crate) async fn accept(
    listener: TcpListener,
    service: Service,
    life: Life,
    limits: Connections,
    proxies: Vec<IpNet>,
) {
    let open = Open { limits, proxies, peers: Arc::default() };
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    // Told once, not for each that is refused.
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = life.ending() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Of one client, who is gone.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) =>
            {
                continue;
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only make the log grow.
                tracing::error!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = open.admit(peer.ip());
        if place.is_some() == full {
            full = place.is_none();
            if full {
                tracing::warn!(peer = %peer.ip(), "a limit of connections is reached");
            }
        }
        let Some(place) = place else {
            metrics::refused_connections().increment(1);
            // Best effort: beyond a few at once, a client sees its connection close.
            if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                life.spawn(async move {
                    let _turn = turn;
                    let _ = timeout(REFUSAL, refuse(stream)).await;
                });
            }
            continue;
        };
        // An answer goes out when it is written: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, SndBuf, &SEND_BUFFER);
        let (service, ending, socket) = (service.clone(), life.clone(), Socket::new(stream));
        life.spawn(async move {
            let _until_closed = place;
            let left = socket.clone();
            serve(socket, left.left(), Peer(peer.ip().to_canonical()), service, &ending).await;
        });
    }
}

/// The connections that are open, by peer.
struct Open {
    limits: Connections,
    /// Those that the operator names.
    proxies: Vec<IpNet>,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place among those that are open; given back when dropped.
struct Place {
    peer: IpAddr,
    peers: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Open {
    fn admit(&self, address: IpAddr) -> Option<Place> {
        let (address, peer) = (address.to_canonical(), network_of(address));
        let is_for_others =
            address.is_loopback() || self.proxies.iter().any(|proxies| proxies.contains(&address));
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.values().sum::<usize>() >= self.limits.most {
            return None;
        }
        let of_peer = peers.entry(peer).or_default();
        if *of_peer >= self.limits.most_of_peer && !is_for_others {
            return None;
        }
        *of_peer += 1;
        metrics::connections().increment(1.0);
        Some(Place { peer, peers: Arc::clone(&self.peers) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::connections().decrement(1.0);
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

/// Serves one connection until its client closes it or takes too long, or the process ends. Once its client has `left`, it is answered no
/// longer.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    left: impl Future<Output = ()>,
    peer: Peer,
    service: Service,
    life: &Life,
) {
    let progress = Arc::new(Progress::new());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&progress)));
    let answer = {
        let progress = Arc::clone(&progress);
        service_fn(move |mut request: Request<Incoming>| {
            progress.enter(Phase::Answering);
            request.extensions_mut().insert(peer);
            let (answering, progress) = (service.clone().call(request.map(Body::new)), Arc::clone(&progress));
            async move {
                let mut answer: Response = answering.await?;
                progress.keep(answer.extensions_mut().remove::<Stay>());
                Ok::<_, std::convert::Infallible>(answer.map(|body| Answer { body, progress }))
            }
        })
    };
    let mut connection = pin!(http1::Builder::new().max_buf_size(BUFFER).serve_connection(io, answer));
    // What is written for it may still be on its way.
    let mut left = pin!(async {
        left.await;
        if progress.phase() == Phase::Sending {
            pending::<()>().await;
        }
    });
    tokio::select! {
        biased;
        // A client that goes away is no event.
        () = left.as_mut() => return,
        _ = connection.as_mut() => return,
        () = progress.overdue() => return progress.tell_overdue(),
        () = life.ending() => connection.as_mut().graceful_shutdown(),
    }
    let (mut unread, mut sent) = (0, progress.sent());
    loop {
        tokio::select! {
            () = left.as_mut() => return,
            _ = connection.as_mut() => return,
            () = progress.overdue() => return progress.tell_overdue(),
            () = sleep(LAST_WORDS) => {}
        }
        let is_steady = progress.sent() >= sent + STEADY || !progress.is_unread();
        unread = if is_steady { 0 } else { unread + 1 };
        sent = progress.sent();
        if progress.waits_for_client() {
            return;
        }
        if unread == UNREAD_LOOKS {
            tracing::info!("an answer was cut off: the server stops, and its client reads too slowly");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;
    use tower::util::MapRequest;

    use super::*;
    use crate::serve::progress::{HEAD, IDLE, UNREAD};

    const HALF: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n";
    const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// A client's end of a connection, and the server's part of it.
    fn connect(life: &Life) -> (DuplexStream, JoinHandle<()>) {
        let slowly = async || {
            sleep(Duration::from_secs(3)).await;
            "done"
        };
        let router = Router::new().route("/", get(async || "a".repeat(10_000))).route("/slow", get(slowly));
        let service: Service = MapRequest::new(router, |request| request);
        let (client, server) = duplex(1000);
        let life = life.clone();
        (
            client,
            tokio::spawn(async move {
                serve(server, pending(), Peer([127, 0, 0, 1].into()), service, &life).await
            }),
        )
    }

    /// How long the server keeps the connection when nothing more is sent, and nothing read.
    async fn kept(server: JoinHandle<()>) -> Duration {
        let before = Instant::now();
        server.await.unwrap();
        before.elapsed()
    }

    async fn read_answer(client: &mut DuplexStream) {
        let mut bytes = vec![0; 10_000];
        let mut text = Vec::new();
        while !text.ends_with(b"aaaa") || text.len() < 10_000 {
            let count = client.read(&mut bytes).await.unwrap();
            assert_ne!(count, 0, "closed after {} bytes", text.len());
            text.extend_from_slice(&bytes[..count]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_time_and_no_more() {
        let second = Duration::from_secs(1);
        let about = |kept: Duration, expected: Duration| kept >= expected && kept <= expected + second;
        let life = Life::default();

        let (_silent, server) = connect(&life);
        assert!(about(kept(server).await, IDLE));

        let (mut halting, server) = connect(&life);
        halting.write_all(HALF).await.unwrap();
        assert!(about(kept(server).await, HEAD));
        // Nor does it help to say a little more from time to time.
        let (mut dripping, server) = connect(&life);
        let before = Instant::now();
        while dripping.write_all(b"G").await.is_ok() {
            sleep(second).await;
        }
        assert!(about(before.elapsed(), HEAD), "{:?}", before.elapsed());
        server.await.unwrap();

        // Refused, it has the time of a head for what it still has to say.
        let (mut garbled, server) = connect(&life);
        garbled.write_all(b"nonsense\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        garbled.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("}}"), "{answer}");
        assert!(about(kept(server).await, HEAD));

        // Between requests it is idle, however many there were.
        let (mut keeping, server) = connect(&life);
        for _ in 0..3 {
            keeping.write_all(WHOLE).await.unwrap();
            read_answer(&mut keeping).await;
            sleep(IDLE / 2).await;
        }
        assert!(about(kept(server).await, IDLE / 2));

        // The answer does not fit into what lies between.
        let (mut deaf, server) = connect(&life);
        deaf.write_all(WHOLE).await.unwrap();
        assert!(about(kept(server).await, UNREAD));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_an_answer_is_finished_and_nothing_else_is_waited_for() {
        let life = Life::default();
        let (_silent, silent) = connect(&life);
        let (mut halting, half) = connect(&life);
        halting.write_all(HALF).await.unwrap();
        let (mut asking, asked) = connect(&life);
        asking.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let before = Instant::now();
        assert!(life.end(Duration::ZERO).await, "connections are spawned by whoever accepts them");
        silent.await.unwrap();
        half.await.unwrap();
        assert!(before.elapsed() <= LAST_WORDS * 2, "{:?}", before.elapsed());
        let mut answer = String::new();
        asking.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        asked.await.unwrap();
    }

    /// Written is not sent: a client that reads on is given the rest, and at the end so much of it as it reads within seconds.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_slowly_is_sent_to_its_end() {
        for (ends, pause) in [(false, Duration::from_secs(10)), (true, Duration::from_millis(100))] {
            let life = Life::default();
            let (mut slow, server) = connect(&life);
            slow.write_all(WHOLE).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            if ends {
                life.end(Duration::ZERO).await;
            }
            let (mut bytes, mut text) = (vec![0; 500], Vec::new());
            while !text.ends_with(b"aaaa") || text.len() < 10_000 {
                sleep(pause).await;
                let count = slow.read(&mut bytes).await.unwrap();
                assert_ne!(count, 0, "closed after {} bytes", text.len());
                text.extend_from_slice(&bytes[..count]);
            }
            let patience = kept(server).await;
            assert!(if ends { patience <= LAST_WORDS } else { patience >= IDLE / 2 }, "{patience:?}");
        }
        let life = Life::default();
        let (mut dripping, server) = connect(&life);
        dripping.write_all(WHOLE).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        life.end(Duration::ZERO).await;
        let (before, mut byte) = (Instant::now(), [0]);
        while dripping.read(&mut byte).await.unwrap() > 0 && !server.is_finished() {
            sleep(LAST_WORDS / 3).await;
        }
        let most = LAST_WORDS * (UNREAD_LOOKS + 1);
        assert!(server.is_finished() && before.elapsed() <= most, "{:?}", before.elapsed());
    }

    #[test]
    fn places_are_counted_and_given_back() {
        let limits = Connections { most: 3, most_of_peer: 2 };
        let proxies = vec!["192.0.2.128/25".parse().unwrap()];
        let open = Open { limits, proxies, peers: Arc::default() };
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let first = open.admit(one);
        let second = open.admit(one);
        assert!(first.is_some() && second.is_some());
        assert!(open.admit(one).is_none(), "of one address");
        let third = open.admit(other);
        assert!(third.is_some());
        assert!(open.admit(other).is_none(), "in all");
        drop(first);
        assert!(open.admit(other).is_some() && open.admit(one).is_some());
        drop((second, third));
        for address in ["127.0.0.1", "192.0.2.200", "::ffff:192.0.2.200"] {
            let address: IpAddr = address.parse().unwrap();
            let many: Vec<_> = (0..3).map(|_| open.admit(address)).collect();
            assert!(many.iter().all(Option::is_some), "this machine, and proxies: {address}");
            assert!(open.admit(address).is_none(), "in all");
        }
        assert!(open.peers.lock().unwrap().is_empty());
    }

    #[test]
    fn a_peer_is_an_address_or_a_network() {
        for (address, peer) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("::1", "::1"),
        ] {
            assert_eq!(network_of(address.parse().unwrap()), peer.parse::<IpAddr>().unwrap(), "{address}");
        }
    }
}
