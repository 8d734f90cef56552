//! The key that a tenant's log is signed with, as everybody may read it.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};

use super::signed_up;
use crate::identity::impersonation::superadmin;
use crate::support::{Caller, Reply, Tenant, connect, server, text};

async fn key_of(caller: &Caller, tenant_id: &str, accept: &str) -> Reply {
    let path = format!("/tenants/{tenant_id}/audit_public_key");
    caller.send(caller.request(Method::GET, &path).header("accept", accept)).await
}

/// Whether there is a key that asks, and whose, makes no difference.
#[tokio::test]
async fn everybody_reads_it_in_either_form() {
    let ((tenant, _), other, (superadmin, _)) = (signed_up().await, Tenant::new().await, superadmin().await);
    let sql = "select audit_signing_public_key from tenants where id = $1::text::uuid";
    let owner = connect(&server().owner).await;
    let key: Vec<u8> = owner.query_one(sql, &[&tenant.id]).await.unwrap().get(0);
    assert_eq!(
        tenant.audit_log().await[0]["new_state"]["audit_signing_public_key"],
        BASE64_STANDARD.encode(&key)
    );
    // What comes before the key in every SubjectPublicKeyInfo of Ed25519.
    let der = [&hex::decode("302a300506032b6570032100").unwrap()[..], &key].concat();
    let pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der));
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(&key)});
    for caller in [
        &Caller::nobody(),
        &Caller::with_key("lc_unknown"),
        &tenant.user,
        &tenant.agent().await,
        &other.user,
        &superadmin,
    ] {
        for (accept, content_type, body) in [
            ("*/*", "application/x-pem-file", json!(pem)),
            ("application/json", "application/x-pem-file", json!(pem)),
            ("application/jwk+json", "application/jwk+json", jwk.clone()),
        ] {
            let reply = key_of(caller, &tenant.id, accept).await;
            assert_eq!(reply.headers["content-type"], content_type, "{accept}");
            assert_eq!(reply.headers["vary"], "accept");
            assert_eq!(reply.expect(200), body, "{accept}");
        }
    }
}

/// Who has no key, who does not exist, and what is no id at all are not told apart.
#[tokio::test]
async fn without_a_key_nothing_is_found() {
    let nobody = Caller::nobody();
    let tenant = Tenant::new().await;
    let mut seen: Vec<Value> = Vec::new();
    for id in [tenant.id.as_str(), "0190163d-8694-739b-aea5-966c26f8ad91", "not-a-uuid", "me"] {
        for accept in ["*/*", "application/jwk+json"] {
            let reply = key_of(&nobody, id, accept).await;
            let error = reply.expect_error(404, "not_found");
            assert_eq!(text(&error["message"]), "Not found");
            seen.push(error);
        }
    }
    assert!(seen.iter().all(|error| *error == seen[0]));
}
