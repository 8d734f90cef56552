//! A migration that passes by while clients work: nobody is answered with a failure of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loopctl_server::operator;
use loopctl_server::serve::{ServeOptions, Server};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{connect, http_client, own_database};

/// Adds a column to `stories`, and one to what `authenticate()` yields.
const MIGRATION: &str = r"
    alter table stories add column added_later text;
    do $$
    declare
        definition text := pg_get_functiondef('authenticate'::regproc);
    begin
        drop function authenticate(text, uuid);
        definition := replace(definition, 'tenant_slug text', 'tenant_slug text, added_later text');
        execute replace(definition, 't.slug', 't.slug, null::text');
    end
    $$;
    revoke all on function authenticate(text, uuid) from public;
    grant execute on function authenticate(text, uuid) to loopctl_app;
";

/// Somebody who calls a test's own server.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

impl Client {
    pub(super) fn new(base: String, key: String) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: http_client(), base, key }
    }

    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request =
            self.http.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// A call that must succeed.
    pub(super) async fn done(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, Some(&body)).await;
        assert!(status < 300, "{path}: {status} {answer:#}");
        answer
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_migration_passes_by_unnoticed() {
    let options = ServeOptions { pool_size: 12, ..ServeOptions::local(own_database()) };
    let server = Server::start(&options).await.expect("a server of this test's own");
    let (_, key) =
        operator::create_tenant(&server.database.owner, "t", "live", "t@loopctl.test").await.unwrap();
    let client = Client::new(format!("http://{}", server.address), key.raw_key);
    let raise = json!({"settings": {"rate_limit_requests_per_minute": 1_000_000}});
    client.done(Method::PATCH, "/tenants/me", raise).await;
    let project = client.done(Method::POST, "/projects", json!({"name": "p", "slug": "pp"})).await;
    let project = project["project"]["id"].as_str().unwrap().to_owned();
    let stories: Vec<_> =
        (1..=8).map(|n| json!({"number": format!("1.{n}"), "title": "s", "metadata": {"n": 0}})).collect();
    let plan = json!({"epics": [{"number": 1, "title": "e", "stories": stories}]});
    client.done(Method::POST, &format!("/projects/{project}/import"), plan).await;
    let list = client.done(Method::GET, &format!("/stories?project_id={project}"), json!({})).await;

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|story| {
            let id = story["id"].as_str().unwrap().to_owned();
            let (client, project, stop, calls) =
                (client.clone(), project.clone(), Arc::clone(&stop), Arc::clone(&calls));
            tokio::spawn(async move {
                for round in 1.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let change = json!({"metadata": {"n": round}});
                    for (method, path, body) in [
                        (Method::GET, format!("/stories/{id}"), None),
                        (Method::PATCH, format!("/stories/{id}"), Some(&change)),
                        (Method::GET, format!("/stories?project_id={project}"), None),
                        (Method::GET, format!("/projects/{project}/stories/ready"), None),
                        (Method::GET, "/tenants/me".to_owned(), None),
                    ] {
                        let (status, answer) = client.call(method, &path, body).await;
                        assert_eq!(status, 200, "{path}: {answer:#}");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    // Every connection of the pool has its statements prepared by then.
    let reached = async |count: usize| {
        while calls.load(Ordering::Relaxed) < count {
            assert!(workers.iter().all(|worker| !worker.is_finished()), "a client has failed");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    reached(400).await;
    let before = connect(&server.database.owner).await;
    before.batch_execute(&format!("begin; {MIGRATION} commit")).await.unwrap();
    let now = calls.load(Ordering::Relaxed);
    reached(now + 400).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    let added = "select count(*) from information_schema.columns where column_name = 'added_later'";
    assert_eq!(before.query_one(added, &[]).await.unwrap().get::<_, i64>(0), 1);
    server.stop().await.unwrap();
}
