//! The authenticators (WebAuthn) with which a tenant's owner proves to be there, and what they are asked to sign.
//!
//! A credential is one tenant's alone: by it is known who signs in. People with several tenants enrol one and the same device in each,
//! and it makes another credential for each.

mod api;
mod binary;
mod ceremony;
mod challenges;
mod proof;
mod store;

use crate::app::Endpoint;
use crate::http::endpoints;

pub(crate) use api::{
    MOST, ProofChallengeResponse, WebAuthnAttestation, WebAuthnChallengeResponse, by_touch, fallback_name,
    fingerprint, invalid, keep, too_many,
};
pub(crate) use ceremony::{RelyingParty, challenge_of};
pub(crate) use challenges::{ask_for_enrolment, ask_for_sign_in, asked};
pub(crate) use proof::{Sent, assertion, failed, verify, verify_sign_in};
pub(crate) use store::{Authenticator, COUNT_AUTHENTICATORS, STATEMENTS, TakenChallenge};

/// The routes of this resource.
pub(crate) fn routes() -> Vec<Endpoint> {
    endpoints! { "Tenants";
        /// The tenant's authenticators, in the order in which they were enrolled.
        GET "/api/v1/tenants/{tenant_id}/authenticators" => api::list;
        /// A challenge to enrol a further authenticator with.
        ///
        /// For one enrolment, within 5 minutes.
        POST "/api/v1/tenants/{tenant_id}/authenticators/challenge" => api::enrolment_challenge;
        /// Enrols a further authenticator.
        ///
        /// Needs an assertion of one that the tenant has; only its first one, where an operator has made the tenant, does not.
        POST "/api/v1/tenants/{tenant_id}/authenticators" => api::add,
            401 WebauthnRequired "the assertion of an authenticator is missing",
            401 WebauthnFailed "the assertion is not one of this tenant's, or was used before",
            422 InvalidAttestation "the authenticator did not sign this, or not for this challenge",
            422 TooManyAuthenticators "there are 5 already";
        /// Revokes an authenticator, which is never the last one.
        ///
        /// Needs an assertion of one that the tenant has.
        DELETE "/api/v1/tenants/{tenant_id}/authenticators/{id}" => api::revoke,
            401 WebauthnRequired "the assertion of an authenticator is missing",
            401 WebauthnFailed "the assertion is not one of this tenant's, or was used before",
            409 LastAuthenticator "it is the tenant's last one";
        /// A challenge for an authenticator of the tenant to sign.
        ///
        /// For one assertion, within 5 minutes.
        POST "/api/v1/tenants/{tenant_id}/webauthn/challenge" => api::challenge;
    }
}
