//! Proofs that a tenant's owner is there (`webauthn_assertion`), for what a key alone may not do.

use axum::http::StatusCode;
use loopctl_core::code::Code;
use loopctl_core::fields::Fields;
use loopctl_core::json::Object;
use loopctl_core::request::{Custom, Request, custom, schema_of, uuid};
use schemars::json_schema;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::AuthenticationState;

use super::binary::{self, binary};
use super::ceremony::{Proof, RelyingParty};
use super::store::{
    LOCK_AUTHENTICATOR, NOTE_USE, TAKE_CHALLENGE_BY_ID, TAKE_SIGN_IN_CHALLENGE, TakenChallenge,
};
use crate::db::{Sql, Tx};
use crate::http::{ApiError, ApiResult, learn_more};

/// What an authenticator has signed, and what it was asked for by.
#[derive(Debug, Request)]
pub(crate) struct Assertion {
    /// Of the challenge that was signed.
    #[rule(uuid())]
    challenge_id: Option<Uuid>,
    #[rule(binary())]
    credential_id: Vec<u8>,
    #[rule(binary())]
    authenticator_data: Vec<u8>,
    #[rule(binary())]
    client_data_json: Vec<u8>,
    #[rule(binary())]
    signature: Vec<u8>,
}

/// A proof as it was sent.
#[derive(Debug)]
pub(crate) enum Sent {
    /// Not at all.
    Nothing,
    /// Something that cannot be one: older clients send any text.
    Unreadable,
    /// One to be looked at.
    Assertion(Box<Assertion>),
}

/// An object, or the base64 of its JSON.
pub(crate) const fn assertion() -> Custom<Sent> {
    custom(read, || {
        json_schema!({
            "description": "What an authenticator signed: an object, or the base64 of its JSON",
            "anyOf": [schema_of::<Assertion>(), {"type": "string"}],
        })
    })
}

fn read(fields: &mut Fields<'_>, name: &'static str) -> Sent {
    let Some(raw) = fields.raw(name) else { return Sent::Nothing };
    let parsed = match fields.value(name) {
        Some(Value::String(text)) if text.trim().is_empty() => return Sent::Nothing,
        Some(Value::String(text)) => {
            let json = binary::decode(&text).and_then(|bytes| String::from_utf8(bytes).ok());
            let raw = json.and_then(|json| RawValue::from_string(json).ok());
            raw.as_deref().and_then(parse)
        }
        _ => parse(raw),
    };
    parsed.map_or(Sent::Unreadable, |assertion| Sent::Assertion(Box::new(assertion)))
}

fn parse(raw: &RawValue) -> Option<Assertion> {
    Assertion::from_object(&Object::parse(raw)?).ok()
}

impl Sent {
    /// What an authenticator signed.
    ///
    /// # Errors
    /// 401 without, or when it cannot be read.
    fn assertion(&self, public_url: &str) -> ApiResult<&Assertion> {
        match self {
            Self::Nothing => Err(required(public_url)),
            Self::Unreadable => Err(failed(public_url, "it cannot be read")),
            Self::Assertion(assertion) => Ok(assertion),
        }
    }

    /// Of whom it says that they signed, which is not looked at yet.
    ///
    /// # Errors
    /// As for a proof without.
    pub(crate) fn credential_id(&self, public_url: &str) -> ApiResult<&[u8]> {
        Ok(&self.assertion(public_url)?.credential_id)
    }
}

/// Holds a proof against what the tenant's authenticators can sign, and uses it up with the transaction: one touch allows one
/// change. A change that is refused takes nothing, so it may be tried again with the same proof as long as the challenge lasts.
/// Yields which authenticator has signed.
///
/// # Errors
/// 401 `webauthn_required` without one, 401 `webauthn_failed` for any other than the right one.
pub(crate) async fn verify(tx: &mut Tx, public_url: &str, sent: &Sent) -> ApiResult<Uuid> {
    verify_asked(tx, TAKE_CHALLENGE_BY_ID, public_url, sent).await
}

/// As [`verify`], of a proof that was asked for by whoever signs in.
///
/// # Errors
/// As there.
pub(crate) async fn verify_sign_in(tx: &mut Tx, public_url: &str, sent: &Sent) -> ApiResult<Uuid> {
    verify_asked(tx, TAKE_SIGN_IN_CHALLENGE, public_url, sent).await
}

async fn verify_asked(
    tx: &mut Tx,
    take: Sql<TakenChallenge>,
    public_url: &str,
    sent: &Sent,
) -> ApiResult<Uuid> {
    let assertion = sent.assertion(public_url)?;
    let party = RelyingParty::of(public_url)?;
    let challenge_id = assertion.challenge_id.unwrap_or_default();
    let taken = tx.optional(take, &[&challenge_id]).await?;
    let Some(taken) = taken else {
        return Err(failed(public_url, "its challenge is unknown, used or over"));
    };
    let state: AuthenticationState = serde_json::from_str(taken.state.as_str()).map_err(|error| {
        tracing::error!(%error, "a challenge cannot be read");
        ApiError::internal()
    })?;
    let known = tx.optional(LOCK_AUTHENTICATOR, &[&assertion.credential_id]).await?;
    let Some(known) = known else {
        return Err(failed(public_url, "its authenticator is none of this tenant's"));
    };
    let proof = Proof {
        credential_id: assertion.credential_id.clone(),
        authenticator_data: assertion.authenticator_data.clone(),
        client_data_json: assertion.client_data_json.clone(),
        signature: assertion.signature.clone(),
    };
    let sign_count = party.check_proof(&proof, &state, &known).map_err(|error| {
        if matches!(error, WebauthnError::CredentialPossibleCompromise) {
            tracing::warn!(authenticator = %known.id, "an authenticator counts backwards: there may be a copy of it");
        }
        failed(public_url, reason(&error))
    })?;
    tx.execute(NOTE_USE, &[&known.id, &i64::from(sign_count)]).await?;
    Ok(known.id)
}

/// What is said of a failure. Whatever else is wrong is not what the authenticator of a person makes.
const fn reason(error: &WebauthnError) -> &'static str {
    match error {
        WebauthnError::CredentialPossibleCompromise => {
            "its authenticator has signed fewer times than before: there may be a copy of it"
        }
        WebauthnError::InvalidRPOrigin => "it was made for another origin",
        WebauthnError::InvalidRPIDHash => "it was made for another relying party",
        WebauthnError::MismatchedChallenge => "it was made for another challenge",
        WebauthnError::UserNotPresent => "nobody has touched the authenticator",
        WebauthnError::UserNotVerified => {
            "the authenticator has not verified its user, as it did when it was enrolled"
        }
        _ => "its signature does not fit",
    }
}

fn required(public_url: &str) -> ApiError {
    let message = "A WebAuthn assertion is required: send webauthn_assertion";
    told(ApiError::new(StatusCode::UNAUTHORIZED, Code::WebauthnRequired, message), public_url)
}

/// 401: not the right one, and why.
pub(crate) fn failed(public_url: &str, why: &str) -> ApiError {
    let message = format!("The WebAuthn assertion was not accepted: {why}");
    told(ApiError::new(StatusCode::UNAUTHORIZED, Code::WebauthnFailed, message), public_url)
}

fn told(error: ApiError, public_url: &str) -> ApiError {
    let learn_more = learn_more(public_url, error.code());
    error.with(
        "remediation",
        serde_json::json!({
            "description": "This needs one of the tenant's authenticators.",
            "next_action": "Ask POST /tenants/:id/webauthn/challenge for a challenge, or POST /sign-in/challenge to sign in; let an \
                            authenticator sign it, and send what it made as webauthn_assertion.",
            "learn_more": learn_more,
        }),
    )
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;

    use super::*;

    fn sent(json: &str) -> Sent {
        let raw = RawValue::from_string(format!("{{\"webauthn_assertion\": {json}}}")).unwrap();
        let object = Object::parse(&raw).unwrap();
        read(&mut Fields::new(&object), "webauthn_assertion")
    }

    #[test]
    fn a_proof_is_an_object_or_its_base64_and_nothing_else() {
        let object = r#"{"challenge_id": "0190f5ad-0000-7000-8000-000000000000", "credential_id": "AA", "authenticator_data": "AA",
                         "client_data_json": "AA", "signature": "AA"}"#;
        assert!(matches!(sent(object), Sent::Assertion(_)));
        let text = format!("\"{}\"", BASE64_STANDARD.encode(object));
        assert!(matches!(sent(&text), Sent::Assertion(_)));
        for nothing in ["null", "\"\"", "\" \""] {
            assert!(matches!(sent(nothing), Sent::Nothing), "{nothing}");
        }
        for unreadable in ["\"touched\"", "7", "[]", "{}", "true", "\"e30=\""] {
            assert!(matches!(sent(unreadable), Sent::Unreadable), "{unreadable}");
        }
    }
}
