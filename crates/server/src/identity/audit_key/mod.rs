//! The public half of the key that a tenant's log is to be signed with: whoever is to check the log needs it, and nobody has to be asked for it.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519::pkcs8::spki::der::pem::LineEnding;
use ed25519::pkcs8::{EncodePublicKey as _, PublicKeyBytes};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, Endpoint};
use crate::db::statements;
use crate::http::{ApiError, ApiResult, Id, Input, Operation, Output, endpoints};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Tenants";
        /// The public key of the tenant's audit log.
        ///
        /// As PEM, or to whoever accepts `application/jwk+json` as a JSON Web Key. No key is needed to ask.
        GET "/api/v1/tenants/{id}/audit_public_key" => show;
    }
}

statements! {
    /// Whoever has none is not told apart from whoever does not exist.
    AUDIT_PUBLIC_KEY -> Vec<u8> = "
        select audit_signing_public_key from tenants where id = $1 and audit_signing_public_key is not null";
}

const PEM: &str = "application/x-pem-file";
const JWK: &str = "application/jwk+json";

/// In which form a client would like to have it.
enum Accepted {
    Pem,
    Jwk,
}

impl<S: Send + Sync> FromRequestParts<S> for Accepted {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let sent = parts.headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        Ok(Self::of(sent))
    }
}

impl Accepted {
    /// Of the two the one that is named first. Who names neither gets PEM.
    fn of<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let ranges = accept.flat_map(|value| value.split(',')).map(|range| match range.split_once(';') {
            Some((media_type, _)) => media_type.trim(),
            None => range.trim(),
        });
        let mut known =
            ranges.filter(|range| [PEM, JWK].iter().any(|known| range.eq_ignore_ascii_case(known)));
        if known.next().is_some_and(|first| first.eq_ignore_ascii_case(JWK)) { Self::Jwk } else { Self::Pem }
    }
}

impl Input for Accepted {
    fn describe(_: &mut Operation<'_>) {}
}

/// A public key as a JSON Web Key (RFC 8037).
#[derive(Serialize, JsonSchema)]
struct Jwk {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// Its 32 bytes, base64url.
    x: String,
}

/// A public key in the form that was asked for.
enum AuditPublicKey {
    Pem(String),
    Jwk(Jwk),
}

impl AuditPublicKey {
    /// # Errors
    /// When it is none, which the database does not keep.
    fn of(key: &[u8], accepted: &Accepted) -> ApiResult<Self> {
        match accepted {
            Accepted::Jwk => {
                Ok(Self::Jwk(Jwk { kty: "OKP", crv: "Ed25519", x: BASE64_URL_SAFE_NO_PAD.encode(key) }))
            }
            Accepted::Pem => {
                let bytes = key.try_into().map_err(|_| ApiError::internal())?;
                let pem = PublicKeyBytes(bytes).to_public_key_pem(LineEnding::LF);
                Ok(Self::Pem(pem.map_err(|_| ApiError::internal())?))
            }
        }
    }
}

impl IntoResponse for AuditPublicKey {
    fn into_response(self) -> Response {
        let vary = (header::VARY, "accept");
        match self {
            Self::Pem(pem) => ([vary, (header::CONTENT_TYPE, PEM)], pem).into_response(),
            Self::Jwk(jwk) => ([vary, (header::CONTENT_TYPE, JWK)], Json(jwk)).into_response(),
        }
    }
}

impl Output for AuditPublicKey {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer::<String>(200, "An Ed25519 key (SubjectPublicKeyInfo)");
        operation.answer_as(200, PEM);
        operation.answer_also::<Jwk>(200, JWK);
    }
}

async fn show(State(app): State<App>, Id(id): Id, accepted: Accepted) -> ApiResult<AuditPublicKey> {
    let found = app.db.read(id, AUDIT_PUBLIC_KEY.with(&[])).await?;
    let key = found.first().ok_or_else(ApiError::not_found)?;
    AuditPublicKey::of(key, &accepted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8410, appendix A, as other implementations write it.
    #[test]
    fn a_key_is_written_as_others_write_it() {
        let key = hex::decode("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1").unwrap();
        let Ok(AuditPublicKey::Pem(pem)) = AuditPublicKey::of(&key, &Accepted::Pem) else { panic!("a PEM") };
        assert_eq!(
            pem,
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
             -----END PUBLIC KEY-----\n"
        );
        let Ok(AuditPublicKey::Jwk(jwk)) = AuditPublicKey::of(&key, &Accepted::Jwk) else { panic!("a JWK") };
        assert_eq!(jwk.x, "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
        assert!(AuditPublicKey::of(&key[1..], &Accepted::Pem).is_err());
    }

    #[test]
    fn who_names_neither_gets_pem() {
        for (accept, is_jwk) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/html, application/json"], false),
            (&["application/jwk+json"], true),
            (&["text/html;q=0.9, Application/JWK+JSON ;q=0.8, */*"], true),
            (&["text/html", "application/jwk+json"], true),
            (&["application/x-pem-file, application/jwk+json"], false),
            (&["application/jwk+json-seq"], false),
        ] {
            let accepted = Accepted::of(accept.iter().copied());
            assert_eq!(matches!(accepted, Accepted::Jwk), is_jwk, "{accept:?}");
        }
    }
}
