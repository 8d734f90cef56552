//! Encrypts all secrets with the current key, so that those before it can be forgotten.

use serde::Serialize;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::OperatorError;
use crate::db::migrate::{connect, is_above_tenants};
use crate::db::{DbError, Login};
use crate::secrets::{SealError, Vault, tenant_context, webhook_context};

/// How many secrets are read at once.
const BATCH: i64 = 500;

/// How many that cannot be read are told.
const TOLD: usize = 100;

/// Secrets of one kind, and how they are found, by the tenant and an id.
struct Kind {
    /// After the last one, so many: tenant, id, name, secret.
    next: &'static str,
    again: &'static str,
    /// Unless it has been changed meanwhile.
    replace: &'static str,
    of_webhooks: bool,
}

const KINDS: [Kind; 2] = [
    Kind {
        next: "
            select tenant_id, id, '', signing_secret from webhooks
            where (tenant_id, id) > ($1, $2) order by tenant_id, id limit $3",
        again: "select signing_secret from webhooks where tenant_id = $1 and id = $2",
        replace: "
            update webhooks set signing_secret = $4 where tenant_id = $1 and id = $2 and signing_secret = $3",
        of_webhooks: true,
    },
    Kind {
        next: "
            select tenant_id, id, name, ciphertext from tenant_secrets
            where (tenant_id, id) > ($1, $2) order by tenant_id, id limit $3",
        again: "select ciphertext from tenant_secrets where tenant_id = $1 and id = $2",
        replace: "
            update tenant_secrets set ciphertext = $4, updated_at = clock_timestamp()
            where tenant_id = $1 and id = $2 and ciphertext = $3",
        of_webhooks: false,
    },
];

/// A secret that was found.
struct Found {
    tenant_id: Uuid,
    id: Uuid,
    name: String,
    sealed: Vec<u8>,
}

impl Found {
    fn read(row: &Row) -> Result<Self, DbError> {
        let read = || {
            Ok::<_, tokio_postgres::Error>(Self {
                tenant_id: row.try_get(0)?,
                id: row.try_get(1)?,
                name: row.try_get(2)?,
                sealed: row.try_get(3)?,
            })
        };
        read().map_err(DbError::from)
    }
}

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
    /// Of which webhook, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<Uuid>,
    /// What it is called, if it is the tenant's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
    owner: &Login,
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
    for kind in &KINDS {
        let (mut tenant_id, mut id) = (Uuid::nil(), Uuid::nil());
        loop {
            let rows = client.query(kind.next, &[&tenant_id, &id, &BATCH]).await.map_err(DbError::from)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let secret = Found::read(&row)?;
                (tenant_id, id) = (secret.tenant_id, secret.id);
                one(&client, vault, kind, secret, &mut found).await?;
            }
            progress(&found);
        }
    }
    Ok(found)
}

async fn one(
    client: &Client,
    vault: &Vault,
    kind: &Kind,
    secret: Found,
    found: &mut Reencryption,
) -> Result<(), OperatorError> {
    let Found { tenant_id, id, name, mut sealed } = secret;
    let context =
        if kind.of_webhooks { webhook_context(&tenant_id, &id) } else { tenant_context(&tenant_id, &name) };
    loop {
        let plain = match vault.open(&context, &sealed) {
            Ok(plain) => plain,
            Err(error) => {
                found.unreadable += 1;
                if found.failures.len() < TOLD {
                    let (webhook_id, name) =
                        if kind.of_webhooks { (Some(id), None) } else { (None, Some(name.clone())) };
                    found.failures.push(Unreadable {
                        tenant_id,
                        webhook_id,
                        name,
                        reason: error.to_string(),
                    });
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
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&tenant_id, &id, &sealed, &new];
        if client.execute(kind.replace, &params).await.map_err(DbError::from)? == 1 {
            found.reencrypted += 1;
            return Ok(());
        }
        let again = client.query_opt(kind.again, &[&tenant_id, &id]).await.map_err(DbError::from)?;
        let Some(again) = again else { return Ok(()) };
        sealed = again.try_get(0).map_err(DbError::from)?;
    }
}
