//! Requests, answers and handlers of signing up.

use axum::Json;
use chrono::{TimeDelta, Utc};
use loopctl_core::attempts::{CHALLENGES, SIGNUPS};
use loopctl_core::code::Code;
use loopctl_core::fields::{BLANK, FieldErrors, Fields, INVALID};
use loopctl_core::json::{Object, elements};
use loopctl_core::request::{Custom, Request, custom, schema_of, text};
use loopctl_core::role::Role;
use schemars::{JsonSchema, json_schema};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::audit_key::{self, AuditKey};
use super::store::{BEGIN_ENROLLMENT, COMPLETE_ENROLLMENT, KEEP_SECRET, TAKE_SIGNUP_CHALLENGES};
use crate::app::{App, new_raw_key};
use crate::db::{DbError, Timestamp, Tx};
use crate::events::Event;
use crate::http::{ApiError, ApiResult, Body, CreatedSecret, Nothing, learn_more};
use crate::identity::attempts::count;
use crate::identity::authenticators::{
    Authenticator, MOST, RelyingParty, WebAuthnAttestation, WebAuthnChallengeResponse, ask_for_enrolment,
    asked, by_touch, challenge_of, fallback_name, fingerprint, invalid, keep, too_many,
};
use crate::identity::keys::insert_key;
use crate::identity::tenants::{NAME, SHOW_TENANT, Tenant, check_email, check_slug, taken_field};
use crate::identity::visitor::Visitor;
use crate::secrets::onboarding_context;

/// The first key of every tenant.
const ROOT: &str = "root";

/// For how long the page of first steps is open to whoever has signed up.
const ONBOARDING: TimeDelta = TimeDelta::seconds(900);

pub(super) async fn challenge(
    Visitor { app, party, address }: Visitor,
    _: Body<Nothing>,
) -> ApiResult<Json<WebAuthnChallengeResponse>> {
    count(&app.db, CHALLENGES, address).await?;
    app.db
        .transaction(Uuid::nil(), async |mut tx: Tx| {
            let data = ask_for_enrolment(&mut tx, &party).await?;
            tx.commit(&()).await?;
            Ok(Json(WebAuthnChallengeResponse { data }))
        })
        .await
}

/// `POST /signup`.
#[derive(Debug, Request)]
pub(super) struct TenantSignupRequest {
    #[rule(NAME.required())]
    name: String,
    /// Lower-case letters, digits and hyphens.
    #[rule(text(64).trimmed().that(|slug| check_slug(&slug.to_lowercase())).required())]
    slug: String,
    #[rule(text(255).trimmed().that(|email| check_email(email)).required())]
    email: String,
    /// 1 to 5 that were enrolled for this, each with a challenge of its own.
    #[rule(authenticators())]
    authenticators: Authenticators,
}

/// What is sent as the authenticators.
#[derive(Debug, Default)]
struct Authenticators {
    new: Vec<WebAuthnAttestation>,
    /// How many were sent. Beyond the most that there may be, none is looked at.
    count: usize,
    /// Whether one of them is nothing that an authenticator makes.
    is_malformed: bool,
}

const fn authenticators() -> Custom<Authenticators> {
    custom(read_authenticators, || {
        json_schema!({
            "type": "array", "minItems": 1, "maxItems": MOST, "items": schema_of::<WebAuthnAttestation>(),
        })
    })
    .mandatory()
}

fn read_authenticators(fields: &mut Fields<'_>, name: &'static str) -> Authenticators {
    let Some(raw) = fields.raw(name) else { return Authenticators::default() };
    let Some(sent) = elements(raw) else {
        fields.fail(name, INVALID);
        return Authenticators { is_malformed: true, ..Authenticators::default() };
    };
    let mut read = Authenticators { count: sent.len(), ..Authenticators::default() };
    if read.count > MOST {
        return read;
    }
    for (index, one) in sent.into_iter().enumerate() {
        match Object::parse(one).map(|object| WebAuthnAttestation::from_object(&object)) {
            Some(Ok(new)) => read.new.push(new),
            Some(Err(FieldErrors(errors))) => {
                for (field, messages) in errors {
                    read.is_malformed |= field != "friendly_name";
                    for message in messages {
                        fields.fail(&format!("{name}[{index}].{field}"), message);
                    }
                }
            }
            None => {
                read.is_malformed = true;
                fields.fail(&format!("{name}[{index}]"), INVALID);
            }
        }
    }
    read
}

/// A tenant that was created, and what its owner needs to go on.
#[derive(Serialize, JsonSchema)]
pub(super) struct TenantSignupResponse {
    data: NewTenant,
}

#[derive(Serialize, JsonSchema)]
struct NewTenant {
    tenant: Tenant,
    root_authenticators: Vec<Authenticator>,
    api_key: RootKey,
    /// Where the first steps are explained, for 15 minutes.
    redirect_to: String,
}

/// The tenant's first key: the only time that its secret is shown.
#[derive(Serialize, JsonSchema)]
struct RootKey {
    id: Uuid,
    raw_key: String,
    key_prefix: String,
    role: Role,
    name: String,
    expires_at: Option<Timestamp>,
    inserted_at: Timestamp,
}

pub(super) async fn sign_up(
    Visitor { app, party, address }: Visitor,
    body: Body<TenantSignupRequest>,
) -> ApiResult<CreatedSecret<TenantSignupResponse>> {
    count(&app.db, SIGNUPS, address).await?;
    let explained = |error: ApiError| explained(error, &app.public_url);
    let new = checked(&body).map_err(explained)?;
    let tenant_id = Uuid::now_v7();
    let audit_key = AuditKey::new(&app.vault, &tenant_id).map_err(explained)?;
    let until = Utc::now() + ONBOARDING;
    let token = app.vault.issue_token(&onboarding_context(&tenant_id), until)?;
    let signed_up = app.db.transaction(tenant_id, async |tx: Tx| {
        let mut data = create(&app, tx, new, tenant_id, &party, &audit_key).await?;
        data.redirect_to = format!("/tenants/{tenant_id}/onboarding?token={token}");
        Ok(CreatedSecret(TenantSignupResponse { data }))
    });
    signed_up.await.map_err(explained)
}

/// The request, when it is one.
///
/// # Errors
/// 422: which authenticators there are comes first, because without them there is nothing to sign up with.
fn checked(body: &Body<TenantSignupRequest>) -> ApiResult<&TenantSignupRequest> {
    let sent = &body.anyway().authenticators;
    let (code, message) = if sent.count > MOST {
        return Err(too_many());
    } else if sent.count == 0 && !sent.is_malformed {
        (Code::NoAuthenticators, "Enroll at least one authenticator to create a tenant")
    } else if sent.is_malformed {
        (Code::InvalidAttestation, "Invalid attestation: nothing that an authenticator makes")
    } else {
        return body.valid();
    };
    let mut errors = body.errors_of(|_, _| {}).err().unwrap_or_default();
    if sent.count == 0 && !sent.is_malformed {
        errors.add("authenticators", BLANK);
    }
    let error = ApiError::unprocessable(code, message).with("details", json!(errors.0));
    Err(if sent.is_malformed { error.with("reason", code.as_str().into()) } else { error })
}

/// All of it, in one transaction.
async fn create(
    app: &App,
    mut tx: Tx,
    new: &TenantSignupRequest,
    tenant_id: Uuid,
    party: &RelyingParty,
    audit_key: &AuditKey,
) -> ApiResult<NewTenant> {
    let attestations: Vec<_> = new.authenticators.new.iter().map(WebAuthnAttestation::attestation).collect();
    let challenges: Vec<_> = attestations
        .iter()
        .map(|attestation| challenge_of(&attestation.client_data_json).unwrap_or_default())
        .collect();
    let asked_for = tx.all(TAKE_SIGNUP_CHALLENGES, &[&challenges]).await?;
    let mut enrolled = Vec::new();
    for (attestation, challenge) in attestations.iter().zip(&challenges) {
        let state = asked_for.iter().find(|taken| taken.challenge == *challenge);
        let state = state.ok_or_else(|| invalid("its challenge is unknown, used or over"))?;
        let one = party.enrol(attestation, &asked(state.state.as_str())?);
        enrolled.push(one.map_err(|error| invalid(&error.to_string()))?);
    }
    // Each needs one of its own: otherwise one touch would do for several.
    if asked_for.len() < challenges.len() {
        return Err(invalid("two authenticators have the same challenge"));
    }
    let (slug, email) = (new.slug.to_lowercase(), new.email.to_lowercase());
    tx.execute(BEGIN_ENROLLMENT, &[&new.name, &slug, &email, &audit_key.public]).await.map_err(taken)?;
    let mut root_authenticators = Vec::new();
    for (place, (one, sent)) in enrolled.iter().zip(&new.authenticators.new).enumerate() {
        let name = sent.friendly_name.clone().unwrap_or_else(|| fallback_name(place));
        root_authenticators.push(keep(&mut tx, one, &name).await?);
    }
    tx.execute(KEEP_SECRET, &[&Uuid::now_v7(), &audit_key::NAME, &audit_key.sealed]).await?;
    tx.execute(COMPLETE_ENROLLMENT, &[]).await?;
    let tenant = tx.one(SHOW_TENANT, &[]).await?;
    let raw_key = new_raw_key();
    let key = insert_key(&mut tx, &raw_key, ROOT, Role::User, None, None).await?;
    let told = json!({
        "name": new.name, "slug": slug, "email": email, "authenticator_count": enrolled.len(),
        "authenticator_fingerprints": enrolled.iter().map(|one| fingerprint(&one.credential_id)).collect::<Vec<_>>(),
        "audit_signing_public_key": audit_key.told(),
    });
    let events = vec![Event::new("tenant", tenant_id, "tenant_created", told), key.created()];
    app.record(tx, tenant_id, &by_touch(), events).await?;
    let api_key = RootKey {
        id: key.id,
        raw_key,
        key_prefix: key.key_prefix,
        role: key.role,
        name: key.name,
        expires_at: key.expires_at,
        inserted_at: key.inserted_at,
    };
    Ok(NewTenant { tenant, root_authenticators, api_key, redirect_to: String::new() })
}

fn taken(error: DbError) -> ApiError {
    let (field, code, message) = match taken_field(&error) {
        Some("slug") => ("slug", Code::SlugTaken, "That slug is already in use"),
        Some("email") => ("email", Code::EmailTaken, "That email is already associated with a tenant"),
        _ => return error.into(),
    };
    let details = FieldErrors::one(field, message);
    ApiError::unprocessable(code, message).with("details", json!(details.0))
}

/// Says besides what to do about it, of whatever signing up itself refuses.
fn explained(error: ApiError, public_url: &str) -> ApiError {
    let next_action = match error.code() {
        Code::NoAuthenticators => "Enrol an authenticator: a challenge of POST /signup/challenge for each.",
        Code::TooManyAuthenticators => "Send 5 of them; which ones does not matter.",
        Code::SlugTaken => "Choose another slug, and send the rest again as it is.",
        Code::EmailTaken => "Use another address, or the key of the tenant that has it.",
        Code::InvalidAttestation => {
            "Enrol the authenticator anew, with a fresh challenge of POST /signup/challenge."
        }
        Code::ValidationFailed => "Correct the fields in details, and send the rest again as it is.",
        Code::AuditKeyStorageFailed => "Tell whoever runs this server.",
        _ => return error,
    };
    let remediation = json!({
        "description": "Nothing was created.", "next_action": next_action,
        "learn_more": learn_more(public_url, error.code()),
    });
    error.with("remediation", remediation)
}
