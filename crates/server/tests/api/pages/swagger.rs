//! The OpenAPI document as a page.

use serde_json::{Value, json};

use super::{Browser, at_home, home};
use crate::conformance::OPERATIONS;
use crate::support::{Caller, text};

/// Headers of a page that nobody else's may do anything on.
#[tokio::test]
async fn the_page_is_strict() {
    let page = Caller::nobody().at(&at_home().base).get("//swaggerui").await;
    let header = |name: &str| page.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!((page.status, header("content-type").as_str()), (200, "text/html; charset=utf-8"));
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe-"), "{policy}");
    let html = text(&page.body);
    assert!(html.contains("id=\"swagger-ui\"") && html.contains("\"/api/v1/openapi\""), "{html}");
    let moved = Caller::nobody().at(&at_home().base).get("//swagger").await;
    assert_eq!((moved.status, moved.headers["location"].to_str().unwrap()), (302, "/swaggerui"));
    for name in ["", "index.html", "swagger-ui-bundle.js"] {
        let reply = Caller::nobody().at(&at_home().base).get(&format!("//swaggerui/x{name}")).await;
        reply.expect_error(404, "not_found");
    }
}

/// Every operation is there, and can be opened and tried; nothing is asked of another host, and nothing is forbidden to the page.
#[tokio::test]
async fn all_operations_are_shown() {
    let browser = Browser::open(&home()).await;
    browser.goto("/swaggerui").await;
    let wanted = OPERATIONS.len();
    browser.until(&format!("return document.querySelectorAll('.opblock').length === {wanted}")).await;
    browser.keep_picture("swagger").await;
    browser.click("#operations-Progress-post_stories_id_claim button.opblock-summary-control").await;
    browser.until_seen("#operations-Progress-post_stories_id_claim .responses-table").await;
    let opened = browser.text("#operations-Progress-post_stories_id_claim").await;
    assert!(opened.contains("must_contract_first") && opened.contains("Idempotency-Key"), "{opened}");
    browser.keep_picture("swagger-operation").await;
    browser.click("#operations-Health-get_health button.opblock-summary-control").await;
    browser.until_seen("#operations-Health-get_health .try-out__btn").await;
    browser.click("#operations-Health-get_health .try-out__btn").await;
    browser.click("#operations-Health-get_health .execute").await;
    browser.until("return document.querySelector('#operations-Health-get_health .live-responses-table')?.innerText.includes('\"status\"')")
        .await;
    let asked = browser.run("return performance.getEntriesByType('resource').map(({name}) => name)").await;
    let foreign: Vec<&Value> =
        asked.as_array().unwrap().iter().filter(|url| !text(url).starts_with(&home())).collect();
    assert!(foreign.iter().all(|url| text(url).starts_with("data:")), "{foreign:?}");
    assert_eq!(browser.complaints().await, json!([]));
}
