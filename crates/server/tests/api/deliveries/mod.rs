//! Deliveries to real receivers, by a server of their own, because it may reach this machine.

mod claims;
mod failures;
mod leases;
mod queue;
mod wire;

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use loopctl_core::webhooks::Policy;
use loopctl_server::secrets::Keys;
use loopctl_server::serve::{DeliveryOptions, ServeOptions};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::{Caller, PATIENCE, Tenant, TestServer, connect, own_database, started, text};

/// What its secrets are encrypted with.
const KEY: &str = "bG9vcGN0bCB0ZXN0IGtleSBvZiAzMiBieXRlcyEhISE=";

/// The server of these tests.
fn server() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| started(options(ServeOptions::local(own_database()))))
}

/// Of a server that may reach this machine.
fn options(options: ServeOptions) -> ServeOptions {
    ServeOptions {
        pool_size: 16,
        webhooks: Policy { allow_http: true, allowed: "127.0.0.0/8".parse().unwrap() },
        deliveries: DeliveryOptions { concurrency: 24, ..DeliveryOptions::default() },
        keys: Keys::parse(Some(KEY), None).unwrap(),
        ..options
    }
}

async fn tenant() -> Tenant {
    Tenant::at(&server().owner, &server().base).await
}

async fn owner() -> Client {
    connect(&server().owner).await
}

/// Waits until `ready` gives something.
async fn eventually<T>(what: &str, mut ready: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(value) = ready().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, waiting).await;
    outcome.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
}

/// A request that came in.
#[derive(Debug, Clone)]
struct Received {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("{name}: {:?}", self.headers)).to_str().unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answering = Pin<Box<dyn Future<Output = (u16, String)> + Send>>;

/// Somebody who listens on this machine.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    under_way: Arc<AtomicUsize>,
    /// The most requests at the same time so far.
    peak: Arc<AtomicUsize>,
}

impl Receiver {
    /// Answers the first, second, … request as told.
    async fn answering(answer: impl Fn(usize) -> Answering + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (received, under_way, peak) = (Arc::default(), Arc::default(), Arc::default());
        let receiver = Self { url, received, under_way, peak };
        let (received, under_way, peak) =
            (Arc::clone(&receiver.received), Arc::clone(&receiver.under_way), Arc::clone(&receiver.peak));
        let answer = Arc::new(answer);
        let handler = move |headers: HeaderMap, body: Bytes| {
            let now = under_way.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            let nth = {
                let mut received = received.lock().unwrap();
                received.push(Received { headers, body: body.to_vec() });
                received.len()
            };
            let (answering, leaving) = (answer(nth), Leaving(Arc::clone(&under_way)));
            async move {
                let (status, body) = answering.await;
                drop(leaving);
                let answer: Response = (StatusCode::from_u16(status).unwrap(), body).into_response();
                answer
            }
        };
        let app = axum::Router::new().route("/hook", axum::routing::post(handler));
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    /// Answers each request with this status.
    async fn always(status: u16) -> Self {
        Self::answering(move |_| Box::pin(async move { (status, "told".to_owned()) })).await
    }

    /// Never answers.
    async fn never() -> Self {
        Self::answering(|_| Box::pin(std::future::pending())).await
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The requests, once there are so many.
    async fn expect(&self, count: usize) -> Vec<Received> {
        eventually("requests", async || Some(self.received()).filter(|received| received.len() >= count))
            .await
    }
}

/// A request that has been answered, or whose client has left.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A webhook, with the row of the database below it.
struct Webhook {
    id: String,
    secret: String,
    whsec: String,
    /// Another one of the same tenant, to which nobody listens.
    bell: String,
    caller: Caller,
    owner: Client,
}

impl Webhook {
    /// Of this tenant, for these events.
    async fn of(tenant: &Tenant, url: &str, events: &[&str]) -> Self {
        let made = tenant.user.post("/webhooks", json!({"url": url, "events": events})).await.expect(201);
        let made = &made["webhook"];
        let bell = json!({"url": "http://127.0.0.1:1/", "events": ["epic.completed"]});
        let bell = tenant.user.post("/webhooks", bell).await.expect(201);
        Self {
            bell: text(&bell["webhook"]["id"]),
            id: text(&made["id"]),
            secret: text(&made["signing_secret"]),
            whsec: text(&made["signing_secret_whsec"]),
            caller: tenant.user.clone(),
            owner: owner().await,
        }
    }

    async fn shown(&self) -> Value {
        self.caller.get(&format!("/webhooks/{}", self.id)).await.expect(200)["webhook"].clone()
    }

    async fn deliveries(&self) -> Vec<Value> {
        let page =
            self.caller.get(&format!("/webhooks/{}/deliveries?page_size=100", self.id)).await.expect(200);
        page["data"].as_array().unwrap().clone()
    }

    /// The only delivery, once it is as wanted.
    async fn delivery(&self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let deliveries = self.deliveries().await;
            assert!(deliveries.len() <= 1, "{deliveries:#?}");
            deliveries.into_iter().next().filter(&is_wanted)
        })
        .await
    }

    /// The only delivery, once it has this status.
    async fn settled(&self, status: &str) -> Value {
        self.delivery(status, |delivery| delivery["status"] == status).await
    }

    /// Asks for a test event; its id.
    async fn ping(&self) -> String {
        let asked = self.caller.post(&format!("/webhooks/{}/test", self.id), json!({})).await.expect(200);
        text(&asked["webhook_event_id"])
    }

    /// Changes its row or those of its events, which is `$1`.
    async fn execute(&self, sql: &str) -> u64 {
        let id: Uuid = self.id.parse().unwrap();
        self.owner.execute(sql, &[&id]).await.unwrap()
    }

    /// As if the time until the next attempt had passed.
    async fn time_passes(&self) {
        self.execute(
            "update webhook_events set next_attempt_at = clock_timestamp() where webhook_id = $1 and status = 'pending'",
        )
        .await;
        self.ring().await;
    }

    /// Lets the server look for what is due at once.
    async fn ring(&self) {
        self.caller.post(&format!("/webhooks/{}/test", self.bell), json!({})).await.expect(200);
    }
}

/// Lets something happen that webhooks are told of, so many times.
async fn agents(tenant: &Tenant, count: usize) {
    for _ in 0..count {
        tenant.agent().await;
    }
}
