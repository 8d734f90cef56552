//! Starting PostgreSQL's programs as the right account, tied to the life of this process.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use crate::account::Account;
use crate::error::Problem;
use crate::layout::DirLock;

/// The only variables that PostgreSQL gets from our environment. The rest may hold secrets (the environment
/// of a process is readable by its account) or settings such as `PGPORT` that would change its meaning.
const ENVIRONMENT: [&str; 6] =
    ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LOCPATH", "LOCALE_ARCHIVE", "TMPDIR"];

/// A command that runs `program` as `account`, away from our terminal, environment and directory.
pub(crate) fn command(program: &Path, account: &Account) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(ENVIRONMENT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        // Names the message language, and on macOS keeps the C library from starting threads of its own.
        .env("LC_ALL", "C")
        // Our own directory may be closed to the account.
        .current_dir("/")
        .stdin(Stdio::null())
        // Ctrl-C in the terminal goes to the foreground process group. PostgreSQL must outlive it until we
        // have finished the requests in flight and stop it ourselves.
        .process_group(0);
    if account.step_down {
        // Also drops the supplementary groups of root.
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// Starts `command` so that it receives `signal` when the *calling thread* ends, which has to live as long as
/// the child is wanted. Where the kernel has no such service (macOS), the next start finds the orphan.
///
/// The signal ends the child from its first moment: what a shell starts in the background ignores SIGINT, and so would
/// PostgreSQL, until it has set up its own handlers. A start that is abandoned before that would run for ever.
pub(crate) fn spawn_tied(command: &mut Command, signal: Signal) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    let parent = Pid::this();
    let tie = move || {
        let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: the default is no handler that could do anything wrong.
        #[allow(unsafe_code)]
        unsafe {
            sigaction(signal, &default)?;
        }
        #[cfg(target_os = "linux")]
        {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // The parent may have died before the line above, and then nobody would send the signal.
            if nix::unistd::getppid() != parent {
                return Err(Errno::ESRCH.into());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed: `tie` makes plain system calls, which neither
    // allocate nor take a lock. It has to be here, because the kernel clears the tie when the account changes, which std
    // does before it calls this closure.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(tie);
    }
    command.spawn()
}

/// How a process ended.
#[derive(Debug, Clone)]
pub(crate) struct Exit {
    pub(crate) success: bool,
    pub(crate) description: String,
}

/// A running `postgres`. Dropping it asks for a fast shutdown and does not wait.
#[derive(Debug)]
pub(crate) struct Postmaster {
    pid: Pid,
    exit: watch::Receiver<Option<Exit>>,
}

impl Postmaster {
    /// Starts `command` from a thread of its own that waits for its end: the parent-death signal is bound to
    /// the thread that forks, and threads of the async runtime come and go.
    ///
    /// The thread shares the lock, so that a cluster that is dropped without [`Self::stop`] stays locked until
    /// PostgreSQL is really gone.
    pub(crate) async fn spawn(
        mut command: Command,
        program: PathBuf,
        lock: Arc<DirLock>,
    ) -> Result<Self, Problem> {
        let (started, receive) = oneshot::channel();
        let failed = |source| Problem::Spawn { program: program.clone(), source };
        thread::Builder::new()
            .name("postgres".to_owned())
            .spawn(move || {
                let mut child = match spawn_tied(&mut command, Signal::SIGINT) {
                    Ok(child) => child,
                    Err(error) => {
                        let _ = started.send(Err(error));
                        return;
                    }
                };
                let (ended, exit) = watch::channel(None);
                let pid = Pid::from_raw(child.id().cast_signed());
                // If nobody waits for it any more, this drops the value, and that stops the child.
                let _ = started.send(Ok(Self { pid, exit }));
                let exit = match child.wait() {
                    Ok(status) => Exit { success: status.success(), description: status.to_string() },
                    Err(error) => Exit { success: false, description: error.to_string() },
                };
                drop(lock);
                ended.send_replace(Some(exit));
            })
            .map_err(failed)?;
        match receive.await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(Problem::Interrupted { doing: "was starting PostgreSQL" }),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Resolves when the process has ended. Does not borrow, so that it can be awaited beside everything else.
    pub(crate) fn wait(&self) -> impl Future<Output = Exit> + Send + use<> {
        let mut exit = self.exit.clone();
        async move {
            match exit.wait_for(Option::is_some).await.map(|exit| exit.clone()) {
                Ok(Some(exit)) => exit,
                _ => Exit { success: false, description: "its supervisor thread ended".to_owned() },
            }
        }
    }

    /// Sends the signals one after the other, each with its time, until the process has ended.
    pub(crate) async fn stop(&self, signals: &[(Signal, Duration)]) -> Option<Exit> {
        for (signal, patience) in signals {
            self.signal(*signal);
            if let Ok(exit) = tokio::time::timeout(*patience, self.wait()).await {
                return Some(exit);
            }
        }
        None
    }

    fn signal(&self, signal: Signal) {
        // Only while the child is not reaped: afterwards the number may belong to somebody else.
        if self.exit.borrow().is_none() && self.exit.has_changed().is_ok() {
            let _ = kill(self.pid, signal);
        }
    }
}

impl Drop for Postmaster {
    fn drop(&mut self) {
        self.signal(Signal::SIGINT);
    }
}
