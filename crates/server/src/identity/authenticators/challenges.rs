//! What authenticators are asked to sign: kept until it is used, so that any server may look at the answer.

use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::RegistrationState;

use super::binary::encode;
use super::ceremony::{self, RelyingParty};
use super::store::{CREDENTIAL_IDS, INSERT_CHALLENGE};
use crate::db::{AsJson, Timestamp, Tx};
use crate::http::{ApiError, ApiResult};

/// What a browser needs to enrol an authenticator.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebAuthnChallenge {
    /// 32 bytes, base64url. For one enrolment.
    challenge: String,
    rp_id: String,
    rp_name: &'static str,
    user_verification: &'static str,
    /// The kinds of keys that are taken, the best first.
    pub_key_cred_params: Vec<i64>,
    /// Authenticators that are enrolled already, base64url.
    exclude_credentials: Vec<String>,
    timeout_ms: u64,
    expires_at: Timestamp,
}

/// What a browser needs to prove that an authenticator is there.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProofChallenge {
    challenge_id: Uuid,
    /// 32 bytes, base64url. For one proof.
    challenge: String,
    rp_id: String,
    user_verification: &'static str,
    /// The tenant's authenticators, base64url.
    allow_credentials: Vec<String>,
    timeout_ms: u64,
    expires_at: Timestamp,
}

fn timeout_ms() -> u64 {
    u64::try_from(ceremony::TIMEOUT.as_millis()).unwrap_or(u64::MAX)
}

/// Asks for an enrolment: of an authenticator of the transaction's tenant, or of a tenant that is yet to come.
///
/// # Errors
/// When the database fails.
pub(crate) async fn ask_for_enrolment(tx: &mut Tx, party: &RelyingParty) -> ApiResult<WebAuthnChallenge> {
    let (challenge, state) = party.begin_enrolment().map_err(unexpected)?;
    let params = [&Uuid::now_v7() as _, &"registration" as _, &challenge as _, &AsJson(&state) as _];
    let expires_at = tx.one(INSERT_CHALLENGE, &params).await?;
    Ok(WebAuthnChallenge {
        challenge: encode(&challenge),
        rp_id: party.id.clone(),
        rp_name: ceremony::NAME,
        user_verification: ceremony::USER_VERIFICATION,
        pub_key_cred_params: ceremony::algorithms(),
        exclude_credentials: credential_ids(tx).await?,
        timeout_ms: timeout_ms(),
        expires_at,
    })
}

/// Asks for a proof by one of the tenant's authenticators.
///
/// # Errors
/// When the database fails.
pub(super) async fn ask_for_proof(tx: &mut Tx, party: &RelyingParty) -> ApiResult<ProofChallenge> {
    let allow_credentials = credential_ids(tx).await?;
    ask_one_of(tx, party, allow_credentials).await
}

/// Asks whoever signs in for a proof by one of these authenticators, or where there are none by any that knows of us.
///
/// # Errors
/// When the database fails.
pub(crate) async fn ask_for_sign_in(
    tx: &mut Tx,
    party: &RelyingParty,
    credential_ids: &[Vec<u8>],
) -> ApiResult<ProofChallenge> {
    ask_one_of(tx, party, credential_ids.iter().map(|id| encode(id)).collect()).await
}

async fn ask_one_of(
    tx: &mut Tx,
    party: &RelyingParty,
    allow_credentials: Vec<String>,
) -> ApiResult<ProofChallenge> {
    let (challenge, state) = party.begin_proof().map_err(unexpected)?;
    let challenge_id = Uuid::now_v7();
    let params = [&challenge_id as _, &"assertion" as _, &challenge as _, &AsJson(&state) as _];
    let expires_at = tx.one(INSERT_CHALLENGE, &params).await?;
    Ok(ProofChallenge {
        challenge_id,
        challenge: encode(&challenge),
        rp_id: party.id.clone(),
        user_verification: ceremony::USER_VERIFICATION,
        allow_credentials,
        timeout_ms: timeout_ms(),
        expires_at,
    })
}

async fn credential_ids(tx: &mut Tx) -> ApiResult<Vec<String>> {
    Ok(tx.all(CREDENTIAL_IDS, &[]).await?.iter().map(|id| encode(id)).collect())
}

/// What was asked for, as it was kept.
///
/// # Errors
/// When it was kept by something that knew it in another form.
pub(crate) fn asked(state: &str) -> ApiResult<RegistrationState> {
    serde_json::from_str(state).map_err(|error| {
        tracing::error!(%error, "a challenge cannot be read");
        ApiError::internal()
    })
}

fn unexpected(error: WebauthnError) -> ApiError {
    tracing::error!(%error, "a challenge cannot be made");
    ApiError::internal()
}
