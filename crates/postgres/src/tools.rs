//! PostgreSQL's own programs beside a cluster: the one that writes down what a database holds, and the one that brings it back.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::account::Account;
use crate::binaries::{self, Installation, Places};
use crate::error::Problem;
use crate::layout::{Layout, PORT};
use crate::{Application, EmbeddedError, EmbeddedOptions, initdb, process};

/// How long the programs wait for a table that somebody has to themselves.
const LOCK_PATIENCE: &str = "--lock-wait-timeout=60s";

/// How much of what a program says is told.
const TAIL: usize = 4096;

/// The programs that fit a cluster. Whether it runs is no matter: they are started when it does.
#[derive(Debug, Clone)]
pub struct Tools {
    application: &'static Application,
    account: Account,
    installation: Installation,
}

/// Why a program did not do its work.
#[derive(Debug)]
pub enum ToolError {
    /// The program, or PostgreSQL.
    Embedded(EmbeddedError),
    /// Whoever reads what it writes, or writes what it reads.
    Transfer(io::Error),
}

impl Tools {
    /// Those for the cluster in the options' data directory, or for the one that would be made there.
    ///
    /// # Errors
    /// When there is no PostgreSQL that fits, or the directory is not to be used.
    pub fn of(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let application = options.application;
        let find = || {
            let layout = Layout::create(application, &options.data_dir)?;
            let pgdata = layout.pgdata();
            let wanted = initdb::version(&pgdata)?;
            let account = Account::choose(wanted.and(Some(&pgdata)))?;
            let places = Places::of_system(application, layout.root());
            let installation = binaries::locate(options, &layout, &account, wanted, &places)?;
            Ok(Self { application, account, installation })
        };
        find().map_err(|problem: Problem| problem.of(application))
    }

    /// The major version of PostgreSQL that they belong to.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.installation.major
    }

    /// The directory with them.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.installation.bin_dir
    }

    /// Writes down all that a database holds, as a transaction sees it that has exported this snapshot and is still open: in
    /// `pg_dump`'s custom format, which newer versions read as well. Says how many bytes it were.
    ///
    /// Whose tables they are is not in it, nor what would not outlive a crash either. Blocks; the calling thread has to live as
    /// long as it works.
    ///
    /// # Errors
    /// When the program is missing or fails, or `to` does.
    pub fn dump(&self, database: &Config, snapshot: &str, to: &mut impl Write) -> Result<u64, ToolError> {
        let mut command = self.command("pg_dump", database)?;
        command.args(["--format=custom", "--no-owner", "--no-unlogged-table-data", LOCK_PATIENCE]);
        command.arg(format!("--snapshot={snapshot}")).stdout(Stdio::piped());
        self.run("pg_dump", command, |child| match child.stdout.take() {
            Some(mut output) => io::copy(&mut output, to),
            None => Ok(0),
        })
    }

    /// Brings what [`Self::dump`] has written into an empty database, as one transaction.
    ///
    /// # Errors
    /// When the program is missing or fails, or `from` does.
    pub fn restore(&self, database: &Config, from: &mut impl Read) -> Result<(), ToolError> {
        let mut command = self.command("pg_restore", database)?;
        command.args(["--no-owner", "--exit-on-error", "--single-transaction"]).stdin(Stdio::piped());
        self.run("pg_restore", command, |child| match child.stdin.take() {
            // A program that has ended says why itself.
            Some(mut input) => match io::copy(from, &mut input) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
                copied => copied,
            },
            None => Ok(0),
        })
        .map(drop)
    }

    fn command(&self, tool: &'static str, database: &Config) -> Result<Command, ToolError> {
        let program = self.program(tool)?;
        let mut command = process::command(&program, &self.account);
        if let Some(Host::Unix(socket_dir)) = database.get_hosts().first() {
            command.arg("--host").arg(socket_dir);
        }
        command.arg(format!("--port={PORT}")).arg("--no-password");
        command.arg(format!("--username={}", database.get_user().unwrap_or(self.application.owner)));
        command.arg(format!("--dbname={}", database.get_dbname().unwrap_or_default()));
        Ok(command)
    }

    fn program(&self, tool: &'static str) -> Result<PathBuf, ToolError> {
        let Installation { bin_dir, major } = &self.installation;
        let program = bin_dir.join(tool);
        if program.is_file() {
            return Ok(program);
        }
        Err(self.failed(Problem::NoTool { tool, bin_dir: bin_dir.clone(), major: *major }))
    }

    /// Runs a program to its end, while `transfer` moves what it reads or writes.
    fn run(
        &self,
        tool: &'static str,
        mut command: Command,
        transfer: impl FnOnce(&mut Child) -> io::Result<u64>,
    ) -> Result<u64, ToolError> {
        let spawned = process::spawn_tied(command.stderr(Stdio::piped()), Signal::SIGTERM);
        let program = Path::new(command.get_program()).to_path_buf();
        let mut child = spawned.map_err(|source| self.failed(Problem::Spawn { program, source }))?;
        // Read beside: a program whose messages nobody reads would wait for ever.
        let messages = child.stderr.take().map(|stderr| thread::spawn(move || tail(stderr)));
        let transferred = transfer(&mut child);
        if transferred.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().map_err(ToolError::Transfer)?;
        let output = messages.and_then(|messages| messages.join().ok()).unwrap_or_default();
        let bytes = transferred.map_err(ToolError::Transfer)?;
        if status.success() {
            return Ok(bytes);
        }
        Err(self.failed(Problem::Tool { tool, status: status.to_string(), output }))
    }

    fn failed(&self, problem: Problem) -> ToolError {
        ToolError::Embedded(problem.of(self.application))
    }
}

/// The last of what a program says.
fn tail(mut from: impl Read) -> String {
    let (mut last, mut part) = (Vec::new(), [0; 1024]);
    while let Ok(read @ 1..) = from.read(&mut part) {
        last.extend_from_slice(&part[..read]);
        let beyond = last.len().saturating_sub(TAIL);
        last.drain(..beyond);
    }
    String::from_utf8_lossy(&last).trim().to_owned()
}
