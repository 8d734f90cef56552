//! The line to PostgreSQL, which may be cut without a word: a host that lost its power, a firewall that forgot. Nobody waits
//! for such a line for ever.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::{Client, Connect};
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{Config, Row};

use super::error::describe;
use super::{DbError, Login, Params};

/// How long PostgreSQL may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// How long the system waits for the other side to confirm what was sent, and how long a line may be idle until it asks.
const UNCONFIRMED: Duration = Duration::from_secs(30);
/// How often it asks then, and how many times.
const PROBE: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// What `Config` has when nothing was said.
const IDLE_BY_DEFAULT: Duration = Duration::from_secs(2 * 60 * 60);

/// Lets the system notice a lost line, unless a URL says otherwise. Sockets of this machine have no need of it, and ignore
/// it.
pub(super) fn watch(config: &mut Config) {
    config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT));
    config.tcp_user_timeout(config.get_tcp_user_timeout().copied().unwrap_or(UNCONFIRMED));
    if config.get_keepalives_idle() == IDLE_BY_DEFAULT {
        config.keepalives_idle(UNCONFIRMED);
    }
    config.keepalives_interval(config.get_keepalives_interval().unwrap_or(PROBE));
    config.keepalives_retries(config.get_keepalives_retries().unwrap_or(PROBES));
}

/// Opens a connection, for the pool or beside it, with these settings of a login. What ends it is told in the log with its reason,
/// which deadpool's own way of connecting leaves out.
pub(super) async fn dial(
    login: &Login,
    config: &Config,
) -> Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error> {
    let (client, connection) = login.connect_with(config).await?;
    let driven = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = describe(&error), "database connection lost");
        }
    });
    Ok((client, driven))
}

/// Opens connections for requests.
pub(super) struct DialForRequests {
    pub(super) login: Login,
}

impl Connect for DialForRequests {
    fn connect(
        &self,
        config: &Config,
    ) -> BoxFuture<'_, Result<(tokio_postgres::Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move { dial(&self.login, &config).await })
    }
}

/// Waits for an answer, but no longer than `deadline`. Who is told that there was none closes the connection.
pub(super) async fn in_time<T>(deadline: Duration, answer: impl Future<Output = T>) -> Result<T, DbError> {
    timeout(deadline, answer).await.map_err(|_| DbError::Silent)
}

/// Prepares a statement, unless the connection knows it.
pub(super) async fn prepare(
    client: &Client,
    deadline: Duration,
    text: &str,
) -> Result<tokio_postgres::Statement, DbError> {
    Ok(in_time(deadline, client.prepare_cached(text)).await??)
}

/// Runs one statement by itself.
pub(super) async fn ask(
    client: &Client,
    deadline: Duration,
    text: &str,
    params: Params<'_>,
) -> Result<Vec<Row>, DbError> {
    let statement = prepare(client, deadline, text).await?;
    let rows = in_time(deadline, client.query(&statement, params)).await?;
    rows.map_err(DbError::from).inspect_err(|error| {
        if error.is_stale_plan() {
            client.statement_cache.clear();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_line_is_noticed() {
        let watched = |url: &str| {
            let mut config: Config = url.parse().unwrap();
            watch(&mut config);
            let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
            (
                seconds(config.get_connect_timeout().copied()),
                seconds(config.get_tcp_user_timeout().copied()),
                seconds(Some(config.get_keepalives_idle())),
                seconds(config.get_keepalives_interval()),
                config.get_keepalives_retries(),
            )
        };
        assert_eq!(watched("postgres://u@h/d"), (Some(10), Some(30), Some(30), Some(10), Some(3)));
        let own = "postgres://u@h/d?connect_timeout=1&tcp_user_timeout=2&keepalives_idle=3&keepalives_interval=4&keepalives_retries=5";
        assert_eq!(watched(own), (Some(1), Some(2), Some(3), Some(4), Some(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let deadline = Duration::from_secs(65);
        let error = in_time(deadline, std::future::pending::<()>()).await.unwrap_err();
        assert!(error.is_unavailable() && !error.is_transient());
        assert!(in_time(deadline, tokio::time::sleep(deadline / 2)).await.is_ok());
    }
}
