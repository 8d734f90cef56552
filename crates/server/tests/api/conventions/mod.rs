//! What holds for every request, whatever the route.

mod bodies;
mod documents;
pub(crate) mod health;
mod idempotency;
mod malformed;
mod paging;
mod tls;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Caller, Reach, Reply, Tenant, bring, text};

const RANDOM_ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

#[track_caller]
fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.get(name).map(|value| value.to_str().unwrap())
}

/// The one form of a 404 for anything that does not exist.
#[track_caller]
fn assert_not_found(reply: Reply) {
    assert_eq!(header(&reply, "content-type"), Some("application/json; charset=utf-8"));
    let error = reply.expect_error(404, "not_found");
    assert_eq!(error["message"], "Not found");
}

/// JSON, whatever the client says it accepts, and no key is needed to learn that nothing is there.
#[tokio::test]
async fn unknown_paths_are_404_in_json() {
    let nobody = Caller::nobody();
    for path in [
        "/nope",
        "/tenants/register",
        "/tenants",
        "/stories/x/y/z",
        "//nope",
        "//api/v2/projects",
        "//.well-known/nope",
    ] {
        for accept in [None, Some("*/*"), Some("text/html"), Some("image/png"), Some("application/xml;q=0")] {
            // Elsewhere people read why.
            if path.starts_with("//") && !path.starts_with("//api/") && accept == Some("text/html") {
                continue;
            }
            let mut request = nobody.request(Method::GET, path);
            if let Some(accept) = accept {
                request = request.header("accept", accept);
            }
            assert_not_found(nobody.send(request).await);
        }
        assert_not_found(nobody.send(nobody.request(Method::POST, path).body("{broken")).await);
    }
}

/// A known path with another method is as unknown as an unknown path, also OPTIONS.
#[tokio::test]
async fn unsupported_methods_are_404() {
    let tenant = Tenant::new().await;
    let story_claim = format!("/stories/{RANDOM_ID}/claim");
    for (method, path) in [
        (Method::PUT, "/tenants/me"),
        (Method::DELETE, "/tenants/me"),
        (Method::POST, "/stories/ready"),
        (Method::GET, story_claim.as_str()),
        (Method::POST, "//health"),
        (Method::POST, "/tenants/register"),
        (Method::OPTIONS, "/projects"),
        (Method::TRACE, "/projects"),
    ] {
        for caller in [&tenant.user, &Caller::nobody()] {
            let reply = caller.send(caller.request(method.clone(), path)).await;
            assert!(
                reply.headers.keys().all(|name| !name.as_str().starts_with("access-control-")),
                "{method} {path}"
            );
            assert_not_found(reply);
        }
    }
}

/// 404 as for an id that does not exist, in a path as well as in a filter.
#[tokio::test]
async fn malformed_ids_name_nothing() {
    let tenant = Tenant::new().await;
    let (agent, orchestrator) = (tenant.agent().await, tenant.orchestrator().await);
    let hyphenless = RANDOM_ID.replace('-', "");
    for id in [
        "not-a-uuid",
        "7",
        hyphenless.as_str(),
        "%7B0190163d-8694-739b-aea5-966c26f8ad91%7D",
        "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91",
        "0190163d-8694-739b-aea5-966c26f8ad9g",
        "0190163d-8694-739b-aea5-966c26f8ad91%20",
        "%00",
        "%ff",
        "%c3%28",
        "0190163d-8694-739b-aea5-966c26f8ad9%ff",
        RANDOM_ID,
    ] {
        for path in [
            format!("/agents/{id}"),
            format!("/projects/{id}"),
            format!("/projects/{id}/epics"),
            format!("/epics/{id}"),
            format!("/stories/{id}"),
            format!("/stories/{id}/history"),
        ] {
            assert_not_found(orchestrator.get(&path).await);
        }
        assert_not_found(agent.post_empty(&format!("/stories/{id}/claim")).await);
        assert_not_found(tenant.user.delete(&format!("/api_keys/{id}")).await);
    }
    for query in ["project_id=nope", "epic_id=7", "project_id=0190163d8694739baea5966c26f8ad91"] {
        assert_not_found(agent.get(&format!("/stories/ready?{query}")).await);
        assert_not_found(agent.get(&format!("/stories/blocked?{query}")).await);
    }
    assert_not_found(agent.get("/stories?project_id=nope").await);
    let error = agent.get("/stories").await.expect_error(400, "bad_request");
    assert_eq!(error["message"], "project_id query parameter is required");
}

/// Invalid UTF-8, broken percent-encoding and NUL in the query. In a path they are part of an id that nothing has.
#[tokio::test]
async fn broken_queries_are_400() {
    let tenant = Tenant::new().await;
    for query in ["status=%zz", "status=%f", "%=1", "slug=%ff", "slug=%c3%28", "slug=a%00b", "%00=a"] {
        let error = tenant.user.get(&format!("/projects?{query}")).await.expect_error(400, "bad_request");
        assert!(text(&error["message"]).starts_with("Bad Request"), "{query}: {error}");
        // Also where the query is part of the parameters of a write.
        let body = json!({"name": "x", "role": "agent"});
        tenant.user.post(&format!("/api_keys?{query}"), body).await.expect_error(400, "bad_request");
    }
    let keys = tenant.user.get("/api_keys").await.expect(200);
    assert_eq!(keys["data"].as_array().unwrap().len(), 1, "nothing was created");
}

/// A load balancer has no key, and a wrong one says nothing about the server.
#[tokio::test]
async fn health_needs_no_key_and_looks_at_none() {
    for caller in [Caller::nobody(), Caller::with_key("lc_unknown")] {
        let reply = caller.get("//health").await;
        assert_eq!(header(&reply, "content-type"), Some("application/json; charset=utf-8"));
        let health = reply.expect(200);
        assert_eq!(health["status"], "ok");
        assert_eq!(health["version"], "1.0.0");
        assert_eq!(health["checks"]["database"], "ok");
        assert_eq!(health["checks"]["oban"], "ok");
    }
}

/// The root leads to the API, which says where its parts are; trailing and doubled slashes do not matter.
#[tokio::test]
async fn discovery_and_slashes() {
    let nobody = Caller::nobody();
    let root = nobody.get("//").await;
    assert_eq!((root.status, header(&root, "location")), (302, Some("/api/v1/")));
    for path in ["//api/v1", "//api/v1/", "//api//v1//", "///api/v1"] {
        let discovery = nobody.get(path).await.expect(200);
        assert_eq!(
            discovery,
            json!({
                "name": "loopctl", "version": "1.0.0", "authentication": "Authorization: Bearer lc_...", "docs": "/api/v1/openapi", "swagger_ui": "/swaggerui",
                "health": "/health", "routes": "/api/v1/routes", "lifecycle": "/api/v1/lifecycle",
                "ready_stories": "/api/v1/stories/ready", "register": "/api/v1/agents/register",
                "guide": "/docs/agents", "errors": "/docs/errors", "well_known": "/.well-known/loopctl", "signup": "/signup",
            }),
            "{path}"
        );
    }
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    for path in ["/projects/", "//api/v1//projects", "/projects///?slug=", "//api//v1/projects//?page=1"] {
        let list = tenant.user.get(path).await.expect(200);
        assert_eq!(list["data"][0]["id"], project, "{path}");
    }
    let shown = tenant.user.get(&format!("/projects/{project}/?x=//")).await.expect(200);
    assert_eq!(shown["project"]["id"], project);
}

/// HEAD answers as GET, without a body.
#[tokio::test]
async fn head_is_get_without_a_body() {
    let tenant = Tenant::new().await;
    for (path, status) in [
        ("//health", 200),
        ("//", 302),
        ("/", 200),
        ("/projects", 200),
        ("/tenants/me", 200),
        ("/projects/nope", 404),
        ("/nope", 404),
    ] {
        let get = tenant.user.get(path).await;
        let head = tenant.user.send(tenant.user.request(Method::HEAD, path)).await;
        assert_eq!((get.status, head.status), (status, status), "{path}");
        assert_eq!(head.body, Value::Null, "{path}");
        for name in ["content-type", "cache-control", "location", "x-content-type-options"] {
            assert_eq!(header(&head, name), header(&get, name), "{path}: {name}");
        }
    }
}

/// 20 to 200 characters are echoed, anything else gets an id of ours.
#[tokio::test]
async fn request_ids() {
    let tenant = Tenant::new().await;
    let echoed = async |caller: &Caller, path: &str, id: &str| {
        let reply = caller.send(caller.request(Method::GET, path).header("x-request-id", id)).await;
        header(&reply, "x-request-id").map(str::to_owned)
    };
    for path in ["/tenants/me", "/nope", "//health"] {
        for caller in [&tenant.user, &Caller::nobody()] {
            for length in [20, 24, 200] {
                let id = "abcdefghijklmnopqrst".repeat(10)[..length].to_owned();
                assert_eq!(echoed(caller, path, &id).await, Some(id), "{path}");
            }
            let mut given = Vec::new();
            for id in ["", "short", "abcdefghijklmnopqrs", &"x".repeat(201)] {
                let ours = echoed(caller, path, id).await.expect("an id in every answer");
                assert_ne!(ours, id);
                assert!((20..=200).contains(&ours.len()), "{ours}");
                given.push(ours);
            }
            given.sort();
            given.dedup();
            assert_eq!(given.len(), 4, "every request has an id of its own");
        }
    }
}

/// JSON is never sniffed for something else, and answers are the caller's alone; one that holds a secret is not kept.
#[tokio::test]
async fn common_headers() {
    let tenant = Tenant::new().await;
    let body = json!({"name": "k", "role": "agent"});
    for (reply, status, cache) in [
        (tenant.user.get("/tenants/me").await, 200, "max-age=0, private, must-revalidate"),
        (tenant.user.get("/nope").await, 404, "max-age=0, private, must-revalidate"),
        (Caller::nobody().get("/projects").await, 401, "max-age=0, private, must-revalidate"),
        (tenant.user.post("/api_keys", json!({})).await, 422, "max-age=0, private, must-revalidate"),
        // The one answer that holds a secret.
        (tenant.user.post("/api_keys", body).await, 201, "no-store"),
    ] {
        assert_eq!(reply.status, status, "{:#}", reply.body);
        assert_eq!(header(&reply, "content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&reply, "cache-control"), Some(cache));
        assert_eq!(header(&reply, "server"), None);
    }
}

/// `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$`
fn is_timestamp(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    text.len() == form.len()
        && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            _ => byte == form,
        })
}

/// Counts the timestamps under `_at` keys, and asserts their form.
fn timestamps(value: &Value, what: &str) -> usize {
    match value {
        Value::Array(items) => items.iter().map(|item| timestamps(item, what)).sum(),
        Value::Object(object) => object
            .iter()
            .map(|(key, item)| match item {
                Value::String(text) if key.ends_with("_at") => {
                    assert!(is_timestamp(text), "{what}: {key} = {text}");
                    1
                }
                _ => timestamps(item, what),
            })
            .sum(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// UTC, six fractional digits and `Z`, in all bodies of a story's whole life.
#[tokio::test]
async fn timestamps_have_one_form() {
    assert!(is_timestamp("2026-03-27T12:00:00.000000Z"));
    assert!(!is_timestamp("2026-03-27T12:00:00Z") && !is_timestamp("2026-03-27T12:00:00.000000+00:00"));
    let tenant = Tenant::new().await;
    let (a1, a2, o) = (tenant.agent().await, tenant.agent().await, tenant.orchestrator().await);
    let story = tenant.story().await;
    bring(&story, Reach::Verified, &a1, &a2, &o).await;
    let artifact = json!({"artifact_type": "test", "path": "a.rs"});
    a1.post(&format!("/stories/{story}/artifacts"), artifact).await.expect(201);
    let detail = o.get(&format!("/stories/{story}")).await.expect(200);
    let (project, epic) = (text(&detail["story"]["project_id"]), text(&detail["story"]["epic_id"]));
    for (path, at_least) in [
        (format!("/stories/{story}"), 8),
        (format!("/stories/{story}/history"), 9),
        (format!("/stories/{story}/verifications"), 1),
        (format!("/stories/{story}/artifacts"), 1),
        (format!("/stories?project_id={project}"), 2),
        (format!("/epics/{epic}"), 2),
        (format!("/epics/{epic}/stories"), 2),
        (format!("/projects/{project}"), 2),
        (format!("/projects/{project}/epics"), 2),
        ("/projects".to_owned(), 2),
        ("/agents".to_owned(), 9),
        ("/tenants/me".to_owned(), 2),
    ] {
        let body = o.get(&path).await.expect(200);
        let count = timestamps(&body, &path);
        assert!(count >= at_least, "{path}: {count} timestamps in {body:#}");
    }
    // Another offset and another precision come back in the one form.
    let body = json!({"name": "k", "role": "user", "expires_at": "2099-03-27T14:30:00.12+02:30"});
    let key = tenant.user.post("/api_keys", body).await.expect(201);
    assert_eq!(key["api_key"]["expires_at"], "2099-03-27T12:00:00.120000Z");
    let keys = tenant.user.get("/api_keys").await.expect(200);
    assert!(timestamps(&keys, "/api_keys") >= 10);
}

/// Ids are read in either case and told in lower case.
#[tokio::test]
async fn upper_case_ids_come_back_in_lower_case() {
    let tenant = Tenant::new().await;
    let (agent, other) = (tenant.agent().await, tenant.agent().await);
    let (orchestrator, story) = (tenant.orchestrator().await, tenant.story().await);
    let upper = story.to_uppercase();
    assert_ne!(upper, story);
    let shown = agent.get(&format!("/stories/{upper}")).await.expect(200);
    assert_eq!(shown["story"]["id"], story);
    let project = text(&shown["story"]["project_id"]).to_uppercase();
    let list = agent.get(&format!("/stories?project_id={project}")).await.expect(200);
    assert_eq!(list["data"][0]["id"], story);
    let ready = agent.get(&format!("/stories/ready?project_id={project}")).await.expect(200);
    assert_eq!(ready["data"][0]["id"], story);
    bring(&upper, Reach::Verified, &agent, &other, &orchestrator).await;
    let history = agent.get(&format!("/stories/{upper}/history")).await.expect(200);
    assert_eq!(history["data"][0]["entity_id"], story);
    let body = json!({"name": "k", "role": "orchestrator", "agent_id": agent.agent().to_uppercase()});
    let key = tenant.user.post("/api_keys", body).await.expect(201);
    assert_eq!(key["api_key"]["agent_id"], agent.agent());
    let id = text(&key["api_key"]["id"]);
    let revoked = tenant.user.delete(&format!("/api_keys/{}", id.to_uppercase())).await.expect(200);
    assert_eq!(revoked["api_key"]["id"], id);
}
