//! Signing up.

use serde_json::json;

use super::browser::{Browser, Kind};
use super::{Owner, at_home, enroll, fill_in, home, is_content};
use crate::support::{Caller, connect, text, unique};

/// From an empty page to a first call with the key, and through the first steps.
#[tokio::test]
async fn a_person_signs_up_and_takes_the_first_steps() {
    let browser = Browser::open(&home()).await;
    browser.plug_in(Kind::Platform).await;
    browser.goto("/signup").await;
    assert_eq!(browser.run("return document.title").await, "Create a tenant · loopctl");
    assert_eq!(browser.run("return document.getElementById('signup-submit-btn').disabled").await, true);
    let learn_more = browser.run("return document.getElementById('signup-learn-more').pathname").await;
    assert_eq!(learn_more, "/wiki/tenant-signup");
    browser.look("signup").await;

    // An authenticator needs a name before it is enrolled.
    browser.click("#enroll-authenticator-btn").await;
    browser.until_seen("#authenticator-friendly-name-error").await;
    let tenant = unique("person");
    fill_in(&browser, &tenant).await;
    assert_eq!(browser.run("return document.getElementById('tenant-slug-input').value").await, tenant);
    enroll(&browser, "Laptop", 1).await;
    // The same one again is none.
    browser.write("#authenticator-friendly-name", "Laptop again").await;
    browser.click("#enroll-authenticator-btn").await;
    browser.until_seen("#signup-error").await;
    assert!(browser.text("#signup-error").await.contains("enrolled already"));
    browser.look("signup-enrolled").await;
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#signup-done").await;
    browser.look("signup-done").await;

    // The key that is shown is good for a first call.
    let raw_key = browser.text("#raw-key").await;
    let user = Caller::with_key(&raw_key).at(&at_home().base);
    let me = user.get("/tenants/me").await.expect(200);
    assert_eq!((&me["tenant"]["name"], &me["tenant"]["status"]), (&json!(tenant), &json!("active")));

    browser.click("#onboarding-link").await;
    browser.until_seen("#onboarding-steps").await;
    let id = text(&me["tenant"]["id"]);
    assert_eq!(browser.path().await, format!("/tenants/{id}/onboarding"));
    assert_eq!(browser.text("h1").await, format!("Welcome, {tenant}"));
    assert_eq!(browser.text("#tenant-id").await, id);
    let steps = "return [...document.querySelectorAll('[data-step]')].map((one) => [one.dataset.step, one.matches('.done')])";
    let told = browser.run(steps).await;
    let expected = ["audit_key", "system_article_tour", "first_project", "first_agent"];
    assert_eq!(told, json!(expected.map(|step| (step, step == "audit_key"))));
    let all = browser.run("return document.documentElement.outerHTML").await;
    assert!(!text(&all).contains(&raw_key), "a key is shown once");
    browser.look("onboarding").await;

    // What is done is seen.
    user.post("/projects", json!({"name": "First", "slug": "first"})).await.expect(201);
    let read = json!({"settings": {"onboarding": {"completed": ["system_article_tour"]}}});
    user.patch("/tenants/me", read).await.expect(200);
    browser.run("location.reload()").await;
    browser.until("return document.querySelectorAll('.done').length === 3").await;
    is_content(&browser).await;
}

/// What authenticators say of themselves is looked at, whatever kind they are, and so is one whose browser says nothing of it.
#[tokio::test]
async fn all_kinds_of_authenticators_are_enrolled() {
    for (kind, attests, format) in [
        (Kind::Platform, true, "packed"),
        (Kind::Platform, false, "none"),
        (Kind::Roaming, true, "packed"),
        (Kind::Roaming, false, "none"),
        (Kind::Simple, true, "fido-u2f"),
        (Kind::Simple, false, "none"),
    ] {
        let owner = Owner::with(kind, attests).await;
        let path = format!("/tenants/{}/authenticators", owner.tenant_id);
        let list = owner.key.get(&path).await.expect(200);
        let one = &list["data"][0];
        let told = [&one["attestation_format"], &one["friendly_name"]].map(text);
        assert_eq!(told, [format, "Primary key"], "{kind:?}");
        owner.signs_in().await;
    }
}

/// What is refused is said where it is wrong, and nothing is lost of what was written.
#[tokio::test]
async fn refusals_are_shown_at_their_fields() {
    let owner = Owner::new(Kind::Roaming).await;
    let browser = Browser::open(&home()).await;
    browser.plug_in(Kind::Platform).await;
    browser.goto("/signup").await;
    let tenant = unique("person");
    fill_in(&browser, &tenant).await;
    browser.write("#tenant-slug-input", &owner.tenant.to_uppercase()).await;
    enroll(&browser, "One", 1).await;
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#tenant-slug-error").await;
    assert_eq!(browser.text("#tenant-slug-error").await, "That slug is already in use");
    browser.look("signup-refused").await;
    // The name is no longer made into a slug, because somebody has written one.
    browser.write("#tenant-name-input", "").await;
    browser.write("#tenant-slug-input", "-").await;
    browser.write("#tenant-email-input", "nobody").await;
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#tenant-email-error").await;
    for field in ["name", "slug", "email"] {
        assert!(!browser.text(&format!("#tenant-{field}-error")).await.is_empty(), "{field}");
    }
    // The authenticator is as good as before.
    browser.write("#tenant-name-input", &tenant).await;
    browser.write("#tenant-slug-input", &tenant).await;
    browser.write("#tenant-email-input", &format!("{tenant}@acme.example")).await;
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#signup-done").await;
    is_content(&browser).await;
}

/// A challenge that is over makes an authenticator good for nothing, which is said, and what to do.
#[tokio::test]
async fn what_took_too_long_is_begun_anew() {
    let browser = Browser::open(&home()).await;
    browser.plug_in(Kind::Platform).await;
    browser.goto("/signup").await;
    let tenant = unique("person");
    fill_in(&browser, &tenant).await;
    enroll(&browser, "One", 1).await;
    // Only this browser's challenges, of all that tests have asked for.
    browser.run("navigator.credentials.create = ((create) => (options) => (globalThis.asked = options, create.call(navigator.credentials, options)))(navigator.credentials.create)").await;
    browser.click("#authenticator-1 button").await;
    enroll(&browser, "Again", 1).await;
    let challenge = browser.run("return btoa(String.fromCharCode(...asked.publicKey.challenge))").await;
    let sql = "update webauthn_challenges set expires_at = now() where challenge = decode($1, 'base64')";
    let changed = connect(&at_home().owner).await.execute(sql, &[&text(&challenge)]).await.unwrap();
    assert_eq!(changed, 1);
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#signup-error").await;
    assert!(browser.text("#signup-error").await.contains("enroll your authenticators again"));
    assert_eq!(browser.run("return document.getElementById('signup-submit-btn').disabled").await, true);
    enroll(&browser, "Afresh", 1).await;
    browser.click("#signup-submit-btn").await;
    browser.until_seen("#signup-done").await;
}

/// At another name than that of the server no authenticator signs, so the page leads to the right one.
#[tokio::test]
async fn at_another_name_the_page_says_where_to_go() {
    let browser = Browser::open(&at_home().base).await;
    browser.goto("/signup").await;
    browser.until_seen("#signup-error").await;
    assert!(browser.text("#signup-error").await.contains(&format!("{}/signup", home())));
    assert_eq!(
        browser.run("return document.getElementById('enroll-authenticator-btn').disabled").await,
        true
    );
}
