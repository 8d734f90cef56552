//! Rows and SQL of API keys.

use chrono::{DateTime, Utc};
use loopctl_core::role::Role;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::app::{hash_key, key_prefix};
use crate::db::{DbError, Params, Row, Timestamp, Tx, statements};

/// An API key without its secret.
#[derive(Debug, Clone, Serialize, JsonSchema, Row)]
pub(crate) struct ApiKey {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    /// The first 8 characters of the secret.
    pub(crate) key_prefix: String,
    pub(crate) role: Role,
    pub(crate) agent_id: Option<Uuid>,
    last_used_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    pub(super) revoked_at: Option<Timestamp>,
    pub(crate) inserted_at: Timestamp,
}

/// How many keys count against the limit, and when that was.
#[derive(Row)]
pub(super) struct LiveKeys {
    #[row(sql = "count(*)")]
    pub(super) total: i64,
    #[row(sql = "clock_timestamp()")]
    pub(super) now: Timestamp,
}

/// A key that is to be rotated.
#[derive(Row)]
pub(super) struct Rotatable {
    #[row(flatten)]
    pub(super) key: ApiKey,
    /// When it was, if it was before.
    pub(super) superseded_at: Option<Timestamp>,
}

/// What is left to say of a revoked key.
#[derive(Serialize, JsonSchema, Row)]
pub(super) struct RevokedApiKey {
    id: Uuid,
    name: String,
    key_prefix: String,
    role: Role,
    pub(super) revoked_at: Option<Timestamp>,
}

/// A key that was told to be revoked.
#[derive(Row)]
pub(super) struct Revoked {
    #[row(flatten)]
    pub(super) key: RevokedApiKey,
    /// Whether it was live until now.
    #[row(sql = "revoked_before is null")]
    pub(super) revoked_now: bool,
}

statements! {
    /// Expired, superseded and dispatch keys do not count: a rotated key in its grace period is one key, not two. The time is
    /// that of now, not of the transaction, which has waited for the tenant's lock.
    COUNT_LIVE_KEYS -> LiveKeys = "
        select {*} from api_keys
        where tenant_id = $1 and revoked_at is null and superseded_at is null and dispatch_id is null
          and (expires_at is null or expires_at > clock_timestamp())";
    AGENT_EXISTS -> Uuid = "select id from agents where tenant_id = $1 and id = $2";
    INSERT_KEY -> ApiKey = "
        insert into api_keys (tenant_id, id, name, key_hash, key_prefix, role, agent_id, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        returning {*}";
    LIST_KEYS -> list of ApiKey = {
        within: "",
        from: "api_keys where tenant_id = $1 and ($2 or revoked_at is null)",
        page: "order by inserted_at desc, id limit $3 offset $4",
    };
    LOCK_KEY -> Rotatable = "select {*} from api_keys where tenant_id = $1 and id = $2 for no key update";
    /// The old key works on for so many hours, and never for longer than before.
    SUPERSEDE_KEY -> Option<Timestamp> = "
        update api_keys
        set superseded_at = clock_timestamp(), updated_at = clock_timestamp(),
            expires_at = least(expires_at, clock_timestamp() + make_interval(hours => $3))
        where tenant_id = $1 and id = $2
        returning expires_at";
    /// Keeps the first time of revocation.
    REVOKE_KEY -> Revoked = "
        with old as (
            select id as old_id, revoked_at as revoked_before from api_keys
            where tenant_id = $1 and id = $2 for no key update
        )
        update api_keys set revoked_at = coalesce(revoked_before, clock_timestamp()), updated_at = clock_timestamp()
        from old where id = old_id
        returning {*}";
}

/// Adds a key of the transaction's tenant. Of its secret no more is kept than what it is looked up by, and what people see.
///
/// # Errors
/// When the agent has a live key of this role; or when the database fails.
pub(crate) async fn insert_key(
    tx: &mut Tx,
    raw_key: &str,
    name: &str,
    role: Role,
    agent_id: Option<Uuid>,
    expires_at: Option<DateTime<Utc>>,
) -> Result<ApiKey, DbError> {
    let (hash, prefix) = (hash_key(raw_key), key_prefix(raw_key));
    let params: Params<'_> =
        &[&Uuid::now_v7(), &name, &hash, &prefix, &role.as_str(), &agent_id, &expires_at];
    tx.one(INSERT_KEY, params).await
}
