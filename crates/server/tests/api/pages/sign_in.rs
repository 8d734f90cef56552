//! Signing in with a passkey, and out.

use serde_json::json;

use super::browser::{Browser, Kind};
use super::{Owner, at_home, home, is_content};
use crate::support::connect;

#[tokio::test]
async fn a_passkey_opens_the_account_and_signing_out_closes_it() {
    let owner = Owner::new(Kind::Platform).await;
    let browser = &owner.browser;
    browser.goto("/account").await;
    assert_eq!(browser.path().await, "/sign-in", "signing up signs nobody in");
    browser.look("sign-in").await;
    browser.click("#sign-in-btn").await;
    browser.until_at("/account").await;
    assert_eq!(browser.text("h1").await, owner.tenant);
    assert_eq!(browser.text("#signed-in-with").await, "Primary key");
    browser.look("account").await;
    // No script can read it, and it is for pages of ours alone.
    assert_eq!(browser.run("return document.cookie").await, "");
    let cookies = browser.tool("Network.getCookies", json!({})).await["cookies"].clone();
    let cookie = &cookies[0];
    assert_eq!(cookies.as_array().unwrap().len(), 1);
    assert_eq!((&cookie["httpOnly"], &cookie["sameSite"]), (&json!(true), &json!("Strict")));
    // Who is in already goes on.
    browser.goto("/sign-in").await;
    browser.until_at("/account").await;
    let seen = owner.recorded("session", "signed_in").await;
    assert_eq!((seen.len(), &seen[0]["actor_label"]), (1, &json!("human:webauthn")));

    browser.click("#sign-out-btn").await;
    browser.until_at("/sign-in").await;
    assert_eq!(browser.tool("Network.getCookies", json!({})).await["cookies"], json!([]));
    browser.goto("/account").await;
    assert_eq!(browser.path().await, "/sign-in");
    assert_eq!(owner.recorded("session", "signed_out").await.len(), 1);
    is_content(browser).await;
}

/// A key that stores nothing is found by the tenant's slug.
#[tokio::test]
async fn a_security_key_that_stores_nothing_signs_in_by_the_slug() {
    let owner = Owner::new(Kind::Simple).await;
    let browser = &owner.browser;
    browser.goto("/sign-in").await;
    browser.click("summary").await;
    browser.write("#tenant-slug-input", &format!(" {} ", owner.tenant.to_uppercase())).await;
    browser.look("sign-in-slug").await;
    browser.click("#sign-in-btn").await;
    browser.until_at("/account").await;
    assert_eq!(browser.text("h1").await, owner.tenant);
}

/// With an authenticator that belongs to nobody there is no way in.
#[tokio::test]
async fn strangers_stay_outside() {
    let owner = Owner::new(Kind::Platform).await;
    let stranger = Browser::open(&home()).await;
    stranger.plug_in(Kind::Platform).await;
    stranger.goto("/sign-in").await;
    stranger.click("#sign-in-btn").await;
    stranger.until_seen("#sign-in-error").await;
    assert_eq!(stranger.path().await, "/sign-in");
    // Nor when the tenant is suspended, for those who belong to it.
    let sql = "update tenants set status = 'suspended' where slug = $1";
    connect(&at_home().owner).await.execute(sql, &[&owner.tenant]).await.unwrap();
    owner.browser.goto("/sign-in").await;
    owner.browser.click("#sign-in-btn").await;
    owner.browser.until_seen("#sign-in-error").await;
    assert_eq!(owner.browser.text("#sign-in-error").await, "Access denied");
    owner.browser.look("sign-in-refused").await;
}
