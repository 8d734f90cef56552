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

use crate::support::{self, PATIENCE, Tenant, connect, server, somebody_waits_for};

/// The line between a server and its database.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Line {
    Open,
    /// Connections stay, and nothing comes through.
    Silent,
    Cut,
}

/// A port that leads to the test database as long as the line is open.
pub(crate) async fn database_line(line: watch::Receiver<Line>) -> u16 {
    let socket = match server().app.get_hosts() {
        [Host::Unix(directory)] => directory.join(format!(".s.PGSQL.{}", server().app.get_ports()[0])),
        hosts => panic!("the test cluster has a socket, not {hosts:?}"),
    };
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
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let (line, state) = watch::channel(Line::Open);
    let port = database_line(state).await;
    let url = format!("postgres://loopctl_app@127.0.0.1:{port}/loopctl");
    let options = ServeOptions {
        pool_size: 4,
        ..ServeOptions::local(DatabaseOptions::External { url, admin_url: None })
    };
    let server = Server::start(&options).await.unwrap();
    let health = format!("http://{}/health", server.address);
    let projects = format!("http://{}/api/v1/projects", server.address);
    let degraded = json!({"status": "degraded", "version": "1.0.0",
                          "checks": {"database": "error", "oban": "ok", "jobs": "ok"}});

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
    let (key, project) = (tenant.user.key.clone().unwrap(), tenant.project().await);
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let (line, state) = watch::channel(Line::Open);
    let url = format!("postgres://loopctl_app@127.0.0.1:{}/loopctl", database_line(state).await);
    let options = ServeOptions {
        pool_size: 2,
        // Long enough for every answer that comes, on any machine.
        query_deadline: Duration::from_secs(5),
        ..ServeOptions::local(DatabaseOptions::External { url, admin_url: None })
    };
    let server = Server::start(&options).await.unwrap();
    let projects = format!("http://{}/api/v1/projects", server.address);
    assert_eq!(get(&http, &projects, &key).await.0, 200);
    for round in 0..2 {
        line.send(Line::Silent).unwrap();
        let (status, body) = get(&http, &projects, &key).await;
        assert_eq!((status, &body["error"]["code"]), (503, &json!("database_unavailable")), "{body:#}");
        line.send(Line::Open).unwrap();
        assert_eq!(get(&http, &projects, &key).await.0, 200, "round {round}");
    }

    // In the middle of a change: a lock is waited for when the line falls silent.
    let mut owner = connect(&support::server().owner).await;
    let lock = owner.transaction().await.unwrap();
    lock.execute("select from projects where id = $1::text::uuid for update", &[&project]).await.unwrap();
    let change =
        http.patch(format!("{projects}/{project}")).bearer_auth(&key).json(&json!({"name": "renamed"}));
    let change = tokio::spawn(change.send());
    somebody_waits_for(&lock).await;
    line.send(Line::Silent).unwrap();
    let answer = tokio::time::timeout(PATIENCE, change).await.expect("an answer").unwrap().unwrap();
    assert_eq!(answer.status(), 503);
    let message = answer.json::<Value>().await.unwrap()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("the outcome is unknown"), "{message}");
    lock.rollback().await.unwrap();
    line.send(Line::Open).unwrap();
    assert_eq!(get(&http, &projects, &key).await.0, 200);
    server.stop().await.unwrap();
}
