//! What keys say about their holders: asked of the database, and remembered for a moment, so that most requests are
//! authenticated without a query.
//!
//! A server may remember because it is told of changes: by its own at once, by those of others through a line to the database
//! on which it listens. Whatever is in doubt is not remembered, and the database is asked. And nothing is remembered for
//! longer than a second, also when nobody tells anything any more.

mod known;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use loopctl_core::rate;
use loopctl_core::role::Role;
use tokio::time::sleep;
use uuid::Uuid;

use self::known::Known;
use crate::db::{Db, DbError, Login, Row, listen, statements};
use crate::events::Event;
use crate::life::Life;

statements! {
    AUTHENTICATE -> Found = "select {*} from authenticate($1, $2)";
}

/// What `authenticate()` answers.
#[derive(Debug, Row)]
pub(crate) struct Found {
    pub(super) key_id: Uuid,
    pub(super) key_name: String,
    pub(super) key_prefix: String,
    pub(super) role: Role,
    pub(super) agent_id: Option<Uuid>,
    pub(super) tenant_id: Option<Uuid>,
    tenant_status: Option<String>,
    pub(super) tenant_slug: Option<String>,
    /// Seconds; None: the key does not expire.
    expires_in: Option<f64>,
    /// What the tenant has set, as JSON.
    rate_limit: Option<String>,
}

impl Found {
    /// Whether the tenant is one whose keys are let in. Superadmins go everywhere.
    pub(super) fn is_active(&self) -> bool {
        self.role == Role::Superadmin || self.tenant_status.as_deref() == Some("active")
    }

    /// How many requests the key may make within a minute.
    pub(super) fn rate_limit(&self) -> i64 {
        rate::limit(self.rate_limit.as_deref())
    }
}

/// Where the database tells of changes. Whoever listens is also a server that rate limits are shared with.
const LISTEN: &str = "LISTEN loopctl_key_changes; SELECT note_server()";

/// What changes when a key says something else, as events name it. An agent is bound to the key that registers it.
const CHANGING: &[&str] = &["api_key", "agent", "tenant"];

/// How long it takes until listening is tried again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often room is given back that was needed for keys that are no longer in use.
const SWEEP: Duration = Duration::from_secs(10);

/// What is remembered of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities(Arc<Mutex<Known>>);

impl Identities {
    /// What a key says about its holder, by its hash; `target` is the tenant that a superadmin wants to enter. None: there is no
    /// such key.
    ///
    /// # Errors
    /// When the database had to be asked, and fails.
    pub(super) async fn find(
        &self,
        db: &Db,
        key_hash: &str,
        target: Option<Uuid>,
    ) -> Result<Option<Arc<Found>>, DbError> {
        let question = match self.known().look_up(key_hash, target, Instant::now()) {
            Ok(found) => return Ok(Some(found)),
            Err(question) => question,
        };
        let found = db.without_tenant(AUTHENTICATE, &[&key_hash, &target]).await?.map(Arc::new);
        if let (Some(question), Some(found)) = (question, &found) {
            self.known().remember(&question, key_hash, target, found, Instant::now());
        }
        Ok(found)
    }

    /// For a change of a tenant: forgets what it has changed of keys, when it has ended.
    pub(super) fn watch(&self, tenant_id: Uuid) -> Watch<'_> {
        Watch { identities: self, tenant_id, changes: false }
    }

    /// Whether changes by others are heard.
    pub(super) fn are_listening(&self) -> bool {
        self.known().is_listening()
    }

    /// Listens to what other processes change, for as long as this one lives. While it does not, nothing is remembered.
    pub(crate) async fn keep_listening(self, database: Login, life: Life) {
        let listening = async {
            let (mut pause, mut told) = (FIRST_PAUSE, false);
            loop {
                let (tried, begun) = (Instant::now(), || self.known().begin());
                let Err(error) = listen(&database, LISTEN, begun, |tenant| self.hear(tenant)).await;
                told &= !self.known().end();
                if tried.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                if !told {
                    tracing::warn!(%error, "changes of keys are not heard; each request asks the database for its key");
                    told = true;
                }
                sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
        };
        let sweeping = async {
            loop {
                sleep(SWEEP).await;
                self.known().sweep(Instant::now());
            }
        };
        tokio::select! {
            () = listening => {}
            () = sweeping => {}
            () = life.ending() => {}
        }
        self.known().end();
    }

    /// Another process, or this one, has changed something of this tenant's keys, or of one without a tenant.
    fn hear(&self, tenant: &str) {
        self.known().forget(tenant.parse().ok());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a tenant's keys when it is dropped, if something of them may have changed by then. It is dropped after the change
/// was committed, or nobody knows whether it was, and before anybody is answered.
pub(super) struct Watch<'a> {
    identities: &'a Identities,
    tenant_id: Uuid,
    changes: bool,
}

impl Watch<'_> {
    /// What is told of the change.
    pub(super) fn notice(&mut self, events: &[Event]) {
        self.changes |= events.iter().any(|event| CHANGING.contains(&event.entity_type));
    }

    /// There was nothing to tell, because all of it is so already: maybe since a moment ago, and by another process.
    pub(super) fn notice_repetition(&mut self) {
        self.changes = true;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if self.changes {
            self.identities.known().forget(Some(self.tenant_id));
        }
    }
}

/// An answer about a key that does not expire.
#[cfg(test)]
fn found(role: Role, tenant_id: Option<Uuid>, status: &str) -> Arc<Found> {
    Arc::new(Found {
        key_id: Uuid::nil(),
        key_name: String::new(),
        key_prefix: String::new(),
        role,
        agent_id: None,
        tenant_id,
        tenant_status: tenant_id.map(|_| status.to_owned()),
        tenant_slug: tenant_id.map(|_| "slug".to_owned()),
        expires_in: None,
        rate_limit: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A server that knows of one key.
    fn knowing(tenant_id: Uuid, now: Instant) -> Identities {
        let identities = Identities::default();
        identities.known().begin();
        let question = identities.known().look_up("k", None, now).unwrap_err().unwrap();
        identities.known().remember(
            &question,
            "k",
            None,
            &found(Role::Agent, Some(tenant_id), "active"),
            now,
        );
        identities
    }

    #[test]
    fn a_change_is_watched_for_what_it_tells() {
        const TENANT: Uuid = Uuid::from_u128(1);
        let now = Instant::now();
        let event = |entity_type| Event::new(entity_type, Uuid::nil(), "updated", json!({}));
        for (told, forgets) in [
            (vec!["story", "epic", "project"], false),
            (vec!["api_key"], true),
            (vec!["agent"], true),
            (vec!["story", "tenant"], true),
        ] {
            let identities = knowing(TENANT, now);
            let mut watch = identities.watch(TENANT);
            watch.notice(&told.iter().copied().map(event).collect::<Vec<_>>());
            watch.notice(&[event("story")]);
            // Only when it has ended.
            assert!(identities.known().look_up("k", None, now).is_ok());
            drop(watch);
            assert_eq!(identities.known().look_up("k", None, now).is_err(), forgets, "{told:?}");
        }
        let identities = knowing(TENANT, now);
        drop(identities.watch(TENANT));
        assert!(
            identities.known().look_up("k", None, now).is_ok(),
            "work that was refused has changed nothing"
        );
        identities.watch(TENANT).notice_repetition();
        assert!(identities.known().look_up("k", None, now).is_err());
    }
}
