//! A login: where PostgreSQL is, who somebody is there, and how the line is kept from others.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr as _;

use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tls::{Tls, split};

/// Nobody waits for ever for a lock that somebody forgot, and nobody holds one for ever. A large import takes
/// seconds.
const SESSION_OPTIONS: &str =
    "-c lock_timeout=10s -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s";

/// What passes on the line.
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Where PostgreSQL is, and who somebody is there. Its settings can be read and changed as those of a [`Config`].
#[derive(Clone)]
pub struct Login {
    config: Config,
    tls: MakeRustlsConnect,
}

impl Login {
    /// Reads a URL; the original's scheme `ecto://` is accepted.
    ///
    /// # Errors
    /// What is wrong, without the URL, which holds a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url =
            url.strip_prefix("ecto://").map_or_else(|| url.to_owned(), |rest| format!("postgres://{rest}"));
        let (url, tls) = split(&url)?;
        let mut config = Config::from_str(&url).map_err(|error| error.to_string())?;
        config.application_name("loopctl");
        Self::with(config, &tls)
    }

    /// Of a socket of this machine, on which nobody else listens.
    ///
    /// # Errors
    /// When rustls cannot be set up.
    pub fn of_socket(config: Config) -> Result<Self, String> {
        Self::with(config, &Tls::none())
    }

    fn with(mut config: Config, tls: &Tls) -> Result<Self, String> {
        // PostgreSQL has no TLS on sockets, and libpq does not ask for it there either.
        let is_local = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        let none = Tls::none();
        let tls = if is_local && config.get_hostaddrs().is_empty() { &none } else { tls };
        config.ssl_mode(tls.mode.negotiated());
        Ok(Self { config, tls: MakeRustlsConnect::new(tls.config()?) })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// When PostgreSQL is not to be reached, does not show what was asked for, or lets nobody in.
    pub async fn connect(&self) -> Result<(Client, Connection<Socket, Stream>), Error> {
        self.connect_with(&self.config).await
    }

    /// The same with other settings.
    pub(super) async fn connect_with(
        &self,
        config: &Config,
    ) -> Result<(Client, Connection<Socket, Stream>), Error> {
        config.connect(self.tls.clone()).await
    }
}

impl Login {
    /// Has each session begin with [`SESSION_OPTIONS`].
    pub(super) fn begin_sessions_as_wanted(&mut self) {
        let options = [self.get_options().unwrap_or_default(), SESSION_OPTIONS].join(" ");
        self.options(options.trim());
    }
}

impl Deref for Login {
    type Target = Config;

    fn deref(&self) -> &Config {
        &self.config
    }
}

impl DerefMut for Login {
    fn deref_mut(&mut self) -> &mut Config {
        &mut self.config
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its password.
        self.config.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn urls_of_the_original_work() {
        let login = Login::parse("ecto://app:p%40ss@db.example:5433/prod").unwrap();
        assert_eq!(login.get_user(), Some("app"));
        assert_eq!(login.get_password(), Some("p@ss".as_bytes()));
        assert_eq!((login.get_dbname(), login.get_ports()), (Some("prod"), &[5433][..]));
        assert!(!format!("{login:?}").contains("p@ss"));
    }

    #[test]
    fn a_bad_url_is_told_of_without_its_password() {
        let error = Login::parse("mysql://app:secret@db/prod").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn sockets_have_no_tls() {
        for (url, mode) in [
            ("postgres://h/d", SslMode::Prefer),
            ("postgres://h/d?sslmode=require", SslMode::Require),
            ("postgres://h/d?sslmode=verify-full", SslMode::Require),
            ("postgres://h/d?sslmode=disable", SslMode::Disable),
            ("postgres:///d?host=/run/postgresql&sslmode=require", SslMode::Disable),
            ("postgres:///d?hostaddr=10.0.0.1&sslmode=require", SslMode::Require),
        ] {
            assert_eq!(Login::parse(url).unwrap().get_ssl_mode(), mode, "{url}");
        }
    }
}
