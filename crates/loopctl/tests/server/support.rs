//! Scratch directories, the built binary, and a server of it in the background.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long anything may take that ought to take a moment.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(10);

/// Whether the tests that take minutes are to run, too.
pub(crate) fn long_tests() -> bool {
    std::env::var_os("LOOPCTL_TEST_LONG").is_some_and(|value| !value.is_empty())
}

/// Waits until `ready` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        std::thread::sleep(POLL);
    }
}

/// A directory of this test, removed at its end. Those of test processes that are gone are removed, too.
///
/// Not made here: the server makes it with the rights that PostgreSQL's account needs.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let base = std::env::temp_dir();
        // Where processes are not to be seen, none can be told to be gone.
        let visible = Path::new("/proc/self").exists();
        for entry in std::fs::read_dir(&base).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name
                .strip_prefix("loopctl-cli-test-")
                .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
            if visible && pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self(base.join(format!("loopctl-cli-test-{}-{number}", std::process::id())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // PostgreSQL of a killed server may still be writing its last files.
        let deadline = Instant::now() + Duration::from_secs(5);
        while std::fs::remove_dir_all(&self.0).is_err() && self.0.exists() && Instant::now() < deadline {
            std::thread::sleep(POLL);
        }
    }
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn success(&self) {
        assert_eq!(self.code, 0, "{self:?}");
    }

    /// The JSON that a successful run printed.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of a failed run.
    #[track_caller]
    pub(crate) fn failure(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        self.stderr.trim()
    }
}

/// The binary with blank-separated arguments, without anything that the environment of the tests may say. Where nobody says who makes
/// vectors, they cost nothing: to make out what the server's own articles mean takes a processor seconds after each start.
pub(crate) fn command(words: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loopctl"));
    let inherited = ["PATH", "TMPDIR", "LOOPCTL_PG_BIN", "LOOPCTL_PG_BUNDLE"];
    command
        .args(words.split_whitespace())
        .env_clear()
        .envs(inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("LOOPCTL_EMBEDDINGS", "hash")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the binary to its end.
pub(crate) fn run(words: &str, environment: &[(&str, &str)]) -> Run {
    Run::of(command(words, environment).output().unwrap())
}

/// Runs the binary on a data directory.
pub(crate) fn run_on(dir: &Path, words: &str) -> Run {
    run(words, &[("LOOPCTL_DATA_DIR", dir.to_str().unwrap())])
}

/// `loopctl serve` in the background. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: Log,
    /// `http://127.0.0.1:<port>`
    pub(crate) base: String,
}

/// What the server has printed so far.
#[derive(Debug)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Log {
    fn of(child: &mut Child) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let read = |stream: Box<dyn Read + Send>| {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.lock().unwrap().push(line);
                }
            })
        };
        let readers =
            vec![read(Box::new(child.stdout.take().unwrap())), read(Box::new(child.stderr.take().unwrap()))];
        Self { lines, readers }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// The address, once the server is ready.
    fn address(&self) -> Option<String> {
        let lines = self.lines.lock().unwrap();
        let mut events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ready = events.find(|event| event["message"] == "loopctl is ready")?;
        Some(ready["address"].as_str()?.to_owned())
    }
}

impl Daemon {
    /// Serves from a data directory on a free port, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(&[("LOOPCTL_DATA_DIR", dir.to_str().unwrap())])
    }

    #[track_caller]
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::of(&mut command("serve --port 0", environment))
    }

    /// Serves again where a server has ended, at its address.
    #[track_caller]
    pub(crate) fn start_at(base: &str, dir: &Path) -> Self {
        let port = base.rsplit(':').next().unwrap();
        Self::of(&mut command(
            &format!("serve --port {port}"),
            &[("LOOPCTL_DATA_DIR", dir.to_str().unwrap())],
        ))
    }

    /// What ends up as `loopctl serve`.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Log::of(&mut child);
        let mut daemon = Self { child, log, base: String::new() };
        let address = wait_for("server", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", daemon.log.text());
            }
            daemon.log.address()
        });
        daemon.base = format!("http://{address}");
        daemon
    }

    /// `loopctl worker` in the background.
    #[track_caller]
    pub(crate) fn work(environment: &[(&str, &str)]) -> Self {
        let mut child = command("worker", environment).spawn().unwrap();
        let log = Log::of(&mut child);
        let mut daemon = Self { child, log, base: String::new() };
        wait_for("worker", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the worker ended with {status}: {}", daemon.log.text());
            }
            daemon.log.text().contains("the worker is ready").then_some(())
        });
        daemon
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Waits for its end; gives what it has printed as well.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = wait_for("end of the server", || self.child.try_wait().unwrap());
        for reader in self.log.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.log.text())
    }

    /// SIGTERM, and its orderly end.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal(Signal::SIGTERM);
        let (status, log) = self.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id of the cluster's PostgreSQL, by its own file.
pub(crate) fn postgres_pid(dir: &Path) -> Option<i32> {
    let file = std::fs::read_to_string(dir.join("postgres/postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

/// Whether a process exists and is more than a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// One request, with a key or without; status and body.
pub(crate) async fn call(
    method: &str,
    url: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Result<(u16, Value), reqwest::Error> {
    call_with(&client(), method, url, key, body).await
}

/// As [`call`], with a client that keeps its connections.
pub(crate) async fn call_with(
    http: &reqwest::Client,
    method: &str,
    url: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Result<(u16, Value), reqwest::Error> {
    let mut request = http.request(method.parse().unwrap(), url);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let text = response.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}

pub(crate) fn client() -> reqwest::Client {
    // Fails only when another test was faster.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).timeout(PATIENCE).build().unwrap()
}
