//! Signing up, and what authenticators prove: the ceremony with a real authenticator, and everything that is none.

mod audit_key;
mod crowds;
pub(crate) mod device;
mod keys;
mod limits;
mod pending;
pub(crate) mod proofs;
mod refused;
pub(crate) mod sessions;

use std::sync::atomic::{AtomicU16, Ordering};

use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::support::{Caller, Reply, Tenant, connect, server, text, unique};
use device::{Device, HOME, Page};

/// An address that nobody else has.
pub(crate) fn address() -> String {
    static COUNTER: AtomicU16 = AtomicU16::new(0);
    let (pid, number) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    format!("2001:{:x}:{:x}:{number:x}::1", pid >> 16, pid & 0xffff)
}

/// Somebody without a key, from an address that nobody else has, behind a proxy on this machine.
pub(crate) fn visitor() -> Caller {
    let mut visitor = Caller::nobody();
    visitor.headers.push(("x-forwarded-for", address()));
    visitor
}

/// A fresh challenge for somebody who signs up.
pub(crate) async fn challenge(visitor: &Caller) -> Value {
    visitor.post("//signup/challenge", json!({})).await.expect(200)["data"]["challenge"].clone()
}

/// A new authenticator that was enrolled for signing up.
pub(crate) async fn enrolled(visitor: &Caller, page: &Page) -> (Device, Value) {
    let mut device = Device::new();
    let enrolled = device.enrol(&challenge(visitor).await, page).await;
    (device, enrolled)
}

/// What is sent to sign up.
pub(crate) fn application(slug: &str, authenticators: &[Value]) -> Value {
    json!({
        "name": " Acme ", "slug": slug, "email": format!("{slug}@Acme.example"), "authenticators": authenticators,
    })
}

/// A tenant that has signed up by itself, and its authenticator.
pub(crate) async fn signed_up() -> (Tenant, Device) {
    let visitor = visitor();
    let (device, enrolled) = enrolled(&visitor, &HOME).await;
    let slug = unique("signup");
    let made = visitor.post("//signup", application(&slug, &[enrolled])).await.expect(201);
    let data = &made["data"];
    let user = Caller::with_key(&text(&data["api_key"]["raw_key"]));
    (Tenant { id: text(&data["tenant"]["id"]), slug, user }, device)
}

/// Nothing is there of who was refused.
async fn leaves_nothing(slug: &str) {
    let sql = "
        select (select count(*) from tenants where slug = $1 or email = $1 || '@acme.example')
             + (select count(*) from audit_log where new_state->>'slug' = $1)";
    let count: i64 = connect(&server().owner).await.query_one(sql, &[&slug]).await.unwrap().get(0);
    assert_eq!(count, 0, "{slug}");
}

/// A refusal, which leaves nothing and says what to do.
async fn refuse(reply: Reply, status: u16, code: &str, slug: &str) -> Value {
    let error = reply.expect_error(status, code);
    assert!(error["remediation"]["next_action"].is_string(), "{error:#}");
    let learn_more = text(&error["remediation"]["learn_more"]);
    assert!(learn_more.ends_with(&format!("/docs/errors#{code}")), "{learn_more}");
    leaves_nothing(slug).await;
    error
}

#[tokio::test]
async fn a_touch_becomes_a_tenant_with_a_key() {
    let visitor = visitor();
    let asked = visitor.post_empty("//signup/challenge").await.expect(200)["data"].clone();
    assert_eq!(device::unb64(&asked["challenge"]).len(), 32);
    let told = json!({
        "challenge": asked["challenge"], "rp_id": "loopctl.test", "rp_name": "loopctl",
        "user_verification": "preferred", "pub_key_cred_params": [-7, -257], "exclude_credentials": [],
        "timeout_ms": 60_000, "expires_at": asked["expires_at"],
    });
    assert_eq!(asked, told);
    let (mut first, mut second) = (Device::new(), Device::new());
    let mut one = first.enrol(&asked["challenge"], &HOME).await;
    one["friendly_name"] = json!("  Primary YubiKey ");
    let two = second.enrol(&challenge(&visitor).await, &Page { attests: false, ..HOME }).await;
    let slug = unique("signup").to_uppercase();
    let mut from_page = visitor.clone();
    from_page.headers.push(("origin", "http://loopctl.test".to_owned()));
    let reply = from_page.post("//signup", application(&slug, &[one, two])).await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    let made = reply.expect(201)["data"].clone();
    let slug = slug.to_lowercase();
    let tenant = &made["tenant"];
    let (id, email) = (text(&tenant["id"]), format!("{slug}@acme.example"));
    let of = ["name", "slug", "email", "status"].map(|name| text(&tenant[name]));
    assert_eq!(of, ["Acme", &slug, &email, "active"]);
    let authenticators = made["root_authenticators"].as_array().unwrap();
    let told: Vec<_> = authenticators
        .iter()
        .map(|one| (text(&one["friendly_name"]), text(&one["attestation_format"])))
        .collect();
    let expected = [("Primary YubiKey", "packed"), ("Backup authenticator 1", "none")];
    assert_eq!(told, expected.map(|(name, format)| (name.to_owned(), format.to_owned())));
    let start = format!("/tenants/{id}/onboarding?token=");
    assert!(text(&made["redirect_to"]).strip_prefix(&start).is_some_and(|token| token.len() > 40));

    // The key works, and is the only one.
    let key = &made["api_key"];
    assert_eq!((text(&key["name"]), text(&key["role"])), ("root".to_owned(), "user".to_owned()));
    let user = Caller::with_key(&text(&key["raw_key"]));
    assert_eq!(user.get("/tenants/me").await.expect(200)["tenant"], *tenant);
    assert_eq!(user.get("/api_keys").await.expect(200)["meta"]["total_count"], 1);

    // The log says so, and by whom.
    let tenant = Tenant { id: id.clone(), slug: slug.clone(), user };
    let log = tenant.audit_log().await;
    let told: Vec<_> =
        log.iter().map(|entry| (text(&entry["entity_type"]), text(&entry["action"]))).collect();
    assert_eq!(
        told,
        [("tenant", "tenant_created"), ("api_key", "created")]
            .map(|(of, what)| (of.to_owned(), what.to_owned()))
    );
    for entry in &log {
        assert_eq!((text(&entry["actor_type"]).as_str(), &entry["actor_id"]), ("human", &Value::Null));
        assert_eq!(entry["actor_label"], "human:webauthn");
    }
    let state = &log[0]["new_state"];
    let fingerprints = [&first, &second].map(|device| {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&device.credential_id);
        hex::encode(&digest[..8])
    });
    assert_eq!(
        *state,
        json!({
            "name": "Acme", "slug": slug, "email": email, "authenticator_count": 2,
            "authenticator_fingerprints": fingerprints,
            "audit_signing_public_key": state["audit_signing_public_key"],
        })
    );

    // What it will be signed with is there, and neither it nor the key's secret is to be read.
    let owner = connect(&server().owner).await;
    let sql = "select t.audit_signing_public_key, s.ciphertext, encode(t.audit_signing_public_key, 'base64')
               from tenants t join tenant_secrets s on s.tenant_id = t.id where t.id = $1::text::uuid";
    let row = owner.query_one(sql, &[&id]).await.unwrap();
    let (public, sealed, told): (Vec<u8>, Vec<u8>, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((public.len(), state["audit_signing_public_key"].as_str().unwrap()), (32, told.as_str()));
    assert!(!sealed.windows(32).any(|part| part == public));
    assert!(UnparsedPublicKey::new(&ED25519, &public).verify(b"", &[0; 64]).is_err());
    assert!(!json!(log).to_string().contains(&text(&key["raw_key"])));
}
