//! A private PostgreSQL for a server on one machine, so that the server needs no database to be set up.
//!
//! The cluster belongs to one process of its [`Application`]: a file lock settles whose it is, PostgreSQL is started as a child
//! and stops with its parent, whether that ends in order or is killed. The cluster is durable like any other
//! PostgreSQL, listens only on a Unix socket in a private directory, and never runs as root.
//!
//! ```text
//! data_dir/<name>.lock     who runs here; holds the process id
//! data_dir/postgres/       the cluster (PGDATA)
//! data_dir/postgres.log    what PostgreSQL reports
//! data_dir/run/            the socket (elsewhere when the path is too long for one)
//! data_dir/bundles/        PostgreSQL itself, when it came from a bundle
//! ```

mod account;
mod binaries;
mod bundle;
mod error;
mod initdb;
mod layout;
mod previous;
mod process;
mod startup;
#[cfg(test)]
mod tests;
mod tools;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

pub use self::error::{EmbeddedError, Problem};
use self::layout::{DirLock, Layout, PORT};
use self::process::{Exit, Postmaster};
use self::startup::Log;
pub use self::tools::{ToolError, Tools};

/// Fast shutdown, then the immediate one, which loses nothing but makes the next start recover.
const STOP: [(Signal, Duration); 2] =
    [(Signal::SIGINT, Duration::from_secs(30)), (Signal::SIGQUIT, Duration::from_secs(10))];

/// The program that a cluster belongs to: what it needs, and the names of its settings, so that messages can say
/// what to set. The settings are read by the application, never here.
#[derive(Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name, in messages and as part of file names: letters, digits and hyphens.
    pub name: &'static str,
    /// The bootstrap superuser of the cluster. The application does well to answer requests as a lesser role.
    pub owner: &'static str,
    /// The oldest major version of PostgreSQL that it runs on; not below 14, whose `initdb` is needed here.
    pub minimum_major: u32,
    /// The setting for [`EmbeddedOptions::data_dir`].
    pub data_dir: &'static str,
    /// The setting for [`EmbeddedOptions::pg_bin`].
    pub pg_bin: &'static str,
    /// The setting for [`EmbeddedOptions::bundle`].
    pub pg_bundle: &'static str,
    /// The setting that names another PostgreSQL to use instead of a private one.
    pub database_url: &'static str,
    /// PostgreSQL for machines that have none, if the program carries it.
    pub carried: Option<Carried>,
}

/// PostgreSQL's binaries as a `.tar.xz` or `.tar.gz`, in the program itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Carried(pub &'static [u8]);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Carried({} bytes)", self.0.len())
    }
}

/// Where and how the private cluster runs.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Whose cluster it is.
    pub application: &'static Application,
    /// The directory for everything, created if necessary. See [`default_data_dir`].
    pub data_dir: PathBuf,
    /// The directory with `initdb` and `postgres`. Used or refused, never replaced.
    pub pg_bin: Option<PathBuf>,
    /// A `.tar.gz` or `.tar.xz` of PostgreSQL binaries, unpacked into the data directory.
    pub bundle: Option<String>,
    /// What the program carries, unpacked into the data directory: used before what the system has, if it fits the data.
    pub carried: Option<Carried>,
}

impl EmbeddedOptions {
    /// The cluster in `data_dir` with the PostgreSQL that the application carries, or that of this system.
    #[must_use]
    pub fn new(application: &'static Application, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            application,
            data_dir: data_dir.into(),
            pg_bin: None,
            bundle: None,
            carried: application.carried,
        }
    }
}

/// The data directory to use when none is given: `/var/lib/<name>` for root, else the user's directory for the
/// application's data.
///
/// # Errors
/// [`Problem::NoHome`] if this user has no home directory.
pub fn default_data_dir(application: &'static Application) -> Result<PathBuf, EmbeddedError> {
    if Uid::effective().is_root() {
        // Not below /root: PostgreSQL runs as another account, to which that is closed.
        return Ok(Path::new("/var/lib").join(application.name));
    }
    let dirs = directories::ProjectDirs::from("", "", application.name)
        .ok_or_else(|| Problem::NoHome.of(application))?;
    Ok(dirs.data_local_dir().to_path_buf())
}

/// Whether there is a cluster in a data directory.
///
/// # Errors
/// [`Problem::NotACluster`] if something else is in its place.
pub fn has_cluster(options: &EmbeddedOptions) -> Result<bool, EmbeddedError> {
    let version = initdb::version(&options.data_dir.join("postgres"));
    version.map(|version| version.is_some()).map_err(|problem| problem.of(options.application))
}

/// The right to use a data directory, while no cluster of it runs: nobody else starts one there as long as this is kept.
#[derive(Debug)]
pub struct Claim {
    dir: PathBuf,
    _lock: DirLock,
}

impl Claim {
    /// Takes the options' data directory, which is made if necessary.
    ///
    /// # Errors
    /// [`Problem::Locked`] if it is somebody's, and when it cannot be used.
    pub fn take(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let take = || {
            let layout = Layout::create(options.application, &options.data_dir)?;
            let lock = DirLock::acquire(&layout)?;
            Ok(Self { dir: layout.root().to_path_buf(), _lock: lock })
        };
        take().map_err(|problem: Problem| problem.of(options.application))
    }

    /// The directory, as it is called without links.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// A running private cluster. [`Self::stop`] ends it in order; dropping it asks PostgreSQL to stop and does not
/// wait for that.
#[derive(Debug)]
pub struct EmbeddedCluster {
    application: &'static Application,
    postmaster: Postmaster,
    data_dir: PathBuf,
    bin_dir: PathBuf,
    socket_dir: PathBuf,
    is_new: bool,
    log: Log,
    /// Shared with the thread that waits for PostgreSQL; released when both are done.
    _lock: Arc<DirLock>,
}

impl EmbeddedCluster {
    /// Starts PostgreSQL in the data directory, creating the cluster on the first start, and waits until it
    /// accepts connections.
    ///
    /// # Errors
    /// Any [`EmbeddedError`]; its message says what to do. Nothing is left running.
    pub async fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        startup::start(options).await.map_err(|problem| problem.of(options.application))
    }

    /// Where the cluster is, if this start has created it.
    #[must_use]
    pub fn created(&self) -> Option<&Path> {
        self.is_new.then_some(&self.data_dir)
    }

    /// How to connect as `user` to `dbname`, through the socket.
    #[must_use]
    pub fn config(&self, user: &str, dbname: &str) -> tokio_postgres::Config {
        config(&self.socket_dir, user, dbname)
    }

    /// The directory with PostgreSQL's programs.
    #[must_use]
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The directory with the socket, for programs that take it as a host name.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The process id of PostgreSQL's main process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.postmaster.pid().as_raw()
    }

    /// Resolves, with the reason, when PostgreSQL ends while it should run. Does not borrow the cluster, so
    /// that a server can wait for this beside its other ends; drop it before calling [`Self::stop`], which
    /// makes it resolve too.
    pub fn exited(&self) -> impl Future<Output = EmbeddedError> + Send + use<> {
        let wait = self.postmaster.wait();
        let (log, application) = (self.log.clone(), self.application);
        async move { log.lost(&wait.await).of(application) }
    }

    /// Stops PostgreSQL with a fast shutdown (open transactions are rolled back), waits until it is gone, and
    /// releases the data directory.
    ///
    /// # Errors
    /// [`Problem::Exited`] if it has ended or ends badly, and
    /// [`Problem::StopTimeout`] if it does not end at all.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let ended = match self.postmaster.ended() {
            // Whoever told us to stop may have told PostgreSQL as well.
            Some(exit) => Some(exit),
            None => self.postmaster.stop(&STOP).await,
        };
        match ended {
            Some(Exit { success: true, .. }) => {
                // Only where the socket had to live outside: an empty directory in /tmp is litter.
                if !self.socket_dir.starts_with(&self.data_dir) {
                    let _ = fs::remove_dir(&self.socket_dir);
                }
                Ok(())
            }
            Some(exit) => Err(self.log.exited(&exit).of(self.application)),
            None => {
                let problem = Problem::StopTimeout { pid: self.pid(), log: self.log.path.clone() };
                Err(problem.of(self.application))
            }
        }
    }
}

fn config(socket_dir: &Path, user: &str, dbname: &str) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket_dir).port(PORT).user(user).dbname(dbname);
    config
}

/// How to connect to the cluster of `data_dir` that another process runs: `None` when there is none.
/// For operator commands beside a running server.
#[must_use]
pub fn running(data_dir: &Path, user: &str, dbname: &str) -> Option<tokio_postgres::Config> {
    // The fifth line of PostgreSQL's own pid file is the directory of its socket.
    let pid_file = fs::read_to_string(data_dir.join("postgres").join("postmaster.pid")).ok()?;
    let socket_dir = pid_file.lines().nth(4).filter(|line| !line.is_empty())?;
    Some(config(Path::new(socket_dir), user, dbname))
}
