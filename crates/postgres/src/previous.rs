//! What an earlier run left behind: a PostgreSQL that is still shutting down, or files that say so wrongly.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{IoContext, Problem};

/// Fast shutdown, and if that hangs the immediate one, from which the next start recovers.
const STEPS: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(15)), (Signal::SIGQUIT, Duration::from_secs(10))];
const POLL: Duration = Duration::from_millis(5);

/// Makes sure that no other PostgreSQL runs on `pgdata`. The caller holds the lock of the data directory, so
/// whoever still runs there has lost its server and is to stop.
pub(crate) fn settle(pgdata: &Path) -> Result<(), Problem> {
    // The directory may be a link to another disk; the old server is recognised by the place itself.
    let pgdata = &fs::canonicalize(pgdata).context("resolve", pgdata)?;
    let pid_file = pgdata.join("postmaster.pid");
    let text = match fs::read_to_string(&pid_file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("read", &pid_file),
    };
    let Some(previous) = Previous::parse(&text) else {
        // Cut short by a crash of the machine. PostgreSQL would refuse to start.
        return remove(&pid_file);
    };
    if previous.runs_on(pgdata) {
        return previous.stop(pgdata);
    }
    if exists(previous.pid) {
        // The number belongs to an unrelated process now, which PostgreSQL cannot tell from a server.
        remove(&pid_file)?;
    }
    // A number that nobody has is for PostgreSQL itself to judge: it also looks for backends that survived.
    Ok(())
}

/// Removes the socket of a dead server and its lock file, which has the same trouble with reused numbers.
pub(crate) fn clear_sockets(socket_dir: &Path) -> Result<(), Problem> {
    for entry in fs::read_dir(socket_dir).context("read", socket_dir)? {
        let entry = entry.context("read", socket_dir)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".s.PGSQL.") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Problem> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).context("remove", path),
        _ => Ok(()),
    }
}

fn exists(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

/// A server as `postmaster.pid` describes it.
struct Previous {
    pid: Pid,
    socket: Option<PathBuf>,
}

impl Previous {
    /// The lines are: pid, data directory, start time, port, socket directory, and more that we do not need.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // A stand-alone backend writes its number negated.
        let pid = lines.first()?.parse::<i32>().ok()?.checked_abs().filter(|pid| *pid > 1)?;
        let socket = match (lines.get(3), lines.get(4)) {
            (Some(port), Some(dir)) if !dir.is_empty() => {
                Some(Path::new(dir).join(format!(".s.PGSQL.{port}")))
            }
            _ => None,
        };
        Some(Self { pid: Pid::from_raw(pid), socket })
    }

    /// Whether this is a live PostgreSQL on `pgdata` and not somebody who got its number.
    fn runs_on(&self, pgdata: &Path) -> bool {
        let process = PathBuf::from(format!("/proc/{}", self.pid));
        if Path::new("/proc/self/cwd").exists() {
            // PostgreSQL works in its data directory. A zombie has none, and that of another account is
            // hidden from us, but a server on our files would run as us.
            let here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == pgdata);
            let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
            return here && name.contains("postgres");
        }
        // No process file system (macOS): the socket answers until the very end of a shutdown.
        exists(self.pid) && self.socket.as_deref().is_some_and(|socket| UnixStream::connect(socket).is_ok())
    }

    fn stop(&self, pgdata: &Path) -> Result<(), Problem> {
        tracing::info!(pid = self.pid.as_raw(), "waiting for PostgreSQL of the previous run to stop");
        for (signal, patience) in STEPS {
            let _ = kill(self.pid, signal);
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if !self.runs_on(pgdata) {
                    return Ok(());
                }
                thread::sleep(POLL);
            }
        }
        Err(Problem::PreviousStuck { pid: self.pid.as_raw(), pgdata: pgdata.to_path_buf() })
    }
}
