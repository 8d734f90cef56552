//! Where a webhook may lead: a server that is told nothing lets none lead to itself or its network.

use loopctl_server::serve::{ServeOptions, Server};
use serde_json::json;

use crate::support::{Tenant, own_database};

const PRIVATE: &str = "must not target a private or loopback address";

#[tokio::test]
async fn no_webhook_leads_into_a_private_network_that_is_not_allowed() {
    let server = Server::start(&ServeOptions::local(own_database())).await.unwrap();
    let base = format!("http://{}", server.address);
    let tenant = Tenant::at(&server.database.owner, &base).await;
    for (url, message) in [
        ("not-a-url", "must use HTTPS or HTTP scheme"),
        ("ftp://x/", "must use HTTPS or HTTP scheme"),
        ("https://", "must have a valid host"),
        ("https://user:secret@hooks.example/", "must not contain credentials"),
        ("https://localhost/", PRIVATE),
        ("https://hooks/", PRIVATE),
        ("https://db.internal/", PRIVATE),
        ("http://127.0.0.1/", PRIVATE),
        ("http://[::1]/", PRIVATE),
        ("http://2130706433/", PRIVATE),
        ("http://0x7f.1/", PRIVATE),
        ("http://[::ffff:10.0.0.1]/", PRIVATE),
        ("http://169.254.169.254/", PRIVATE),
    ] {
        let body = json!({"url": url, "events": ["story.verified"]});
        let error = tenant.user.post("/webhooks", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"], json!({"url": [message]}), "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let long = format!("https://hooks.example/{}", "x".repeat(2048));
    let error = tenant.user.post("/webhooks", json!({"url": long, "events": ["story.verified"]})).await;
    assert_eq!(error.expect(422)["error"]["details"]["url"], json!(["should be at most 2048 character(s)"]));
    let body = json!({"url": "https://10.example.com/hook", "events": ["story.verified"]});
    let webhook = tenant.user.post("/webhooks", body).await.expect(201);
    let path = format!("/webhooks/{}", webhook["webhook"]["id"].as_str().unwrap());
    let moved = tenant.user.patch(&path, json!({"url": "http://10.0.0.1/"})).await.expect(422);
    assert_eq!(moved["error"]["details"]["url"], json!([PRIVATE]));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_operator_allows_networks_and_forbids_http() {
    let mut options = ServeOptions::local(own_database());
    options.webhooks.allow_http = false;
    options.webhooks.allowed = "127.0.0.0/8".parse().unwrap();
    let server = Server::start(&options).await.unwrap();
    let tenant = Tenant::at(&server.database.owner, &format!("http://{}", server.address)).await;
    let create = async |url: &str| {
        tenant.user.post("/webhooks", json!({"url": url, "events": ["story.verified"]})).await
    };
    create("https://127.0.0.1:9/").await.expect(201);
    let refused = create("https://10.0.0.1/").await.expect(422);
    assert_eq!(refused["error"]["details"]["url"], json!([PRIVATE]));
    let refused = create("http://hooks.example/").await.expect(422);
    assert_eq!(refused["error"]["details"]["url"], json!(["must use HTTPS scheme"]));
    server.stop().await.unwrap();
}
