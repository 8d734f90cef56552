//! From options to a PostgreSQL that answers.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::account::Account;
use crate::binaries::{self, Installation, Places};
use crate::error::{IoContext, Problem};
use crate::layout::{DirLock, Layout, PORT};
use crate::process::{self, Exit, Postmaster};
use crate::{EmbeddedCluster, EmbeddedOptions, STOP, config, initdb, previous};

/// How long PostgreSQL may give no answer at all. While it answers that it is recovering, we wait.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(4);

/// How long backends of a killed server may keep its shared memory.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(10);
const LEFTOVER_POLL: Duration = Duration::from_millis(50);
const LEFTOVER_MESSAGE: &str = "pre-existing shared memory block";

/// How much of the log an error shows.
const TAIL: u64 = 16_384;

pub(crate) async fn start(options: &EmbeddedOptions) -> Result<EmbeddedCluster, Problem> {
    let options = options.clone();
    let prepared = tokio::task::spawn_blocking(move || Prepared::new(&options))
        .await
        .map_err(|_| Problem::Interrupted { doing: "was preparing the database" })??;
    let began = Instant::now();
    loop {
        match prepared.run().await {
            // Backends notice the death of their server within moments, but not before we do.
            Err(Problem::Exited { tail, .. })
                if tail.contains(LEFTOVER_MESSAGE) && began.elapsed() < LEFTOVER_PATIENCE =>
            {
                tokio::time::sleep(LEFTOVER_POLL).await;
            }
            result => return result,
        }
    }
}

/// A directory that is locked and ready for PostgreSQL to start in.
struct Prepared {
    layout: Layout,
    account: Account,
    installation: Installation,
    socket_dir: PathBuf,
    is_new: bool,
    lock: Arc<DirLock>,
}

impl Prepared {
    /// Everything that blocks. Runs on one thread from start to end, to which `initdb` is tied.
    fn new(options: &EmbeddedOptions) -> Result<Self, Problem> {
        let layout = Layout::create(options.application, &options.data_dir)?;
        let lock = Arc::new(DirLock::acquire(&layout)?);
        let pgdata = layout.pgdata();
        let wanted = initdb::version(&pgdata)?;
        let account = Account::choose(wanted.and(Some(&pgdata)))?;
        account.check_reach(layout.root())?;
        initdb::clear_unfinished(&layout);
        let places = Places::of_system(options.application, layout.root());
        let installation = binaries::locate(options, &layout, &account, wanted, &places)?;
        let socket_dir = layout.socket_dir(&account)?;
        if wanted.is_none() {
            initdb::create(&layout, &account, &installation)?;
        }
        previous::settle(&pgdata)?;
        previous::clear_sockets(&socket_dir)?;
        Ok(Self { layout, account, installation, socket_dir, is_new: wanted.is_none(), lock })
    }

    async fn run(&self) -> Result<EmbeddedCluster, Problem> {
        let (file, start) = self.layout.open_log()?;
        let log = Log { path: self.layout.log(), start };
        let program = self.installation.bin_dir.join("postgres");
        let command = self.command(&program, file)?;
        let cluster = EmbeddedCluster {
            application: self.layout.application(),
            postmaster: Postmaster::spawn(command, program, Arc::clone(&self.lock)).await?,
            data_dir: self.layout.root().to_path_buf(),
            bin_dir: self.installation.bin_dir.clone(),
            socket_dir: self.socket_dir.clone(),
            is_new: self.is_new,
            log,
            _lock: Arc::clone(&self.lock),
        };
        if let Err(error) = cluster.wait_ready().await {
            cluster.postmaster.stop(&STOP).await;
            return Err(error);
        }
        Ok(cluster)
    }

    fn command(&self, program: &Path, log: File) -> Result<Command, Problem> {
        let mut command = process::command(program, &self.account);
        command.arg("-D").arg(self.layout.pgdata());
        // What the application depends on, whatever postgresql.conf says.
        let mut set = |name: &str, value: OsString| {
            let mut setting = OsString::from(format!("{name}="));
            setting.push(value);
            command.arg("-c").arg(setting);
        };
        set("listen_addresses", OsString::new());
        set("unix_socket_directories", quoted(&self.socket_dir));
        set("unix_socket_permissions", "0700".into());
        set("port", PORT.to_string().into());
        set("fsync", "on".into());
        set("full_page_writes", "on".into());
        set("timezone", "UTC".into());
        set("log_timezone", "UTC".into());
        set("log_destination", "stderr".into());
        set("logging_collector", "off".into());
        let copy = log.try_clone().context("open", &self.layout.log())?;
        command.stdout(copy).stderr(log);
        Ok(command)
    }
}

/// A path as an element of a list setting.
fn quoted(path: &Path) -> OsString {
    // Only the quotes and the path's own bytes matter, and those bytes need not be UTF-8.
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        bytes.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    bytes.push(b'"');
    OsString::from_vec(bytes)
}

impl EmbeddedCluster {
    async fn wait_ready(&self) -> Result<(), Problem> {
        let mut silent_since = Instant::now();
        let mut recovering = false;
        let config = config(&self.socket_dir, self.application.owner, "postgres");
        loop {
            let answer = tokio::time::timeout(PATIENCE, config.connect(NoTls)).await;
            let reason = match answer {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => {
                    if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW) {
                        if !recovering {
                            tracing::info!(log = %self.log.path.display(), "waiting for PostgreSQL to come up");
                        }
                        recovering = true;
                        silent_since = Instant::now();
                    } else if let Some(refusal) = error.as_db_error() {
                        return Err(self.not_ready(silent_since, refusal.to_string()));
                    }
                    error.to_string()
                }
                Err(_) => "no answer on the socket".to_owned(),
            };
            if let Some(exit) = self.postmaster.ended() {
                return Err(self.log.exited(&exit));
            }
            if silent_since.elapsed() >= PATIENCE {
                return Err(self.not_ready(silent_since, reason));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn not_ready(&self, since: Instant, reason: String) -> Problem {
        Problem::NotReady {
            seconds: since.elapsed().as_secs(),
            reason,
            log: self.log.path.clone(),
            tail: self.log.tail(),
        }
    }
}

/// The part of the log that one run writes.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    start: u64,
}

impl Log {
    /// The last lines of this run, for an error. Best effort: the error matters more than its decoration.
    fn tail(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            let from = file.metadata()?.len().saturating_sub(TAIL).max(self.start);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_default()
    }

    pub(crate) fn exited(&self, exit: &Exit) -> Problem {
        Problem::Exited { status: exit.description.clone(), log: self.path.clone(), tail: self.tail() }
    }

    /// As [`Self::exited`], of one that ran: its reason is among what its processes said of each other's end.
    pub(crate) fn lost(&self, exit: &Exit) -> Problem {
        let tail = self.tail();
        let tail = reason(&tail).map_or(tail.clone(), str::to_owned);
        Problem::Exited { status: exit.description.clone(), log: self.path.clone(), tail }
    }
}

/// Why PostgreSQL ended, in its own words: the first line that says so. What its processes say of each other's end are
/// consequences.
fn reason(tail: &str) -> Option<&str> {
    const CONSEQUENCES: [&str; 5] = [
        "terminating connection",
        "the database system is",
        "the database system was",
        "terminating background worker",
        "terminating walreceiver",
    ];
    tail.lines().find_map(|line| {
        let said = line.split_once(" PANIC:  ").or_else(|| line.split_once(" FATAL:  "))?.1;
        (!CONSEQUENCES.iter().any(|consequence| said.starts_with(consequence))).then_some(said)
    })
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_told_and_not_what_follows_from_it() {
        let log = "\
2026-11-28 10:00:00.000 UTC [1] LOG:  database system is ready to accept connections
2026-11-28 10:00:01.000 UTC [9] FATAL:  terminating connection due to administrator command
2026-11-28 10:00:01.000 UTC [7] PANIC:  could not write to file \"pg_wal/xlogtemp.7\": No space left on device
2026-11-28 10:00:01.000 UTC [1] LOG:  server process (PID 7) was terminated by signal 6: Aborted
2026-11-28 10:00:01.000 UTC [8] FATAL:  the database system is in recovery mode";
        assert_eq!(
            reason(log),
            Some("could not write to file \"pg_wal/xlogtemp.7\": No space left on device")
        );
        assert_eq!(reason("2026-11-28 10:00:00.000 UTC [1] LOG:  shutting down"), None);
    }
}
