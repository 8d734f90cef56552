//! Whoever reads the log, or does not: requests are answered, and the server ends when it is told to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Daemon, Scratch, call_with, client, command, postgres_pid, wait_for};

/// More lines than a pipe holds and the server keeps for later.
const REQUESTS: usize = 5000;

/// Who reads the log.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// `| head -1`
    LeavesAfterOneLine,
    /// A pager that nobody looks at.
    DoesNotRead,
    /// Nobody, as on a full disk.
    FullDisk,
}

/// A server that logs there. Dropping it kills it.
struct Logging {
    child: Child,
    /// Held, not read.
    _unread: Option<BufReader<PipeReader>>,
    base: String,
}

impl Logging {
    fn start(dir: &Path, reader: Reader) -> Self {
        // The address cannot be read from the log. Should somebody else take this port in between, the server says so and
        // ends, and the test with it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data_dir = ("LOOPCTL_DATA_DIR", dir.to_str().unwrap());
        let mut command = command(&format!("serve --port {port}"), &[data_dir]);
        let mut unread = None;
        if matches!(reader, Reader::FullDisk) {
            let full = || File::options().write(true).open("/dev/full").unwrap();
            command.stdout(full()).stderr(full());
        } else {
            // As in `2>&1 |`.
            let (pipe, writer) = std::io::pipe().unwrap();
            command.stdout(writer.try_clone().unwrap()).stderr(writer);
            unread = Some(BufReader::new(pipe));
        }
        let child = command.spawn().unwrap();
        // It holds the other end of the pipe.
        drop(command);
        if matches!(reader, Reader::LeavesAfterOneLine) {
            let mut line = String::new();
            unread.take().unwrap().read_line(&mut line).unwrap();
            assert!(line.contains("\"level\""), "{line}");
        }
        Self { child, _unread: unread, base: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn end(server: &Child) {
    kill(Pid::from_raw(server.id().cast_signed()), Signal::SIGTERM).unwrap();
}

/// Starts a server and asks it more than it finds room to tell of.
async fn talkative(dir: &Path, reader: Reader) -> Logging {
    let mut server = Logging::start(dir, reader);
    let health = format!("{}/health", server.base);
    let http = client();
    let answer = async || call_with(&http, "GET", &health, None, None).await;
    while answer().await.is_err() {
        assert_eq!(server.child.try_wait().unwrap(), None, "{reader:?}: the server has ended");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..REQUESTS {
        let (status, body) = answer().await.unwrap();
        assert_eq!((status, &body["status"]), (200, &"ok".into()), "{reader:?}");
    }
    server
}

async fn requests_are_answered(reader: Reader) {
    let dir = Scratch::new();
    let mut server = talkative(dir.path(), reader).await;
    end(&server.child);
    let status = wait_for("end of the server", || server.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{reader:?}");
}

#[tokio::test]
async fn a_reader_that_leaves_takes_nobody_along() {
    requests_are_answered(Reader::LeavesAfterOneLine).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_keeps_nobody_waiting() {
    requests_are_answered(Reader::DoesNotRead).await;
}

#[tokio::test]
async fn a_full_disk_for_the_log_stops_nobody() {
    requests_are_answered(Reader::FullDisk).await;
}

/// What it would have to say of that is not waited for, either.
#[tokio::test]
async fn a_server_that_loses_its_postgres_ends_though_nobody_reads() {
    let dir = Scratch::new();
    let mut server = talkative(dir.path(), Reader::DoesNotRead).await;
    kill(Pid::from_raw(postgres_pid(dir.path()).unwrap()), Signal::SIGKILL).unwrap();
    let status = wait_for("end of the server", || server.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(1));
}

/// PostgreSQL says why it ends a connection, and so does the log.
#[tokio::test]
async fn a_lost_connection_is_told_with_its_reason() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'loopctl_app'";
    assert!(owner.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0);
    let reason = "terminating connection due to administrator command (57P01)";
    wait_for("line with the reason", || server.log().contains(reason).then_some(()));
    assert!(!server.log().contains("db error"), "{}", server.log());
    server.stop();
}
