//! What every handler works with: who calls ([`Caller`]), what it asks of the database for them ([`Identity`]), and the unit
//! of work ([`Change`]).

mod caller;
mod change;
mod identities;
mod requests;
mod secret;
mod uses;

use std::sync::Arc;

use crate::db::Db;
use crate::jobs::Queue;
use crate::life::Life;
use crate::trust_loop::Together;

pub(crate) use caller::{
    Access, Agent, Any, AtLeast, Caller, Exact, Identity, KeyHolder, Orchestrator, Superadmin, User,
};
pub(crate) use change::{Change, Committed};
pub(crate) use identities::{Identities, STATEMENTS};
pub(crate) use secret::{hash_key, key_prefix, new_raw_key};
pub(crate) use uses::{KeyUses, STATEMENTS as USES_STATEMENTS};

/// A route of this server.
pub(crate) type Endpoint = crate::http::Endpoint<App>;

/// What every handler can reach. Its only state are notes that soon are in the database, and what the database said a moment
/// ago: run as many servers as you like.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// The application's connections.
    pub(crate) db: Db,
    /// How clients reach this server, without a trailing slash; links in answers start with it.
    pub(crate) public_url: Arc<str>,
    /// For work that outlives its request.
    pub(crate) life: Life,
    /// Background jobs.
    pub(crate) jobs: Queue,
    /// When keys were last used.
    pub(crate) key_uses: KeyUses,
    /// What keys say about their holders.
    pub(crate) identities: Identities,
    /// Steps of stories that go together.
    pub(crate) together: Together,
}

#[cfg(test)]
impl App {
    /// One whose database is nowhere, for what asks it nothing.
    pub(crate) fn without_database() -> Self {
        let life = Life::default();
        let config = tokio_postgres::Config::new();
        let db = Db::new(config, 1, crate::db::DEADLINE, life.clone()).expect("a pool that opens nothing");
        Self {
            db,
            public_url: Arc::from("http://localhost"),
            life,
            jobs: Queue::default(),
            key_uses: KeyUses::default(),
            identities: Identities::default(),
            together: Together::default(),
        }
    }
}
