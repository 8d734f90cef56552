//! Encrypts all secrets with the current key, so that those before it can be forgotten.

use serde::Serialize;
use tokio_postgres::{Client, Config};
use uuid::Uuid;

use super::OperatorError;
use crate::db::DbError;
use crate::db::migrate::{connect, is_above_tenants};
use crate::secrets::{SealError, Vault, webhook_context};

/// How many secrets are read at once.
const BATCH: i64 = 500;

/// How many that cannot be read are told.
const TOLD: usize = 100;

const NEXT: &str = "
    select tenant_id, id, signing_secret from webhooks where (tenant_id, id) > ($1, $2) order by tenant_id, id limit $3";
const AGAIN: &str = "select signing_secret from webhooks where tenant_id = $1 and id = $2";
/// Unless it has been changed meanwhile.
const REPLACE: &str = "
    update webhooks set signing_secret = $4 where tenant_id = $1 and id = $2 and signing_secret = $3";

/// What was found, and done.
#[derive(Debug, Default, Serialize)]
pub struct Reencryption {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How many secrets already had the current key.
    pub current: u64,
    /// How many have it now, or would have it.
    pub reencrypted: u64,
    /// How many cannot be read with any key that is there.
    pub unreadable: u64,
    /// The first 100 of them.
    pub failures: Vec<Unreadable>,
}

/// A secret that cannot be read.
#[derive(Debug, Serialize)]
pub struct Unreadable {
    /// Whose.
    pub tenant_id: Uuid,
    /// Of which webhook.
    pub webhook_id: Uuid,
    /// Why.
    pub reason: String,
}

impl Reencryption {
    /// How many were looked at.
    pub fn looked_at(&self) -> u64 {
        self.current + self.reencrypted + self.unreadable
    }
}

/// Encrypts all secrets that another key has with the current one, beside servers at work: a secret that is changed meanwhile is
/// looked at again. It may be stopped and begun anew. After each batch `progress` is told.
///
/// # Errors
/// Without a key, or when the database fails. What was done until then stays done.
pub async fn reencrypt(
    owner: &Config,
    vault: &Vault,
    dry_run: bool,
    mut progress: impl FnMut(&Reencryption),
) -> Result<Reencryption, OperatorError> {
    if !vault.has_key() {
        return Err(OperatorError::Invalid(SealError::NoKey.to_string()));
    }
    if !is_above_tenants(owner).await? {
        // It would see none of them, and say that all is well.
        let message = "this login sees no tenant's secrets: set ADMIN_DATABASE_URL to one that does (superuser, or BYPASSRLS)";
        return Err(OperatorError::Invalid(message.to_owned()));
    }
    let client = connect(owner).await?;
    let mut found = Reencryption { dry_run, ..Reencryption::default() };
    let (mut tenant_id, mut webhook_id) = (Uuid::nil(), Uuid::nil());
    loop {
        let rows = client.query(NEXT, &[&tenant_id, &webhook_id, &BATCH]).await.map_err(DbError::from)?;
        if rows.is_empty() {
            return Ok(found);
        }
        for row in rows {
            let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let sealed;
            (tenant_id, webhook_id, sealed) = read().map_err(DbError::from)?;
            one(&client, vault, (tenant_id, webhook_id), sealed, &mut found).await?;
        }
        progress(&found);
    }
}

async fn one(
    client: &Client,
    vault: &Vault,
    (tenant_id, webhook_id): (Uuid, Uuid),
    mut sealed: Vec<u8>,
    found: &mut Reencryption,
) -> Result<(), OperatorError> {
    let context = webhook_context(&tenant_id, &webhook_id);
    loop {
        let plain = match vault.open(&context, &sealed) {
            Ok(plain) => plain,
            Err(error) => {
                found.unreadable += 1;
                if found.failures.len() < TOLD {
                    found.failures.push(Unreadable { tenant_id, webhook_id, reason: error.to_string() });
                }
                return Ok(());
            }
        };
        if vault.is_current(&sealed) {
            found.current += 1;
            return Ok(());
        }
        if found.dry_run {
            found.reencrypted += 1;
            return Ok(());
        }
        let new = vault.seal(&context, &plain).map_err(|error| OperatorError::Invalid(error.to_string()))?;
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&tenant_id, &webhook_id, &sealed, &new];
        if client.execute(REPLACE, &params).await.map_err(DbError::from)? == 1 {
            found.reencrypted += 1;
            return Ok(());
        }
        let again = client.query_opt(AGAIN, &[&tenant_id, &webhook_id]).await.map_err(DbError::from)?;
        let Some(again) = again else { return Ok(()) };
        sealed = again.try_get(0).map_err(DbError::from)?;
    }
}
