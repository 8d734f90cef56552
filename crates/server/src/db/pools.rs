//! The connections: those that requests use, those for what takes long, and one on which others are told to stop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::time::timeout;

use super::backends::Backends;
use super::line::DialForRequests;
use super::users::Users;
use super::{DbError, Login, POOL_WAIT};

/// How long a statement that is to be stopped may go on first: most are over by then, and cost nobody anything.
const NEARLY_DONE: Duration = Duration::from_millis(50);

/// Connections on which others are told to stop.
const STOPPING: usize = 1;

/// How a connection is brought back to where it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Whether what is under way is stopped first.
    pub(super) cancels: bool,
    /// The last statement.
    pub(super) last: &'static str,
}

#[derive(Debug, Clone)]
pub(super) struct Pools {
    pub(super) usual: Pool,
    /// For what takes long: nobody else waits for one of these.
    pub(super) aside: Pool,
    stopping: Pool,
    backends: Backends,
    login: Arc<Login>,
}

/// How many connections there may be beside so many usual ones, and those.
pub(crate) const fn most_connections(usual: usize) -> usize {
    usual + Users::aside(usual) + STOPPING
}

impl Pools {
    /// With so many usual ones; none is opened yet.
    ///
    /// # Errors
    /// When a pool cannot be built from this login.
    pub(super) fn new(login: Login, usual: usize) -> Result<Self, DbError> {
        let backends = Backends::default();
        Ok(Self {
            usual: pool(&login, usual, &backends)?,
            aside: pool(&login, Users::aside(usual), &backends)?,
            stopping: pool(&login, STOPPING, &backends)?,
            backends,
            login: Arc::new(login),
        })
    }

    /// The same with so many usual ones of its own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(super) fn beside(&self, usual: usize) -> Result<Self, DbError> {
        Ok(Self { usual: pool(&self.login, usual, &self.backends)?, ..self.clone() })
    }

    /// Closes those that nobody uses, and the others when they come back.
    pub(super) fn close(&self) {
        for pool in [&self.usual, &self.aside, &self.stopping] {
            pool.close();
        }
    }

    /// Whether transactions have to take the application's role.
    pub(super) fn take_role(&self) -> bool {
        self.backends.take_role()
    }

    /// Ends what a connection is at.
    ///
    /// # Errors
    /// When it is not known how it ended.
    pub(super) async fn bring_back(&self, client: &Client, end: End) -> Result<(), DbError> {
        let mut ended = pin!(client.batch_execute(end.last));
        let patience = if end.cancels { NEARLY_DONE } else { Duration::MAX };
        if let Ok(ended) = timeout(patience, ended.as_mut()).await {
            return Ok(ended?);
        }
        self.backends.stop(client, &self.stopping).await?;
        // This is what may have been stopped itself. What comes after it is not.
        let _ = ended.await;
        Ok(client.batch_execute(end.last).await?)
    }
}

/// At most so many connections of a login; none is opened yet.
fn pool(login: &Login, size: usize, backends: &Backends) -> Result<Pool, DbError> {
    let dial = DialForRequests { login: login.clone() };
    // `Fast` only asks whether the connection is open. That is enough: a transaction that was not finished
    // is rolled back before its connection returns to the pool (see `Tx`).
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_connect(tokio_postgres::Config::clone(login), dial, config))
        .max_size(size)
        .post_create(backends.hook())
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(POOL_WAIT))
        .create_timeout(Some(POOL_WAIT))
        .build()
        .map_err(|error| DbError::Pool(error.to_string()))
}
