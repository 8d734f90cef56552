//! Requests, answers and handlers of authenticators.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use loopctl_core::code::Code;
use loopctl_core::fields::{BLANK, FieldErrors};
use loopctl_core::request::{Request, Text, nested, text};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::binary::binary;
use super::ceremony::{Attestation, Enrolled, RelyingParty, challenge_of};
use super::challenges::{ProofChallenge, WebAuthnChallenge, ask_for_enrolment, ask_for_proof, asked};
use super::proof::{self, Sent, assertion};
use super::store::{
    Authenticator, COUNT_AUTHENTICATORS, DELETE_AUTHENTICATOR, FIND_AUTHENTICATOR, INSERT_AUTHENTICATOR,
    LIST_AUTHENTICATORS, TAKE_CHALLENGE,
};
use crate::app::{Owner, OwnerOrSuperadmin};
use crate::db::{DbError, Tx};
use crate::events::{Attribution, Event};
use crate::http::{
    ApiError, ApiResult, Body, Created, Id, Input, List, Nothing, Operation, Page, Query, one, pages,
    path_ids,
};
use crate::identity::tenants::lock;

/// The most that a tenant may have.
pub(crate) const MOST: usize = 5;

/// What people call an authenticator.
const FRIENDLY_NAME: Text = text(120).trimmed().shown();

/// An authenticator that was enrolled, as the browser tells it.
#[derive(Debug, Request)]
pub(crate) struct WebAuthnAttestation {
    #[rule(binary())]
    credential_id: Vec<u8>,
    #[rule(binary())]
    attestation_object: Vec<u8>,
    #[rule(binary())]
    client_data_json: Vec<u8>,
    /// What it is called; by default after its place.
    #[rule(FRIENDLY_NAME)]
    pub(crate) friendly_name: Option<String>,
}

impl WebAuthnAttestation {
    /// What it made.
    pub(crate) fn attestation(&self) -> Attestation {
        Attestation {
            credential_id: self.credential_id.clone(),
            attestation_object: self.attestation_object.clone(),
            client_data_json: self.client_data_json.clone(),
        }
    }
}

/// What an authenticator is called that has no name, at its place among the others.
pub(crate) fn fallback_name(place: usize) -> String {
    if place == 0 { "Primary authenticator".to_owned() } else { format!("Backup authenticator {place}") }
}

/// By what an authenticator is told in the log.
pub(crate) fn fingerprint(credential_id: &[u8]) -> String {
    hex::encode(&Sha256::digest(credential_id)[..8])
}

/// Writes an authenticator that was enrolled down.
///
/// # Errors
/// 422 when the tenant has it already; or when the database fails.
pub(crate) async fn keep(tx: &mut Tx, enrolled: &Enrolled, name: &str) -> ApiResult<Authenticator> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 8] = [
        &Uuid::now_v7(),
        &enrolled.credential_id,
        &enrolled.public_key,
        &enrolled.attestation_format,
        &i64::from(enrolled.sign_count),
        &enrolled.user_verified,
        &enrolled.backup_eligible,
        &name,
    ];
    tx.one(INSERT_AUTHENTICATOR, &params).await.map_err(|error: DbError| {
        if error.violates("tenant_root_authenticators_credential") {
            return invalid("the authenticator is enrolled already");
        }
        error.into()
    })
}

/// 422: something that no enrolment makes, or not this one.
pub(crate) fn invalid(why: &str) -> ApiError {
    let message = format!("Invalid attestation: {why}");
    ApiError::unprocessable(Code::InvalidAttestation, message).with("reason", "invalid_attestation".into())
}

/// A tenant in a path, who must be the caller's own, and what comes after it.
pub(super) struct OwnTenant {
    tenant_id: Uuid,
    id: Option<Uuid>,
}

impl OwnTenant {
    /// # Errors
    /// 404 for another tenant, who does not exist for this caller.
    fn of(&self, caller: &Owner) -> ApiResult<()> {
        if self.tenant_id == caller.tenant_id { Ok(()) } else { Err(ApiError::not_found()) }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OwnTenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        match path_ids(parts, state).await?[..] {
            [tenant_id] => Ok(Self { tenant_id, id: None }),
            [tenant_id, id] => Ok(Self { tenant_id, id: Some(id) }),
            _ => Err(ApiError::not_found()),
        }
    }
}

impl Input for OwnTenant {
    fn describe(operation: &mut Operation<'_>) {
        Id::describe(operation);
    }
}

one! {
    pub(crate) ProofChallengeResponse { data: ProofChallenge }
    pub(crate) WebAuthnChallengeResponse { data: WebAuthnChallenge }
    pub(super) AuthenticatorResponse { data: Authenticator }
}

#[derive(Request)]
pub(super) struct ListAuthenticators {
    #[rule(pages(20, 100))]
    page: Page,
}

pub(super) async fn list(
    caller: Owner,
    tenant: OwnTenant,
    Query(query): Query<ListAuthenticators>,
) -> ApiResult<Json<List<Authenticator>>> {
    tenant.of(&caller)?;
    caller.list(&LIST_AUTHENTICATORS, &[], &query.page).await.map(Json)
}

/// A superadmin asks for what they need the tenant's owner for, such as the end of a halt.
pub(super) async fn challenge(
    asking: OwnerOrSuperadmin,
    Id(tenant_id): Id,
    _: Body<Nothing>,
) -> ApiResult<Json<ProofChallengeResponse>> {
    let caller = asking.in_tenant_of_path(tenant_id).await?;
    let party = RelyingParty::of(&caller.app.public_url)?;
    caller
        .change(async |mut change| {
            let data = ask_for_proof(&mut change, &party).await?;
            change.commit(Json(ProofChallengeResponse { data })).await
        })
        .await
}

pub(super) async fn enrolment_challenge(
    caller: Owner,
    tenant: OwnTenant,
    _: Body<Nothing>,
) -> ApiResult<Json<WebAuthnChallengeResponse>> {
    tenant.of(&caller)?;
    let party = RelyingParty::of(&caller.app.public_url)?;
    caller
        .change(async |mut change| {
            let data = ask_for_enrolment(&mut change, &party).await?;
            change.commit(Json(WebAuthnChallengeResponse { data })).await
        })
        .await
}

/// `POST /tenants/:id/authenticators`.
#[derive(Debug, Request)]
pub(super) struct AuthenticatorAddRequest {
    #[rule(nested::<WebAuthnAttestation>())]
    authenticator: Option<WebAuthnAttestation>,
    #[rule(assertion())]
    webauthn_assertion: Sent,
}

/// Whose doing it is, when an authenticator has signed for it.
pub(crate) fn by_touch() -> Attribution {
    Attribution {
        actor_type: "human",
        actor_id: None,
        actor_label: "human:webauthn".to_owned(),
        metadata: serde_json::Map::new(),
    }
}

pub(super) async fn add(
    caller: Owner,
    tenant: OwnTenant,
    body: Body<AuthenticatorAddRequest>,
) -> ApiResult<Created<AuthenticatorResponse>> {
    tenant.of(&caller)?;
    let party = RelyingParty::of(&caller.app.public_url)?;
    caller
        .change(async |mut change| {
            lock(&mut change).await?;
            let known = usize::try_from(change.one(COUNT_AUTHENTICATORS, &[]).await?).unwrap_or(usize::MAX);
            let new = body.checked(|new, errors| {
                if new.authenticator.is_none() && errors.is_empty() {
                    errors.add("authenticator", BLANK);
                }
            })?;
            let sent = new.authenticator.as_ref().ok_or_else(ApiError::internal)?;
            // The first one of a tenant that an operator has made: there is nobody else to ask.
            let signed_by = if known == 0 {
                None
            } else {
                Some(proof::verify(&mut change, &caller.app.public_url, &new.webauthn_assertion).await?)
            };
            if known >= MOST {
                return Err(too_many());
            }
            let attestation = sent.attestation();
            let challenge = challenge_of(&attestation.client_data_json).unwrap_or_default();
            let taken = change.optional(TAKE_CHALLENGE, &[&challenge]).await?;
            let taken = taken.ok_or_else(|| invalid("its challenge is unknown, used or over"))?;
            let enrolled = party.enrol(&attestation, &asked(taken.state.as_str())?);
            let enrolled = enrolled.map_err(|error| invalid(&error.to_string()))?;
            let name = sent.friendly_name.clone().unwrap_or_else(|| fallback_name(known));
            let data = keep(&mut change, &enrolled, &name).await?;
            let told = json!({
                "friendly_name": data.friendly_name, "attestation_format": data.attestation_format,
                "fingerprint": fingerprint(&enrolled.credential_id),
            });
            let event = Event::new("authenticator", data.id, "enrolled", told);
            change.tell([event.meta("signed_by", json!(signed_by))]);
            change.commit(Created(AuthenticatorResponse { data })).await
        })
        .await
}

/// 422: there is no room for another one.
pub(crate) fn too_many() -> ApiError {
    let message = "At most 5 authenticators can be enrolled";
    let details = FieldErrors::one("authenticators", message);
    ApiError::unprocessable(Code::TooManyAuthenticators, message).with("details", json!(details.0))
}

/// `DELETE /tenants/:id/authenticators/:id`.
#[derive(Debug, Request)]
pub(super) struct AuthenticatorRevokeRequest {
    #[rule(assertion())]
    webauthn_assertion: Sent,
}

pub(super) async fn revoke(
    caller: Owner,
    tenant: OwnTenant,
    body: Body<AuthenticatorRevokeRequest>,
) -> ApiResult<Json<AuthenticatorResponse>> {
    tenant.of(&caller)?;
    let id = tenant.id.ok_or_else(ApiError::not_found)?;
    caller
        .change(async |mut change| {
            lock(&mut change).await?;
            let known = change.one(COUNT_AUTHENTICATORS, &[]).await?;
            change.found(FIND_AUTHENTICATOR, &[&id]).await?;
            // Also by the one that goes: its owner has it in hand.
            let new = body.valid()?;
            let signed_by =
                proof::verify(&mut change, &caller.app.public_url, &new.webauthn_assertion).await?;
            let data = change.found(DELETE_AUTHENTICATOR, &[&id]).await?;
            if known <= 1 {
                let message = "Conflict: this is the tenant's last authenticator; enrol another one first";
                return Err(ApiError::conflict(Code::LastAuthenticator, message));
            }
            let told = json!({
                "friendly_name": data.friendly_name, "attestation_format": data.attestation_format,
            });
            let event = Event { new_state: None, ..Event::new("authenticator", id, "revoked", json!(null)) };
            change.tell([event.old(told).meta("signed_by", json!(signed_by))]);
            change.commit(Json(AuthenticatorResponse { data })).await
        })
        .await
}
