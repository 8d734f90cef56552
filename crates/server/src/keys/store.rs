//! SQL of API keys.

use tokio_postgres::Row;
use uuid::Uuid;

use super::api::ApiKey;
use crate::db::{DbError, Timestamp, statements};

statements! {
    /// Expired, superseded and dispatch keys do not count (file 01 §6.1, decision 17).
    COUNT_LIVE_KEYS = "
        select count(*) as total, clock_timestamp() as now from api_keys
        where tenant_id = $1 and revoked_at is null and superseded_at is null and dispatch_id is null
          and (expires_at is null or expires_at > now())";
    AGENT_EXISTS = "select from agents where tenant_id = $1 and id = $2";
    INSERT_KEY = "
        insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role, agent_id, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        returning *";
    LIST_KEYS = "
        select * from api_keys where tenant_id = $1 and ($2 or revoked_at is null)
        order by inserted_at desc, id limit $3 offset $4";
    COUNT_KEYS = "select count(*) as total from api_keys where tenant_id = $1 and ($2 or revoked_at is null)";
    /// Keeps the first time of revocation.
    REVOKE_KEY = "
        with old as (select * from api_keys where tenant_id = $1 and id = $2 for no key update)
        update api_keys k set revoked_at = coalesce(old.revoked_at, clock_timestamp()), updated_at = now()
        from old where k.id = old.id
        returning k.*, old.revoked_at is null as revoked_now";
}

/// Reads a row of `api_keys`.
pub(super) fn read(row: &Row) -> Result<ApiKey, DbError> {
    Ok(ApiKey {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        key_prefix: row.try_get("key_prefix")?,
        role: row.try_get("role")?,
        agent_id: row.try_get::<_, Option<Uuid>>("agent_id")?,
        last_used_at: row.try_get::<_, Option<Timestamp>>("last_used_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
        inserted_at: row.try_get("inserted_at")?,
    })
}
