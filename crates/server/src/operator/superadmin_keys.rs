//! Superadmin keys: which there are, and the end of one. They belong to no tenant, so no tenant's key reaches them.

use serde::Serialize;
use serde_json::json;
use tokio_postgres::Row;
use uuid::Uuid;

use super::OperatorError;
use crate::db::migrate::connect;
use crate::db::{DbError, Login, Timestamp};
use crate::events::{Attribution, Event, record_as_owner};

const LIST: &str = "
    select id, name, key_prefix, last_used_at, expires_at, revoked_at, inserted_at from api_keys
    where role = 'superadmin' order by inserted_at desc, id";
/// Keeps the first time of revocation.
const REVOKE: &str = "
    with old as (
        select id as old_id, revoked_at as revoked_before from api_keys
        where role = 'superadmin' and id = $1 for no key update
    )
    update api_keys set revoked_at = coalesce(revoked_before, clock_timestamp()), updated_at = clock_timestamp()
    from old where id = old_id
    returning id, name, key_prefix, last_used_at, expires_at, revoked_at, inserted_at, revoked_before is null as revoked_now";

/// A superadmin key without its secret.
#[derive(Debug, Serialize)]
pub struct SuperadminKey {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// The part that may be shown.
    pub key_prefix: String,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was created.
    pub inserted_at: Timestamp,
}

impl SuperadminKey {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            key_prefix: row.try_get("key_prefix")?,
            last_used_at: row.try_get("last_used_at")?,
            expires_at: row.try_get("expires_at")?,
            revoked_at: row.try_get("revoked_at")?,
            inserted_at: row.try_get("inserted_at")?,
        })
    }
}

/// All superadmin keys, newest first, those that are revoked as well.
///
/// # Errors
/// When the database fails.
pub async fn list_superadmin_keys(owner: &Login) -> Result<Vec<SuperadminKey>, OperatorError> {
    let rows = connect(owner).await?.query(LIST, &[]).await.map_err(DbError::from)?;
    let keys: Result<Vec<_>, _> = rows.iter().map(SuperadminKey::read).collect();
    Ok(keys.map_err(DbError::from)?)
}

/// Revokes a superadmin key; servers refuse it within a second. Repeating it changes nothing.
///
/// # Errors
/// When there is no such key, or the database fails.
pub async fn revoke_superadmin_key(owner: &Login, id: Uuid) -> Result<SuperadminKey, OperatorError> {
    let mut client = connect(owner).await?;
    let tx = client.transaction().await.map_err(DbError::from)?;
    let row = tx.query_opt(REVOKE, &[&id]).await.map_err(DbError::from)?;
    let row = row.ok_or_else(|| OperatorError::Invalid(format!("there is no superadmin key {id}")))?;
    let key = SuperadminKey::read(&row).map_err(DbError::from)?;
    if row.try_get("revoked_now").map_err(DbError::from)? {
        let told = Event::new("api_key", id, "revoked", json!({"revoked_at": key.revoked_at}));
        let told = told.old(json!({"revoked_at": null}));
        let by = Attribution::system("operator superadmin revoke-key");
        record_as_owner(tx, Uuid::nil(), &by, vec![told]).await?;
    }
    Ok(key)
}
