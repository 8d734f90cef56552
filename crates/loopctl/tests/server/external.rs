//! `DATABASE_URL`: a PostgreSQL of the operator's. Here it is the cluster of a server of ours, through its socket.

use serde_json::json;
use tokio_postgres::NoTls;

use crate::support::{Daemon, Scratch, call, run};

#[tokio::test]
async fn an_external_database_is_migrated_once_and_then_served() {
    let dir = Scratch::new();
    let host = Daemon::start(dir.path());
    let socket = dir.path().join("run");
    let url = |database: &str| format!("postgres:///{database}?host={}&user=loopctl_owner", socket.display());

    let missing = url("loopctl2");
    for command in ["serve --port 0", "migrate"] {
        let failed = run(command, &[("DATABASE_URL", &missing)]);
        assert!(failed.failure(1).contains("database \"loopctl2\" does not exist"), "{failed:?}");
    }
    let (client, connection) = tokio_postgres::connect(&url("postgres"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("create database loopctl2").await.unwrap();

    let environment = [("DATABASE_URL", missing.as_str())];
    let early = run("serve --port 0", &environment);
    assert!(early.failure(1).contains("run `loopctl migrate`"), "{early:?}");

    let first = run("migrate", &environment).json();
    assert!(!first["migrations_applied"].as_array().unwrap().is_empty(), "{first}");
    assert_eq!(first["articles_written"], loopctl_docs::ARTICLES.len(), "{first}");
    let second = run("migrate", &environment).json();
    assert_eq!(second, json!({"migrations_applied": [], "articles_written": 0}));

    let command = "operator tenant create --name Acme --slug acme --email ops@acme.test";
    let key = run(command, &environment).json()["api_key"]["raw_key"].clone();
    let server = Daemon::start_with(&environment);
    let me = |base: &str| format!("{base}/api/v1/tenants/me");
    let (status, body) = call("GET", &me(&server.base), key.as_str(), None).await.unwrap();
    assert_eq!((status, &body["tenant"]["slug"]), (200, &json!("acme")), "{body}");
    // The other database on the same PostgreSQL knows nothing of it.
    let (status, _) = call("GET", &me(&host.base), key.as_str(), None).await.unwrap();
    assert_eq!(status, 401);
    server.stop();
    host.stop();
}

#[test]
fn a_bad_database_url_is_named_without_its_password() {
    let urls = [
        "postgres://app:hunter2@[bad/x",
        "postgres://app:hunter2@h:port/x",
        "mysql://app:hunter2@h/x",
        "postgres://app:hunter2@h/x?sslmode=hunter2",
    ];
    for url in urls {
        for command in ["serve --port 0", "migrate"] {
            let failed = run(command, &[("DATABASE_URL", url)]);
            let message = failed.failure(1);
            assert!(message.contains("DATABASE_URL"), "{url}: {message}");
            assert!(!format!("{failed:?}").contains("hunter2"), "{url}: {failed:?}");
        }
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_said_so_with_the_reason() {
    let url = "postgres://app:hunter2@127.0.0.1:1/x";
    for command in ["serve --port 0", "migrate"] {
        let failed = run(command, &[("DATABASE_URL", url)]);
        let message = failed.failure(1);
        assert!(message.contains("Connection refused"), "{message}");
        assert!(!format!("{failed:?}").contains("hunter2"), "{failed:?}");
    }
}
