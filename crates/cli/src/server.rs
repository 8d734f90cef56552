//! The commands that run on the server's side, with access to its database: `serve`, `migrate`, `operator`.

pub(crate) mod backup;
mod embeddings;
mod extraction;
mod jobs;
mod log;
mod operator;
pub(crate) mod secrets;
pub(crate) mod shown;
mod webhooks;
mod worker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use ipnet::IpNet;
use loopctl_postgres::{EmbeddedCluster, EmbeddedOptions, default_data_dir};
use loopctl_server::config::{APPLICATION, Database, DatabaseOptions, OpenError};
use loopctl_server::operator::{BackupError, OperatorError, write_articles};
use loopctl_server::secrets::KeyError;
use loopctl_server::serve::{Connections, ServeError, ServeOptions, serve};
use serde_json::{Value, json};

use self::embeddings::EmbeddingArguments;
use self::extraction::ExtractionArguments;
use self::log::{Log, briefly};
pub(crate) use self::operator::{OperatorCommand, run as run_operator};
use self::webhooks::WebhookArguments;
use self::worker::WorkArguments;
pub(crate) use self::worker::{WorkerArguments, run as run_worker};
use crate::{client, output, progress};

/// Where the database is; the same options for every command that needs it.
#[derive(Debug, Args)]
pub(crate) struct DatabaseArguments {
    /// An external PostgreSQL, 15 or newer; without it loopctl runs its own
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The login for migrations and operator commands on an external PostgreSQL
    #[arg(long, env = "ADMIN_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    admin_database_url: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// loopctl's own PostgreSQL.
#[derive(Debug, Args)]
pub(crate) struct ClusterArguments {
    /// Where loopctl's own PostgreSQL keeps its data
    #[arg(long, env = "LOOPCTL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The directory with the programs `postgres` and `initdb`
    #[arg(long, env = "LOOPCTL_PG_BIN", value_name = "DIR")]
    pg_bin: Option<PathBuf>,
    /// An archive (.tar.gz or .tar.xz) of PostgreSQL programs to unpack and use
    #[arg(long, env = "LOOPCTL_PG_BUNDLE", value_name = "FILE", hide_env_values = true)]
    pg_bundle: Option<String>,
}

impl ClusterArguments {
    fn options(&self) -> Result<EmbeddedOptions, Failure> {
        let data_dir = self.data_dir.clone().map_or_else(|| default_data_dir(&APPLICATION), Ok);
        let data_dir = data_dir.map_err(|error| Failure::Open(error.into()))?;
        Ok(EmbeddedOptions {
            pg_bin: self.pg_bin.clone(),
            bundle: self.pg_bundle.clone(),
            ..EmbeddedOptions::new(&APPLICATION, data_dir)
        })
    }
}

impl DatabaseArguments {
    /// Whoever did not say which database is meant is told which one it is: a server may be running on another.
    fn note_default(&self, database: &Database) {
        if self.database_url.is_none() && self.cluster.data_dir.is_none() && database.cluster.is_some() {
            let dir = default_data_dir(&APPLICATION)
                .map_or_else(|_| String::new(), |dir| dir.display().to_string());
            output::note(&format!("note: the database in {dir}; --data-dir or DATABASE_URL name another"));
        }
    }

    fn options(&self) -> Result<DatabaseOptions, Failure> {
        if let Some(url) = self.database_url.clone() {
            return Ok(DatabaseOptions::External { url, admin_url: self.admin_database_url.clone() });
        }
        if self.admin_database_url.is_some() {
            // To go on with the private cluster would be to work on another database than the one that is meant.
            let message = "ADMIN_DATABASE_URL (--admin-database-url) is set without DATABASE_URL (--database-url): \
                           set DATABASE_URL as well, or unset ADMIN_DATABASE_URL to use loopctl's own PostgreSQL";
            return Err(Failure::Setting(message.to_owned()));
        }
        Ok(DatabaseOptions::Embedded(self.cluster.options()?))
    }
}

/// `loopctl serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    database: DatabaseArguments,
    /// The address to listen on; :: for every interface, 0.0.0.0 for those of IPv4
    #[arg(long, env = "LOOPCTL_LISTEN", value_name = "IP", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// The port to listen on
    #[arg(long, env = "PORT", value_name = "PORT", default_value_t = 4000)]
    port: u16,
    /// How clients reach this server (default: http://localhost:PORT)
    #[arg(long, env = "LOOPCTL_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    public_url: Option<String>,
    /// Proxies whose word is taken for whom they call for, with commas (default: this machine and private networks)
    #[arg(long, env = "LOOPCTL_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    trusted_proxies: Option<Vec<IpNet>>,
    /// Connections to the database
    #[arg(long, env = "LOOPCTL_POOL_SIZE", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pool_size: u16,
    /// Connections of clients, in all
    #[arg(long, env = "LOOPCTL_MAX_CONNECTIONS", value_name = "N", default_value_t = Connections::MOST,
          value_parser = count)]
    max_connections: usize,
    /// Connections from one address; this machine's own may be more
    #[arg(long, env = "LOOPCTL_MAX_CONNECTIONS_PER_PEER", value_name = "N", default_value_t = Connections::MOST_OF_PEER,
          value_parser = count)]
    max_connections_per_peer: usize,
    /// Memory for bodies and answers of requests under way, in MiB; a tenant has a quarter of it at most
    #[arg(long, env = "LOOPCTL_REQUEST_MEMORY", value_name = "MIB", default_value_t = ServeOptions::REQUEST_MEMORY,
          value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    request_memory: u32,
    /// How long requests that have begun may take when the server is told to stop, in seconds; those that wait are refused within 2 s
    #[arg(long, env = "LOOPCTL_STOP_TIMEOUT", value_name = "SECONDS", default_value_t = ServeOptions::STOP_TIMEOUT.as_secs(),
          value_parser = clap::value_parser!(u64).range(0..=3600))]
    stop_timeout: u64,
    /// Leave background jobs to other servers or to `loopctl worker` (or RUN_WORKERS=false)
    #[arg(long)]
    no_jobs: bool,
    /// Whether this server does background jobs
    #[arg(long, env = "RUN_WORKERS", value_name = "BOOL", default_value = "true", hide = true, action = ArgAction::Set,
          value_parser = BoolishValueParser::new())]
    run_workers: bool,
    #[command(flatten)]
    webhooks: WebhookArguments,
    #[command(flatten)]
    extraction: ExtractionArguments,
    #[command(flatten)]
    embeddings: EmbeddingArguments,
    #[command(flatten)]
    work: WorkArguments,
}

/// How many there may be of something without which nothing works.
fn count(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| "a whole number of at least 1".to_owned())
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address)));
    network.ok_or_else(|| "an address or a network, as in 10.0.0.0/8 (LOOPCTL_TRUSTED_PROXIES)".to_owned())
}

/// An address that links can begin with.
fn public_url(text: &str) -> Result<String, String> {
    match client::address(text.trim()) {
        Ok(url) => Ok(url.to_string()),
        Err(reason) => Err(format!("{reason}, as in https://loopctl.example.com (LOOPCTL_PUBLIC_URL)")),
    }
}

/// What stopped a command of this module.
#[derive(Debug)]
pub(crate) enum Failure {
    Serve(ServeError),
    Open(OpenError),
    Operator(OperatorError),
    Keys(KeyError),
    Backup(BackupError),
    /// A signal.
    Interrupted,
    /// An option or a variable that cannot be meant so.
    Setting(String),
}

impl Failure {
    /// Tells what went wrong and gives the exit code.
    pub(crate) fn report(&self) -> u8 {
        let (message, code) = self.told();
        output::note(&format!("Error: {message}"));
        code
    }

    /// As [`Self::report`], for a server that ends: also when nobody reads what it says.
    pub(crate) fn report_briefly(&self) -> u8 {
        let (message, code) = self.told();
        briefly(move || output::note(&format!("Error: {message}")));
        code
    }

    fn told(&self) -> (String, u8) {
        match self {
            Self::Serve(error) => (error.to_string(), 1),
            Self::Open(error) => (error.to_string(), 1),
            Self::Keys(error @ KeyError::Malformed { .. }) => (error.to_string(), 2),
            Self::Keys(error) => (error.to_string(), 1),
            Self::Operator(error @ OperatorError::Invalid(_)) => (error.to_string(), 2),
            Self::Operator(error) => (error.to_string(), 1),
            Self::Backup(error @ BackupError::Refused(_)) => (error.to_string(), 2),
            Self::Backup(error) => (error.to_string(), 1),
            Self::Interrupted => ("interrupted; nothing was changed".to_owned(), 130),
            Self::Setting(message) => (message.clone(), 2),
        }
    }
}

/// Serves until a signal.
pub(crate) async fn run_serve(arguments: &ServeArguments) -> Result<(), Failure> {
    let _log = Log::start(&arguments.work.log)?;
    let options = ServeOptions {
        database: arguments.database.options()?,
        listen: SocketAddr::new(arguments.listen, arguments.port),
        public_url: arguments.public_url.clone(),
        trusted_proxies: arguments.trusted_proxies.clone(),
        pool_size: usize::from(arguments.pool_size),
        query_deadline: ServeOptions::QUERY_DEADLINE,
        stop_timeout: Duration::from_secs(arguments.stop_timeout),
        request_memory: arguments.request_memory,
        connections: Connections {
            most: arguments.max_connections,
            most_of_peer: arguments.max_connections_per_peer,
        },
        webhooks: arguments.webhooks.policy().map_err(Failure::Setting)?,
        deliveries: arguments.webhooks.deliveries(),
        extraction: arguments.extraction.options().map_err(Failure::Setting)?,
        embeddings: arguments.embeddings.options().map_err(Failure::Setting)?,
        keys: secrets::keys()?,
        jobs: arguments.run_workers && !arguments.no_jobs,
        settings: arguments.work.settings(),
    };
    serve(&options).await.map_err(Failure::Serve)
}

/// Brings the schema and the articles that come along up to date. Says what it did as JSON.
pub(crate) async fn run_migrate(arguments: &DatabaseArguments) -> Result<Value, Failure> {
    let database = open(arguments).await?;
    let bar = progress::waiting("bringing the schema up to date");
    let migrated = async {
        let applied = database.migrate().await.map_err(|error| Failure::Open(error.into()))?;
        let written =
            write_articles(&database.owner).await.map_err(|error| Failure::Operator(error.into()))?;
        Ok(json!({"migrations_applied": applied, "articles_written": written}))
    };
    let migrated = migrated.await;
    bar.finish_and_clear();
    close(database, migrated).await
}

async fn open(arguments: &DatabaseArguments) -> Result<Database, Failure> {
    let database = Database::open_beside(&arguments.options()?).await.map_err(Failure::Open)?;
    arguments.note_default(&database);
    // Or a mistyped directory would look like the right one.
    if let Some(dir) = database.cluster.as_ref().and_then(EmbeddedCluster::created) {
        output::note(&format!("note: there was no loopctl data in {}: it was made", dir.display()));
    }
    Ok(database)
}

/// Closes the database and hands on the result. A key that was created is shown also when closing fails: there is
/// no second chance to see it.
async fn close(database: Database, result: Result<Value, Failure>) -> Result<Value, Failure> {
    if let Err(error) = database.close().await {
        output::note(&format!("Warning: {error}"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/operations.md` says that it has them all.
    #[test]
    fn every_setting_is_explained_to_operators() {
        let explained = loopctl_docs::page("operations").unwrap().html();
        let command = <crate::args::Cli as clap::CommandFactory>::command();
        let mut found = 0;
        for name in ["serve", "worker", "migrate", "operator"] {
            let arguments = command.find_subcommand(name).unwrap().get_arguments();
            for variable in arguments.filter_map(|argument| argument.get_env()?.to_str()) {
                assert!(explained.contains(&format!("<code>{variable}</code>")), "{variable} of {name}");
                found += 1;
            }
        }
        assert!(found > 25, "{found}");
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        for (text, known) in
            [("10.0.0.0/8", "10.0.0.0/8"), (" 192.0.2.7", "192.0.2.7/32"), ("::1", "::1/128")]
        {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Ok(known));
        }
        for text in ["", "proxy.example", "10.0.0.0/33", "10.0.0"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn public_addresses_are_of_the_web() {
        for (text, url) in [
            ("https://loopctl.example.com", "https://loopctl.example.com/"),
            (" http://localhost:4000/ ", "http://localhost:4000/"),
            ("https://example.com/loopctl/", "https://example.com/loopctl"),
        ] {
            assert_eq!(public_url(text).as_deref(), Ok(url));
        }
        for text in
            ["foo", "localhost:4000", "//x.test", "http://", "https://me@x.test", "https://x.test/api/v1"]
        {
            assert!(public_url(text).is_err(), "{text}");
        }
    }
}
