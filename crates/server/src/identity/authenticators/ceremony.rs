//! WebAuthn as the library does it: what is asked for, and whether what comes back is an answer to that.

use std::time::Duration;

use serde::Deserialize;
use url::Url;
use uuid::Uuid;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::internals::AuthenticatorData;
use webauthn_rs_core::proto::{
    AttestationConveyancePreference, AttestationFormat, AuthenticationState,
    AuthenticatorAssertionResponseRaw, AuthenticatorAttestationResponseRaw, COSEAlgorithm, COSEKey,
    Credential, ParsedAttestation, PublicKeyCredential, RegisterPublicKeyCredential, RegisteredExtensions,
    Registration, RegistrationState, UserVerificationPolicy,
};

use super::store::StoredAuthenticator;
use crate::http::{ApiError, ApiResult, origin_of};

/// What browsers show.
pub(crate) const NAME: &str = "loopctl";
/// Whether authenticators are to know their user.
pub(crate) const USER_VERIFICATION: &str = "preferred";
/// How long a browser waits for its user.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// The kinds of keys that are taken.
const ALGORITHMS: [COSEAlgorithm; 2] = [COSEAlgorithm::ES256, COSEAlgorithm::RS256];
/// The only kind of credential that there is.
const PUBLIC_KEY: &str = "public-key";

/// Those of [`ALGORITHMS`], by their numbers.
pub(crate) fn algorithms() -> Vec<i64> {
    ALGORITHMS.iter().map(|algorithm| *algorithm as i64).collect()
}

/// Whom authenticators sign for: this server, as clients reach it.
pub(crate) struct RelyingParty {
    core: WebauthnCore,
    /// The name of the host.
    pub(crate) id: String,
    /// Where its pages are from, as browsers name it.
    origin: String,
}

/// The longest id of a credential, by the standard; and the longest public key that is kept.
const LONGEST: (usize, usize) = (1023, 8192);

/// What an authenticator made when it was enrolled.
pub(crate) struct Attestation {
    pub(crate) credential_id: Vec<u8>,
    pub(crate) attestation_object: Vec<u8>,
    pub(crate) client_data_json: Vec<u8>,
}

/// What an authenticator made to prove that it is there.
pub(crate) struct Proof {
    pub(crate) credential_id: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) client_data_json: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// What is known of an authenticator that was enrolled.
pub(crate) struct Enrolled {
    pub(crate) credential_id: Vec<u8>,
    /// COSE.
    pub(crate) public_key: Vec<u8>,
    pub(crate) attestation_format: &'static str,
    pub(crate) sign_count: u32,
    pub(crate) user_verified: bool,
    pub(crate) backup_eligible: bool,
}

impl RelyingParty {
    /// That of a server's public URL.
    ///
    /// # Errors
    /// 503 when authenticators do not sign for such a host.
    pub(crate) fn of(public_url: &str) -> ApiResult<Self> {
        let url = Url::parse(public_url).ok();
        let host = url.as_ref().and_then(Url::domain).map(str::to_owned);
        let (Some(url), Some(id)) = (url, host) else { return Err(ApiError::no_relying_party()) };
        let origins = vec![url];
        let core =
            WebauthnCore::new_unsafe_experts_only(NAME, &id, origins, TIMEOUT, Some(false), Some(false));
        Ok(Self { core, id, origin: origin_of(public_url)? })
    }

    /// A new challenge for the enrolment of an authenticator, and what is to be kept until then.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub(super) fn begin_enrolment(&self) -> Result<(Vec<u8>, RegistrationState), WebauthnError> {
        // Whose it will be is not known yet, and the library passes it on only to a form of the options that is not ours.
        let builder = self.core.new_challenge_register_builder(Uuid::now_v7().as_bytes(), NAME, NAME)?;
        let builder = builder
            .attestation(AttestationConveyancePreference::Direct)
            .user_verification_policy(UserVerificationPolicy::Preferred)
            .credential_algorithms(ALGORITHMS.to_vec());
        let (asked, state) = self.core.generate_challenge_register(builder)?;
        Ok((asked.public_key.challenge, state))
    }

    /// Whether an authenticator was enrolled as was asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn enrol(
        &self,
        sent: &Attestation,
        state: &RegistrationState,
    ) -> Result<Enrolled, WebauthnError> {
        let response = RegisterPublicKeyCredential {
            id: String::new(),
            raw_id: sent.credential_id.clone(),
            response: AuthenticatorAttestationResponseRaw {
                attestation_object: sent.attestation_object.clone(),
                client_data_json: sent.client_data_json.clone(),
                transports: None,
            },
            type_: PUBLIC_KEY.to_owned(),
            extensions: Default::default(),
        };
        self.is_of_our_page(&sent.client_data_json)?;
        let credential = self.core.register_credential(&response, state, None)?;
        // The library goes by what was attested, and looks at nothing else.
        if credential.cred_id != sent.credential_id {
            return Err(WebauthnError::CredentialNotFound);
        }
        let public_key = cose_key(&sent.attestation_object)?;
        if credential.cred_id.len() > LONGEST.0 || public_key.len() > LONGEST.1 {
            return Err(WebauthnError::CredentialNotFound);
        }
        Ok(Enrolled {
            public_key,
            attestation_format: format_name(&credential.attestation_format),
            sign_count: credential.counter,
            user_verified: credential.user_verified,
            backup_eligible: credential.backup_eligible,
            credential_id: credential.cred_id,
        })
    }

    /// Whether the browser says that it was on a page of ours, and on no page of others that shows one of ours. The library is content
    /// with less.
    fn is_of_our_page(&self, client_data_json: &[u8]) -> Result<(), WebauthnError> {
        let data: ClientData =
            serde_json::from_slice(client_data_json).map_err(WebauthnError::ParseJSONFailure)?;
        if data.origin == self.origin && !data.cross_origin.unwrap_or_default() {
            return Ok(());
        }
        Err(WebauthnError::InvalidRPOrigin)
    }

    /// A new challenge for a proof, and what is to be kept until then.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub(super) fn begin_proof(&self) -> Result<(Vec<u8>, AuthenticationState), WebauthnError> {
        // Which authenticators there are is looked up when one of them has signed.
        let policy = Some(UserVerificationPolicy::Preferred);
        let builder = self.core.new_challenge_authenticate_builder(Vec::new(), policy)?;
        let (asked, state) = self.core.generate_challenge_authenticate(builder)?;
        Ok((asked.public_key.challenge, state))
    }

    /// Whether an authenticator has signed what was asked for: how often it says that it has signed, by now.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check_proof(
        &self,
        sent: &Proof,
        state: &AuthenticationState,
        known: &StoredAuthenticator,
    ) -> Result<u32, WebauthnError> {
        let response = PublicKeyCredential {
            id: String::new(),
            raw_id: sent.credential_id.clone(),
            response: AuthenticatorAssertionResponseRaw {
                authenticator_data: sent.authenticator_data.clone(),
                client_data_json: sent.client_data_json.clone(),
                signature: sent.signature.clone(),
                user_handle: None,
            },
            extensions: Default::default(),
            type_: PUBLIC_KEY.to_owned(),
        };
        self.is_of_our_page(&sent.client_data_json)?;
        let result = self.core.authenticate_single_credential(&response, state, &credential(known)?)?;
        Ok(result.counter())
    }
}

/// What a browser says of what it did.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    challenge: String,
    origin: String,
    cross_origin: Option<bool>,
}

/// The challenge that a client says it was given, by which it is looked up.
pub(crate) fn challenge_of(client_data_json: &[u8]) -> Option<Vec<u8>> {
    let data: ClientData = serde_json::from_slice(client_data_json).ok()?;
    super::binary::decode(&data.challenge)
}

/// The public key in an attestation, as bytes; the library has it only as a value of its own.
fn cose_key(attestation_object: &[u8]) -> Result<Vec<u8>, WebauthnError> {
    #[derive(Deserialize)]
    struct AttestationObject<'a> {
        #[serde(rename = "authData")]
        auth_data: &'a [u8],
    }
    let object: AttestationObject<'_> =
        serde_cbor_2::from_slice(attestation_object).map_err(WebauthnError::ParseCBORFailure)?;
    let data = AuthenticatorData::<Registration>::try_from(object.auth_data)?;
    let attested = data.acd.ok_or(WebauthnError::MissingAttestationCredentialData)?;
    serde_cbor_2::to_vec(&attested.credential_pk).map_err(WebauthnError::ParseCBORFailure)
}

/// An authenticator as the library knows it.
fn credential(known: &StoredAuthenticator) -> Result<Credential, WebauthnError> {
    let key: serde_cbor_2::Value =
        serde_cbor_2::from_slice(&known.public_key).map_err(WebauthnError::ParseCBORFailure)?;
    Ok(Credential {
        cred_id: known.credential_id.clone(),
        cred: COSEKey::try_from(&key)?,
        counter: u32::try_from(known.sign_count).unwrap_or(u32::MAX),
        transports: None,
        user_verified: known.user_verified,
        backup_eligible: known.backup_eligible,
        // Only told whether it differs.
        backup_state: false,
        registration_policy: UserVerificationPolicy::Preferred,
        extensions: RegisteredExtensions::none(),
        attestation: ParsedAttestation::default(),
        attestation_format: AttestationFormat::None,
    })
}

/// The registered name of a format.
const fn format_name(format: &AttestationFormat) -> &'static str {
    match format {
        AttestationFormat::Packed => "packed",
        AttestationFormat::Tpm => "tpm",
        AttestationFormat::AndroidKey => "android-key",
        AttestationFormat::AndroidSafetyNet => "android-safetynet",
        AttestationFormat::FIDOU2F => "fido-u2f",
        AttestationFormat::AppleAnonymous => "apple",
        AttestationFormat::None => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_signed_for_is_the_host_of_the_public_url() {
        for (url, id) in [
            ("http://localhost:4000", "localhost"),
            ("https://loopctl.example.com", "loopctl.example.com"),
            ("https://Loop.example:443/below", "loop.example"),
        ] {
            assert_eq!(RelyingParty::of(url).unwrap_or_else(|_| panic!("{url}")).id, id);
        }
        // Of an address authenticators know nothing.
        for url in ["http://127.0.0.1:4000", "http://[::1]", "nonsense"] {
            assert!(RelyingParty::of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn challenges_are_long_and_never_the_same() {
        let party = RelyingParty::of("http://localhost").unwrap_or_else(|_| panic!());
        let [one, two] = [(), ()].map(|()| party.begin_enrolment().unwrap().0);
        let (three, _) = party.begin_proof().unwrap();
        assert!(one.len() == 32 && three.len() == 32 && one != two && one != three);
        assert_eq!(algorithms(), [-7, -257]);
    }
}
