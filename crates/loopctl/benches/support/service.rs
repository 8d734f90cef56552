//! The release binary as users run it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio_postgres::{Client, Config, NoTls};

/// The build of which this is a part.
pub(crate) const THIS: &str = env!("CARGO_BIN_EXE_loopctl");
/// Connections of the server to PostgreSQL, where requests are compared with what PostgreSQL could do.
const POOL: &str = "16";
/// How long a server may take to stop before it is killed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who owns the schema, and may do everything in the cluster.
pub(crate) const OWNER: &str = "loopctl_owner";

/// `loopctl serve` on a scratch cluster. Killed when dropped, which stops its PostgreSQL as well.
pub(crate) struct Service {
    child: Child,
    /// `127.0.0.1:<port>`
    pub(crate) address: String,
    pub(crate) data_dir: PathBuf,
    /// From the start of the process to its first 200.
    pub(crate) first_answer: Duration,
}

impl Service {
    pub(crate) async fn start(data_dir: &Path) -> Self {
        Self::start_with(THIS, data_dir, &["--port", "0", "--pool-size", POOL]).await
    }

    /// Another build of it.
    pub(crate) async fn start_other(program: &Path, data_dir: &Path) -> Self {
        Self::start_with(program, data_dir, &["--port", "0", "--pool-size", POOL]).await
    }

    /// With defaults, as users have it.
    pub(crate) async fn start_as_it_comes(data_dir: &Path) -> Self {
        Self::start_with(THIS, data_dir, &["--port", "0"]).await
    }

    /// As it comes, at the address that one had which has ended.
    pub(crate) async fn start_again(data_dir: &Path, address: &str) -> Self {
        let (_, port) = address.rsplit_once(':').expect("a port");
        Self::start_with(THIS, data_dir, &["--port", port]).await
    }

    async fn start_with(program: impl AsRef<Path>, data_dir: &Path, arguments: &[&str]) -> Self {
        let inherited = ["PATH", "HOME", "TMPDIR", "LOOPCTL_PG_BIN", "LOOPCTL_PG_BUNDLE"];
        let began = Instant::now();
        let mut child = Command::new(program.as_ref())
            .arg("serve")
            .args(arguments)
            .arg("--data-dir")
            .arg(data_dir)
            // What is set for a server of yours is not for this one, and no provider is asked.
            .env_clear()
            .envs(inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("LOOPCTL_WEBHOOK_ALLOWED_PRIVATE_CIDRS", "127.0.0.0/8")
            .stdout(Stdio::piped())
            .spawn()
            .expect("loopctl starts");
        let mut log = BufReader::new(child.stdout.take().expect("its log"));
        let address = loop {
            let mut line = String::new();
            log.read_line(&mut line).expect("its log");
            let entry: Value = serde_json::from_str(&line).expect("loopctl becomes ready");
            if let Some(address) = entry["address"].as_str() {
                break address.to_owned();
            }
        };
        // Somebody must read the log, as a log collector would.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let mut service =
            Self { child, address, data_dir: data_dir.to_owned(), first_answer: Duration::ZERO };
        super::http::once(&service.address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        service.first_answer = began.elapsed();
        service
    }

    /// The server's own process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first of PostgreSQL's processes.
    pub(crate) fn postmaster(&self) -> u32 {
        let file = self.data_dir.join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("PostgreSQL runs");
        text.lines().next().and_then(|line| line.parse().ok()).expect("the number of a process")
    }

    /// One of PostgreSQL's programs: the one beside the server that runs, or what the path knows.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let postgres = std::fs::read_link(format!("/proc/{}/exe", self.postmaster())).expect("Linux");
        let beside = postgres.with_file_name(name);
        if beside.exists() { beside } else { PathBuf::from(name) }
    }

    /// Tells the server to stop; how long it takes until it has.
    pub(crate) fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.terminate();
        began.elapsed()
    }

    fn terminate(&mut self) {
        let pid = Pid::from_raw(self.child.id().try_into().expect("the number of a process"));
        let began = Instant::now();
        let mut signal = Some(Signal::SIGTERM);
        // A process that has ended has no number any more.
        while let Ok(None) = self.child.try_wait() {
            if let Some(signal) = signal.take() {
                kill(pid, signal).expect("it is ours");
            }
            if began.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Resident memory of the server's own process, in bytes.
    pub(crate) fn resident_memory(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Resident memory of the server's own process, in bytes, after it has had nothing to do.
    pub(crate) async fn idle_memory(&self) -> u64 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.resident_memory()
    }

    /// Resident memory now; from here on [`Self::highest_memory`] counts.
    pub(crate) fn mark_memory(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("Linux");
        self.resident_memory()
    }

    /// The most resident memory since [`Self::mark_memory`].
    pub(crate) fn highest_memory(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(what)).expect("a line");
        let kilobytes: u64 =
            line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
        kilobytes * 1024
    }

    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.data_dir.join("run")
    }

    /// How the owner of the schema connects.
    pub(crate) fn owner_config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(self.socket_dir()).user(OWNER).dbname("loopctl");
        config
    }

    /// A connection as the owner of the schema.
    pub(crate) async fn owner(&self) -> Client {
        connect(&self.owner_config()).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.terminate();
    }
}

pub(crate) async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("the cluster answers");
    tokio::spawn(connection);
    client
}

/// A directory that the cluster's user can reach.
pub(crate) fn scratch_dir() -> PathBuf {
    std::env::temp_dir().join(format!("loopctl-bench-{}", std::process::id()))
}
