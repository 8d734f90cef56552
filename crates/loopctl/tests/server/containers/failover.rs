//! A PostgreSQL that another one follows: what a server on a standby does, and that a standby takes over under servers that run.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::postgres::Postgres;
use super::raw_key;
use crate::support::{Daemon, PATIENCE, Scratch, call, run};

const USER: &str = "postgres";
const PASSWORD: &str = "followed";

async fn start(url: &str) -> Daemon {
    let url = url.to_owned();
    tokio::task::spawn_blocking(move || Daemon::start_with(&[("DATABASE_URL", &url)])).await.unwrap()
}

async fn stop(server: Daemon) {
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
}

/// Asks until it is answered so.
async fn until(status: u16, method: &str, url: &str, key: &str, body: Option<&Value>) -> Value {
    let mut last = None;
    let asking = async {
        loop {
            let (found, told) = call(method, url, Some(key), body).await.unwrap();
            if found == status {
                return told;
            }
            last = Some((found, told));
            sleep(Duration::from_millis(50)).await;
        }
    };
    let asked = timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("{method} {url}: {last:?}"))
}

fn project(slug: &str) -> Value {
    json!({"name": slug, "slug": slug})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_under_servers_that_run() {
    let scratch = Scratch::new();
    let dir = scratch.path();
    fs::create_dir(dir).unwrap();
    let primary = Postgres::start(dir, USER, PASSWORD);
    let standby = primary.standby(dir, USER, PASSWORD);
    // Whichever of the two can be written to.
    let both = format!(
        "postgres://{USER}:{PASSWORD}@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write",
        primary.port, standby.port
    );
    let environment = [("DATABASE_URL", both.as_str())];
    run("migrate", &environment).json();
    let tenant = run("operator tenant create --name Acme --slug acme --email a@acme.test", &environment);
    let key = raw_key(&tenant.json());
    let server = start(&both).await;
    let projects = format!("{}/api/v1/projects", server.base);
    until(201, "POST", &projects, &key, Some(&project("before"))).await;

    // On the standby there is what has come over, and nothing is written.
    let reading = start(&standby.url("postgres", USER, PASSWORD, "postgres")).await;
    let its_projects = format!("{}/api/v1/projects", reading.base);
    let arrived = async {
        while until(200, "GET", &its_projects, &key, None).await["meta"]["total_count"] != 1 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("the standby follows");
    let (status, told) = call("POST", &its_projects, Some(&key), Some(&project("nowhere"))).await.unwrap();
    assert_eq!((status, &told["error"]["code"]), (503, &json!("storage_unavailable")), "{told}");
    let (status, health) = call("GET", &format!("{}/health", reading.base), None, None).await.unwrap();
    assert_eq!((status, &health["checks"]["database"]), (503, &json!("read_only")), "{health}");

    // The primary is lost. Nobody has to start a server anew, nor tell it anything.
    primary.dies();
    until(503, "GET", &projects, &key, None).await;
    let follower = standby.client(USER, PASSWORD, "postgres").await;
    follower.execute("select pg_promote()", &[]).await.unwrap();
    until(201, "POST", &projects, &key, Some(&project("after"))).await;
    let listed = until(200, "GET", &projects, &key, None).await;
    assert_eq!(listed["meta"]["total_count"], 2, "{listed}");
    // Nor the one that could only read.
    until(201, "POST", &its_projects, &key, Some(&project("there-too"))).await;
    for server in [server, reading] {
        until(200, "GET", &format!("{}/health", server.base), &key, None).await;
        stop(server).await;
    }
}
