//! What can go wrong with the private cluster, each with what to do next.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the embedded PostgreSQL. The message always says what to do next, because the reader is
/// somebody who typed one command and expected a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Another process holds the data directory.
    #[error(
        "another loopctl server (pid {pid}) already uses {dir}; stop it, or set LOOPCTL_DATA_DIR to another directory",
        dir = dir.display()
    )]
    Locked {
        /// The data directory.
        dir: PathBuf,
        /// The holder's process id as it wrote it, or `unknown`.
        pid: String,
    },
    /// No place for the data directory could be derived from the environment.
    #[error(
        "cannot find a home directory for this user; set LOOPCTL_DATA_DIR to a directory for the database"
    )]
    NoHome,
    /// A file operation failed.
    #[error("cannot {action} {path}: {source}; check the permissions and the free space there, or set LOOPCTL_DATA_DIR to another directory", path = path.display())]
    Io {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Running as root, and there is no account to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root and this system has neither a user `postgres` nor `nobody`; create one (`useradd --system postgres`), start loopctl as an ordinary user, or set DATABASE_URL"
    )]
    NoAccount,
    /// The account that runs PostgreSQL cannot get to a path.
    #[error(
        "PostgreSQL runs as user `{user}`, who cannot enter {blocked} and so cannot reach {path}; set LOOPCTL_DATA_DIR to a directory outside it (the default is /var/lib/loopctl), or run `chmod o+x {blocked}`",
        blocked = blocked.display(), path = path.display()
    )]
    Unreachable {
        /// The account's name.
        user: String,
        /// The ancestor that lacks search permission.
        blocked: PathBuf,
        /// Where PostgreSQL needed to go.
        path: PathBuf,
    },
    /// The cluster's files belong to an account that PostgreSQL cannot run as from here.
    #[error(
        "{path} belongs to {owner}, but PostgreSQL must run as the owner of its files; start loopctl as that user, or run `chown -R {suggested} {path}`",
        path = path.display()
    )]
    ForeignOwner {
        /// The directory.
        path: PathBuf,
        /// Who owns it.
        owner: String,
        /// Whose it should be.
        suggested: String,
    },
    /// The socket directory is not a plain directory of ours.
    #[error(
        "{path} is not a private directory of user id {uid}, so the database socket would not be safe there; remove it, or set LOOPCTL_DATA_DIR to a shorter path",
        path = path.display()
    )]
    UnsafeSocketDir {
        /// The directory.
        path: PathBuf,
        /// Who should own it.
        uid: u32,
    },
    /// No directory gives a socket path within the operating system's limit.
    #[error(
        "the socket path under {dir} is longer than the system's limit of {limit} bytes and so is one under the temporary directory; set LOOPCTL_DATA_DIR or TMPDIR to a shorter path",
        dir = dir.display()
    )]
    SocketPathTooLong {
        /// The data directory.
        dir: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// There is no PostgreSQL on this machine.
    #[error(
        "PostgreSQL {minimum} or newer was not found. Install it (Debian and Ubuntu: `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), or set LOOPCTL_PG_BIN to the directory with `initdb` and `postgres`, or LOOPCTL_PG_BUNDLE to a .tar.gz of PostgreSQL binaries, or DATABASE_URL to use a server of your own"
    )]
    NoBinaries {
        /// The oldest major version that loopctl supports.
        minimum: u32,
    },
    /// The data needs a version that is not there.
    #[error(
        "the data in {pgdata} was made by PostgreSQL {wanted}, and only {found} was found; install PostgreSQL {wanted} (Debian and Ubuntu: `apt-get install postgresql-{wanted}`; Fedora: `dnf install postgresql{wanted}-server`; macOS: `brew install postgresql@{wanted}`), or set LOOPCTL_PG_BIN to its bin directory",
        pgdata = pgdata.display()
    )]
    WrongVersion {
        /// The cluster's directory.
        pgdata: PathBuf,
        /// The major version in `PG_VERSION`.
        wanted: u32,
        /// What was found instead, for the reader.
        found: String,
    },
    /// Binaries that were asked for by name cannot be used.
    #[error("{setting} points to {path}, which cannot be used: {problem}; correct {setting}, or unset it to use the PostgreSQL of this system", path = path.display())]
    BadBinaries {
        /// The environment variable.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A bundle given by URL.
    #[error(
        "LOOPCTL_PG_BUNDLE is a URL ({url}), and this version of loopctl does not download; fetch it yourself (`curl -fLO {url}`) and set LOOPCTL_PG_BUNDLE to the file"
    )]
    BundleUrl {
        /// The URL.
        url: String,
    },
    /// The directory for the cluster holds something else.
    #[error("{pgdata} exists, but it is not a PostgreSQL cluster (no usable PG_VERSION in it); move it away, or set LOOPCTL_DATA_DIR to another directory", pgdata = pgdata.display())]
    NotACluster {
        /// The directory.
        pgdata: PathBuf,
    },
    /// A program could not be started at all.
    #[error("cannot run {program}: {source}; check that PostgreSQL is installed completely and that this user may execute it", program = program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// `initdb` failed; nothing was left behind.
    #[error("`initdb` could not create the database cluster in {dir} ({status}); correct what it reports and start again:\n{output}", dir = dir.display())]
    Initdb {
        /// The data directory.
        dir: PathBuf,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// PostgreSQL of an earlier run does not go away.
    #[error("PostgreSQL of an earlier run (pid {pid}) still uses {pgdata} and does not stop; look at its log, end it (`kill -QUIT {pid}`), and start again", pgdata = pgdata.display())]
    PreviousStuck {
        /// Its process id.
        pid: i32,
        /// The cluster's directory.
        pgdata: PathBuf,
    },
    /// PostgreSQL ended when it should run.
    #[error("PostgreSQL stopped unexpectedly ({status}); correct what its log {log} reports and start again:\n{tail}", log = log.display())]
    Exited {
        /// How it ended.
        status: String,
        /// The log file.
        log: PathBuf,
        /// The end of the log of this run.
        tail: String,
    },
    /// PostgreSQL runs but does not answer.
    #[error("PostgreSQL did not accept connections within {seconds} s ({reason}); correct what its log {log} reports and start again:\n{tail}", log = log.display())]
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
    #[error("PostgreSQL (pid {pid}) does not stop; its log is {log}. The data is safe: end it with `kill -QUIT {pid}`, the next start recovers", log = log.display())]
    StopTimeout {
        /// Its process id.
        pid: i32,
        /// The log file.
        log: PathBuf,
    },
    /// The thread that did the work is gone, which is a defect of loopctl.
    #[error(
        "a worker thread ended early while loopctl {doing}; start again, and report this as a defect if it comes back"
    )]
    Interrupted {
        /// What it was doing.
        doing: &'static str,
    },
}

/// Adds to an I/O error what was attempted and where.
pub(super) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { action, path: path.to_path_buf(), source })
    }
}
