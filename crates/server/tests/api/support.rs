//! A running server for all tests of this binary, and a small vocabulary to talk to it.
//!
//! The server is the real one: embedded PostgreSQL, real HTTP on a port of its own. Test binaries that only ask over HTTP
//! share the one that `LOOPCTL_TEST_SERVER` names; without it a server is started here, on a runtime of its own, and lives as long as the
//! process. Each test gets a tenant to itself.

mod events;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use self::events::Events;
pub(crate) use self::waiting::{BOUND, PATIENCE, a_moment, somebody_waits_for, until, until_true};
use crate::conformance;
use loopctl_postgres::{EmbeddedOptions, running};
use loopctl_server::config::{APPLICATION, DatabaseOptions};
use loopctl_server::db::Login;
use loopctl_server::operator;
use loopctl_server::serve::{ServeOptions, Server};
use loopctl_server::{EmbeddingChoice, EmbeddingOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::{Client, Config, NoTls};

/// What tests need to know of the server.
pub(crate) struct TestServer {
    /// `http://127.0.0.1:<port>`
    pub(crate) base: String,
    /// Connects as the owner, above row-level security.
    pub(crate) owner: Login,
    /// Connects as the application role, below it.
    pub(crate) app: Login,
}

/// The server of all tests.
pub(crate) fn server() -> &'static TestServer {
    static SERVER: OnceLock<TestServer> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var("LOOPCTL_TEST_SERVER") {
        Ok(named) if !named.is_empty() => shared(&named),
        _ => own(),
    })
}

/// The server that is named by its address and its data directory.
fn shared(named: &str) -> TestServer {
    let (base, data_dir) = named.split_once(' ').expect("an address and a data directory");
    let login = |user| {
        let config = running(Path::new(data_dir), user, "loopctl").expect("the shared server runs");
        Login::of_socket(config).unwrap()
    };
    TestServer { base: base.to_owned(), owner: login("loopctl_owner"), app: login("loopctl_app") }
}

/// A database of its own for a server of its own, with the PostgreSQL that the run names.
pub(crate) fn own_database() -> DatabaseOptions {
    let pg_bin = std::env::var_os("LOOPCTL_PG_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    DatabaseOptions::Embedded(EmbeddedOptions { pg_bin, ..EmbeddedOptions::new(&APPLICATION, scratch_dir()) })
}

fn own() -> TestServer {
    started(ServeOptions {
        public_url: Some("http://loopctl.test".to_owned()),
        pool_size: 16,
        embeddings: by_meaning(),
        ..ServeOptions::local(own_database())
    })
}

/// With the model that comes along. Nothing is linked by itself.
pub(crate) fn by_meaning() -> EmbeddingOptions {
    EmbeddingOptions { related: Some(2.0), ..EmbeddingOptions::default() }
}

/// With hashes of words, which cost nothing. Nothing is linked by itself.
pub(crate) fn by_hashes() -> EmbeddingOptions {
    EmbeddingOptions { choice: EmbeddingChoice::Hash, ..by_meaning() }
}

/// Starts a server, on a runtime of its own, that runs until the process ends. Where nobody says who makes vectors, they cost nothing: to
/// make out what the server's own articles mean takes a processor seconds.
pub(crate) fn started(mut options: ServeOptions) -> TestServer {
    if matches!(options.embeddings, EmbeddingOptions { choice: EmbeddingChoice::Local, related: None, .. }) {
        options.embeddings = by_hashes();
    }
    let (told, tell) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let server = Server::start(&options).await.expect("the test server starts");
            told.send(TestServer {
                base: format!("http://{}", server.address),
                owner: server.database.owner.clone(),
                app: server.database.app.clone(),
            })
            .unwrap();
            // Until the process ends; PostgreSQL ends with it.
            std::future::pending::<()>().await;
        });
    });
    tell.recv().expect("the test server starts")
}

/// A directory that the cluster's user can reach. Those of test processes that are gone are removed.
fn scratch_dir() -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let base = std::env::temp_dir();
    // Where processes are not to be seen, none can be told to be gone.
    let visible = Path::new("/proc/self").exists();
    for entry in std::fs::read_dir(&base).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name
            .strip_prefix("loopctl-api-test-")
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if visible && pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    base.join(format!("loopctl-api-test-{}-{number}", std::process::id()))
}

/// A connection to the test database.
pub(crate) async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What random tests begin with: `LOOPCTL_TEST_SEED`, which cargo sets to the same number in every run.
pub(crate) fn seed() -> u64 {
    std::env::var("LOOPCTL_TEST_SEED").unwrap_or_default().parse().expect("LOOPCTL_TEST_SEED is a number")
}

/// How often a test of luck tries: `few` times, and with `LOOPCTL_TEST_LONG` many times as often.
pub(crate) fn rounds(few: usize) -> usize {
    let long = std::env::var_os("LOOPCTL_TEST_LONG").is_some_and(|value| !value.is_empty());
    if long { 10 * few } else { few }
}

/// A word that no other test uses, of this binary or of another one that shares the server, and that is no part of another one.
pub(crate) fn unique(prefix: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}-{}z", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    /// Null when there was no body.
    pub(crate) body: Value,
    what: String,
}

impl Reply {
    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {:#}", self.what, self.body);
        // On a page people read it in their own way.
        if status >= 400 && !self.is_page() {
            assert_eq!(self.body["error"]["status"], status, "{}: the envelope", self.what);
            assert!(self.body["error"]["message"].is_string(), "{}: the envelope", self.what);
        }
        self.body
    }

    /// Whether it is a page, for people.
    pub(crate) fn is_page(&self) -> bool {
        let content_type = self.headers.get("content-type").and_then(|of| of.to_str().ok());
        content_type.is_some_and(|of| of.starts_with("text/html"))
    }

    /// The `error` member of an answer with this status and code.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Value {
        let what = self.what.clone();
        let error = self.expect(status)["error"].clone();
        assert_eq!(error["code"], code, "{what}: {error:#}");
        error
    }
}

/// Connections to servers of these tests, which go where they are told and nowhere else.
pub(crate) fn http_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let redirects = reqwest::redirect::Policy::none();
    reqwest::Client::builder().tls_certs_only([]).redirect(redirects).build().unwrap()
}

/// Somebody who calls: a key, or nobody.
#[derive(Clone)]
pub(crate) struct Caller {
    http: reqwest::Client,
    /// Whose address: that of the server of all tests, or of a test's own.
    base: String,
    /// The raw key; None sends no `Authorization`.
    pub(crate) key: Option<String>,
    /// The agent that the key is bound to.
    pub(crate) agent_id: Option<String>,
    /// Further headers on every request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Caller {
    /// A caller with this key.
    pub(crate) fn with_key(key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..Self::nobody() }
    }

    /// A caller without a key.
    pub(crate) fn nobody() -> Self {
        Self {
            http: http_client(),
            base: server().base.clone(),
            key: None,
            agent_id: None,
            headers: Vec::new(),
        }
    }

    /// The same, who calls another server.
    pub(crate) fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Somebody else who calls the same server.
    fn beside(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), agent_id: None, headers: Vec::new(), ..self.clone() }
    }

    /// The agent's id; only for callers bound to one.
    pub(crate) fn agent(&self) -> &str {
        self.agent_id.as_deref().expect("a caller bound to an agent")
    }

    /// A request to be completed by the test. `path` is below `/api/v1` unless it starts with `//`.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = match path.strip_prefix("//") {
            Some(rest) => format!("{}/{rest}", self.base),
            None => format!("{}/api/v1{path}", self.base),
        };
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request
    }

    /// Sends a request and reads the whole answer; of events that go on and on, the data of the first one that is there.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let what = format!("{method} {path}");
        let response = self.http.execute(request).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_stream = headers.get("content-type").is_some_and(|of| of == "text/event-stream");
        let told =
            ["limit", "remaining", "reset"].map(|of| headers.contains_key(format!("x-ratelimit-{of}")));
        assert!(told == [true; 3] || told == [false; 3], "{what}: {headers:?}");
        let text = if is_stream && method == Method::GET {
            Events::of(response).already().await
        } else {
            response.text().await.unwrap()
        };
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(json!(text)) };
        conformance::check(&method, &path, status, &headers, &body);
        Reply { status, headers, body, what }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST with the JSON content type and, like the MCP client, an empty body.
    pub(crate) async fn post_empty(&self, path: &str) -> Reply {
        self.send(self.request(Method::POST, path).header("content-type", "application/json")).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }
}

/// A tenant of its own for one test.
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) slug: String,
    /// Its first key, role `user`.
    pub(crate) user: Caller,
}

impl Tenant {
    pub(crate) async fn new() -> Self {
        Self::at(&server().owner, &server().base).await
    }

    /// What is kept of readiness is what the plan and the statuses say.
    pub(crate) async fn keeps_count(&self) {
        let check = operator::check(&server().owner, Some(self.id.parse().unwrap())).await.unwrap();
        assert_eq!(check.different, 0, "{:#?}", check.differences);
    }

    /// On another server than that of all tests: its database's owner, and its address.
    pub(crate) async fn at(owner: &Login, base: &str) -> Self {
        let tenant = Self::untouched(owner, base).await;
        // Tests do in a second what people and agents do in an hour.
        let raise = "update tenants set settings = '{\"rate_limit_requests_per_minute\": 1000000}'
                     where id = $1::text::uuid";
        connect(owner).await.execute(raise, &[&tenant.id]).await.unwrap();
        tenant
    }

    /// With nothing set: each of its keys may make 300 requests a minute.
    pub(crate) async fn untouched(owner: &Login, base: &str) -> Self {
        let slug = unique("tenant");
        let email = format!("{slug}@loopctl.test");
        let (tenant, key) = operator::create_tenant(owner, &slug, &slug, &email).await.unwrap();
        let user = Caller { base: base.to_owned(), ..Caller::with_key(&key.raw_key) };
        Self { id: tenant.id.to_string(), slug, user }
    }

    /// A new key of this role, not bound to any agent.
    pub(crate) async fn key(&self, role: &str) -> Caller {
        let body = json!({"name": unique(role), "role": role});
        let key = self.user.post("/api_keys", body).await.expect(201);
        self.user.beside(key["api_key"]["raw_key"].as_str().unwrap())
    }

    /// An agent-role key with its registered implementer agent.
    pub(crate) async fn agent(&self) -> Caller {
        let mut caller = self.key("agent").await;
        let body = json!({"name": unique("agent"), "agent_type": "implementer"});
        let agent = caller.post("/agents/register", body).await.expect(201);
        caller.agent_id = agent["agent"]["id"].as_str().map(str::to_owned);
        caller
    }

    /// An orchestrator-role key linked to a registered agent of its own.
    pub(crate) async fn orchestrator(&self) -> Caller {
        let agent = self.agent().await;
        self.orchestrator_of(agent.agent()).await
    }

    /// An orchestrator-role key linked to this agent.
    pub(crate) async fn orchestrator_of(&self, agent_id: &str) -> Caller {
        self.key_of(agent_id, "orchestrator").await
    }

    /// A key of this role linked to this agent.
    pub(crate) async fn key_of(&self, agent_id: &str, role: &str) -> Caller {
        let body = json!({"name": unique(role), "role": role, "agent_id": agent_id});
        let key = self.user.post("/api_keys", body).await.expect(201);
        let mut caller = self.user.beside(key["api_key"]["raw_key"].as_str().unwrap());
        caller.agent_id = Some(agent_id.to_owned());
        caller
    }

    /// Its audit log as the database holds it, oldest first.
    pub(crate) async fn audit_log(&self) -> Vec<Value> {
        self.audit_log_at(&server().owner).await
    }

    /// The same, on another server than that of all tests.
    pub(crate) async fn audit_log_at(&self, owner: &Login) -> Vec<Value> {
        let sql = "select to_jsonb(a) from audit_log a where tenant_id = $1::text::uuid order by position";
        let rows = connect(owner).await.query(sql, &[&self.id]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// An empty project's id.
    pub(crate) async fn project(&self) -> String {
        let slug = unique("project");
        let project = self.user.post("/projects", json!({"name": slug, "slug": slug})).await.expect(201);
        text(&project["project"]["id"])
    }

    /// Imports a payload into a new project; the project's id.
    pub(crate) async fn imported(&self, payload: Value) -> String {
        let project = self.project().await;
        self.user.post(&format!("/projects/{project}/import"), payload).await.expect(201);
        project
    }

    /// A new project with one epic of one story per given number; the project's id.
    pub(crate) async fn project_of(&self, numbers: &[&str]) -> String {
        let stories: Vec<_> = numbers.iter().map(|number| story(number)).collect();
        self.imported(json!({"epics": [{"number": 1, "title": "Epic", "stories": stories}]})).await
    }

    /// The id of a story by its number.
    pub(crate) async fn story_id(&self, project: &str, number: &str) -> String {
        let list = self.user.get(&format!("/stories?project_id={project}&number={number}")).await.expect(200);
        text(&list["data"][0]["id"])
    }

    /// The id of one new pending story, titled `Build API`, with two criteria.
    pub(crate) async fn story(&self) -> String {
        let project = self.project_of(&["1.1"]).await;
        self.story_id(&project, "1.1").await
    }
}

/// An import's story, titled `Build API`, with two criteria.
pub(crate) fn story(number: &str) -> Value {
    json!({
        "number": number, "title": "Build API",
        "acceptance_criteria": [{"id": "AC-1", "criterion": "It works"}, {"id": "AC-2", "criterion": "It is tested"}],
    })
}

/// The body of a contract for [`story`].
pub(crate) fn echo() -> Value {
    json!({"story_title": "Build API", "ac_count": 2})
}

/// A JSON string's text.
#[track_caller]
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a string, not {value}")).to_owned()
}

/// How far to bring a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Contracted,
    Assigned,
    Implementing,
    Reported,
    Reviewed,
    Verified,
}

/// Brings a pending [`story`] forward: `implementer` works on it, `reviewer` (another agent) reports and
/// reviews it, and an orchestrator verifies it.
pub(crate) async fn bring(
    story: &str,
    reach: Reach,
    implementer: &Caller,
    reviewer: &Caller,
    orchestrator: &Caller,
) {
    let at = |action: &str| format!("/stories/{story}/{action}");
    let verify = json!({"review_type": "enhanced", "summary": "checked"});
    let steps = [
        (Reach::Contracted, implementer, "contract", echo(), 200),
        (Reach::Assigned, implementer, "claim", json!({}), 200),
        (Reach::Implementing, implementer, "start", json!({}), 200),
        (Reach::Reported, implementer, "request-review", json!({}), 200),
        (Reach::Reported, reviewer, "report", json!({}), 200),
        (Reach::Reviewed, reviewer, "review-complete", json!({"review_type": "enhanced"}), 201),
        (Reach::Verified, orchestrator, "verify", verify, 200),
    ];
    for (step, who, action, body, status) in steps {
        if step <= reach {
            who.post(&at(action), body).await.expect(status);
        }
    }
}
