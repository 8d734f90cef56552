//! The pages, in a real browser with authenticators that are plugged in.

mod account;
mod browser;
mod look;
mod sign_in;
mod signup;
mod site;

use std::sync::OnceLock;

use loopctl_server::serve::ServeOptions;
use serde_json::{Value, json};

use crate::support::{Caller, TestServer, own_database, started, unique};
use browser::{Browser, Kind};

/// A server at an address for which authenticators sign: a name, not a number.
fn at_home() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| started(ServeOptions::local(own_database())))
}

/// The server's address as people name it.
fn home() -> String {
    at_home().base.replace("127.0.0.1", "localhost")
}

/// Lets the browser keep to itself what an authenticator says of itself.
const SILENT: &str = "
    const create = navigator.credentials.create.bind(navigator.credentials);
    navigator.credentials.create = ({publicKey}) => create({publicKey: {...publicKey, attestation: 'none'}});
";

/// Who has a tenant, and sits at a browser.
struct Owner {
    browser: Browser,
    /// The name of their tenant, which is its slug as well.
    tenant: String,
    tenant_id: String,
    /// Their first key.
    key: Caller,
    /// Their authenticator, as the browser knows it.
    authenticator: String,
}

impl Owner {
    /// Signs up with an authenticator of this kind, on the page.
    async fn new(kind: Kind) -> Self {
        Self::with(kind, true).await
    }

    /// As [`Self::new`], with a browser that hands on what the authenticator says of itself, or does not.
    async fn with(kind: Kind, attests: bool) -> Self {
        let browser = Browser::open(&home()).await;
        let authenticator = browser.plug_in(kind).await;
        let tenant = unique("person");
        browser.goto("/signup").await;
        fill_in(&browser, &tenant).await;
        if !attests {
            browser.run(SILENT).await;
        }
        enroll(&browser, "Primary key", 1).await;
        browser.click("#signup-submit-btn").await;
        browser.until_seen("#signup-done").await;
        let key = Caller::with_key(&browser.text("#raw-key").await).at(&at_home().base);
        let me = key.get("/tenants/me").await.expect(200);
        assert_eq!(me["tenant"]["slug"], json!(tenant));
        let tenant_id = crate::support::text(&me["tenant"]["id"]);
        Self { browser, tenant, tenant_id, key, authenticator }
    }

    /// Signs in on the page. It names the tenant, for authenticators that store nothing.
    async fn signs_in(&self) {
        self.browser.goto("/sign-in").await;
        self.browser.click("summary").await;
        self.browser.write("#tenant-slug-input", &self.tenant).await;
        self.browser.click("#sign-in-btn").await;
        self.browser.until_at("/account").await;
    }

    /// What is recorded of something, newest first.
    async fn recorded(&self, entity_type: &str, action: &str) -> Vec<Value> {
        let path = format!("/audit?entity_type={entity_type}&action={action}");
        self.key.get(&path).await.expect(200)["data"].as_array().unwrap().clone()
    }
}

/// Fills in the form of a tenant.
async fn fill_in(browser: &Browser, tenant: &str) {
    browser.write("#tenant-name-input", tenant).await;
    browser.write("#tenant-email-input", &format!("{tenant}@acme.example")).await;
}

/// Enrols what is plugged in, which is then the `n`th.
async fn enroll(browser: &Browser, name: &str, n: usize) {
    browser.write("#authenticator-friendly-name", name).await;
    browser.click("#enroll-authenticator-btn").await;
    browser.until_seen(&format!("#authenticator-{n}")).await;
}

/// The browser has found nothing that our own policy forbids, nor an error in a script.
async fn is_content(browser: &Browser) {
    let complaints = browser.complaints().await;
    let of_scripts: Vec<_> = complaints
        .as_array()
        .unwrap()
        .iter()
        // It notes every answer that is a refusal, whatever the page makes of it.
        .filter(|entry| entry["source"] != "network")
        .collect();
    assert!(of_scripts.is_empty(), "{of_scripts:#?}");
}
