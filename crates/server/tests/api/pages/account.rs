//! What whoever has signed in does with the tenant's authenticators and keys.

use serde_json::json;

use super::browser::{Browser, Kind};
use super::{Owner, at_home, home, is_content};
use crate::support::Caller;

/// With the authenticator go its sessions, in whatever browser they are.
#[tokio::test]
async fn removing_an_authenticator_ends_its_sessions_everywhere() {
    let owner = Owner::new(Kind::Platform).await;
    let browser = &owner.browser;
    owner.signs_in().await;
    assert_eq!(browser.text("#enrolled-authenticators button").await, "", "the last one stays");

    // Another one is added: it is enrolled by itself, and one that is known signs for it.
    let path = format!("/tenants/{}/authenticators", owner.tenant_id);
    let second = browser.plug_in(Kind::Roaming).await;
    browser.write("#authenticator-friendly-name", "In the safe").await;
    // Its owner touches the old one first, and then the new one.
    browser.touches(&second, false).await;
    let wait = "const create = navigator.credentials.create.bind(navigator.credentials);
        navigator.credentials.create = (options) =>
            new Promise((go) => (globalThis.touched = go)).then(() => create(options));";
    browser.run(wait).await;
    browser.click("#add-authenticator-btn").await;
    browser.until("return !!globalThis.touched").await;
    browser.touches(&owner.authenticator, false).await;
    browser.touches(&second, true).await;
    browser.run("touched()").await;
    browser.until_seen("#authenticator-2 .remove").await;
    browser.look("account-two").await;
    let list = owner.key.get(&path).await.expect(200);
    assert_eq!(list["data"][1]["friendly_name"], "In the safe");

    // It is signed in with the first one in another browser, too.
    let first = browser.unplug(&owner.authenticator).await;
    let elsewhere = Browser::open(&home()).await;
    elsewhere.plug_in_again(Kind::Platform, &first).await;
    elsewhere.goto("/sign-in").await;
    elsewhere.click("#sign-in-btn").await;
    elsewhere.until_at("/account").await;

    // The first one goes, by a touch of the second.
    browser.click("#authenticator-1 .remove").await;
    browser.until_at("/sign-in").await;
    elsewhere.goto("/account").await;
    assert_eq!(elsewhere.path().await, "/sign-in");
    elsewhere.click("#sign-in-btn").await;
    elsewhere.until_seen("#sign-in-error").await;
    // With the second it is signed in again.
    browser.click("#sign-in-btn").await;
    browser.until_at("/account").await;
    assert_eq!(browser.text("#signed-in-with").await, "In the safe");
    assert_eq!(owner.key.get(&path).await.expect(200)["meta"]["total_count"], 1);
    for (action, count) in [("enrolled", 1), ("revoked", 1)] {
        let seen = owner.recorded("authenticator", action).await;
        assert_eq!((seen.len(), &seen[0]["actor_label"]), (count, &json!("human:webauthn")), "{action}");
    }
    is_content(browser).await;
}

/// Who has lost the first key makes another, by a touch.
#[tokio::test]
async fn a_lost_key_is_made_good() {
    let owner = Owner::new(Kind::Roaming).await;
    let browser = &owner.browser;
    owner.signs_in().await;
    browser.click("#create-key-btn").await;
    browser.until_seen("#key-name-error").await;
    browser.write("#key-name", "laptop").await;
    browser.click("#create-key-btn").await;
    browser.until_seen("#new-key").await;
    browser.look("account-key").await;
    let raw_key = browser.text("#raw-key").await;
    let made = Caller::with_key(&raw_key).at(&at_home().base);
    let me = made.get("/tenants/me").await.expect(200);
    let told = (&me["tenant"]["id"], &me["api_key"]["name"], &me["api_key"]["role"]);
    assert_eq!(told, (&json!(owner.tenant_id), &json!("laptop"), &json!("user")));
    browser.goto("/account").await;
    let all = browser.run("return document.documentElement.outerHTML").await;
    assert!(!all.as_str().unwrap().contains(&raw_key));
    let seen = owner.recorded("api_key", "created").await;
    assert_eq!((&seen[0]["new_state"]["name"], &seen[0]["actor_type"]), (&json!("laptop"), &json!("human")));
    is_content(browser).await;
}
