//! A PostgreSQL that is somebody else's: over TCP, with passwords, and nothing of ours in it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tokio_postgres::{Client, Config, NoTls};

use crate::support::wait_for;

/// A process that is asked to end, and waited for.
pub(super) struct Process {
    child: Child,
    end: Signal,
}

impl Process {
    pub(super) const fn new(child: Child, end: Signal) -> Self {
        Self { child, end }
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), self.end);
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on. Not one of those that connections are made from: of these any may be taken the next moment.
pub(super) fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + u16::try_from(number % 22_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Where a program is, in the directories that the tests have and in one that only administrators have.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The newest PostgreSQL of this machine, or the one that the tests are to use.
pub(crate) fn postgresql() -> PathBuf {
    let has_all =
        |dir: &PathBuf| ["postgres", "initdb", "psql", "pg_dump"].iter().all(|name| dir.join(name).is_file());
    let told = std::env::var_os("LOOPCTL_PG_BIN").map(PathBuf::from);
    let on_path = find("postgres").and_then(|file| Some(file.parent()?.to_path_buf()));
    let packages = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut packages: Vec<_> = packages.map(|entry| entry.path().join("bin")).collect();
    packages.sort();
    let mut found = told.into_iter().chain(on_path).chain(packages.into_iter().rev());
    found.find(has_all).expect("PostgreSQL's programs, with psql and pg_dump: bin/prepare installs them")
}

/// An account that PostgreSQL and PgBouncer run as: they refuse to be root.
pub(super) fn account() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).ok().flatten();
    Some(named("postgres").or_else(|| named("nobody")).expect("an account that is not root's"))
}

pub(super) struct Postgres {
    process: Process,
    pub(super) port: u16,
    /// Where its programs are.
    pub(super) programs: PathBuf,
    /// What it says.
    log: PathBuf,
}

impl Postgres {
    /// An empty one, in this directory.
    pub(super) fn start(dir: &Path, superuser: &str, password: &str) -> Self {
        let (home, programs) = (home(dir, "postgres"), postgresql());
        let secret = home.join("password");
        fs::write(&secret, format!("{password}\n")).unwrap();
        belongs_to_it(&secret);
        let made = command(&programs, "initdb", &home)
            .args(["--pgdata=data", "--encoding=UTF8", "--no-locale", "--no-sync", "--auth=scram-sha-256"])
            .arg(format!("--username={superuser}"))
            .arg("--pwfile=password")
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self::of(&home, programs)
    }

    /// One that follows this one, in the same directory, and can be read.
    pub(super) fn standby(&self, dir: &Path, superuser: &str, password: &str) -> Self {
        let home = home(dir, "standby");
        let copied = command(&self.programs, "pg_basebackup", &home)
            .args(["--pgdata=data", "--write-recovery-conf", "--no-sync", "--checkpoint=fast"])
            .args(["--host=127.0.0.1", &format!("--port={}", self.port), &format!("--username={superuser}")])
            .env("PGPASSWORD", password)
            .output()
            .unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        Self::of(&home, self.programs.clone())
    }

    /// What lies in a directory, started.
    fn of(home: &Path, programs: PathBuf) -> Self {
        let (port, log) = (free_port(), home.with_extension("log"));
        let child = command(&programs, "postgres", home)
            .args([
                "-D",
                "data",
                "-p",
                &port.to_string(),
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "fsync=off",
            ])
            .args(["-c", "unix_socket_directories="])
            .stderr(Stdio::from(fs::File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        // A fast shutdown: clients are not waited for.
        let mut process = Process::new(child, Signal::SIGINT);
        wait_for("PostgreSQL", || {
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(process.child.try_wait().unwrap().is_none(), "{said}");
            // A standby adds that connections are read-only.
            said.contains("ready to accept").then_some(())
        });
        Self { process, port, programs, log }
    }

    /// Its end as by a failure of its machine: nobody is told.
    pub(super) fn dies(self) {
        self.process.signal(Signal::SIGKILL);
    }

    /// As somebody, without TLS.
    pub(super) async fn client(&self, user: &str, password: &str, database: &str) -> Client {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(user).password(password).dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A login as a URL that spells its password as the original's deployments do.
    pub(super) fn url(&self, scheme: &str, user: &str, password: &str, database: &str) -> String {
        format!("{scheme}://{user}:{}@127.0.0.1:{}/{database}", encoded(password), self.port)
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A directory of its own.
fn home(dir: &Path, name: &str) -> PathBuf {
    let home = dir.join(name);
    fs::create_dir(&home).unwrap();
    belongs_to_it(&home);
    home
}

fn belongs_to_it(path: &Path) {
    if let Some(account) = account() {
        chown(path, Some(account.uid.as_raw()), Some(account.gid.as_raw())).unwrap();
    }
}

/// One of its programs, as its account.
fn command(programs: &Path, program: &str, home: &Path) -> Command {
    let mut command = Command::new(programs.join(program));
    command.current_dir(home).env_clear().env("PATH", programs).stdin(Stdio::null()).stdout(Stdio::null());
    if let Some(account) = account() {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command
}

/// Every byte of it as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
