//! Every route that is mounted, and every status that the OpenAPI document lists for it: each is really answered here.
//! That there are no others is looked at by all tests, in [`conformance`](crate::conformance).

mod examples;
mod steps;
mod sweep;

use std::collections::BTreeSet;

use futures_util::future::join;
use loopctl_server::EmbeddingChoice;
use loopctl_server::operator::create_superadmin_key;
use loopctl_server::serve::Server;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::conformance::{OPERATIONS, Operation};
use crate::conventions::health::{Line, line_to};
use crate::exports::streaming::huge;
use crate::isolation::{Populated, populated};
use crate::rates::limited_to;
use crate::signup::sessions::signed_in;
use crate::signup::signed_up;
use crate::support::{Caller, Reach, Tenant, bring, connect, http_client, server, unique};
use examples::Examples;
use steps::{Step, steps};

/// An id that nothing has.
const NOBODY: &str = "0190f5ad-0000-7000-8000-000000000000";

/// The most that a body may be, an import's, and an export's of telemetry.
const LIMITS: [usize; 3] = [2_097_152, 10_485_760, 4_194_304];

/// Who calls, and what there is to be called upon.
struct World {
    a: Populated,
    /// Another agent, which implements nothing.
    reviewer: Caller,
    /// An orchestrator of the agent that implements everything.
    accomplice: Caller,
    /// An orchestrator without an agent.
    unbound: Caller,
    /// The key of a tenant that is suspended.
    suspended: Caller,
    superadmin: Caller,
    /// The key of a tenant that may make one request a minute.
    hurried: Caller,
    /// The same on a page, in a browser in which the owner has signed in.
    hurried_page: Caller,
}

impl World {
    async fn new() -> Self {
        let a = populated().await;
        let (suspended, root) = (Tenant::new().await, unique("root"));
        let sql = "update tenants set status = 'suspended' where id = $1::text::uuid";
        connect(&server().owner).await.execute(sql, &[&suspended.id]).await.unwrap();
        let key = create_superadmin_key(&server().owner, &root).await.unwrap();
        Self {
            hurried: limited_to(1).await.user,
            hurried_page: hurried_page().await,
            reviewer: a.tenant.agent().await,
            accomplice: a.tenant.orchestrator_of(a.agent.agent()).await,
            unbound: a.tenant.key("orchestrator").await,
            suspended: suspended.user,
            superadmin: Caller::with_key(&key.raw_key),
            a,
        }
    }

    /// A new story, brought this far.
    async fn at(&self, reach: Reach) -> String {
        let story = self.a.tenant.story().await;
        bring(&story, reach, &self.a.agent, &self.reviewer, &self.a.orchestrator).await;
        story
    }

    /// Requests that can be made of any route and that are refused by most. None of them changes anything. `allowed` is
    /// somebody who may call the route.
    fn provocations(&self, operation: &Operation, allowed: &Caller) -> Vec<(Caller, RequestBuilder)> {
        let mut astray = self.superadmin.clone();
        astray.headers.push(("x-impersonate-tenant", NOBODY.to_owned()));
        let (method, path) = (operation.method(), nowhere(operation));
        let mut king = self.superadmin.clone();
        king.headers.push(("x-impersonate-tenant", self.a.tenant.id.clone()));
        king.headers.push(("x-effective-role", "king".to_owned()));
        let plain = [Caller::nobody(), self.suspended.clone(), self.superadmin.clone(), astray, king];
        let plain = plain.map(|caller| (caller.clone(), caller.request(method.clone(), &path)));
        let broken_query = (allowed.clone(), allowed.request(method.clone(), &format!("{path}?a=%zz")));
        let limit = match path.as_str() {
            _ if path.ends_with("/import") || path.contains("/knowledge/ingest") => LIMITS[1],
            "//v1/metrics" | "//v1/logs" => LIMITS[2],
            _ => LIMITS[0],
        };
        let bodies = [
            ("application/json", b"{".to_vec()),
            ("application/json", b"[]".to_vec()),
            ("application/json", vec![b' '; limit + 1]),
            ("text/plain", b"x".to_vec()),
        ];
        let bodies = bodies.map(|(content_type, body)| {
            let request = allowed.request(method.clone(), &path);
            (allowed.clone(), request.header("content-type", content_type).body(body))
        });
        plain.into_iter().chain([broken_query]).chain(bodies).collect()
    }

    /// The status of one request too many of a route, in one minute. None of them does anything: who signed out would be nobody.
    async fn too_often(&self, operation: &Operation) -> u16 {
        let hurried = if operation.takes_keys { &self.hurried } else { &self.hurried_page };
        // It is the first one of a minute, at most every other time.
        for _ in 0..10 {
            let mut request = hurried.request(operation.method(), &nowhere(operation));
            if operation.method() != Method::GET {
                request = request.header("content-type", "application/json").body("{");
            }
            let reply = hurried.send(request).await;
            if reply.status == 429 {
                reply.clone().expect_error(429, "rate_limited");
                return reply.status;
            }
        }
        panic!("{}: never refused", nowhere(operation));
    }

    /// The statuses that a route answers, whatever is done to it. What is sent and answered is noted.
    async fn provoked(&self, operation: &Operation, recorded: &mut Examples) -> BTreeSet<u16> {
        let mut seen = BTreeSet::new();
        let steps = steps(self, operation).await;
        // At best it is done; a page may only lead elsewhere.
        let best = |limit| steps.iter().find(move |step: &&Step| step.status < limit);
        let done = best(300).or_else(|| best(400)).expect("a step that succeeds");
        // Before anything is done: whoever signs out is nobody afterwards.
        for (caller, request) in self.provocations(operation, &done.who) {
            seen.insert(caller.send(request).await.status);
        }
        for step in &steps {
            let Step { who, status, path, body } = step;
            let key = (operation.is_repeatable() && std::ptr::eq(step, done)).then(|| unique("key"));
            let send = async |path: &str| {
                let request = request(who, operation, path, body);
                let request = key.iter().fold(request, |request, key| request.header("Idempotency-Key", key));
                who.send(request).await
            };
            let reply = send(path).await;
            recorded.note(operation, step, &reply);
            reply.expect(*status);
            seen.insert(*status);
            // Something else under the same key.
            if key.is_some() {
                let other = if path.contains('?') { "&else=1" } else { "?else=1" };
                seen.insert(send(&format!("{path}{other}")).await.status);
            }
        }
        if operation.is_secured {
            seen.insert(self.too_often(operation).await);
        }
        // It takes as long as the server waits for whoever is first: one test of that is enough.
        if operation.codes(409) == ["idempotency_in_progress"] {
            seen.insert(409);
        }
        // What succeeded, of a record that is not there. Of an article that is not there, there are no links.
        if operation.path.contains('{') && !operation.path.ends_with("/articles/{article_id}/links") {
            let request = request(&done.who, operation, &nowhere(operation), &done.body);
            let reply = done.who.send(request).await;
            // A page leads elsewhere, or says so for people.
            if !seen.contains(&302) {
                seen.insert(404);
                if reply.is_page() {
                    reply.expect(404);
                } else {
                    reply.expect_error(404, "not_found");
                }
            }
        }
        seen
    }
}

/// A page of ours in the browser of the owner of a tenant that may do one thing in a minute.
async fn hurried_page() -> Caller {
    let (tenant, mut device) = signed_up().await;
    let page = signed_in(&mut device).await;
    let settings = json!({"settings": {"rate_limit_requests_per_minute": 1}});
    tenant.user.patch("/tenants/me", settings).await.expect(200);
    page
}

fn request(who: &Caller, operation: &Operation, path: &str, body: &Value) -> RequestBuilder {
    let request = who.request(operation.method(), path);
    if body.is_null() { request } else { request.json(body) }
}

/// The operation's path, as [`Caller::request`] takes it.
fn short(operation: &Operation) -> String {
    let below = operation.path.strip_prefix("/api/v1").map(str::to_owned);
    below.unwrap_or_else(|| format!("/{}", operation.path))
}

/// The operation's path with ids that nothing has.
fn nowhere(operation: &Operation) -> String {
    let path = short(operation);
    let parts = path.split('/').map(|part| match part {
        // What is no integer is another fault.
        "{version}" => "1",
        part if part.starts_with('{') => NOBODY,
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The status of an export while as many are being read as may be, of a search by meaning where nobody makes that out, of what a superadmin asks for without the owner's login, and
/// of what says what it does without a database once that is gone. Not to be had of the server that all tests share.
async fn unavailable() -> Vec<(&'static str, u16)> {
    let tenant = Tenant::new().await;
    let project = huge(&tenant).await;
    // One of the two connections is for exports.
    let (line, mut options) = line_to("loopctl", 2).await;
    options.embeddings.choice = EmbeddingChoice::Off;
    let running = Server::start(&options).await.unwrap();
    let http = http_client();
    let get = |path: &str| {
        let key = tenant.user.key.as_deref().unwrap();
        http.get(format!("http://{}{path}", running.address)).bearer_auth(key)
    };
    let export = format!("/api/v1/projects/{project}/export");
    let being_read = get(&export).send().await.unwrap();
    assert_eq!(being_read.status(), 200);
    let one_too_many = tenant.user.send(get(&export)).await.status;
    let by_meaning = tenant.user.send(get("/api/v1/knowledge/search?q=a&mode=semantic")).await;
    let without_meaning = by_meaning.status;
    by_meaning.expect_error(503, "embedding_unavailable");
    drop(being_read);
    let key = create_superadmin_key(&server().owner, &unique("walk")).await.unwrap().raw_key;
    let mut seen = Vec::new();
    for path in [
        "/api/v1/admin/audit",
        "/api/v1/admin/tenants",
        "/api/v1/admin/stats",
        "/api/v1/admin/violators",
        "/api/v1/admin/violators/{id}/resolve",
        "/api/v1/admin/violators/{id}/ignore",
    ] {
        let method = if path.contains('{') { Method::POST } else { Method::GET };
        let address = format!("http://{}{}", running.address, path.replace("{id}", NOBODY));
        let without_login = tenant.user.send(http.request(method, address).bearer_auth(&key)).await;
        seen.push((path, without_login.status));
        without_login.expect_error(503, "admin_database_missing");
    }
    line.send(Line::Cut).unwrap();
    let without_database = tenant.user.send(get("/health")).await.status;
    running.stop().await.unwrap();
    seen.extend([
        ("/api/v1/projects/{id}/export", one_too_many),
        ("/api/v1/knowledge/search", without_meaning),
        ("/health", without_database),
    ]);
    seen
}

/// The status of one stream more than a tenant may have.
async fn too_many_streams() -> (&'static str, u16) {
    let tenant = Tenant::new().await;
    let follow = || tenant.user.request(Method::GET, "/changes/stream");
    let mut open = Vec::new();
    loop {
        let response = follow().send().await.unwrap();
        if response.status() != 200 {
            let refused = tenant.user.send(follow()).await;
            refused.clone().expect_error(429, "too_many_streams");
            return ("/api/v1/changes/stream", refused.status);
        }
        open.push(response);
        assert!(open.len() <= 64, "a bound");
    }
}

#[tokio::test]
async fn every_documented_status_is_answered() {
    let walk = async {
        let world = World::new().await;
        let (mut provoked, mut recorded) = (Vec::new(), Examples::default());
        for operation in OPERATIONS.iter() {
            provoked.push((operation, world.provoked(operation, &mut recorded).await));
        }
        recorded.keep_or_compare();
        provoked
    };
    let ((mut provoked, unavailable), too_many) = join(join(walk, unavailable()), too_many_streams()).await;
    for (path, status) in unavailable.into_iter().chain([too_many]) {
        let (_, seen) = provoked.iter_mut().find(|(operation, _)| operation.path == path).unwrap();
        seen.insert(status);
    }
    let mut faults = Vec::new();
    for (operation, mut seen) in provoked {
        let documented = operation.statuses();
        // What is too much for an answer takes many megabytes: `fair` has such a page, and the other lists are read as that one is.
        if operation.codes(422) == ["answer_too_large"] {
            seen.insert(422);
        }
        if seen != documented {
            faults.push(format!("{} {}: {documented:?}, not {seen:?}", operation.method, operation.path));
        }
    }
    assert!(faults.is_empty(), "documented otherwise than answered: {faults:#?}");
}
