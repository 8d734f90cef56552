//! What becomes of requests when a server is told to stop: what it is at is finished, and what waits is refused at once.

use std::path::Path;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::support::{Daemon, PATIENCE, Scratch, call, run_on};

/// New epics wait for whoever holds the lock 42, for as long as that takes.
const HOLD: &str = "
    create function hold() returns trigger language plpgsql set lock_timeout = 0 as
        $$ begin perform pg_advisory_xact_lock(42); return new; end $$;
    create trigger hold before insert on epics for each row execute function hold()";

const HELD: &str = "select count(*) from pg_locks where locktype = 'advisory' and objid = 42 and not granted";

/// A server whose new epics wait.
struct Scene {
    server: Daemon,
    owner: Client,
    key: String,
    epics: String,
}

impl Scene {
    async fn new(dir: &Path, environment: &[(&str, &str)]) -> Self {
        let data_dir = ("LOOPCTL_DATA_DIR", dir.to_str().unwrap());
        let server = Daemon::start_with(&[&[data_dir], environment].concat());
        let command = "operator tenant create --name Acme --slug acme --email ops@acme.test";
        let key = run_on(dir, command).json()["api_key"]["raw_key"].as_str().unwrap().to_owned();
        let projects = format!("{}/api/v1/projects", server.base);
        let project = json!({"name": "P", "slug": "pp"});
        let (_, made) = call("POST", &projects, Some(&key), Some(&project)).await.unwrap();
        let epics = format!("/api/v1/projects/{}/epics", made["project"]["id"].as_str().unwrap());
        let url = format!("postgres:///loopctl?host={}&user=loopctl_owner", dir.join("run").display());
        let (owner, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        owner.batch_execute(HOLD).await.unwrap();
        owner.batch_execute("select pg_advisory_lock(42)").await.unwrap();
        Self { server, owner, key, epics }
    }

    /// A request that PostgreSQL is at.
    async fn begun(&self) -> JoinHandle<Result<(u16, Value), reqwest::Error>> {
        let (url, key) = (format!("{}{}", self.server.base, self.epics), self.key.clone());
        let begun = tokio::spawn(async move {
            call("POST", &url, Some(&key), Some(&json!({"number": 1, "title": "First"}))).await
        });
        let deadline = Instant::now() + PATIENCE;
        while self.owner.query_one(HELD, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < deadline && !begun.is_finished(), "it does not get there");
        }
        begun
    }

    /// One that is under way, and has to wait for that one: who works on a project does it alone.
    async fn waiting(&self) -> BufReader<TcpStream> {
        let body = json!({"number": 2, "title": "Second"}).to_string();
        let address = self.server.base.strip_prefix("http://").unwrap();
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nexpect: 100-continue\r\n\r\n",
            self.epics,
            self.key,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // It is read from here on.
        let mut asked = String::new();
        stream.read_line(&mut asked).await.unwrap();
        assert!(asked.starts_with("HTTP/1.1 100 "), "{asked}");
        stream.write_all(body.as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_begun_is_finished_and_what_waits_is_refused_at_once() {
    let dir = Scratch::new();
    let scene = Scene::new(dir.path(), &[]).await;
    let begun = scene.begun().await;
    let mut waiting = scene.waiting().await;
    scene.server.signal(Signal::SIGTERM);

    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("HTTP/1.1 ").unwrap().1.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("503 "), "{answer}");
    let error = serde_json::from_str::<Value>(body).unwrap()["error"].take();
    assert_eq!((&error["code"], &error["outcome"]), (&json!("stopping"), &json!("unchanged")), "{error}");
    assert!(!begun.is_finished(), "it was to be held");

    scene.owner.batch_execute("select pg_advisory_unlock(42)").await.unwrap();
    let (status, body) = begun.await.unwrap().unwrap();
    assert_eq!((status, &body["epic"]["title"]), (201, &json!("First")), "{body}");
    drop(scene.owner);
    let (status, log) = scene.server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("stopping") && !log.contains("still running"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_waited_for_longer_than_the_operator_says() {
    let dir = Scratch::new();
    let scene = Scene::new(dir.path(), &[("LOOPCTL_STOP_TIMEOUT", "1")]).await;
    let begun = scene.begun().await;
    scene.server.signal(Signal::SIGTERM);
    let (status, log) = scene.server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("requests were still running after 1 s; they were ended"), "{log}");
    assert!(begun.await.unwrap().is_err());
}
