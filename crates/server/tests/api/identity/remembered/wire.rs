//! A server beside the one of all tests, on the same database, and the wire between the two, which tells what was asked of the
//! database and can be disturbed where the server listens.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use loopctl_server::config::DatabaseOptions;
use loopctl_server::serve::{ServeOptions, Server};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::conventions::health::{Line, socket};
use crate::support::{Caller, PATIENCE};

/// What one connection has sent to the database.
type Sent = Arc<Mutex<Vec<u8>>>;

/// Another server on the database of all tests.
pub(super) struct Other {
    server: Server,
    sent: Arc<Mutex<Vec<Sent>>>,
    /// The connection that listens; the others are always open.
    pub(super) listening: watch::Sender<Line>,
}

impl Other {
    pub(super) async fn start() -> Self {
        let (listening, line) = watch::channel(Line::Open);
        let sent = Arc::<Mutex<Vec<Sent>>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let all = Arc::clone(&sent);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let sent = Sent::default();
                all.lock().unwrap().push(Arc::clone(&sent));
                tokio::spawn(connection(client, socket(), line.clone(), sent));
            }
        });
        let url = format!("postgres://loopctl_app@127.0.0.1:{port}/loopctl");
        let database = DatabaseOptions::External { url, admin_url: None };
        let server = Server::start(&ServeOptions::local(database)).await.unwrap();
        Self { server, sent, listening }
    }

    /// Somebody who calls this server.
    pub(super) fn caller(&self, caller: &Caller) -> Caller {
        caller.at(&format!("http://{}", self.server.address))
    }

    /// How often the database was asked for the caller's key.
    pub(super) fn asked_for(&self, caller: &Caller) -> usize {
        let hash = hex::encode(Sha256::digest(caller.key.as_ref().unwrap()));
        let sent = self.sent.lock().unwrap();
        let times =
            |sent: &Sent| sent.lock().unwrap().windows(64).filter(|part| *part == hash.as_bytes()).count();
        sent.iter().map(times).sum()
    }

    /// Waits until the server remembers keys, or until it asks for them every time.
    pub(super) async fn until_it(&self, remembers: bool, caller: &Caller) {
        let caller = self.caller(caller);
        let until = async {
            loop {
                caller.get("/tenants/me").await.expect(200);
                let before = self.asked_for(&caller);
                for _ in 0..3 {
                    caller.get("/tenants/me").await.expect(200);
                }
                let asked = self.asked_for(&caller) - before;
                if asked == if remembers { 0 } else { 3 } {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, until).await.expect("it does in the end");
    }

    pub(super) async fn stop(self) {
        self.server.stop().await.unwrap();
    }
}

async fn connection(client: TcpStream, socket: PathBuf, line: watch::Receiver<Line>, sent: Sent) {
    let (from_client, to_client) = client.into_split();
    let (from_database, to_database) = UnixStream::connect(socket).await.unwrap().into_split();
    let listens = AtomicBool::new(false);
    let note = |part: &[u8]| {
        sent.lock().unwrap().extend_from_slice(part);
        if part.windows(6).any(|word| word == b"LISTEN") {
            listens.store(true, Ordering::Relaxed);
        }
    };
    let mut cut = line.clone();
    let cut = async {
        loop {
            let _ = cut.wait_for(|line| *line == Line::Cut).await;
            if listens.load(Ordering::Relaxed) {
                return;
            }
            let _ = cut.changed().await;
        }
    };
    tokio::select! {
        () = pass(from_client, to_database, note, line.clone(), &listens) => {}
        () = pass(from_database, to_client, |_: &[u8]| {}, line, &listens) => {}
        () = cut => {}
    }
}

/// Hands on what arrives, as far as the line lets it.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    note: impl Fn(&[u8]),
    mut line: watch::Receiver<Line>,
    listens: &AtomicBool,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        note(&buffer[..read]);
        if listens.load(Ordering::Relaxed) {
            let open = line.wait_for(|line| *line != Line::Silent).await;
            if open.is_ok_and(|line| *line == Line::Cut) {
                return;
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
