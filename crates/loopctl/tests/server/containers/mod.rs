//! The topology of `compose.yaml`, without containers: with the very init script, the very nginx.conf, the very scripts of the image
//! and their very environment. What only a Docker engine can show (that the image builds, who its user is, that the parts find each
//! other by name) `bin/container-check` shows where there is one.

mod backups;
pub(crate) mod compose;
mod failover;
mod pooler;
pub(crate) mod postgres;
mod secrets;
mod stack;
mod tls;

use std::time::Duration;

use nix::sys::signal::Signal;
use regex::Regex;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::{Value, json};

use self::secrets::secrets_survive_a_new_key;
use self::stack::Stack;
use crate::support::{Run, call_with, run, wait_for};

const BLOCKED: &str = "select count(*) from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0";

#[tokio::test]
async fn what_compose_starts_works_behind_nginx() {
    let stack = Stack::start().await;
    a_database_without_schema_is_not_served(&stack);
    urls_of_the_original_do_as_well(&stack);
    stack.serve();
    migrating_again_changes_nothing(&stack);
    roles_can_what_they_must_and_no_more(&stack).await;
    who_comes_without_tls_is_sent_to_the_public_port(&stack).await;
    pages_are_whole(&stack).await;
    programs_find_their_way(&stack).await;
    what_nginx_refuses_it_says_in_the_same_form(&stack).await;
    clients_believe_the_certificate_that_they_are_given(&stack);
    let user = a_tenant(&stack, "acme");
    superadmins_come_from_the_command_line_alone(&stack, &user).await;
    bodies_are_as_large_as_they_may_be(&stack, &user).await;
    streams_are_not_held_back(&stack, &user).await;
    secrets_survive_a_new_key(&stack, &user).await;
    what_was_begun_is_finished(&stack, &user).await;
    nobody_there_is_told_as_the_server_would(&stack).await;
    logins_may_have_any_names(&stack).await;
}

/// A tenant's first key, made as operators make it.
fn a_tenant(stack: &Stack, slug: &str) -> String {
    let made = stack
        .exec(&format!("loopctl operator tenant create --name {slug} --slug {slug} --email ops@{slug}.test"));
    raw_key(&made.json())
}

fn raw_key(made: &Value) -> String {
    made["api_key"]["raw_key"].as_str().unwrap_or_else(|| panic!("a key, not {made}")).to_owned()
}

async fn get(stack: &Stack, path: &str, accept: &str) -> Response {
    stack.http().get(stack.url(path)).header("accept", accept).send().await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let all: Vec<_> = response.headers().get_all(name).iter().collect();
    assert_eq!(all.len(), 1, "{name} of {}: {all:?}", response.url());
    all[0].to_str().unwrap()
}

fn a_database_without_schema_is_not_served(stack: &Stack) {
    let mut command = stack.script("deploy/bin/server", &stack.environment());
    let refused = Run::of(command.env("MIGRATE_ON_START", "false").output().unwrap());
    assert!(refused.failure(1).contains("run `loopctl migrate`"), "{refused:?}");
}

/// They are one URL with everything in it, of a scheme that only the original has.
fn urls_of_the_original_do_as_well(stack: &Stack) {
    let environment = [
        ("DATABASE_URL".to_owned(), stack.app_url("ecto")),
        ("ADMIN_DATABASE_URL".to_owned(), stack.admin_url("ecto")),
    ];
    let migrated = Run::of(stack.script("deploy/bin/migrate", &environment.into()).output().unwrap()).json();
    assert!(
        migrated["migrations_applied"].as_array().is_some_and(|applied| applied.len() > 30),
        "{migrated}"
    );
}

fn migrating_again_changes_nothing(stack: &Stack) {
    let again = stack.exec("migrate").json();
    assert_eq!(again, json!({"migrations_applied": [], "articles_written": 0}));
    // Nor does the init script: it can be run to change a password.
    stack.init(&stack.database()).success();
}

async fn roles_can_what_they_must_and_no_more(stack: &Stack) {
    let superuser = stack.superuser(&stack.database()).await;
    let sql = "select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb from pg_roles where rolname = $1";
    for (role, rights) in [
        (stack.setting("DB_APP_USER"), [true, false, false, false, false]),
        (stack.setting("DB_ADMIN_USER"), [true, false, true, true, false]),
    ] {
        let row = superuser.query_one(sql, &[&role]).await.unwrap();
        let found: Vec<bool> = (0..rights.len()).map(|column| row.get(column)).collect();
        assert_eq!(found, rights, "{role}");
    }
    let app = stack.app().await;
    for refused in
        ["create table mine ()", "create schema mine", "create temporary table mine ()", "create role mine"]
    {
        let error = app.batch_execute(refused).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{refused}: {error}");
    }
    // Of whom it does not say which tenant, row-level security shows nothing.
    let seen: i64 = app.query_one("select count(*) from tenants", &[]).await.unwrap().get(0);
    assert_eq!(seen, 0);
}

async fn who_comes_without_tls_is_sent_to_the_public_port(stack: &Stack) {
    for method in [Method::GET, Method::POST] {
        let url = format!("http://localhost:{}/health?a=%20b", stack.plain);
        let sent = stack.http().request(method, url).send().await.unwrap();
        // That of compose.yaml: 308, so that what was sent is sent again.
        assert_eq!(sent.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(header(&sent, "location"), "https://localhost:8443/health?a=%20b");
    }
}

async fn pages_are_whole(stack: &Stack) {
    let stylesheet = Regex::new(r#"<link rel="stylesheet" href="([^"]+)""#).unwrap();
    for (path, holds) in [
        ("/home", r#"loopctl|Get Started|id="features"|<nav|<footer|class="dark""#),
        (
            "/docs",
            r#"Configuration Guide|id="overview"|id="orchestrator"|id="agents"|id="review"|id="hooks"|id="setup""#,
        ),
        ("/wiki", r#"class="dark""#),
        ("/swaggerui", "swagger"),
    ] {
        let page = get(stack, path, "text/html").await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        for (name, value) in [
            ("strict-transport-security", "max-age=63072000; includeSubDomains"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("server", "nginx"),
        ] {
            assert_eq!(header(&page, name), value, "{path}");
        }
        // One policy, the page's own: a second one of a proxy would forbid what the first allows.
        assert!(header(&page, "content-security-policy").contains("style-src 'self'"), "{path}");
        let url = page.url().clone();
        let html = page.text().await.unwrap();
        for text in holds.split('|') {
            assert!(html.contains(text), "{path}: {text}");
        }
        let href = &stylesheet.captures(&html).unwrap_or_else(|| panic!("{path} has no looks"))[1];
        let looks = stack.http().get(url.join(href).unwrap()).send().await.unwrap();
        assert_eq!(looks.status(), StatusCode::OK, "{href}");
        assert!(header(&looks, "content-type").starts_with("text/css"), "{href}");
    }
    let unknown = get(stack, "/wiki/unknown", "text/html").await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert!(unknown.text().await.unwrap().contains("Browse all articles"));
    let nowhere = get(stack, "/nonexistent", "text/html").await;
    assert_eq!(nowhere.status(), StatusCode::NOT_FOUND);
    assert!(header(&nowhere, "content-type").starts_with("text/html"));
}

async fn programs_find_their_way(stack: &Stack) {
    for (path, accept, to) in [
        ("/", "*/*", "/api/v1/"),
        ("/", "application/json", "/api/v1/"),
        ("/", "text/html", "/home"),
        ("/swagger", "text/html", "/swaggerui"),
    ] {
        let sent = get(stack, path, accept).await;
        assert_eq!((sent.status(), header(&sent, "location")), (StatusCode::FOUND, to), "{path} as {accept}");
    }
    let health: Value = get(stack, "/health", "*/*").await.json().await.unwrap();
    assert_eq!(health["status"], "ok", "{health}");
    let found = get(stack, "/.well-known/loopctl", "*/*").await;
    let etag = header(&found, "etag").to_owned();
    let told: Value = found.json().await.unwrap();
    let url = told["audit_signing_key_url"].as_str().unwrap_or_default();
    assert!(url.starts_with("https://localhost:8443/"), "{told}");
    let request = stack.http().get(stack.url("/.well-known/loopctl")).header("if-none-match", etag);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    // What a proxy hands on is nobody on the machine itself.
    assert_eq!(get(stack, "/metrics", "*/*").await.status(), StatusCode::UNAUTHORIZED);
}

async fn what_nginx_refuses_it_says_in_the_same_form(stack: &Stack) {
    let http = stack.http();
    for (path, value, code) in [
        ("x".repeat(40_000), String::new(), "uri_too_long"),
        ("x".to_owned(), "x".repeat(40_000), "head_too_large"),
    ] {
        let refused = http.get(stack.url(&format!("/{path}"))).header("x-much", value).send().await.unwrap();
        let status = refused.status().as_u16();
        let told: Value = refused.json().await.unwrap();
        assert_eq!(
            (&told["error"]["code"], &told["error"]["status"]),
            (&json!(code), &json!(status)),
            "{told}"
        );
    }
    // The right port, and no TLS.
    let plainly = format!("http://localhost:{}/health", stack.tls);
    let sent = http.get(plainly).send().await.unwrap();
    assert_eq!(header(&sent, "location"), "https://localhost:8443/health");
}

fn clients_believe_the_certificate_that_they_are_given(stack: &Stack) {
    let server = stack.url("");
    let health = |options: &str| run(&format!("health --server {server} {options}"), &[]);
    health(&format!("--cacert {}", stack.certificate().display())).json();
    health("--insecure").json();
    assert!(health("").failure(9).contains("--cacert"));
}

async fn superadmins_come_from_the_command_line_alone(stack: &Stack, user: &str) {
    let superadmin = raw_key(&stack.exec("loopctl operator superadmin create-key --name root").json());
    let http = stack.http();
    let stats = stack.url("/api/v1/admin/stats");
    let (status, told) = call_with(&http, "GET", &stats, Some(&superadmin), None).await.unwrap();
    assert!(status == 200 && told["stats"].is_object(), "{status} {told}");
    let (status, _) = call_with(&http, "GET", &stats, Some(user), None).await.unwrap();
    assert_eq!(status, 403);
    for key in [user, &superadmin] {
        let body = json!({"name": "more", "role": "superadmin"});
        let (status, told) =
            call_with(&http, "POST", &stack.url("/api/v1/api_keys"), Some(key), Some(&body)).await.unwrap();
        assert!((400..500).contains(&status), "{status} {told}");
    }
}

async fn bodies_are_as_large_as_they_may_be(stack: &Stack, user: &str) {
    let http = stack.http();
    let projects = stack.url("/api/v1/projects");
    let large = json!({"name": "Large", "slug": "large", "description": "x".repeat(3_000_000)});
    let (status, told) = call_with(&http, "POST", &projects, Some(user), Some(&large)).await.unwrap();
    assert_eq!((status, &told["error"]["code"]), (413, &json!("body_too_large")), "{told}");

    let small = json!({"name": "Small", "slug": "small"});
    let (_, made) = call_with(&http, "POST", &projects, Some(user), Some(&small)).await.unwrap();
    let import = stack.url(&format!("/api/v1/projects/{}/import", made["project"]["id"].as_str().unwrap()));
    let plan = |bytes: usize| {
        let stories: Vec<_> = (1..=60)
            .map(|number| json!({"number": format!("1.{number}"), "title": "Long", "description": "x".repeat(bytes)}))
            .collect();
        json!({"epics": [{"number": 1, "title": "Long ones", "stories": stories}]})
    };
    // Beyond what nginx takes the server does not even hear of it, and clients read the same.
    let (status, told) = call_with(&http, "POST", &import, Some(user), Some(&plan(200_000))).await.unwrap();
    assert_eq!((status, &told["error"]["code"]), (413, &json!("body_too_large")), "{told}");
    let (status, told) = call_with(&http, "POST", &import, Some(user), Some(&plan(50_000))).await.unwrap();
    assert_eq!(status, 201, "{told}");
}

async fn streams_are_not_held_back(stack: &Stack, user: &str) {
    let stream = stack.http().get(stack.url("/api/v1/changes/stream")).bearer_auth(user);
    let mut stream = stream.send().await.unwrap();
    assert_eq!(stream.status(), StatusCode::OK);
    let body = json!({"name": "Told", "slug": "told"});
    let url = stack.url("/api/v1/projects");
    let (status, told) = call_with(&stack.http(), "POST", &url, Some(user), Some(&body)).await.unwrap();
    assert_eq!(status, 201, "{told}");
    let mut text = String::new();
    while !text.contains("\"project\"") {
        let chunk = stream.chunk().await.unwrap().expect("an event before the end");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
}

/// SIGTERM while a request waits for a row: it is answered, and the server ends in order.
async fn what_was_begun_is_finished(stack: &Stack, user: &str) {
    let superuser = stack.superuser(&stack.database()).await;
    superuser.batch_execute("begin; select from tenants for update").await.unwrap();
    let (http, url, key) = (stack.http(), stack.url("/api/v1/tenants/me"), user.to_owned());
    let waiting = tokio::spawn(async move {
        call_with(&http, "PATCH", &url, Some(&key), Some(&json!({"name": "Renamed"}))).await.unwrap()
    });
    let watcher = stack.superuser(&stack.database()).await;
    while watcher.query_one(BLOCKED, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(!waiting.is_finished());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let server = stack.server.lock().unwrap().take().unwrap();
    let address = server.base.trim_start_matches("http://").to_owned();
    server.signal(Signal::SIGTERM);
    wait_for("end of listening", || std::net::TcpStream::connect(&address).is_err().then_some(()));
    superuser.batch_execute("commit").await.unwrap();
    let (status, told) = waiting.await.unwrap();
    assert_eq!((status, &told["tenant"]["name"]), (200, &json!("Renamed")), "{told}");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

async fn nobody_there_is_told_as_the_server_would(stack: &Stack) {
    let away = get(stack, "/api/v1/", "*/*").await;
    assert_eq!((away.status(), header(&away, "content-type")), (StatusCode::BAD_GATEWAY, "application/json"));
    let told: Value = away.json().await.unwrap();
    assert_eq!(told["error"]["status"], 502, "{told}");
    // Until it is there again.
    stack.serve();
    assert_eq!(get(stack, "/health", "*/*").await.status(), StatusCode::OK);
    stack.stop();
    // Links and redirects are of the same place.
    let example = Url::parse(&stack.environment()["LOOPCTL_PUBLIC_URL"]).unwrap();
    assert_eq!((example.scheme(), example.port()), ("https", Some(8443)));
}

/// In another database, with all that goes from the init script to an answer.
async fn logins_may_have_any_names(stack: &Stack) {
    stack.superuser("postgres").await.batch_execute("create database named").await.unwrap();
    for (name, value) in
        [("POSTGRES_DB", "named"), ("DB_APP_USER", r#"app of "mine""#), ("DB_ADMIN_USER", "Admin-1")]
    {
        stack.set(name, value);
    }
    stack.init(&stack.database()).success();
    stack.exec("migrate").json();
    roles_can_what_they_must_and_no_more(stack).await;
    stack.serve();
    let user = a_tenant(stack, "named");
    let me = stack.url("/api/v1/tenants/me");
    let (status, told) = call_with(&stack.http(), "GET", &me, Some(&user), None).await.unwrap();
    assert_eq!((status, &told["tenant"]["slug"]), (200, &json!("named")), "{told}");
    superadmins_come_from_the_command_line_alone(stack, &user).await;
    stack.stop();
}
