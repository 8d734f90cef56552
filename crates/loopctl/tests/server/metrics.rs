//! What a server counts. Its process is its own here, so everything is counted exactly.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Daemon, PATIENCE, Scratch, call, client, run_on};

const TENANT: &str = "operator tenant create --name Acme --slug acme --email ops@acme.test";

/// The answer to a scrape with these headers.
async fn scrape(server: &Daemon, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = client().get(format!("{}/metrics", server.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn local(server: &Daemon) -> String {
    let (status, text) = scrape(server, &[]).await;
    assert_eq!(status, 200, "{text}");
    text
}

/// The value of a series.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

/// One request with a body, and its answer, whose status is as expected.
async fn post(server: &Daemon, key: &str, path: &str, body: Value, expected: u16) -> Value {
    let url = format!("{}/api/v1{path}", server.base);
    let (status, answer) = call("POST", &url, Some(key), Some(&body)).await.unwrap();
    assert_eq!(status, expected, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn what_a_proxy_hands_on_needs_a_superadmin() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let user = run_on(dir.path(), TENANT).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let created = run_on(dir.path(), "operator superadmin create-key --name root").json();
    let superadmin = format!("Bearer {}", created["api_key"]["raw_key"].as_str().unwrap());
    let tenant = run_on(dir.path(), "operator tenant create --name B --slug bb --email b@b.test").json();
    let tenant = tenant["tenant"]["id"].as_str().unwrap().to_owned();

    let proxied = ("x-forwarded-for", "127.0.0.1");
    for (headers, status) in [
        (vec![], 200),
        (vec![proxied], 401),
        (vec![("forwarded", "for=127.0.0.1")], 401),
        (vec![proxied, ("authorization", "Bearer lc_nobody")], 401),
        (vec![proxied, ("authorization", &format!("Bearer {user}"))], 403),
        (vec![proxied, ("authorization", &superadmin)], 200),
        // Who is less for the moment may do less.
        (
            vec![
                proxied,
                ("authorization", &superadmin),
                ("x-impersonate-tenant", &tenant),
                ("x-effective-role", "user"),
            ],
            403,
        ),
    ] {
        let (found, text) = scrape(&server, &headers).await;
        assert_eq!(found, status, "{headers:?}: {text}");
        assert_eq!(text.contains("loopctl_"), status == 200, "{headers:?}: {text}");
    }
    let answer = client().get(format!("{}/metrics", server.base)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    server.stop();
}

/// Whatever is sent, the labels are words of ours.
#[tokio::test]
async fn nobody_can_make_series() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let http = client();
    for (method, path) in [
        ("GET", "/hunter2"),
        ("GET", "/hunter2/again?hunter2"),
        ("GET", "/api/v1/stories/hunter2"),
        ("GET", "/api/v1/stories/0190163d-8694-739b-aea5-966c26f8ad90"),
        ("HUNTER2", "/api/v1/stories"),
        ("HUNTER22", "/health"),
        ("HUNTER2", "/hunter2"),
    ] {
        http.request(method.parse().unwrap(), format!("{}{path}", server.base)).send().await.unwrap();
    }
    let text = local(&server).await;
    assert!(!text.to_lowercase().contains("hunter2") && !text.contains("0190163d"), "{text}");
    let requests = |labels: &str| value(&text, &format!("loopctl_http_requests_total{{{labels}}}"));
    assert_eq!(requests(r#"route="(none)",method="GET",status="404""#), 2.0);
    assert_eq!(requests(r#"route="(none)",method="other",status="404""#), 1.0);
    assert_eq!(requests(r#"route="/api/v1/stories/{id}",method="GET",status="401""#), 2.0);
    assert_eq!(requests(r#"route="/api/v1/stories",method="other",status="404""#), 1.0);
    server.stop();
}

#[tokio::test]
async fn steps_and_entries_are_counted_when_they_are_committed() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let user = run_on(dir.path(), TENANT).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let project = post(&server, &user, "/projects", json!({"name": "P", "slug": "pp"}), 201).await;
    let import = format!("/projects/{}/import", project["project"]["id"].as_str().unwrap());
    let stories = json!([{"number": "1.1", "title": "A"}, {"number": "1.2", "title": "B"}]);
    let plan = json!({"epics": [{"number": 1, "title": "E", "stories": stories}]});
    let imported = post(&server, &user, &import, plan, 201).await;
    assert!(imported.is_object(), "{imported}");
    let text = local(&server).await;
    assert!(!text.contains("loopctl_story_transitions_total{"), "nothing has moved: {text}");
    let entries = |text: &str, labels: &str| value(text, &format!("loopctl_audit_writes_total{{{labels}}}"));
    assert_eq!(entries(&text, r#"entity_type="project",action="created""#), 1.0);
    assert_eq!(entries(&text, r#"entity_type="story",action="created""#), 2.0);

    let list = format!("{}/api/v1/stories/ready", server.base);
    let (_, ready) = call("GET", &list, Some(&user), None).await.unwrap();
    let story = ready["data"][0]["id"].as_str().unwrap_or_else(|| panic!("{ready}")).to_owned();
    let step = |action: &str| format!("/stories/{story}/{action}");
    // What is refused is not counted, nor what is taken back.
    post(&server, &user, &step("backfill"), json!({"reason": ""}), 422).await;
    let text = local(&server).await;
    assert!(!text.contains("loopctl_story_transitions_total{"), "{text}");
    let backfill = json!({"reason": "Done before"});
    post(&server, &user, &step("backfill"), backfill.clone(), 200).await;
    // Once more, it changes nothing.
    post(&server, &user, &step("backfill"), backfill, 200).await;
    let text = local(&server).await;
    let steps = |labels: &str| value(&text, &format!("loopctl_story_transitions_total{{{labels}}}"));
    assert_eq!(steps(r#"kind="agent",from="pending",to="reported_done""#), 1.0);
    assert_eq!(steps(r#"kind="verified",from="unverified",to="verified""#), 1.0);
    assert_eq!(entries(&text, r#"entity_type="story",action="backfilled""#), 1.0);
    server.stop();
}

/// A client that gives up has had no answer, and is counted all the same.
#[tokio::test]
async fn who_leaves_before_the_answer_is_counted() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let user = run_on(dir.path(), TENANT).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
    let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.path().join("run").display());
    let (owner, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    owner.batch_execute("begin; lock table projects").await.unwrap();
    let mut socket = TcpStream::connect(server.base.strip_prefix("http://").unwrap()).unwrap();
    let head = format!("GET /api/v1/projects HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {user}\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let waiting = "select count(*) from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0";
    let patience = Instant::now();
    while owner.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(patience.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(socket);
    let left = r#"loopctl_http_requests_abandoned_total{route="/api/v1/projects",method="GET"} 1"#;
    while !local(&server).await.contains(left) {
        assert!(patience.elapsed() < PATIENCE, "{}", local(&server).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(server.log().contains("the client left before its answer"), "{}", server.log());
    owner.batch_execute("rollback").await.unwrap();
    server.stop();
}

/// What is read when somebody asks.
#[tokio::test]
async fn the_process_and_its_database_are_shown_as_they_are() {
    let dir = Scratch::new();
    let server = Daemon::start(dir.path());
    let text = local(&server).await;
    for (series, least) in [
        ("loopctl_db_up", 1.0),
        ("loopctl_db_pool_connections_max", 10.0),
        ("loopctl_db_pool_connections{state=\"idle\"}", 0.0),
        ("loopctl_db_pool_connections{state=\"used\"}", 0.0),
        ("loopctl_db_pool_waiting", 0.0),
        ("loopctl_http_connections", 1.0),
        ("loopctl_secrets_key_configured", 1.0),
        ("loopctl_build_info{version=\"1.0.0\"}", 1.0),
        ("loopctl_db_query_seconds_count", 1.0),
        ("loopctl_db_pool_wait_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("process_resident_memory_bytes", 1_000_000.0),
        ("process_open_fds", 3.0),
        ("process_threads", 1.0),
    ] {
        assert!(value(&text, series) >= least, "{series}: {text}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let days = (value(&text, "loopctl_audit_partitions_until_seconds") - now) / 86_400.0;
    assert!((89.0..125.0).contains(&days), "{days} days");
    // Each series says what it is.
    let help =
        |name: &str| text.contains(&format!("# HELP {name} ")) && text.contains(&format!("# TYPE {name} "));
    assert!(
        help("loopctl_http_connections") && help("loopctl_db_query_seconds") && help("process_threads"),
        "{text}"
    );
    // It is a request like others.
    let again = local(&server).await;
    let scrapes =
        r#"loopctl_http_request_duration_seconds_count{route="/metrics",method="GET",status="200"}"#;
    assert_eq!(value(&again, scrapes), 1.0);
    server.stop();
}
