//! `/health` when the database is gone, or worse, when it does not answer.

use std::path::PathBuf;
use std::time::Duration;

use loopctl_server::config::DatabaseOptions;
use loopctl_server::serve::{ServeOptions, Server};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;

use crate::support::{self, PATIENCE, Tenant, connect, http_client, server, somebody_waits_for};

/// The line between a server and its database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Line {
    Open,
    /// Connections stay, and nothing comes through.
    Silent,
    Cut,
}

/// Long enough for every answer that comes, on any machine.
const SOON: Duration = Duration::from_secs(5);

/// A line to a database of the test cluster, and options of a server that has no other way to it.
pub(crate) async fn line_to(database: &str, pool_size: usize) -> (watch::Sender<Line>, ServeOptions) {
    let (line, state) = watch::channel(Line::Open);
    let url = format!("postgres://loopctl_app@127.0.0.1:{}/{database}", port_to(state).await);
    let database = DatabaseOptions::External { url, admin_url: None };
    (line, ServeOptions { pool_size, ..ServeOptions::local(database) })
}

/// Where the test cluster is.
pub(crate) fn socket() -> PathBuf {
    match server().app.get_hosts() {
        [Host::Unix(directory)] => directory.join(format!(".s.PGSQL.{}", server().app.get_ports()[0])),
        hosts => panic!("the test cluster has a socket, not {hosts:?}"),
    }
}

/// A port that leads to the test cluster as long as the line is open.
async fn port_to(line: watch::Receiver<Line>) -> u16 {
    let socket = socket();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            tokio::spawn(connection(client, socket.clone(), line.clone()));
        }
    });
    port
}

async fn connection(mut client: TcpStream, socket: PathBuf, mut line: watch::Receiver<Line>) {
    let mut database = UnixStream::connect(socket).await.unwrap();
    if *line.borrow() == Line::Open {
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut database) => return,
            _ = line.wait_for(|line| *line != Line::Open) => {}
        }
    }
    let _ = line.wait_for(|line| *line != Line::Silent).await;
}

/// Status and body of an answer that comes.
async fn get(http: &reqwest::Client, url: &str, key: &str) -> (u16, Value) {
    let request = http.get(url).bearer_auth(key).send();
    let response = tokio::time::timeout(PATIENCE, request).await.expect("an answer").unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn health_tells_when_the_database_does_not_answer() {
    let key = Tenant::new().await.user.key.unwrap();
    let http = http_client();
    let (line, options) = line_to("loopctl", 4).await;
    let server = Server::start(&options).await.unwrap();
    let health = format!("http://{}/health", server.address);
    let projects = format!("http://{}/api/v1/projects", server.address);
    let degraded = json!({"status": "degraded", "version": "1.0.0",
                          "checks": {"database": "error", "oban": "ok", "jobs": "ok", "partitions": "unknown"}});

    let (status, body) = get(&http, &health, "").await;
    assert_eq!((status, &body["status"], &body["checks"]["database"]), (200, &json!("ok"), &json!("ok")));
    assert_eq!(get(&http, &projects, &key).await.0, 200);

    // More questions than there are connections: all of them are answered.
    line.send(Line::Silent).unwrap();
    let answers = futures_util::future::join_all((0..10).map(|_| get(&http, &health, "lc_unknown"))).await;
    for answer in answers {
        assert_eq!(answer, (503, degraded.clone()));
    }

    line.send(Line::Cut).unwrap();
    assert_eq!(get(&http, &health, "").await, (503, degraded));
    let (status, body) = get(&http, &projects, &key).await;
    assert_eq!((status, &body["error"]["status"]), (503, &json!(503)));
    assert_eq!(body["error"]["code"], "database_unavailable");
    assert!(body["error"]["message"].as_str().unwrap().starts_with("Service Unavailable"));

    // Back again: at most each of the old connections fails once.
    line.send(Line::Open).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..=options.pool_size {
        statuses.push(get(&http, &projects, &key).await.0);
    }
    assert_eq!(statuses.last(), Some(&200), "{statuses:?}");
    assert_eq!(get(&http, &health, "").await.0, 200);
    server.stop().await.unwrap();
}

/// A database that is gone without a word: who asked is answered, and the connection is not used again.
#[tokio::test]
async fn a_silent_line_is_given_up() {
    let tenant = Tenant::new().await;
    let key = tenant.user.key.clone().unwrap();
    let http = http_client();
    let (line, options) = line_to("loopctl", 2).await;
    let server = Server::start(&ServeOptions { query_deadline: SOON, ..options }).await.unwrap();
    let projects = format!("http://{}/api/v1/projects", server.address);
    assert_eq!(get(&http, &projects, &key).await.0, 200);
    for round in 0..2 {
        line.send(Line::Silent).unwrap();
        let (status, body) = get(&http, &projects, &key).await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("database_unavailable")), "{body:#}");
        line.send(Line::Open).unwrap();
        assert_eq!(get(&http, &projects, &key).await.0, 200, "round {round}");
    }
    server.stop().await.unwrap();
}

/// Who lost the answer is told that the outcome is unknown only where a change was being committed. What only reads, and what
/// was lost before, has changed nothing, and may be repeated. In either way of losing the line, something is waited for when
/// it happens.
#[tokio::test]
async fn the_outcome_is_unknown_only_of_what_was_being_committed() {
    let tenant = Tenant::new().await;
    let (key, project) = (tenant.user.key.clone().unwrap(), tenant.project().await);
    let http = http_client();
    let (line, options) = line_to("loopctl", 2).await;
    let server = Server::start(&ServeOptions { query_deadline: SOON, ..options }).await.unwrap();
    let base = format!("http://{}/api/v1", server.address);
    let at = format!("{base}/projects/{project}");
    let orchestrator = tenant.orchestrator().await.key.unwrap();
    let checkpoint = format!("{base}/orchestrator/state/{project}?state_key=k");
    let read = || http.get(&checkpoint).bearer_auth(&orchestrator);
    let renamed = |name: &str| http.patch(&at).bearer_auth(&key).json(&json!({"name": name}));
    let name = async || get(&http, &at, &key).await.1["project"]["name"].as_str().unwrap().to_owned();

    let (table, row, head) = (
        "lock table orchestrator_states in access exclusive mode".to_owned(),
        format!("select from projects where id = '{project}' for update"),
        format!("select from audit_heads where tenant_id = '{}' for update", tenant.id),
    );
    let mut owner = connect(&support::server().owner).await;
    for (lost, how) in [(Line::Silent, "silent"), (Line::Cut, "cut")] {
        for (locked, request, outcome) in [
            (&table, read(), "unchanged"),
            (&row, renamed("never"), "unchanged"),
            // Its entry in the log is the last thing that it needs, and travels with the COMMIT.
            (&head, renamed(how), "unknown"),
        ] {
            let lock = owner.transaction().await.unwrap();
            lock.batch_execute(locked).await.unwrap();
            let request = tokio::spawn(request.send());
            somebody_waits_for(&lock).await;
            line.send(lost).unwrap();
            let answer = tokio::time::timeout(PATIENCE, request).await.expect("an answer").unwrap().unwrap();
            assert_eq!(answer.status(), 503, "{how}, {locked}");
            let error = answer.json::<Value>().await.unwrap()["error"].clone();
            assert_eq!(
                (&error["code"], &error["outcome"]),
                (&json!("database_unavailable"), &json!(outcome))
            );
            let told = error["message"].as_str().unwrap();
            assert_eq!(
                told.contains("the outcome is unknown"),
                outcome == "unknown",
                "{how}, {locked}: {told}"
            );
            lock.rollback().await.unwrap();
            if outcome == "unknown" && lost == Line::Silent {
                // The COMMIT had arrived, and was carried out as soon as it could be.
                let path = format!("/projects/{project}");
                let done = async {
                    while tenant.user.get(&path).await.expect(200)["project"]["name"] != how {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                tokio::time::timeout(PATIENCE, done).await.expect("it is carried out");
            }
            line.send(Line::Open).unwrap();
            assert_ne!(name().await, "never");
        }
    }
    server.stop().await.unwrap();
}
