//! How bodies are read.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Caller, PATIENCE, Reply, Tenant, echo, server, text, unique};

/// The limit of ordinary bodies.
const LIMIT: usize = 2_097_152;
/// The limit of imports.
const IMPORT_LIMIT: usize = 10_485_760;

async fn post(
    caller: &Caller,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Reply {
    let mut request = caller.request(Method::POST, path).body(body);
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    caller.send(request).await
}

/// A valid request for a key, padded with blanks to this many bytes.
fn padded(object: &Value, bytes: usize) -> String {
    let mut text = object.to_string();
    text.push_str(&" ".repeat(bytes - text.len()));
    text
}

/// 400 that names the place, whatever the client accepts.
#[tokio::test]
async fn malformed_json_is_400() {
    let tenant = Tenant::new().await;
    let json = ["application/json", "application/problem+json", "Application/JSON; charset=latin1"].map(Some);
    // What begins like JSON is JSON, whatever it is called, and nothing where it is none: curl calls it a form.
    let others =
        [Some("application/x-www-form-urlencoded"), Some("text/plain"), Some("application/xml"), None];
    for body in [
        "{\"name\":",
        "{\"name\": \"new\",}",
        "{'name': 'new'}",
        "{\"a\": NaN}",
        "{",
        "[1,",
        "{name: 1}",
        "{\"a\":1}{",
        "{\"a\":\"\\ud800\"}",
        "\u{feff}{\"a\":",
        " \n{\"a\"",
        "nope",
        "\"open",
    ] {
        let looks_like_json = body.contains(['{', '[']);
        for content_type in json.into_iter().chain(others.into_iter().filter(|_| looks_like_json)) {
            let error =
                post(&tenant.user, "/api_keys", content_type, body).await.expect_error(400, "bad_request");
            let message = text(&error["message"]);
            assert!(message.starts_with("Bad Request: malformed JSON at line "), "{body}: {message}");
        }
    }
    let invalid_utf8 = b"{\"name\": \"\xff\", \"role\": \"agent\"}".to_vec();
    post(&tenant.user, "/api_keys", Some("application/json"), invalid_utf8)
        .await
        .expect_error(400, "bad_request");
    // Sound JSON that no float holds.
    let error = post(&tenant.user, "/api_keys", Some("application/json"), "{\"a\":1e999}")
        .await
        .expect_error(400, "bad_request");
    assert_eq!(error["message"], "Bad Request: number out of range at line 1 column 10");
    // Without any content type it is the JSON that is broken, too.
    post(&tenant.user, "/api_keys", None, "{\"name\":").await.expect_error(400, "bad_request");
    let error = post(&tenant.user, "/api_keys", Some("application/json"), "{\n\"name\":}")
        .await
        .expect_error(400, "bad_request");
    assert_eq!(error["message"], "Bad Request: malformed JSON at line 2 column 8");
}

/// Not taken for an empty object, which would succeed where all fields are optional.
#[tokio::test]
async fn arrays_and_scalars_are_422() {
    let tenant = Tenant::new().await;
    for (content_type, body) in [
        ("application/json", "[]"),
        ("application/json", "[{\"name\": \"x\", \"role\": \"agent\"}]"),
        ("application/json", "7"),
        ("application/json", "\"text\""),
        ("application/json", "true"),
        ("application/json", "null"),
        ("application/x-www-form-urlencoded", "[1]"),
        ("text/plain", " [1] "),
    ] {
        for path in ["/api_keys", "/projects"] {
            let error =
                post(&tenant.user, path, Some(content_type), body).await.expect_error(422, "not_an_object");
            assert_eq!(error["message"], "Request body must be a JSON object", "{body}");
        }
    }
}

/// A body that is neither JSON nor a form.
#[tokio::test]
async fn other_media_types_are_415() {
    let tenant = Tenant::new().await;
    for (content_type, body) in [
        (Some("text/plain"), "name=x&role=agent"),
        (Some("application/xml"), "<a/>"),
        (Some("multipart/form-data; boundary=x"), "--x--"),
        (Some("application/octet-stream"), "x"),
        (None, "name=x&role=agent"),
    ] {
        let error = post(&tenant.user, "/api_keys", content_type, body)
            .await
            .expect_error(415, "unsupported_media_type");
        assert_eq!(error["message"], "Unsupported Media Type", "{content_type:?}");
    }
    // Nothing was sent: nothing to have a type.
    let error = post(&tenant.user, "/api_keys", Some("application/xml"), " \n")
        .await
        .expect_error(422, "validation_failed");
    assert_eq!(error["details"]["name"], json!(["can't be blank"]));
}

/// A few bytes may stand for more digits than a database stores, or than anybody wants back.
#[tokio::test]
async fn numbers_have_an_end() {
    let tenant = Tenant::new().await;
    let long = format!("0.{}1", "0".repeat(17_000));
    for number in ["1e-20000", "0e99999999999999999999999", "1e-99999999999999999999", "1e-16000", &long] {
        let body = format!("{{\"name\": \"p\", \"slug\": \"ends\", \"metadata\": {{\"n\": {number}}}}}");
        let error = post(&tenant.user, "/projects", Some("application/json"), body)
            .await
            .expect_error(400, "bad_request");
        assert!(text(&error["message"]).starts_with("Bad Request: number out of range at line 1"), "{error}");
    }
    for (number, slug) in [("5e-324", "tiny"), ("1.7e308", "huge"), ("0.10", "tenth")] {
        let body = format!("{{\"name\": \"p\", \"slug\": \"{slug}\", \"metadata\": {{\"n\": {number}}}}}");
        let project = post(&tenant.user, "/projects", Some("application/json"), body).await.expect(201);
        assert_eq!(project["project"]["metadata"]["n"].as_f64(), number.parse().ok(), "{number}");
    }
}

/// PostgreSQL stores no U+0000, so it is refused wherever it is in a body, by name.
#[tokio::test]
async fn nul_in_a_body_is_422() {
    let tenant = Tenant::new().await;
    for (body, field) in [
        (json!({"name": "a\u{0}b", "slug": "nul"}), "name"),
        (json!({"name": "a", "slug": "nul", "metadata": {"a": [{"b": "\u{0}"}]}}), "metadata"),
        (json!({"name": "a", "slug": "nul", "metadata": {"a\u{0}": 1}}), "metadata"),
        (json!({"name": "a", "slug": "nul", "unknown": "\u{0}"}), "unknown"),
    ] {
        let error = tenant.user.post("/projects", body).await.expect_error(422, "validation_failed");
        assert_eq!(error["details"][field], json!(["is invalid"]), "{error:#}");
    }
    post(&tenant.user, "/projects", Some("application/x-www-form-urlencoded"), "name=a%00b&slug=nul")
        .await
        .expect_error(422, "validation_failed");
    post(&tenant.user, "/projects", Some("application/x-www-form-urlencoded"), "name=a%zz&slug=nul")
        .await
        .expect_error(400, "bad_request");
    let list = tenant.user.get("/projects").await.expect(200);
    assert_eq!(list["meta"]["total_count"], 0);
}

/// Exactly 2,097,152 bytes, and one more.
#[tokio::test]
async fn body_limit() {
    let tenant = Tenant::new().await;
    let key = json!({"name": "x", "role": "agent"});
    for bytes in [LIMIT + 1, 3_000_000, IMPORT_LIMIT + 1] {
        let error = post(&tenant.user, "/api_keys", Some("application/json"), padded(&key, bytes))
            .await
            .expect_error(413, "body_too_large");
        assert_eq!(error["message"], "Request Entity Too Large");
    }
    post(&tenant.user, "/api_keys", Some("application/json"), padded(&key, LIMIT)).await.expect(201);
}

/// The key and the role are looked at before the body, and whoever sends a large one still gets to read why.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let tenant = Tenant::new().await;
    let agent = tenant.key("agent").await;
    let body = padded(&json!({"name": "x", "role": "agent"}), IMPORT_LIMIT);
    for _ in 0..3 {
        for (caller, path, status) in [
            (&agent, "/api_keys", 403),
            (&Caller::nobody(), "/api_keys", 401),
            (&Caller::with_key("lc_unknown"), "/projects/x/import", 401),
            (&tenant.user, "/projects/x/import", 404),
            (&tenant.user, "/nope", 404),
        ] {
            post(caller, path, Some("application/json"), body.clone()).await.expect(status);
        }
    }
}

/// But the answer does not wait for a body that never comes, and never asks for one it does not want.
#[tokio::test]
async fn a_refusal_does_not_wait_for_the_body() {
    let address = server().base.strip_prefix("http://").unwrap();
    for expect in ["", "expect: 100-continue\r\n"] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST /api/v1/projects HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{expect}content-length: 100\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut line = [0; 12];
        let answer = tokio::time::timeout(PATIENCE, socket.read_exact(&mut line)).await;
        answer.expect("an answer").unwrap();
        assert_eq!(&line, b"HTTP/1.1 401", "{expect:?}");
    }
}

/// Imports may be larger.
#[tokio::test]
async fn import_limit() {
    let tenant = Tenant::new().await;
    let project = tenant.project().await;
    let path = format!("/projects/{project}/import");
    let payload = json!({"epics": [{"number": 1, "title": "E", "stories": []}]});
    post(&tenant.user, &path, Some("application/json"), padded(&payload, IMPORT_LIMIT + 1))
        .await
        .expect_error(413, "body_too_large");
    let imported =
        post(&tenant.user, &path, Some("application/json"), padded(&payload, IMPORT_LIMIT)).await.expect(201);
    assert_eq!(imported["import"]["epics_created"], 1);
}

/// Some clients send `Content-Type: application/json` on every call, also where they have nothing to send.
#[tokio::test]
async fn an_empty_json_body_is_an_empty_object() {
    let tenant = Tenant::new().await;
    let (agent, story) = (tenant.agent().await, tenant.story().await);
    let error = tenant.user.post_empty("/api_keys").await.expect_error(422, "validation_failed");
    assert_eq!(error["details"]["role"], json!(["can't be blank"]));
    agent.post(&format!("/stories/{story}/contract"), echo()).await.expect(200);
    for action in ["claim", "start", "request-review"] {
        agent.post_empty(&format!("/stories/{story}/{action}")).await.expect(200);
    }
    // And on requests that have no body at all.
    for path in ["/tenants/me", "/projects"] {
        let get = agent.request(Method::GET, path).header("content-type", "application/json");
        agent.send(get).await.expect(200);
    }
}

/// JSON is taken for JSON whatever it is called, forms nest with brackets.
#[tokio::test]
async fn json_and_forms_are_accepted() {
    let tenant = Tenant::new().await;
    for content_type in [
        Some("application/json"),
        Some("APPLICATION/JSON; charset=UTF-8"),
        Some("application/vnd.api+json"),
        Some("application/x-www-form-urlencoded"),
        Some("text/plain; charset=utf-8"),
        Some("application/octet-stream"),
        None,
    ] {
        let slug = unique("media");
        let body = json!({"name": "É", "slug": slug, "metadata": {"a": [1]}}).to_string();
        let project = post(&tenant.user, "/projects", content_type, format!("\n {body}\n")).await.expect(201);
        assert_eq!(project["project"]["name"], "É", "{content_type:?}");
        assert_eq!(project["project"]["metadata"], json!({"a": [1]}), "{content_type:?}");
    }
    let form = "name=a+%C3%A9&slug=form&metadata[a][b]=c&metadata[list][]=1&metadata[list][]=2";
    let project =
        post(&tenant.user, "/projects", Some("application/x-www-form-urlencoded; charset=utf-8"), form)
            .await
            .expect(201);
    assert_eq!(project["project"]["name"], "a é");
    assert_eq!(project["project"]["metadata"], json!({"a": {"b": "c"}, "list": ["1", "2"]}));
}

/// Where every field is optional, a body that is not read would be taken for one that changes nothing.
#[tokio::test]
async fn broken_json_changes_nothing_and_says_so() {
    let tenant = Tenant::new().await;
    let (agent, story) = (tenant.agent().await, tenant.story().await);
    let project = tenant.project().await;
    agent.post(&format!("/stories/{story}/contract"), echo()).await.expect(200);
    for (caller, method, path) in [
        (&tenant.user, Method::PATCH, format!("/stories/{story}")),
        (&tenant.user, Method::PATCH, format!("/projects/{project}")),
        (&tenant.user, Method::PATCH, "/tenants/me".to_owned()),
        (&tenant.user, Method::POST, format!("/projects/{project}/import?merge=true")),
        // Also where nothing of the body is needed.
        (&agent, Method::POST, format!("/stories/{story}/claim")),
    ] {
        for body in [
            "{\"title\": \"new\",}",
            "{\"title\": 'new'}",
            "{\"title\": \"\\udc00\"}",
            "{\"a\": 1e400}",
            "[NaN]",
        ] {
            for content_type in [Some("application/x-www-form-urlencoded"), None, Some("application/json")] {
                let mut request = caller.request(method.clone(), &path).body(body);
                if let Some(content_type) = content_type {
                    request = request.header("content-type", content_type);
                }
                caller.send(request).await.expect_error(400, "bad_request");
            }
        }
    }
    // A mark before it is none of it.
    let marked = "\u{feff}{\"title\": \"Marked\"}";
    for content_type in ["application/json", "application/x-www-form-urlencoded"] {
        let patch = tenant.user.request(Method::PATCH, &format!("/stories/{story}"));
        let patched =
            tenant.user.send(patch.header("content-type", content_type).body(marked)).await.expect(200);
        assert_eq!(patched["story"]["title"], "Marked");
    }
}

/// A number that most who read JSON would take for another one is not kept as if it were the same.
#[tokio::test]
async fn numbers_come_back_as_they_were_sent_or_are_refused() {
    let tenant = Tenant::new().await;
    let (project, story) = (tenant.project().await, tenant.story().await);
    let run = tenant
        .user
        .post(&format!("/projects/{project}/ui-tests"), json!({"guide_reference": "g"}))
        .await
        .expect(201);
    let run = text(&run["ui_test_run"]["id"]);
    let lead = tenant.orchestrator().await;
    let send = async |caller: &Caller, method: Method, path: &str, body: String| {
        let request = caller.request(method, path).header("content-type", "application/json").body(body);
        caller.send(request).await
    };
    for number in ["18446744073709551616", "-9223372036854775809", "0.1234567890123456789", "1e-400"] {
        for (caller, method, path, field, body) in [
            (
                &tenant.user,
                Method::PATCH,
                format!("/stories/{story}"),
                "metadata",
                format!("{{\"metadata\": {{\"a\": [{number}]}}}}"),
            ),
            (
                &tenant.user,
                Method::PATCH,
                format!("/stories/{story}"),
                "acceptance_criteria",
                format!("{{\"acceptance_criteria\": [{{\"criterion\": \"c\", \"n\": {number}}}]}}"),
            ),
            (
                &tenant.user,
                Method::PATCH,
                "/tenants/me".to_owned(),
                "settings",
                format!("{{\"settings\": {{\"x\": {number}}}}}"),
            ),
            (
                &lead,
                Method::POST,
                format!("/stories/{story}/artifacts"),
                "details",
                format!("{{\"artifact_type\": \"t\", \"details\": {{\"n\": {number}}}}}"),
            ),
            (
                &lead,
                Method::PUT,
                format!("/orchestrator/state/{project}"),
                "state_data",
                format!("{{\"state_key\": \"main\", \"version\": 0, \"state_data\": {{\"n\": {number}}}}}"),
            ),
            (
                &lead,
                Method::POST,
                format!("/projects/{project}/ui-tests/{run}/findings"),
                "steps",
                format!("{{\"title\": \"t\", \"steps\": [{number}]}}"),
            ),
        ] {
            let error = send(caller, method, &path, body).await.expect_error(422, "validation_failed");
            assert_eq!(
                error["details"][field],
                json!(["cannot be stored exactly: send it as a string"]),
                "{path} {number}"
            );
        }
        let plan = format!(
            "{{\"epics\": [{{\"number\": 1, \"title\": \"E\", \"metadata\": {{\"n\": {number}}}}}]}}"
        );
        let error = send(&tenant.user, Method::POST, &format!("/projects/{project}/import"), plan).await;
        let message = "epics[0].metadata: cannot be stored exactly: send it as a string";
        assert_eq!(error.expect_error(422, "invalid_import")["message"], message);
    }
    for number in ["18446744073709551615", "-9223372036854775808", "0.1", "1.7e308", "123456789.5"] {
        let body = format!("{{\"metadata\": {{\"n\": {number}}}}}");
        let kept = send(&tenant.user, Method::PATCH, &format!("/stories/{story}"), body).await.expect(200);
        let sent: Value = serde_json::from_str(number).unwrap();
        assert_eq!(kept["story"]["metadata"]["n"].as_f64(), sent.as_f64(), "{number}");
    }
}

/// Path, body and query are one namespace, in this order. `_method` is nothing special.
#[tokio::test]
async fn query_parameters_lie_beneath_the_body() {
    let tenant = Tenant::new().await;
    let project = tenant
        .user
        .post("/projects?name=query&slug=from-query&mission=q", json!({"name": "body", "_method": "DELETE"}))
        .await
        .expect(201);
    assert_eq!(project["project"]["name"], "body");
    assert_eq!(project["project"]["slug"], "from-query");
    assert_eq!(project["project"]["mission"], "q");
    let other = tenant.project().await;
    let id = text(&project["project"]["id"]);
    let payload =
        json!({"id": other, "project_id": other, "epics": [{"number": 1, "title": "E", "stories": []}]});
    tenant.user.post(&format!("/projects/{id}/import?id={other}"), payload).await.expect(201);
    let epics = async |id: &str| {
        tenant.user.get(&format!("/projects/{id}")).await.expect(200)["project"]["epic_count"].clone()
    };
    assert_eq!((epics(&id).await, epics(&other).await), (json!(1), json!(0)));
    // Numbers arrive as strings there.
    let patch = tenant.user.request(Method::PATCH, "/tenants/me?token_data_retention_days=31");
    let tenant = tenant.user.send(patch).await.expect(200);
    assert_eq!(tenant["tenant"]["token_data_retention_days"], 31);
}
