//! What an operator does with access to the database, and nobody over the network: the first tenant, superadmin keys, a look at
//! whether what is kept is what should be and what is there ought to be, secrets under a new key, backups and the way back.

mod backup;
mod check;
mod jobs;
mod reencrypt;
mod superadmin_keys;
mod violators;

use loopctl_core::request::Text;
use serde::Serialize;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::app::{hash_key, key_prefix, new_raw_key};
use crate::db::migrate::connect;
use crate::db::{DbError, Login, Timestamp};
use crate::events::{Attribution, Event, record_as_owner};
use crate::identity::tenants::{TAKEN, check_email, check_slug, taken_field};
use crate::identity::{keys, tenants};

pub use crate::knowledge::system::{BrokenLink, LinkCheck, check_links, seed as write_articles};
pub use backup::{
    Backup, BackupError, BackupOptions, Found, Holds, RestoreOptions, Restored, Tell, back_up, restore,
};
pub use check::{Check, Difference, LogCheck, check, check_and_tell, verify_log};
pub use jobs::{JobKind, JobRun, list_jobs, run_job};
pub use reencrypt::{Reencryption, Unreadable, reencrypt};
pub use superadmin_keys::{SuperadminKey, list_superadmin_keys, revoke_superadmin_key};
pub use violators::{PendingViolation, Scan, scan_violators};

/// Why an operator command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// What was asked for.
    #[error("{0}")]
    Invalid(String),
}

/// A tenant just created.
#[derive(Debug, Serialize)]
pub struct CreatedTenant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// Its address.
    pub email: String,
    /// `active`.
    pub status: String,
    /// When.
    pub inserted_at: Timestamp,
}

/// A key just created.
#[derive(Debug, Serialize)]
pub struct CreatedKey {
    /// Its id.
    pub id: Uuid,
    /// The secret; shown this once.
    pub raw_key: String,
    /// The part that may be shown.
    pub key_prefix: String,
    /// Its role.
    pub role: &'static str,
    /// Its name.
    pub name: String,
    /// When.
    pub inserted_at: Timestamp,
}

/// Creates an active tenant with its first `user` key, named `root`, in one transaction.
///
/// # Errors
/// When a field is invalid or taken, or the database refuses.
pub async fn create_tenant(
    owner: &Login,
    name: &str,
    slug: &str,
    email: &str,
) -> Result<(CreatedTenant, CreatedKey), OperatorError> {
    let (name, slug, email) = (name.trim(), slug.trim().to_lowercase(), email.trim().to_lowercase());
    check_name(&tenants::NAME, name)?;
    if let Err(reason) = check_slug(&slug) {
        return Err(OperatorError::Invalid(format!("slug {reason}, 2 to 64 characters")));
    }
    if slug.len() > 64 {
        return Err(OperatorError::Invalid("slug must have 2 to 64 characters".to_owned()));
    }
    check_email(&email).map_err(|reason| OperatorError::Invalid(format!("email {reason}")))?;
    let mut client = connect(owner).await?;
    let tx = client.transaction().await.map_err(DbError::from)?;
    let id = Uuid::now_v7();
    let row = tx
        .query_one(
            "insert into tenants (id, name, slug, email) values ($1, $2, $3, $4) returning inserted_at",
            &[&id, &name, &slug, &email],
        )
        .await
        .map_err(|error| taken(error.into()))?;
    // Where its log goes on from.
    tx.execute("insert into audit_heads (tenant_id) values ($1)", &[&id]).await.map_err(DbError::from)?;
    let tenant = CreatedTenant {
        id,
        name: name.to_owned(),
        slug,
        email,
        status: "active".to_owned(),
        inserted_at: row.try_get("inserted_at").map_err(DbError::from)?,
    };
    let key = insert_key(tx.client(), Some(id), "user", "root").await?;
    let created = Event::new(
        "tenant",
        id,
        "tenant_created",
        json!({
            "name": tenant.name, "slug": tenant.slug, "email": tenant.email, "authenticator_count": 0,
            "authenticator_fingerprints": [],
        }),
    );
    let by = Attribution::system("operator tenant create");
    record_as_owner(tx, id, &by, vec![created, key_created(&key)]).await?;
    Ok((tenant, key))
}

/// Creates a superadmin key. There is no other way to get one.
///
/// # Errors
/// When the name is invalid, or the database refuses.
pub async fn create_superadmin_key(owner: &Login, name: &str) -> Result<CreatedKey, OperatorError> {
    let name = name.trim();
    check_name(&keys::NAME, name)?;
    let mut client = connect(owner).await?;
    let tx = client.transaction().await.map_err(DbError::from)?;
    let key = insert_key(tx.client(), None, "superadmin", name).await?;
    let by = Attribution::system("operator superadmin create-key");
    record_as_owner(tx, Uuid::nil(), &by, vec![key_created(&key)]).await?;
    Ok(key)
}

fn check_name(rule: &Text, name: &str) -> Result<(), OperatorError> {
    rule.check(name).map_err(|reason| OperatorError::Invalid(format!("name {reason}")))
}

async fn insert_key(
    client: &Client,
    tenant_id: Option<Uuid>,
    role: &'static str,
    name: &str,
) -> Result<CreatedKey, DbError> {
    let raw_key = new_raw_key();
    let (id, prefix) = (Uuid::now_v7(), key_prefix(&raw_key));
    let row = client
        .query_one(
            "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, role) values ($1, $2, $3, $4, $5, $6)
             returning inserted_at",
            &[&id, &tenant_id, &name, &hash_key(&raw_key), &prefix, &role],
        )
        .await?;
    let inserted_at = row.try_get("inserted_at")?;
    Ok(CreatedKey { id, raw_key, key_prefix: prefix, role, name: name.to_owned(), inserted_at })
}

/// The tenant with this id or slug.
async fn tenant_id(client: &Client, tenant: &str) -> Result<Uuid, OperatorError> {
    let found = client
        .query_opt("select id from tenants where id::text = lower($1) or slug = $1", &[&tenant])
        .await
        .map_err(DbError::from)?;
    let found = found.ok_or_else(|| {
        OperatorError::Invalid(format!("there is no tenant {tenant:?}: give its id or its slug"))
    })?;
    Ok(found.try_get("id").map_err(DbError::from)?)
}

fn key_created(key: &CreatedKey) -> Event {
    let new = json!({
        "name": key.name, "role": key.role, "key_prefix": key.key_prefix, "agent_id": null, "expires_at": null,
    });
    Event::new("api_key", key.id, "created", new)
}

fn taken(error: DbError) -> OperatorError {
    match taken_field(&error) {
        Some(field) => OperatorError::Invalid(format!("{field} {TAKEN}")),
        None => error.into(),
    }
}
