//! Where the database is: an external PostgreSQL by URL, or the private cluster of this machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopctl_postgres::{
    Application, Carried, EmbeddedCluster, EmbeddedError, EmbeddedOptions, Problem, running,
};
use tokio_postgres::Config;

use crate::db::migrate::{MigrateError, connect, migrate, newest_version};
use crate::db::{APP_ROLE, AdminDb, Db, DbError, Login, NotDirect, check_direct};
use crate::life::Life;

/// What the private cluster has to know of loopctl. Its owner owns the schema and runs migrations; requests use
/// lesser roles. The oldest version is the one whose features the schema may use.
pub static APPLICATION: Application = Application {
    name: "loopctl",
    owner: "loopctl_owner",
    minimum_major: 15,
    data_dir: "LOOPCTL_DATA_DIR",
    pg_bin: "LOOPCTL_PG_BIN",
    pg_bundle: "LOOPCTL_PG_BUNDLE",
    database_url: "DATABASE_URL",
    carried: CARRIED,
};

/// PostgreSQL for machines that have none, in programs that were built so.
#[cfg(feature = "bundled-postgres")]
const CARRIED: Option<Carried> = Some(Carried(include_bytes!(env!(
    "LOOPCTL_BUNDLED_POSTGRES",
    "the feature bundled-postgres takes LOOPCTL_BUNDLED_POSTGRES: the full path of a .tar.xz or .tar.gz of PostgreSQL"
))));
#[cfg(not(feature = "bundled-postgres"))]
const CARRIED: Option<Carried> = None;

/// Connections of the owner's login.
pub(crate) const ADMIN_CONNECTIONS: usize = 2;

/// The database of the private cluster.
const DATABASE: &str = "loopctl";

/// How long a command waits for a server that is starting or stopping on the same data directory.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// Where the database is.
#[derive(Debug, Clone)]
pub enum DatabaseOptions {
    /// A server of yours.
    External {
        /// `DATABASE_URL`: the application's login.
        url: String,
        /// `ADMIN_DATABASE_URL`: the login of migrations and operator commands; the application's by default.
        admin_url: Option<String>,
    },
    /// The private cluster.
    Embedded(EmbeddedOptions),
}

/// Why the database is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The private cluster.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The connection.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The schema.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Something stands between us and PostgreSQL that must not.
    #[error(transparent)]
    NotDirect(#[from] NotDirect),
    /// There is nobody to work beside.
    #[error(
        "no server of this version runs on {}: start `loopctl serve` first, which runs background jobs itself, or set \
         DATABASE_URL",
        dir.display()
    )]
    NoServer {
        /// The data directory.
        dir: PathBuf,
    },
    /// The URL.
    #[error(
        "{name} cannot be used as the URL of a PostgreSQL: {reason}; it is written as postgres://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    Url {
        /// The variable.
        name: &'static str,
        /// Without the URL, which holds a password.
        reason: String,
    },
}

/// A database with its two logins.
#[derive(Debug)]
pub struct Database {
    /// The login of migrations and operator commands.
    pub owner: Login,
    /// The login of the application's pool.
    pub app: Login,
    /// The private cluster, when this process runs it.
    pub cluster: Option<EmbeddedCluster>,
}

impl Database {
    /// Opens the database for a server: starts the private cluster and brings its schema up to date. The
    /// schema of an external database is the operator's business (`loopctl migrate`).
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(options: &DatabaseOptions) -> Result<Self, OpenError> {
        match options {
            DatabaseOptions::External { url, admin_url } => Self::external(url, admin_url.as_deref()),
            DatabaseOptions::Embedded(options) => {
                let database = Self::start(options).await?;
                database.create().await?;
                database.prepare().await?;
                Ok(database)
            }
        }
    }

    /// Starts the private cluster, whatever is in it.
    pub(crate) async fn start(options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let cluster = EmbeddedCluster::start(options).await?;
        Ok(Self {
            owner: of_socket(cluster.config(APPLICATION.owner, DATABASE))?,
            app: of_socket(cluster.config(APP_ROLE, DATABASE))?,
            cluster: Some(cluster),
        })
    }

    /// Opens the database for one command: beside a running server on the same data directory, or by itself.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open_beside(options: &DatabaseOptions) -> Result<Self, OpenError> {
        Self::or_beside(async || Self::open(options).await, async |dir| Self::beside(dir).await).await
    }

    /// As [`Self::open_beside`] for the private cluster, and the database stays as it is: of whichever version its schema, or the
    /// server that runs there.
    pub(crate) async fn open_as_it_is(options: &EmbeddedOptions) -> Result<Self, OpenError> {
        let beside = async |dir: &Path| {
            let database = Self::running(dir)?;
            connect(&database.owner).await.ok().map(|_| database)
        };
        Self::or_beside(async || Self::start(options).await, beside).await
    }

    /// Opens the database alone, or beside whoever has the data directory.
    async fn or_beside(
        alone: impl AsyncFn() -> Result<Self, OpenError>,
        beside: impl AsyncFn(&Path) -> Option<Self>,
    ) -> Result<Self, OpenError> {
        let began = Instant::now();
        loop {
            let error = match alone().await {
                Err(OpenError::Embedded(error)) => error,
                outcome => return outcome,
            };
            let Problem::Locked { dir, .. } = &error.problem else {
                return Err(error.into());
            };
            if let Some(database) = beside(dir).await {
                return Ok(database);
            }
            // Whoever holds the directory may be just starting, or just stopping.
            if began.elapsed() > PATIENCE {
                return Err(error.into());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Opens the database for a process that works beside a server for long: the private cluster is the server's, and waited for,
    /// but not started, because no server could be started after it then.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn attach(options: &DatabaseOptions) -> Result<Self, OpenError> {
        let DatabaseOptions::Embedded(embedded) = options else { return Self::open(options).await };
        let began = Instant::now();
        loop {
            if let Some(database) = Self::beside(&embedded.data_dir).await {
                return Ok(database);
            }
            if began.elapsed() > PATIENCE {
                return Err(OpenError::NoServer { dir: embedded.data_dir.clone() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The cluster of a server that runs on this directory.
    fn running(dir: &Path) -> Option<Self> {
        let login = |user| of_socket(running(dir, user, DATABASE)?).ok();
        Some(Self { owner: login(APPLICATION.owner)?, app: login(APP_ROLE)?, cluster: None })
    }

    /// As [`Self::running`], of a server that has brought its schema up to date.
    async fn beside(dir: &Path) -> Option<Self> {
        let database = Self::running(dir)?;
        let client = connect(&database.owner).await.ok()?;
        let row = client.query_one("select max(version) from refinery_schema_history", &[]).await.ok()?;
        (row.try_get::<_, Option<i32>>(0).ok()? == Some(newest_version())).then_some(database)
    }

    fn external(url: &str, admin_url: Option<&str>) -> Result<Self, OpenError> {
        let app = parse_url("DATABASE_URL", url)?;
        let owner = admin_url.map_or(Ok(app.clone()), |url| parse_url("ADMIN_DATABASE_URL", url))?;
        Ok(Self { owner, app, cluster: None })
    }

    /// Creates the database on the private cluster, if it is not there yet.
    pub(crate) async fn create(&self) -> Result<(), OpenError> {
        let mut maintenance = self.owner.clone();
        maintenance.dbname("postgres");
        let client = connect(&maintenance).await?;
        let exists = client
            .query_opt("select from pg_database where datname = $1", &[&DATABASE])
            .await
            .map_err(DbError::from)?;
        if exists.is_none() {
            client.batch_execute(&format!("create database {DATABASE}")).await.map_err(DbError::from)?;
        }
        Ok(())
    }

    /// Creates what is missing in the database of the private cluster: the schema, the application's login.
    pub(crate) async fn prepare(&self) -> Result<(), OpenError> {
        self.migrate().await?;
        let client = connect(&self.owner).await?;
        client.batch_execute(&format!("alter role {APP_ROLE} login")).await.map_err(DbError::from)?;
        Ok(())
    }

    /// Brings the schema up to date.
    ///
    /// # Errors
    /// See [`MigrateError`].
    pub async fn migrate(&self) -> Result<Vec<String>, MigrateError> {
        if self.cluster.is_none() {
            check_direct(&self.owner).await?;
        }
        migrate(&self.owner, self.app.get_user()).await
    }

    /// Looks whether connections of the application are PostgreSQL's own: those of the private cluster are.
    ///
    /// # Errors
    /// When the database is not to be reached, or a pooler lends its connections to others.
    pub(crate) async fn check_direct(&self) -> Result<(), OpenError> {
        if self.cluster.is_none() {
            check_direct(&self.app).await?;
        }
        Ok(())
    }

    /// The application's pool.
    ///
    /// # Errors
    /// When the pool cannot be built.
    pub(crate) fn pool(&self, size: usize, deadline: Duration, life: Life) -> Result<Db, DbError> {
        Db::new(self.app.clone(), size, deadline, life)
    }

    /// The owner's pool, which is small: superadmins are few.
    ///
    /// # Errors
    /// When the pool cannot be built.
    pub(crate) fn admin_pool(&self, deadline: Duration, life: Life) -> Result<AdminDb, DbError> {
        Ok(AdminDb::new(Db::new(self.owner.clone(), ADMIN_CONNECTIONS, deadline, life)?))
    }

    /// Stops the private cluster, if this process runs it.
    ///
    /// # Errors
    /// When PostgreSQL does not stop in order.
    pub async fn close(self) -> Result<(), EmbeddedError> {
        match self.cluster {
            Some(cluster) => cluster.stop().await,
            None => Ok(()),
        }
    }
}

fn parse_url(name: &'static str, url: &str) -> Result<Login, OpenError> {
    Login::parse(url).map_err(|reason| OpenError::Url { name, reason })
}

/// On the socket of the private cluster.
fn of_socket(config: Config) -> Result<Login, DbError> {
    Login::of_socket(config).map_err(DbError::Unexpected)
}
