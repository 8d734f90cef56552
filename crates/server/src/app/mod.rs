//! What every handler works with: who calls ([`Caller`]), what it asks of the database for them ([`Identity`]), and the unit
//! of work ([`Change`]).

mod access;
mod admin;
mod caller;
mod change;
mod identities;
mod identity;
mod rates;
mod requests;
mod secret;
mod session;
mod ticket;
mod uses;

use std::ops::Deref;
use std::sync::Arc;

use ipnet::IpNet;
use loopctl_core::webhooks::Policy;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::db::{AdminDb, Db, DbError, Shares, Statement, Tx};
use crate::events::{self, Attribution, Event, Listeners};
use crate::http::{Fair, private_networks};
use crate::jobs::Queue;
use crate::knowledge::Knowledge;
use crate::knowledge::access::Reads;
use crate::life::Life;
use crate::secrets::Vault;
use crate::trust_loop::Together;

pub(crate) use access::{Access, Agent, Any, AtLeast, Exact, Orchestrator, Superadmin, User};
pub(crate) use admin::Admin;
pub(crate) use caller::{Caller, Counted, KeyHolder, SHOWN};
pub(crate) use change::{Change, Committed};
pub(crate) use identities::{Identities, STATEMENTS};
pub(crate) use identity::Identity;
pub(crate) use rates::{Rates, STATEMENTS as RATES_STATEMENTS};
pub(crate) use secret::{hash_key, key_prefix, new_raw_key, new_session_token};
pub(crate) use session::{
    MaybePerson, Owner, OwnerOrSuperadmin, Person, STATEMENTS as SESSION_STATEMENTS, session_cookie,
};
pub(crate) use ticket::STATEMENTS as TICKET_STATEMENTS;
pub(crate) use uses::{KeyUses, STATEMENTS as USES_STATEMENTS};

/// A route of this server.
pub(crate) type Endpoint = crate::http::Endpoint<App>;

/// What every handler can reach. Its only state are notes that soon are in the database, and what the database said a moment
/// ago: run as many servers as you like.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Parts>);

/// What it is made of. Every request has it many times, and a pointer is cheaper than all of this.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The application's connections.
    pub(crate) db: Db,
    /// Connections of its own for whoever asks how the server is.
    pub(crate) pulse: Db,
    /// The same connections for superadmins at work in a tenant.
    pub(crate) db_of_superadmins: Db,
    /// The owner's, above what belongs to one tenant alone: for superadmins.
    pub(crate) admin: AdminDb,
    /// How clients reach this server, without a trailing slash; links in answers start with it.
    pub(crate) public_url: Arc<str>,
    /// Whose word is taken for whom they call for.
    pub(crate) trusted_proxies: Arc<[IpNet]>,
    /// For work that outlives its request.
    pub(crate) life: Life,
    /// Background jobs.
    pub(crate) jobs: Queue,
    /// When keys were last used.
    pub(crate) key_uses: KeyUses,
    /// What keys say about their holders.
    pub(crate) identities: Identities,
    /// How often keys call.
    pub(crate) rates: Rates,
    /// What requests take of the process.
    pub(crate) fair: Fair,
    /// Which articles were read.
    pub(crate) reads: Reads,
    /// What articles mean.
    pub(crate) knowledge: Knowledge,
    /// Steps of stories that go together.
    pub(crate) together: Together,
    /// Who waits for what is recorded next.
    pub(crate) listeners: Listeners,
    /// Who sends what somebody else is sending as well.
    pub(crate) repeated: Shares,
    /// Where webhooks may lead.
    pub(crate) webhook_policy: Policy,
    /// Where pages may be fetched from.
    pub(crate) source_policy: Policy,
    /// Told when this process has put something into the queue of webhooks. What others put there is found by looking.
    pub(crate) webhooks_queued: Notify,
    /// What secrets are encrypted with.
    pub(crate) vault: Vault,
}

impl Parts {
    /// Of one that knows nothing yet.
    pub(crate) fn new(
        db: Db,
        pulse: Db,
        admin: AdminDb,
        vault: Vault,
        public_url: Arc<str>,
        life: Life,
    ) -> Self {
        let fair = Fair::new(Fair::ROOM, &db.served(), life.clone(), db.usage());
        Self {
            db_of_superadmins: db.for_superadmins(),
            db,
            pulse,
            admin,
            public_url,
            trusted_proxies: private_networks().into(),
            life,
            jobs: Queue::default(),
            key_uses: KeyUses::default(),
            identities: Identities::default(),
            rates: Rates::default(),
            fair,
            reads: Reads::default(),
            knowledge: Knowledge::default(),
            together: Together::default(),
            listeners: Listeners::default(),
            repeated: Shares::turns(),
            webhook_policy: Policy::default(),
            source_policy: Policy::default(),
            webhooks_queued: Notify::new(),
            vault,
        }
    }
}

impl From<Parts> for App {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Commits a transaction of the tenant's with what it has to tell, and wakes whoever waits for that.
    ///
    /// # Errors
    /// When the database fails; then nothing is kept.
    pub(crate) async fn record(
        &self,
        tx: Tx,
        tenant_id: Uuid,
        by: &Attribution,
        events: Vec<Event>,
    ) -> Result<(), DbError> {
        self.record_with(tx, tenant_id, by, events, None).await
    }

    /// As [`Self::record`], with a statement that comes after the record.
    ///
    /// # Errors
    /// As there.
    async fn record_with(
        &self,
        tx: Tx,
        tenant_id: Uuid,
        by: &Attribution,
        events: Vec<Event>,
        last: Option<Statement<'_, ()>>,
    ) -> Result<(), DbError> {
        let is_told = !events.is_empty();
        if events::record(tx, by, events, last).await? {
            self.webhooks_queued.notify_one();
        }
        if is_told {
            self.listeners.wake(tenant_id);
        }
        Ok(())
    }

    /// One whose database is nowhere, for what asks it nothing.
    #[cfg(test)]
    pub(crate) fn without_database() -> Self {
        let life = Life::default();
        let login = crate::db::Login::of_socket(tokio_postgres::Config::new()).expect("TLS that nobody uses");
        let nowhere = || {
            Db::new(login.clone(), 1, crate::db::DEADLINE, life.clone()).expect("a pool that opens nothing")
        };
        let public_url = Arc::from("http://localhost");
        Parts::new(nowhere(), nowhere(), AdminDb::new(nowhere()), Vault::without_key(), public_url, life)
            .into()
    }
}
