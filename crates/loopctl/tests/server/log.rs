//! Whoever reads the log, or does not: requests are answered, and the server ends when it is told to.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::{Value, json};

use crate::support::{Daemon, Scratch, call_with, client, command, postgres_pid, run_on, wait_for};

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

/// What must not be read in any log, wherever it is sent.
const SECRET: &str = "hunter2";

/// Sends secrets wherever there is room for one. Gives the keys that were made on the way.
async fn tell_secrets(server: &Daemon, dir: &Path) -> Vec<String> {
    let key_of = |created: &Value| created["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let tenant = "operator tenant create --name Acme --slug acme --email ops@acme.test";
    let user = key_of(&run_on(dir, tenant).json());
    let superadmin = key_of(&run_on(dir, "operator superadmin create-key --name root").json());
    let http = client();
    let at = |path: &str| format!("{}{path}", server.base);
    let secret = |name: &str| json!({name: SECRET, "signing_secret": SECRET, "metadata": {SECRET: SECRET}});
    let (status, agent) = call_with(
        &http,
        "POST",
        &at("/api/v1/api_keys"),
        Some(&user),
        Some(&json!({"name": SECRET, "role": "orchestrator"})),
    )
    .await
    .unwrap();
    assert_eq!(status, 201, "{agent}");

    let mut requests = Vec::new();
    for (method, path) in [
        ("GET", "/hunter2"),
        ("GET", "/api/v1/stories/hunter2"),
        ("GET", "/api/v1/projects?slug=hunter2&page=hunter2&%68unter2=%ff"),
        ("GET", "/api/v1/changes?since=hunter2&cursor=hunter2"),
        ("GET", "/api/v1//projects/?api_key=hunter2"),
        ("HUNTER2", "/api/v1/projects"),
        ("GET", "/metrics?hunter2"),
    ] {
        requests.push(http.request(method.parse().unwrap(), at(path)).bearer_auth(&user));
    }
    for path in
        ["/api/v1/projects", "/api/v1/webhooks", "/api/v1/api_keys", "/api/v1/agents/register", "/hunter2"]
    {
        let post = || http.post(at(path)).bearer_auth(&user);
        requests.push(post().json(&secret("name")));
        requests.push(post().json(&secret("url")));
        requests
            .push(post().json(&json!({"url": "https://a:hunter2@127.0.0.1/hunter2", "events": [SECRET]})));
        requests.push(post().header("content-type", "application/json").body("{\"hunter2\": hunter2"));
        requests.push(
            post().header("content-type", "application/x-www-form-urlencoded").body("name=hunter2&a[b=%ff"),
        );
        requests.push(post().header("content-type", "text/hunter2").body(SECRET));
    }
    let me = || http.get(at("/api/v1/tenants/me"));
    requests.push(me().bearer_auth("lc_hunter2"));
    requests.push(me().basic_auth(SECRET, Some(SECRET)));
    requests.push(me().bearer_auth(&superadmin).header("x-impersonate-tenant", SECRET));
    requests.push(me().bearer_auth(&superadmin).header("x-effective-role", SECRET));
    requests.push(me().bearer_auth(&user).header("cookie", SECRET).header("x-forwarded-for", SECRET));
    requests.push(me().bearer_auth(&superadmin));
    for request in requests {
        request.send().await.unwrap();
    }
    // What is no HTTP at all.
    let address = server.base.strip_prefix("http://").unwrap();
    for said in ["GET /hunter2 HTTP/9.9\r\n\r\n", "hunter2\r\n\r\n", "GET / HTTP/1.1\r\nhunter2\r\n\r\n"] {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(said.as_bytes()).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = socket.read_to_end(&mut Vec::new());
    }
    vec![user, superadmin, key_of(&agent)]
}

/// At every level: what a request is told by, and nothing that it was told.
#[tokio::test]
async fn no_line_holds_a_secret() {
    const CLOAK: &str = "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMmh1bnQ=";
    let dir = Scratch::new();
    let data_dir = ("LOOPCTL_DATA_DIR", dir.path().to_str().unwrap());
    let server = Daemon::start_with(&[data_dir, ("LOOPCTL_LOG", "trace"), ("CLOAK_KEY", CLOAK)]);
    let keys = tell_secrets(&server, dir.path()).await;
    // The database has something to say as well.
    kill(Pid::from_raw(postgres_pid(dir.path()).unwrap()), Signal::SIGKILL).unwrap();
    let (_, log) = server.wait();

    for secret in keys.iter().map(String::as_str).chain([SECRET, CLOAK, "lc_"]) {
        let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(line, None, "{secret}");
    }
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert!(answered.len() > 40, "{log}");
    for line in &answered {
        let span = &line["span"];
        let texts =
            [&line["timestamp"], &line["level"], &span["request_id"], &span["method"], &span["route"]];
        assert!(texts.iter().all(|text| text.is_string()), "{line}");
        assert!(line["status"].is_u64() && line["duration_ms"].is_f64(), "{line}");
        assert_eq!(span["remote_ip"], "127.0.0.1", "{line}");
    }
    let known =
        |line: &&&Value| ["key_id", "role", "tenant_id"].iter().all(|name| line["span"][name].is_string());
    assert!(answered.iter().filter(known).count() > 10, "{log}");
}
