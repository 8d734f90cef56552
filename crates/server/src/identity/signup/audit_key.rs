//! The key pair that a tenant's log is to be signed with.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use uuid::Uuid;

use crate::http::{ApiError, ApiResult};
use crate::secrets::{Vault, tenant_context};

/// What the private half is called among a tenant's secrets.
pub(super) const NAME: &str = "audit_signing_key";

/// A new key pair.
pub(super) struct AuditKey {
    /// 32 bytes.
    pub(super) public: Vec<u8>,
    /// The private half (PKCS #8), encrypted.
    pub(super) sealed: Vec<u8>,
}

impl AuditKey {
    /// Makes one for a tenant.
    ///
    /// # Errors
    /// 500 when there is nothing to encrypt the private half with.
    pub(super) fn new(vault: &Vault, tenant_id: &Uuid) -> ApiResult<Self> {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| ApiError::internal())?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| ApiError::internal())?;
        let sealed = vault.seal(&tenant_context(tenant_id, NAME), document.as_ref()).map_err(|error| {
            tracing::error!(%error, "an audit key cannot be kept");
            ApiError::audit_key_storage_failed(&error)
        })?;
        Ok(Self { public: pair.public_key().as_ref().to_vec(), sealed })
    }

    /// The public half as it is told.
    pub(super) fn told(&self) -> String {
        BASE64_STANDARD.encode(&self.public)
    }
}
