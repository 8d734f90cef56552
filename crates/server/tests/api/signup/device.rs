//! An authenticator without a browser: what it makes, and what somebody makes who would like to have one.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use passkey::authenticator::{Authenticator, MemoryStore, UiHint, UserCheck, UserValidationMethod};
use passkey::crypto::coset::Label;
use passkey::crypto::{AvailableBackend, iana};
use passkey::types::Passkey;
use passkey::types::ctap2::{Aaguid, Ctap2Error, get_assertion, make_credential};
use passkey::types::webauthn::{
    PublicKeyCredentialDescriptor, PublicKeyCredentialParameters, PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use serde_cbor_2::Value as Cbor;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Somebody who touches it, and is known to it.
struct Owner;

#[async_trait::async_trait]
impl UserValidationMethod for Owner {
    type PasskeyItem = Passkey;

    async fn check_user<'a>(
        &self,
        _: UiHint<'a, Passkey>,
        presence: bool,
        verification: bool,
    ) -> Result<UserCheck, Ctap2Error> {
        Ok(UserCheck { presence, verification })
    }

    fn is_presence_enabled(&self) -> bool {
        true
    }

    fn is_verification_enabled(&self) -> Option<bool> {
        Some(true)
    }
}

/// The page that a browser is on, and how its authenticator attests itself.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) origin: &'static str,
    pub(crate) rp_id: &'static str,
    /// What the client says that it does; None for what it does.
    pub(crate) ceremony: Option<&'static str>,
    /// Whether it signs for its own key (`packed`) or says nothing of it (`none`).
    pub(crate) attests: bool,
    /// Whether a page of somebody else shows it in a frame.
    pub(crate) framed: bool,
}

/// That of the server of all tests.
pub(crate) const HOME: Page = Page {
    origin: "http://loopctl.test",
    rp_id: "loopctl.test",
    ceremony: None,
    attests: true,
    framed: false,
};

pub(crate) fn b64(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn unb64(value: &Value) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap()
}

/// An authenticator that counts.
pub(crate) struct Device {
    inner: Authenticator<MemoryStore, Owner, AvailableBackend>,
    pub(crate) credential_id: Vec<u8>,
}

impl Device {
    pub(crate) fn new() -> Self {
        let mut inner = Authenticator::new(Aaguid::new_empty(), MemoryStore::new(), Owner, AvailableBackend);
        inner.set_make_credentials_with_signature_counter(true);
        Self { inner, credential_id: Vec::new() }
    }

    /// Enrols it with a challenge: what a browser sends.
    pub(crate) async fn enrol(&mut self, challenge: &Value, page: &Page) -> Value {
        let client_data = client_data(page.ceremony.unwrap_or("webauthn.create"), challenge, page);
        let hash = Sha256::digest(&client_data);
        let request = make_credential::Request {
            client_data_hash: hash.to_vec().into(),
            rp: make_credential::PublicKeyCredentialRpEntity { id: page.rp_id.to_owned(), name: None },
            user: PublicKeyCredentialUserEntity {
                id: vec![7; 16].into(),
                display_name: "owner".to_owned(),
                name: "owner".to_owned(),
            },
            pub_key_cred_params: vec![PublicKeyCredentialParameters {
                ty: PublicKeyCredentialType::PublicKey,
                alg: iana::Algorithm::ES256,
            }],
            exclude_list: None,
            extensions: None,
            options: make_credential::Options { rk: true, up: true, uv: true },
            pin_auth: None,
            pin_protocol: None,
        };
        let made = self.inner.make_credential(request).await.expect("a credential");
        let auth_data = made.auth_data.to_vec();
        let attested = made.auth_data.attested_credential_data.as_ref().expect("attested data");
        self.credential_id = attested.credential_id().to_vec();
        let (format, statement) = if page.attests {
            let signature = self.sign(&[&auth_data[..], &hash].concat());
            let alg = (Cbor::Text("alg".to_owned()), Cbor::Integer(-7));
            ("packed", vec![alg, (Cbor::Text("sig".to_owned()), Cbor::Bytes(signature))])
        } else {
            ("none", Vec::new())
        };
        json!({
            "credential_id": b64(&self.credential_id),
            "attestation_object": b64(&attestation_object(format, statement, &auth_data)),
            "client_data_json": b64(&client_data),
        })
    }

    /// Signs a challenge, as the answer to one for a proof tells it: what a browser sends.
    pub(crate) async fn prove(&mut self, asked: &Value, page: &Page) -> Value {
        let client_data = client_data(page.ceremony.unwrap_or("webauthn.get"), &asked["challenge"], page);
        let request = get_assertion::Request {
            rp_id: page.rp_id.to_owned(),
            client_data_hash: Sha256::digest(&client_data).to_vec().into(),
            allow_list: Some(vec![PublicKeyCredentialDescriptor {
                ty: PublicKeyCredentialType::PublicKey,
                id: self.credential_id.clone().into(),
                transports: None,
            }]),
            extensions: None,
            options: get_assertion::Options { up: true, uv: true },
            pin_auth: None,
            pin_protocol: None,
        };
        let made = self.inner.get_assertion(request).await.expect("an assertion");
        json!({
            "challenge_id": asked["challenge_id"],
            "credential_id": b64(&self.credential_id),
            "authenticator_data": b64(&made.auth_data.to_vec()),
            "client_data_json": b64(&client_data),
            "signature": b64(&made.signature),
        })
    }

    /// Lets it forget how often it has signed, as a copy would that was made before.
    pub(crate) fn count_from(&mut self, count: u32) {
        let known = self.inner.store_mut().get_mut(&self.credential_id).expect("a credential");
        known.counter = Some(count);
    }

    /// Signs with the private key, which its maker would not let anybody do.
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = &self.inner.store()[&self.credential_id].key;
        let part = |label: i64| {
            let found = key.params.iter().find(|(known, _)| *known == Label::Int(label));
            found.and_then(|(_, value)| value.as_bytes()).expect("a part of the key").clone()
        };
        let public = [&[4][..], &part(-2), &part(-3)].concat();
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &part(-4),
            &public,
            &random,
        );
        pair.unwrap().sign(&random, message).unwrap().as_ref().to_vec()
    }
}

fn client_data(ceremony: &str, challenge: &Value, page: &Page) -> Vec<u8> {
    let data =
        json!({"type": ceremony, "challenge": challenge, "origin": page.origin, "crossOrigin": page.framed});
    data.to_string().into_bytes()
}

fn attestation_object(format: &str, statement: Vec<(Cbor, Cbor)>, auth_data: &[u8]) -> Vec<u8> {
    let text = |text: &str| Cbor::Text(text.to_owned());
    let members = [
        (text("fmt"), text(format)),
        (text("attStmt"), Cbor::Map(statement.into_iter().collect())),
        (text("authData"), Cbor::Bytes(auth_data.to_vec())),
    ];
    serde_cbor_2::to_vec(&Cbor::Map(members.into_iter().collect())).unwrap()
}

/// The same enrolment for another challenge, without another touch: what an authenticator can do that does not attest itself.
pub(crate) fn again(enrolled: &Value, challenge: &Value, page: &Page) -> Value {
    let mut again = enrolled.clone();
    again["client_data_json"] = json!(b64(&client_data("webauthn.create", challenge, page)));
    again
}

/// An enrolment that says nothing of its key, with an id of this length.
pub(crate) fn stretched(enrolled: &Value, length: usize) -> Value {
    let object: Cbor = serde_cbor_2::from_slice(&unb64(&enrolled["attestation_object"])).unwrap();
    let Cbor::Map(members) = object else { panic!("an attestation object") };
    let Some(Cbor::Bytes(data)) = members.get(&Cbor::Text("authData".to_owned())) else { panic!("its data") };
    // The hash of the server, flags, count and the kind of authenticator; then the length of the id, the id, and the key.
    let (head, rest) = data.split_at(53);
    let known = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
    let id = vec![7; length];
    let said = u16::try_from(length).unwrap().to_be_bytes();
    let data = [head, &said, &id, &rest[2 + known..]].concat();
    let mut stretched = enrolled.clone();
    stretched["credential_id"] = json!(b64(&id));
    stretched["attestation_object"] = json!(b64(&attestation_object("none", Vec::new(), &data)));
    stretched
}

/// An enrolment with one bit of a field turned over, `from` its end.
pub(crate) fn forged(enrolled: &Value, field: &str, from: usize) -> Value {
    let mut bytes = unb64(&enrolled[field]);
    let at = bytes.len() - from;
    bytes[at] ^= 1;
    let mut forged = enrolled.clone();
    forged[field] = json!(b64(&bytes));
    forged
}
