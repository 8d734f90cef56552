//! Requests that are refused as a whole.

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use prost::Message as _;
use reqwest::Method;
use serde_json::json;

use super::{DELTA, claude_export, claude_tokens, counted, gzip, now, send};
use crate::support::{Caller, Reply, Tenant, http_client};

const LIMIT: usize = 4_194_304;

async fn post(who: &Caller, content_type: &str, encoding: Option<&str>, body: Vec<u8>) -> Reply {
    let mut request = who.request(Method::POST, "//v1/metrics").header("content-type", content_type);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    who.send(request.body(body)).await
}

#[tokio::test]
async fn only_agents_measure() {
    let tenant = Tenant::new().await;
    let export =
        claude_export(&[], DELTA, vec![claude_tokens("s", "input", now() - 1, now(), 5.0)], Vec::new());
    send(&Caller::nobody(), &export).await.expect_error(401, "unauthorized");
    send(&Caller::with_key("lc_none"), &export).await.expect_error(401, "invalid_api_key");
    for who in [tenant.user.clone(), tenant.key("agent").await, tenant.key("orchestrator").await] {
        let error = send(&who, &export).await.expect_error(422, "agent_required");
        assert_eq!(error["message"], "API key must be associated with an agent to report token usage");
    }
    // Any key of an agent: agents lead, too.
    let orchestrator = tenant.orchestrator().await;
    send(&orchestrator, &export).await.expect(200);
    assert_eq!(counted("agent_id", orchestrator.agent()).await[0], 5);
    // Other methods are as unknown as other paths.
    tenant.user.send(tenant.user.request(Method::GET, "//v1/metrics")).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let agent = Tenant::new().await.agent().await;
    const PROTOBUF: &str = "application/x-protobuf";
    for body in [&b"{}"[..], b"\x0a\x7f\x01", b"\xff\xff\xff", b"nope"] {
        post(&agent, PROTOBUF, None, body.to_vec()).await.expect_error(400, "bad_request");
    }
    for body in ["{", "{\"resourceMetrics\": 7}", "{\"resourceMetrics\": [{\"scopeMetrics\": {}}]}"] {
        post(&agent, "application/json", None, body.into()).await.expect_error(400, "bad_request");
    }
    let nul = "{\"resourceMetrics\": [{\"schemaUrl\": \"\\u0000\"}]}";
    post(&agent, "application/json", None, nul.into()).await.expect_error(422, "validation_failed");
    post(&agent, "application/json", None, b"[]".to_vec()).await.expect_error(422, "not_an_object");
    for content_type in ["text/plain", "application/octet-stream", "application/grpc"] {
        post(&agent, content_type, None, b"x".to_vec()).await.expect_error(415, "unsupported_media_type");
    }
    for encoding in ["br", "zstd", "deflate", "gzip, gzip", "gzip;q=1"] {
        post(&agent, PROTOBUF, Some(encoding), Vec::new()).await.expect_error(415, "unsupported_media_type");
    }
    for body in [&b"not gzip"[..], &gzip(b"{}")[..10]] {
        post(&agent, PROTOBUF, Some("gzip"), body.to_vec()).await.expect_error(400, "bad_request");
    }
    // Nothing, in every way in which it may be written.
    for (encoding, body) in [(None, Vec::new()), (Some("identity"), Vec::new()), (Some("gzip"), gzip(b""))] {
        post(&agent, PROTOBUF, encoding, body.clone()).await.expect(200);
        post(&agent, "application/json", encoding, body).await.expect(200);
    }
    assert_eq!(counted("agent_id", agent.agent()).await, [0; 5]);
}

#[tokio::test]
async fn requests_are_bounded_before_and_after_they_are_inflated() {
    let agent = Tenant::new().await.agent().await;
    const PROTOBUF: &str = "application/x-protobuf";
    for (content_type, bytes) in [(PROTOBUF, vec![0; LIMIT + 1]), ("application/json", vec![b' '; LIMIT + 1])]
    {
        let error = post(&agent, content_type, None, bytes.clone()).await.expect_error(413, "body_too_large");
        assert_eq!(error["limit_bytes"], LIMIT);
        post(&agent, content_type, Some("gzip"), gzip(&bytes)).await.expect_error(413, "body_too_large");
    }
    // A bomb: a gigabyte in a megabyte.
    let bomb = gzip(&vec![0; 64 << 20]).repeat(16);
    post(&agent, PROTOBUF, Some("gzip"), bomb).await.expect_error(413, "body_too_large");
    // The smallest messages that there are.
    let many = [0x0a, 0x00].repeat(LIMIT / 2);
    let error = post(&agent, PROTOBUF, Some("gzip"), gzip(&many)).await.expect_error(413, "body_too_large");
    assert!(error["message"].as_str().unwrap().contains("more than 80000 messages"), "{error}");
    let many = format!("{{\"resourceMetrics\": [{}{{}}]}}", "{},".repeat(400_000));
    post(&agent, "application/json", None, many.into()).await.expect_error(413, "body_too_large");
    let deep = format!("{{\"resourceMetrics\": {}{}}}", "[".repeat(200), "]".repeat(200));
    post(&agent, "application/json", None, deep.into()).await.expect_error(400, "bad_request");
    // Just below, it is read.
    let padded = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { schema_url: "x".repeat(LIMIT - 100), ..Default::default() }],
    };
    post(&agent, PROTOBUF, None, padded.encode_to_vec()).await.expect(200);
}

/// The answer is written as the request was.
#[tokio::test]
async fn answers_are_in_the_encoding_of_the_request() {
    let agent = Tenant::new().await.agent().await;
    let (at, bad) = (now(), claude_tokens("s", "imagined", now() - 1, now(), 5.0));
    let export =
        claude_export(&[], DELTA, vec![claude_tokens("s", "input", at - 1, at, 5.0), bad], Vec::new());
    let request =
        agent.request(Method::POST, "//v1/metrics").header("content-type", "application/x-protobuf");
    let request = request.body(export.encode_to_vec()).build().unwrap();
    let response = http_client().execute(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");
    let answer = ExportMetricsServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let told = answer.partial_success.unwrap();
    assert_eq!(told.rejected_data_points, 1);
    assert_eq!(told.error_message, "1 not taken: its type of tokens is not known");
    let told = send(&agent, &export).await;
    assert!(told.headers["content-type"].to_str().unwrap().starts_with("application/json"));
    let expected = json!({"partialSuccess": {
        "rejectedDataPoints": "1", "errorMessage": "1 not taken: its type of tokens is not known",
    }});
    assert_eq!(told.expect(200), expected);
}

/// Nobody who measures waits for the tenant's log, or is told of in it.
#[tokio::test]
async fn the_log_is_left_alone() {
    let tenant = Tenant::new().await;
    let agent = tenant.agent().await;
    let before = tenant.audit_log().await.len();
    let mut owner = crate::support::connect(&crate::support::server().owner).await;
    let tx = owner.transaction().await.unwrap();
    tx.execute("select from audit_heads where tenant_id = $1::text::uuid for update", &[&tenant.id])
        .await
        .unwrap();
    let export =
        claude_export(&[], DELTA, vec![claude_tokens("s", "output", now() - 1, now(), 7.0)], Vec::new());
    send(&agent, &export).await.expect(200);
    tx.commit().await.unwrap();
    assert_eq!(tenant.audit_log().await.len(), before);
    assert_eq!(counted("agent_id", agent.agent()).await[1], 7);
}
