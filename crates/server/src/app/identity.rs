//! Whoever calls, once they are let in: all that handlers, rules and the log know of them.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use loopctl_core::lifecycle::{self, Action, Actor, Refusal};
use loopctl_core::role::Role;
use serde_json::json;
use uuid::Uuid;

use super::identities::Found;
use super::ticket::Ticket;
use super::{App, session};
use crate::db::Db;
use crate::events;
use crate::http::{ApiError, ApiResult};

/// What an API key, or the touch that a session began with, says about its holder. Nothing here comes from a body.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The server that they call.
    pub app: App,
    /// The key in use, or the session.
    pub key_id: Uuid,
    /// Its name.
    pub key_name: String,
    /// The part of it that may be shown.
    pub key_prefix: String,
    /// The effective role.
    pub role: Role,
    /// The tenant that the request works on.
    pub tenant_id: Uuid,
    /// The agent that the key is bound to.
    pub agent_id: Option<Uuid>,
    /// Set when a superadmin acts inside the tenant.
    pub impersonation: Option<Impersonation>,
    /// The authenticator that a session began with, where it is no key that lets them in.
    pub(super) touched: Option<Uuid>,
    /// What they have shown, for those who are to be let in for long.
    pub(super) shown: Shown,
    /// What they know this request by, if they may repeat it.
    pub(super) ticket: Option<Arc<Ticket>>,
    /// Their connections, where their turn has come to have a large answer read.
    pub(super) in_turn: Option<Db>,
}

/// What a caller has shown to be let in.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) key_hash: Arc<str>,
    /// The tenant that they asked for; only superadmins are let into another than their own.
    pub(super) target: Option<Uuid>,
}

impl Shown {
    /// No key: it lets nobody in for longer than a request.
    pub(super) fn nothing() -> Self {
        Self { key_hash: "".into(), target: None }
    }
}

impl fmt::Debug for Shown {
    /// A hash of a key belongs into no log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shown").field("target", &self.target).finish_non_exhaustive()
    }
}

/// A superadmin inside a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Impersonation {
    pub(super) tenant_slug: String,
    pub(super) effective_role: Option<Role>,
    pub(super) at: DateTime<Utc>,
}

impl Identity {
    /// Somebody with a key who works on a tenant, of which the request's log lines tell.
    pub(super) fn of(
        app: App,
        found: &Found,
        role: Role,
        tenant_id: Uuid,
        impersonation: Option<Impersonation>,
        shown: Shown,
        ticket: Option<Arc<Ticket>>,
    ) -> Self {
        tracing::Span::current().record("tenant_id", tracing::field::display(tenant_id));
        Self {
            app,
            key_id: found.key_id,
            key_name: found.key_name.clone(),
            key_prefix: found.key_prefix.clone(),
            role,
            tenant_id,
            agent_id: found.agent_id,
            impersonation,
            touched: None,
            shown,
            ticket,
            in_turn: None,
        }
    }

    /// The caller as the lifecycle's rules see it.
    pub(crate) fn actor(&self) -> Actor {
        Actor { role: self.role, agent_id: self.agent_id, impersonating: self.impersonation.is_some() }
    }

    /// Whether the lifecycle lets the caller attempt this at all.
    ///
    /// # Errors
    /// The refusal.
    pub(crate) fn admit(&self, action: Action) -> ApiResult<()> {
        lifecycle::admit(action, &self.actor()).map_err(|refusal| self.refused(refusal))
    }

    /// A rule's refusal as the answer to this caller.
    pub(crate) fn refused(&self, refusal: Refusal) -> ApiError {
        ApiError::refused(refusal, &self.app.public_url)
    }

    /// Whether the request may be repeated, and has to be answered the same.
    pub(crate) fn may_repeat(&self) -> bool {
        self.ticket.is_some()
    }

    /// The same caller, for one of several changes that a request makes.
    pub(crate) fn of_several(&self) -> Self {
        Self { ticket: None, ..self.clone() }
    }

    /// Whether the key that let them in still would. Who cannot be asked about lets nobody in.
    pub(crate) async fn is_still_let_in(&self) -> bool {
        let Shown { key_hash, target } = &self.shown;
        let found = self.app.identities.find(&self.app.db, key_hash, *target).await;
        matches!(found, Ok(Some(found)) if found.is_active() && found.tenant_id == Some(self.tenant_id))
    }

    /// How this caller's changes are attributed.
    pub(crate) fn attribution(&self) -> events::Attribution {
        if let Some(authenticator_id) = self.touched {
            return session::attribution(self.key_id, authenticator_id);
        }
        match &self.impersonation {
            None => events::Attribution {
                // Without impersonation a superadmin is only found in a tenant that an `/admin` path has named.
                actor_type: if self.role == Role::Superadmin { "superadmin" } else { "api_key" },
                actor_id: Some(self.key_id),
                actor_label: format!("{}:{}", self.role, self.key_name),
                metadata: serde_json::Map::new(),
            },
            Some(impersonation) => events::Attribution {
                actor_type: "superadmin",
                actor_id: Some(self.key_id),
                actor_label: format!("superadmin:impersonating:{}", impersonation.tenant_slug),
                metadata: json!({
                    "impersonated_by": self.key_id,
                    "impersonated_at": impersonation.at.to_rfc3339_opts(SecondsFormat::Micros, true),
                    "effective_role": impersonation.effective_role,
                })
                .as_object()
                .cloned()
                .unwrap_or_default(),
            },
        }
    }
}

#[cfg(test)]
impl Identity {
    /// An agent of a tenant, as which nobody can call.
    pub(crate) fn of_agent(app: App, tenant_id: Uuid, agent_id: Uuid) -> Self {
        Self {
            app,
            key_id: Uuid::from_u128(2),
            key_name: String::new(),
            key_prefix: String::new(),
            role: Role::Agent,
            tenant_id,
            agent_id: Some(agent_id),
            impersonation: None,
            touched: None,
            shown: Shown::nothing(),
            ticket: None,
            in_turn: None,
        }
    }
}
