//! The pages that anybody may read.

use loopctl_docs::{LEGAL, PAGES, PICTURES};
use reqwest::Method;
use serde_json::json;

use super::browser::Browser;
use super::{home, is_content};
use crate::support::{Caller, Reply, http_client, server, text};

const ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// What a browser gets that asks for a page.
async fn visit(path: &str) -> Reply {
    let nobody = Caller::nobody();
    nobody.send(nobody.request(Method::GET, &format!("/{path}")).header("accept", ACCEPT)).await
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
}

/// Every page for anybody, and one that is not there.
fn paths() -> Vec<String> {
    let documents = PAGES.iter().chain(LEGAL).map(loopctl_docs::Page::path);
    let wiki = ["/wiki", "/wiki?q=report", "/wiki?q=%3Cb%3E", "/wiki/chain-of-custody", "/wiki/nothing"];
    let others = wiki.into_iter().chain(["/nothing"]).map(str::to_owned);
    std::iter::once("/home".to_owned()).chain(documents).chain(others).collect()
}

#[tokio::test]
async fn anybody_can_read_them() {
    let browser = Browser::open(&home()).await;
    for path in paths() {
        browser.goto(&path).await;
        browser.look(&format!("site{}", path.replace('/', "-"))).await;
    }
    is_content(&browser).await;
}

#[tokio::test]
async fn scripts_are_not_needed() {
    let browser = Browser::open(&home()).await;
    browser.goto("/docs").await;
    browser.until("return document.querySelectorAll('button.copy').length > 3").await;
    browser.tool("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    for path in paths() {
        browser.goto(&path).await;
        let source = browser.text("main").await;
        assert!(source.len() > 100, "{path}: {source}");
        assert_eq!(browser.run("return document.querySelectorAll('button.copy').length").await, 0, "{path}");
    }
    // Whoever follows a link within a document gets there.
    browser.goto("/docs/errors").await;
    browser.click(".contents summary").await;
    browser.click(".contents a[href='#self_report_blocked']").await;
    let top = browser
        .run("return document.querySelector('#self_report_blocked').getBoundingClientRect().top")
        .await;
    assert!((0.0..200.0).contains(&top.as_f64().unwrap()), "{top}");
}

/// What a browser is told to load with a page, by its paths.
fn loads(html: &str) -> Vec<&str> {
    let of = |begin: &'static str| html.split(begin).skip(1).filter_map(|rest| rest.split('"').next());
    let mut paths: Vec<_> = of("src=\"").collect();
    paths.extend(
        html.split("<link ").skip(1).filter_map(|rest| rest.split("href=\"").nth(1)?.split('"').next()),
    );
    paths
}

#[tokio::test]
async fn they_are_small_and_sent_once() {
    let client = http_client();
    let at = server().base.clone();
    let compressed = async |path: &str| {
        let request =
            client.get(format!("{at}{path}")).header("accept-encoding", "gzip").header("accept", ACCEPT);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        assert!(etag.starts_with('"'), "{path}: {etag} is weak");
        (answer.bytes().await.unwrap().len(), etag)
    };
    for path in ["/home", "/docs"] {
        let page = visit(path).await;
        let (mut size, etag) = compressed(path).await;
        for part in loads(page.body.as_str().unwrap()) {
            size += compressed(part).await.0;
        }
        assert!((4_000..60_000).contains(&size), "{path}: {size} bytes");
        assert_ne!(header(&page, "etag"), etag, "{path}");
        for known in [etag, header(&page, "etag")] {
            let again = client.get(format!("{at}{path}")).header("if-none-match", &known);
            let again =
                again.header("accept-encoding", if known.contains("gzip") { "gzip" } else { "identity" });
            assert_eq!(again.send().await.unwrap().status(), 304, "{path}: {known}");
        }
    }
}

#[tokio::test]
async fn no_page_lets_others_in() {
    let mut pages = paths();
    pages.extend(["/signup", "/sign-in", "/swaggerui"].map(str::to_owned));
    for path in pages {
        let page = visit(&path).await;
        assert!(header(&page, "content-type").starts_with("text/html"), "{path}");
        let policy = header(&page, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe-"), "{path}: {policy}");
        assert_eq!(header(&page, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&page, "x-frame-options"), "DENY", "{path}");
    }
}

#[tokio::test]
async fn the_front_page_says_where_things_are() {
    let page = visit("/home").await.expect(200);
    for part in [
        "loopctl",
        "Get Started",
        "id=\"features\"",
        "<nav",
        "<footer",
        "class=\"dark\"",
        "http://loopctl.test/assets/social-",
    ] {
        assert!(page.as_str().unwrap().contains(part), "{part}");
    }
    for (accept, there) in [(ACCEPT, "/home"), ("*/*", "/api/v1/"), ("application/json", "/api/v1/")] {
        let nobody = Caller::nobody();
        let reply = nobody.send(nobody.request(Method::GET, "//").header("accept", accept)).await;
        assert_eq!((reply.status, header(&reply, "location").as_str()), (302, there), "{accept}");
    }
}

#[tokio::test]
async fn people_read_why_they_are_refused_and_programs_get_json() {
    let page = visit("/nothing").await;
    assert_eq!((page.status, header(&page, "cache-control").as_str()), (404, "no-store"));
    let html = page.body.as_str().unwrap();
    assert!(html.contains("href=\"/home\"") && html.contains("/docs/errors#not_found"), "{html}");
    for path in [
        "/docs/nothing",
        "/docs/guide",
        "/docs/terms",
        "/wiki/nothing",
        "/drawings/nothing.svg",
        "/assets/nothing",
    ] {
        assert_eq!(visit(path).await.status, 404, "{path}");
    }
    for (path, accept) in
        [("/nothing", "*/*"), ("/nothing", "application/json"), ("/api/v1/nothing", ACCEPT), ("/api", ACCEPT)]
    {
        let nobody = Caller::nobody();
        let reply =
            nobody.send(nobody.request(Method::GET, &format!("/{path}")).header("accept", accept)).await;
        reply.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn names_that_the_server_tells_are_explained() {
    let told = Caller::nobody().get("//.well-known/loopctl").await.expect(200);
    let mut followed = 0;
    for (_, value) in told.as_object().unwrap() {
        let Some(path) = value.as_str().and_then(|url| url.strip_prefix("http://loopctl.test/wiki/")) else {
            continue;
        };
        let page = visit(&format!("/wiki/{path}")).await.expect(200);
        assert!(page.as_str().unwrap().contains("id=\"wiki-article\""), "{path}");
        followed += 1;
    }
    assert_eq!(followed, 4);
    let articles = text(&told["system_articles_endpoint"]).replace("http://loopctl.test", "/");
    assert!(Caller::nobody().get(&articles).await.expect(200)["data"].as_array().unwrap().len() >= 24);
}

/// A file that is no page: what it is, and what it may do.
async fn file(path: &str) -> (String, String, String) {
    let answer = http_client().get(format!("{}{path}", server().base)).send().await.unwrap();
    let answer = answer.error_for_status().unwrap();
    let header =
        |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (kind, policy) = (header("content-type"), header("content-security-policy"));
    (kind, policy, String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
}

#[tokio::test]
async fn crawlers_and_browsers_find_what_they_look_for() {
    assert!(file("/robots.txt").await.2.contains("Disallow: /api/"));
    assert_eq!(file("/favicon.ico").await.0, "image/x-icon");
    for picture in PICTURES {
        let (kind, policy, svg) = file(&format!("/drawings/{}", picture.name)).await;
        assert_eq!((kind.as_str(), svg.as_str()), ("image/svg+xml", picture.svg));
        // Looked at by itself, it may have the styles that it came with, and no others.
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    }
}
