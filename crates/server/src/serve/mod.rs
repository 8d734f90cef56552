//! `loopctl serve`: opens the database, listens, and stops in order.

mod descriptors;
mod listener;
mod progress;
mod refusal;
mod socket;
mod work;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use loopctl_core::webhooks::Policy;
use loopctl_postgres::EmbeddedError;
use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6V6Only;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};

pub use self::listener::Connections;
pub use self::work::{WorkOptions, work};
use crate::app::{App, Parts};
use crate::config::{ADMIN_CONNECTIONS, Database, DatabaseOptions, OpenError};
use crate::db::migrate::newest_version;
use crate::db::{DEADLINE, Db, DbError, Row, most_connections, statements};
use crate::http::{Fair, private_networks};
use crate::jobs::Worker;
use crate::knowledge::Knowledge;
use crate::knowledge::embeddings::EmbeddingOptions;
use crate::knowledge::extraction::{Extraction, ExtractionOptions};
use crate::knowledge::system::seed;
use crate::life::Life;
use crate::metrics;
use crate::schedule::{Settings, Tools, kinds_with};
use crate::secrets::{KeyError, Keys, SealError, Vault};
pub use crate::webhooks::DeliveryOptions;
use crate::webhooks::keep_delivering;
use crate::{VERSION, routes};

statements! {
    /// Null when no migration has been applied.
    SCHEMA_VERSION -> Version = "select {*} from refinery_schema_history";
}

#[derive(Row)]
pub(crate) struct Version {
    #[row(sql = "max(version)")]
    version: Option<i32>,
}

/// Connections to the database beside the pool: the one that listens to changes of keys.
const LISTENING: usize = 1;

/// Connections for whoever asks how the server is.
const PULSE: usize = 2;

/// Connections of jobs that need the owner's login.
const OWNERS: usize = 1;

/// How many clients may wait to be accepted.
const BACKLOG: u32 = 1024;

/// What the system keeps of a request that is not read yet, in bytes. Left to itself it takes megabytes of each, for those as well who have
/// to wait: with this, whoever sends them waits.
const RECEIVE_BUFFER: u32 = 128 * 1024;

/// What `serve` needs to know.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The database.
    pub database: DatabaseOptions,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How clients reach the server; by default `http://localhost:<port>`.
    pub public_url: Option<String>,
    /// Proxies whose word is taken for whom they call for; by default this machine and private networks.
    pub trusted_proxies: Option<Vec<IpNet>>,
    /// Connections to the database, for requests; it has a few more, to listen, for superadmins and for jobs.
    pub pool_size: usize,
    /// How long the database may leave a statement unanswered.
    pub query_deadline: Duration,
    /// How long what has begun may take after the signal to stop.
    pub stop_timeout: Duration,
    /// Memory for bodies and answers of requests under way, in MiB.
    pub request_memory: u32,
    /// Connections of clients.
    pub connections: Connections,
    /// Where webhooks may lead.
    pub webhooks: Policy,
    /// How webhooks are delivered to.
    pub deliveries: DeliveryOptions,
    /// What secrets are encrypted with.
    pub keys: Keys,
    /// Whether it also does the background jobs, and delivers to webhooks.
    pub jobs: bool,
    /// What background jobs are told.
    pub settings: Settings,
    /// How drafts are made of texts.
    pub extraction: ExtractionOptions,
    /// Who makes out what texts mean.
    pub embeddings: EmbeddingOptions,
}

impl ServeOptions {
    /// A little longer than PostgreSQL lets a statement run.
    pub const QUERY_DEADLINE: Duration = DEADLINE;

    /// With all that comes after, it is below the thirty seconds after which supervisors kill; only a PostgreSQL that does not stop is
    /// given longer.
    pub const STOP_TIMEOUT: Duration = Duration::from_secs(25);

    /// Of a tenant a quarter of it: an import as large as one may be, or three such answers, and hundreds of small requests besides.
    pub const REQUEST_MEMORY: u32 = Fair::ROOM;

    /// What `serve` does by itself, for this machine alone and on any free port.
    #[must_use]
    pub fn local(database: DatabaseOptions) -> Self {
        Self {
            database,
            listen: ([127, 0, 0, 1], 0).into(),
            public_url: None,
            trusted_proxies: None,
            pool_size: 10,
            query_deadline: Self::QUERY_DEADLINE,
            stop_timeout: Self::STOP_TIMEOUT,
            request_memory: Self::REQUEST_MEMORY,
            connections: Connections::default(),
            webhooks: Policy::default(),
            deliveries: DeliveryOptions::default(),
            keys: Keys::default(),
            jobs: true,
            settings: Settings::default(),
            extraction: ExtractionOptions::default(),
            embeddings: EmbeddingOptions::default(),
        }
    }
}

/// Why the server did not start, or ended otherwise than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The schema of an external database is missing, or is another version's.
    #[error(
        "the database has schema version {found}, this loopctl needs {wanted}: run `loopctl migrate` of this version \
         with the same DATABASE_URL"
    )]
    Schema {
        /// 0: none.
        found: i32,
        /// What the binary was made for.
        wanted: i32,
    },
    /// The port.
    #[error("cannot listen on {address}: {reason}; choose another port with --port or PORT")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        reason: std::io::Error,
    },
    /// Serving failed.
    #[error("the server failed: {0}")]
    Io(#[from] std::io::Error),
    /// PostgreSQL went away, or did not stop.
    #[error(transparent)]
    Cluster(#[from] EmbeddedError),
    /// The pool.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The keys of secrets.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Drafts cannot be made as it was told to.
    #[error("{0}")]
    Extraction(String),
    /// Nobody can make out what texts mean as it was told to.
    #[error("{0}")]
    Embeddings(String),
}

/// A server that listens. Stops when [`Self::stop`] is called, not when dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its database.
    pub database: Database,
    app: App,
    stop_timeout: Duration,
}

impl Server {
    /// Opens the database and listens.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub async fn start(options: &ServeOptions) -> Result<Self, ServeError> {
        let database = Database::open(&options.database).await?;
        // Of an external database, whoever migrates it brings them along.
        let written = if database.cluster.is_some() { seed(&database.owner).await.map(drop) } else { Ok(()) };
        let listening = match written {
            Ok(()) => Self::listen(options, &database).await,
            Err(error) => Err(error.into()),
        };
        match listening {
            Ok((address, app)) => Ok(Self { address, database, app, stop_timeout: options.stop_timeout }),
            Err(error) => {
                // The first failure is the one to tell.
                let _ = database.close().await;
                Err(error)
            }
        }
    }

    async fn listen(options: &ServeOptions, database: &Database) -> Result<(SocketAddr, App), ServeError> {
        // Before anything that it counts.
        metrics::exporter();
        database.check_direct().await?;
        let life = Life::default();
        let db = database.pool(options.pool_size, options.query_deadline, life.clone())?;
        check_schema(&db).await?;
        let vault = Vault::of(&options.keys, &options.database, &database.owner).await?;
        let refused = |reason| ServeError::Listen { address: options.listen, reason };
        let listener = bind(options.listen).map_err(refused)?;
        let address = listener.local_addr()?;
        let default_url = || format!("http://localhost:{}", address.port());
        let public_url = options.public_url.clone().unwrap_or_else(default_url);
        let public_url = Arc::from(public_url.trim_end_matches('/'));
        let admin = database.admin_pool(options.query_deadline, life.clone())?;
        let app = App::from(Parts {
            trusted_proxies: options.trusted_proxies.clone().unwrap_or_else(private_networks).into(),
            webhook_policy: options.webhooks.clone(),
            source_policy: options.extraction.sources(),
            knowledge: knowledge(&options.embeddings)?,
            fair: Fair::new(options.request_memory, &db.served(), life.clone(), db.usage()),
            ..Parts::new(db.clone(), db.beside(PULSE)?, admin, vault, public_url, life.clone())
        });
        if !app.vault.has_key() {
            tracing::warn!("neither webhooks nor tenants can be created: {}", SealError::NoKey);
        }
        let service = routes::service(app.clone(), options.public_url.as_deref());
        // To the database, and to receivers of webhooks, of which some connections are kept for a moment.
        let others = if options.jobs { 2 * options.deliveries.concurrency + OWNERS } else { 0 };
        let needed = most_connections(options.pool_size)
            + most_connections(ADMIN_CONNECTIONS)
            + LISTENING
            + PULSE
            + others;
        let limits = descriptors::within(options.connections, needed);
        let proxies = options.trusted_proxies.clone().unwrap_or_default();
        life.spawn(app.key_uses.clone().keep_writing(db.clone(), life.clone()));
        life.spawn(app.reads.clone().keep_writing(db.clone(), life.clone()));
        life.spawn(app.identities.clone().keep_listening(database.app.clone(), life.clone()));
        life.spawn(app.rates.clone().keep_sweeping(life.clone()));
        if options.jobs {
            let extraction = extraction(&options.extraction)?;
            let (owner, knowledge, jobs) = (database.owner.clone(), app.knowledge.clone(), app.jobs.clone());
            let tools = |db| Tools { db, owner, extraction, knowledge, jobs };
            let (kinds, owner) = (kinds_with(options.settings, &app.knowledge), database.owner.clone());
            let worker = Worker::new(db.clone(), owner, kinds, tools, app.jobs.clone(), options.pool_size);
            life.spawn(worker.keep_working(life.clone()));
            life.spawn(keep_delivering(app.clone(), options.deliveries.clone()));
        }
        life.spawn(metrics::keep_adding_up(life.clone()));
        life.spawn(db.usage().keep_telling(life.clone()));
        life.spawn(listener::accept(listener, service, life.clone(), limits, proxies));
        Ok((address, app))
    }

    /// Lets requests finish that have begun, tells those that wait that it stops, then stops the private cluster.
    ///
    /// # Errors
    /// When PostgreSQL does not stop in order.
    pub async fn stop(self) -> Result<(), ServeError> {
        if !self.app.life.end(self.stop_timeout).await {
            let seconds = self.stop_timeout.as_secs();
            tracing::warn!("requests were still running after {seconds} s; they were ended");
        }
        self.app.rates.give_back(&self.app.db).await;
        self.app.key_uses.write_now(&self.app.db).await;
        self.app.reads.write_last(&self.app.db).await;
        self.app.db.close();
        self.app.pulse.close();
        self.app.admin.close();
        Ok(self.database.close().await?)
    }
}

/// Listens. `::` is every address of this machine, of IPv4 as well; of that alone where the system has no IPv6.
fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match listen_on(address) {
        Err(error)
            if address.ip() == Ipv6Addr::UNSPECIFIED
                && error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32) =>
        {
            listen_on(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
        }
        bound => bound,
    }
}

/// Listens on this address, and if it is `::` on those of IPv4.
fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    // Connections of the server before this one may still be about to close.
    socket.set_reuseaddr(true)?;
    if address.ip() == Ipv6Addr::UNSPECIFIED {
        // The system may have it otherwise (`net.ipv6.bindv6only`).
        setsockopt(&socket, Ipv6V6Only, &false)?;
    }
    // Those that are accepted have what the listening one has.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What makes out what texts mean.
fn knowledge(options: &EmbeddingOptions) -> Result<Knowledge, ServeError> {
    Knowledge::new(options).map_err(ServeError::Embeddings)
}

/// What drafts are made with.
fn extraction(options: &ExtractionOptions) -> Result<Arc<Extraction>, ServeError> {
    Extraction::new(options).map(Arc::new).map_err(ServeError::Extraction)
}

/// Whether the database has the schema that this binary was made for.
async fn check_schema(db: &Db) -> Result<(), ServeError> {
    let found = match db.without_tenant(SCHEMA_VERSION, &[]).await {
        Ok(row) => row.and_then(|row| row.version),
        // Without the schema there is no table to ask. Whatever else is wrong is told as such.
        Err(error) if error.is_missing_table() => None,
        Err(error) => return Err(error.into()),
    };
    if found != Some(newest_version()) {
        return Err(ServeError::Schema { found: found.unwrap_or_default(), wanted: newest_version() });
    }
    Ok(())
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let server = tokio::select! {
        server = Server::start(options) => server?,
        // PostgreSQL may take its time to recover. Dropping the start asks it to stop.
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    tracing::info!(version = VERSION, address = %server.address, "loopctl is ready");
    let cluster_exit = server.database.cluster.as_ref().map(|cluster| cluster.exited());
    let cluster_exit = async {
        match cluster_exit {
            Some(exit) => exit.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        error = cluster_exit => return Err(error.into()),
    }
    tracing::info!("stopping: requests that have begun may finish");
    let life = server.app.life.clone();
    let mut stopped = pin!(server.stop());
    tokio::select! {
        stopped = &mut stopped => return stopped,
        // Somebody sits there and does not want to wait.
        _ = interrupt.recv() => tracing::warn!("stopping at once: requests are ended"),
    }
    life.end(Duration::ZERO).await;
    stopped.await
}
