//! What a tenant's audit key is kept with, and by which server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use loopctl_server::operator::reencrypt;
use loopctl_server::secrets::{Keys, Vault, onboarding_context};
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::json;

use super::device::HOME;
use super::{application, enrolled, leaves_nothing, visitor};
use crate::conventions::health::line_to;
use crate::support::{own_database, text, unique};

/// Without a key to encrypt it with there is no tenant; another server, with one, takes what was asked for by the first.
#[tokio::test]
async fn a_key_that_cannot_be_kept_leaves_nothing() {
    let (_line, options) = line_to("loopctl", 2).await;
    let options = ServeOptions { public_url: Some("http://loopctl.test".to_owned()), jobs: false, ..options };
    let keyless = Server::start(&options).await.unwrap();
    let here = visitor();
    let there = here.at(&format!("http://{}", keyless.address));
    let (_, one) = enrolled(&there, &HOME).await;
    let slug = unique("keyless");
    let body = application(&slug, &[one]);
    let error = there.post("//signup", body.clone()).await.expect_error(500, "audit_key_storage_failed");
    assert!(text(&error["message"]).contains("CLOAK_KEY"), "{error}");
    leaves_nothing(&slug).await;
    keyless.stop().await.unwrap();
    here.post("//signup", body).await.expect(201);
}

/// The key of secrets changes, and the audit key goes with it; tokens for the first steps stay good meanwhile.
#[tokio::test]
async fn an_audit_key_is_encrypted_anew_with_the_others() {
    let options = ServeOptions {
        public_url: Some("http://loopctl.test".to_owned()),
        jobs: false,
        ..ServeOptions::local(own_database())
    };
    let server = Server::start(&options).await.unwrap();
    let visitor = visitor().at(&format!("http://{}", server.address));
    let (_, one) = enrolled(&visitor, &HOME).await;
    let made = visitor.post("//signup", application(&unique("keys"), &[one])).await.expect(201);
    let id = text(&made["data"]["tenant"]["id"]).parse().unwrap();
    let token = text(&made["data"]["redirect_to"]).split_once("token=").unwrap().1.to_owned();
    let keys = Keys::parse(Some(&BASE64_STANDARD.encode([9; 32])), None).unwrap();
    let vault = Vault::of(&keys, &options.database, &server.database.owner).await.unwrap();
    let now = chrono::Utc::now();
    let accepts = |token: &str, minutes| {
        vault.accepts_token(&onboarding_context(&id), token, now + chrono::TimeDelta::minutes(minutes))
    };
    assert!(accepts(&token, 0) && accepts(&token, 14) && !accepts(&token, 15));
    let run = async |dry_run| {
        let done = reencrypt(&server.database.owner, &vault, dry_run, |_| {}).await.unwrap();
        (done.current, done.reencrypted, json!(done.failures))
    };
    assert_eq!(run(true).await, (0, 1, json!([])));
    assert_eq!(run(false).await, (0, 1, json!([])));
    assert_eq!(run(false).await, (1, 0, json!([])));
    // Whoever does not have it is told which it is.
    let keys = Keys::parse(Some(&BASE64_STANDARD.encode([8; 32])), None).unwrap();
    let other = Vault::of(&keys, &options.database, &server.database.owner).await.unwrap();
    let lost = reencrypt(&server.database.owner, &other, true, |_| {}).await.unwrap();
    assert_eq!((lost.unreadable, lost.failures[0].name.as_deref()), (1, Some("audit_signing_key")));
    server.stop().await.unwrap();
}
