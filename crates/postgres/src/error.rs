//! What can go wrong with the private cluster, each with what to do next.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::Application;

/// A failure of the embedded PostgreSQL. The message always says what to do next, because the reader is
/// somebody who typed one command and expected a server.
#[derive(Debug)]
#[non_exhaustive]
pub struct EmbeddedError {
    /// Whose cluster it is: the message names its settings.
    pub application: &'static Application,
    /// What went wrong.
    pub problem: Problem,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem {
    /// Another process holds the data directory.
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The holder's process id as it wrote it, or `unknown`.
        pid: String,
    },
    /// No place for the data directory could be derived from the environment.
    NoHome,
    /// A file operation failed.
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Running as root, and there is no account to run PostgreSQL as.
    NoAccount,
    /// The account has no name, which `initdb` needs, and none could be lent to it.
    Nameless {
        /// The account.
        uid: u32,
        /// What `initdb` said.
        output: String,
    },
    /// The account that runs PostgreSQL cannot get to a path.
    Unreachable {
        /// The account's name.
        user: String,
        /// The ancestor that lacks search permission.
        blocked: PathBuf,
        /// Where PostgreSQL needed to go.
        path: PathBuf,
    },
    /// The cluster's files belong to an account that PostgreSQL cannot run as from here.
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: String,
        /// Whose it should be.
        suggested: String,
    },
    /// The socket directory is not a plain directory of ours.
    UnsafeSocketDir {
        /// The directory.
        path: PathBuf,
        /// Who should own it.
        uid: u32,
    },
    /// No directory gives a socket path within the operating system's limit.
    SocketPathTooLong {
        /// The data directory.
        dir: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// What the program carries is of no use here.
    BadCarried {
        /// Why.
        problem: String,
    },
    /// There is no PostgreSQL on this machine.
    NoBinaries,
    /// The data needs a version that is not there.
    WrongVersion {
        /// The cluster's directory.
        pgdata: PathBuf,
        /// The major version in `PG_VERSION`.
        wanted: u32,
        /// What was found instead, for the reader.
        found: String,
    },
    /// Binaries that were asked for by name cannot be used.
    BadBinaries {
        /// The environment variable.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A bundle given by URL.
    BundleUrl {
        /// The URL.
        url: String,
    },
    /// The directory for the cluster holds something else.
    NotACluster {
        /// The directory.
        pgdata: PathBuf,
    },
    /// A program could not be started at all.
    Spawn {
        /// The program.
        program: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// `initdb` failed; nothing was left behind.
    Initdb {
        /// The data directory.
        dir: PathBuf,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// PostgreSQL of an earlier run does not go away.
    PreviousStuck {
        /// Its process id.
        pid: i32,
        /// The cluster's directory.
        pgdata: PathBuf,
    },
    /// PostgreSQL ended when it should run.
    Exited {
        /// How it ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// The end of the log of this run.
        tail: String,
    },
    /// PostgreSQL runs but does not answer.
    NotReady {
        /// How long we waited without an answer.
        seconds: u64,
        /// The last answer.
        reason: String,
        /// The log file.
        log: PathBuf,
        /// The end of the log of this run.
        tail: String,
    },
    /// PostgreSQL ignores the request to stop.
    StopTimeout {
        /// Its process id.
        pid: i32,
        /// The log file.
        log: PathBuf,
    },
    /// One of PostgreSQL's programs is not there.
    NoTool {
        /// Its name.
        tool: &'static str,
        /// Where it ought to be.
        bin_dir: PathBuf,
        /// The version that it has to be of.
        major: u32,
    },
    /// One of PostgreSQL's programs failed.
    Tool {
        /// Its name.
        tool: &'static str,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// The thread that did the work is gone, which is a defect of the application.
    Interrupted {
        /// What it was doing.
        doing: &'static str,
    },
}

impl Problem {
    pub(crate) fn of(self, application: &'static Application) -> EmbeddedError {
        EmbeddedError { application, problem: self }
    }
}

impl fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Application { name, minimum_major, data_dir, pg_bin, pg_bundle, database_url, .. } =
            self.application;
        match &self.problem {
            Problem::Locked { dir, pid } => write!(
                f,
                "another {name} server (pid {pid}) already uses {}; stop it, or set {data_dir} to another directory",
                dir.display()
            ),
            Problem::NoHome => write!(
                f,
                "cannot find a home directory for this user; set {data_dir} to a directory for the database"
            ),
            Problem::Io { action, path, source } => write!(
                f,
                "cannot {action} {}: {source}; check the permissions and the free space there, or set {data_dir} to another directory",
                path.display()
            ),
            Problem::NoAccount => write!(
                f,
                "PostgreSQL refuses to run as root and this system has neither a user `postgres` nor `nobody`; create one (`useradd --system postgres`), start {name} as an ordinary user, or set {database_url}"
            ),
            Problem::Nameless { uid, output } => write!(
                f,
                "user id {uid} has no name on this system, and PostgreSQL's `initdb` needs one; give the id a name (as root, or in the image's build: `echo '{name}:x:{uid}:0::/tmp:/sbin/nologin' >> /etc/passwd`), start {name} as a user that has one, or set {database_url}:\n{output}"
            ),
            Problem::Unreachable { user, blocked, path } => write!(
                f,
                "PostgreSQL runs as user `{user}`, who cannot enter {blocked} and so cannot reach {}; set {data_dir} to a directory outside it (the default is /var/lib/{name}), or run `chmod o+x {blocked}`",
                path.display(),
                blocked = blocked.display()
            ),
            Problem::ForeignOwner { path, owner, suggested } => write!(
                f,
                "{path} belongs to {owner}, but PostgreSQL must run as the owner of its files; start {name} as that user, or run `chown -R {suggested} {path}`",
                path = path.display()
            ),
            Problem::UnsafeSocketDir { path, uid } => write!(
                f,
                "{} is not a private directory of user id {uid}, so the database socket would not be safe there; remove it, or set {data_dir} to a shorter path",
                path.display()
            ),
            Problem::SocketPathTooLong { dir, limit } => write!(
                f,
                "the socket path under {} is longer than the system's limit of {limit} bytes and so is one under the temporary directory; set {data_dir} or TMPDIR to a shorter path",
                dir.display()
            ),
            Problem::NoBinaries => write!(
                f,
                "PostgreSQL {minimum_major} or newer was not found. Install it (Debian and Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set {pg_bin} to the directory with `initdb` and `postgres`, or {pg_bundle} to a .tar.gz of PostgreSQL binaries, or {database_url} to use a server of your own"
            ),
            Problem::WrongVersion { pgdata, wanted, found } => write!(
                f,
                "the data in {} was made by PostgreSQL {wanted}, and {found} was found; install PostgreSQL {wanted} (Debian and Ubuntu: `apt-get install postgresql-{wanted}`; Fedora: `dnf install postgresql{wanted}-server`; macOS: `brew install postgresql@{wanted}`), set {pg_bin} to its bin directory, or set {data_dir} to another directory to begin anew",
                pgdata.display()
            ),
            Problem::BadBinaries { setting, path, problem } => write!(
                f,
                "{setting} points to {}, which cannot be used: {problem}; correct {setting}, or unset it to use the PostgreSQL of this system",
                path.display()
            ),
            Problem::BadCarried { problem } => write!(
                f,
                "the PostgreSQL that this {name} carries cannot be used: {problem}; set {pg_bin} to the directory with `initdb` and `postgres` of another one, or {database_url} to use a server of your own"
            ),
            Problem::BundleUrl { url } => write!(
                f,
                "{pg_bundle} is a URL ({url}), and this version of {name} does not download; fetch it yourself (`curl -fLO {url}`) and set {pg_bundle} to the file"
            ),
            Problem::NotACluster { pgdata } => write!(
                f,
                "{} exists, but it is not a PostgreSQL cluster (no usable PG_VERSION in it); move it away, or set {data_dir} to another directory",
                pgdata.display()
            ),
            Problem::Spawn { program, source } => write!(
                f,
                "cannot run {}: {source}; check that PostgreSQL is installed completely and that this user may execute it",
                program.display()
            ),
            Problem::Initdb { dir, status, output } => write!(
                f,
                "`initdb` could not create the database cluster in {} ({status}); correct what it reports and start again:\n{output}",
                dir.display()
            ),
            Problem::PreviousStuck { pid, pgdata } => write!(
                f,
                "PostgreSQL of an earlier run (pid {pid}) still uses {} and does not stop; look at its log, end it (`kill -QUIT {pid}`), and start again",
                pgdata.display()
            ),
            Problem::Exited { status, log, tail } => write!(
                f,
                "PostgreSQL stopped unexpectedly ({status}); correct what its log {} reports and start again:\n{tail}",
                log.display()
            ),
            Problem::NotReady { seconds, reason, log, tail } => write!(
                f,
                "PostgreSQL did not accept connections within {seconds} s ({reason}); correct what its log {} reports and start again:\n{tail}",
                log.display()
            ),
            Problem::StopTimeout { pid, log } => write!(
                f,
                "PostgreSQL (pid {pid}) does not stop; its log is {}. The data is safe: end it with `kill -QUIT {pid}`, the next start recovers",
                log.display()
            ),
            Problem::NoTool { tool, bin_dir, major } => write!(
                f,
                "there is no `{tool}` beside `postgres` in {}; install PostgreSQL's client programs of version {major} (Debian and Ubuntu: `apt-get install postgresql-client-{major}`; Fedora: `dnf install postgresql{major}`), or set {pg_bin} to a directory with all of its programs",
                bin_dir.display()
            ),
            Problem::Tool { tool, status, output } => {
                write!(f, "`{tool}` failed ({status}); correct what it reports and try again:\n{output}")
            }
            Problem::Interrupted { doing } => write!(
                f,
                "a worker thread ended early while {name} {doing}; start again, and report this as a defect if it comes back"
            ),
        }
    }
}

impl Error for EmbeddedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.problem {
            Problem::Io { source, .. } | Problem::Spawn { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Adds to an I/O error what was attempted and where.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, Problem>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, Problem> {
        self.map_err(|source| Problem::Io { action, path: path.to_path_buf(), source })
    }
}
