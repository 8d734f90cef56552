//! What coding agents export of their own work, by the real receiver: synthetic exports of the shape in which each tool sends them.

mod arrivals;
mod attribution;
mod refusals;
mod rejected;
mod tools;
mod views;

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use crate::support::{Caller, Reply, connect, server};

pub(crate) const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 3600 * SECOND;

/// 1 and 2, as OTLP has it.
pub(crate) const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// How an export is written.
#[derive(Debug, Clone, Copy)]
enum Written {
    Protobuf,
    Json,
    Gzip,
}

/// What can be exported, and where.
trait Export: Message + Serialize {
    const PATH: &'static str;
}

impl Export for ExportMetricsServiceRequest {
    const PATH: &'static str = "//v1/metrics";
}

impl Export for ExportLogsServiceRequest {
    const PATH: &'static str = "//v1/logs";
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Sends an export in JSON, whose answer tells what was not taken.
async fn send<E: Export>(who: &Caller, export: &E) -> Reply {
    send_as(who, export, Written::Json).await
}

async fn send_as<E: Export>(who: &Caller, export: &E, written: Written) -> Reply {
    let request = who.request(Method::POST, E::PATH);
    let protobuf = || request.try_clone().unwrap().header("content-type", "application/x-protobuf");
    who.send(match written {
        Written::Json => request.json(export),
        Written::Protobuf => protobuf().body(export.encode_to_vec()),
        Written::Gzip => protobuf().header("content-encoding", "gzip").body(gzip(&export.encode_to_vec())),
    })
    .await
}

/// Sends an export of which all is taken, and about which there is nothing to say.
#[track_caller]
fn is_taken(reply: Reply) {
    let body = reply.expect(200);
    assert_eq!(body, serde_json::json!({}));
}

/// An attribute that is a text.
fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource(service: &str, more: &[(&str, &str)]) -> Resource {
    let mut attributes =
        vec![text("service.name", service), text("os.type", "linux"), text("host.arch", "amd64")];
    attributes.extend(more.iter().map(|(key, value)| text(key, value)));
    Resource { attributes, ..Resource::default() }
}

fn scope(name: &str) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: name.to_owned(), version: "2.1.0".to_owned(), ..Default::default() })
}

/// Metrics of one resource.
fn metrics(resource: Resource, scope_name: &str, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics { scope: scope(scope_name), metrics, ..Default::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource),
            scope_metrics,
            ..Default::default()
        }],
    }
}

/// Log events of one resource.
fn logs(resource: Resource, scope_name: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope_logs = vec![ScopeLogs { scope: scope(scope_name), log_records, ..Default::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs, ..Default::default() }],
    }
}

fn metric(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), unit: unit.to_owned(), data: Some(data), ..Metric::default() }
}

fn sum(name: &str, unit: &str, temporality: i32, data_points: Vec<NumberDataPoint>) -> Metric {
    let sum = Sum { data_points, aggregation_temporality: temporality, is_monotonic: true };
    metric(name, unit, Data::Sum(sum))
}

fn number(begun: u64, at: u64, value: Number, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: begun,
        time_unix_nano: at,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

/// What Claude Code says of each point.
fn claude(session: &str, more: &[(&str, &str)]) -> Vec<KeyValue> {
    let mut attributes = vec![
        text("user.id", "0b5c"),
        text("session.id", session),
        text("terminal.type", "xterm"),
        text("model", "claude-opus-4-7"),
    ];
    attributes.extend(more.iter().map(|(key, value)| text(key, value)));
    attributes
}

/// Tokens as Claude Code tells them: of a type, in an interval.
pub(crate) fn claude_tokens(session: &str, kind: &str, begun: u64, at: u64, tokens: f64) -> NumberDataPoint {
    number(begun, at, Number::AsDouble(tokens), claude(session, &[("type", kind)]))
}

pub(crate) fn claude_cost(session: &str, begun: u64, at: u64, dollars: f64) -> NumberDataPoint {
    number(begun, at, Number::AsDouble(dollars), claude(session, &[]))
}

/// An export of Claude Code's, of these intervals: tokens, and cost.
pub(crate) fn claude_export(
    more: &[(&str, &str)],
    temporality: i32,
    tokens: Vec<NumberDataPoint>,
    cost: Vec<NumberDataPoint>,
) -> ExportMetricsServiceRequest {
    let told = vec![
        sum("claude_code.session.count", "", temporality, vec![claude_cost("s", 1, 2, 1.0)]),
        sum("claude_code.token.usage", "tokens", temporality, tokens),
        sum("claude_code.cost.usage", "USD", temporality, cost),
    ];
    metrics(resource("claude-code", more), "com.anthropic.claude_code", told)
}

/// A request to a model, as Claude Code tells of it. Numbers are texts.
pub(crate) fn claude_event(session: &str, at: u64, sequence: i64, figures: &[(&str, &str)]) -> LogRecord {
    let mut attributes = claude(session, figures);
    attributes.extend([
        text("event.name", "api_request"),
        text("duration_ms", "2603"),
        attribute("event.sequence", Any::IntValue(sequence)),
    ]);
    let body = Some(AnyValue { value: Some(Any::StringValue("claude_code.api_request".to_owned())) });
    LogRecord { time_unix_nano: at, observed_time_unix_nano: at, body, attributes, ..LogRecord::default() }
}

pub(crate) fn claude_events(more: &[(&str, &str)], records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    logs(resource("claude-code", more), "com.anthropic.claude_code.events", records)
}

/// What turns used, as Codex tells it: a histogram by type, which names no session.
fn codex_export(
    more: &[(&str, &str)],
    begun: u64,
    at: u64,
    tokens: &[(&str, f64)],
) -> ExportMetricsServiceRequest {
    let points = tokens.iter().map(|(kind, tokens)| HistogramDataPoint {
        attributes: vec![
            text("model", "gpt-5.5-codex"),
            text("auth_mode", "ApiKey"),
            text("session_source", "cli"),
            text("token_type", kind),
            text("tmp_mem_enabled", "false"),
        ],
        start_time_unix_nano: begun,
        time_unix_nano: at,
        count: 1,
        sum: Some(*tokens),
        ..HistogramDataPoint::default()
    });
    let histogram = Histogram { data_points: points.collect(), aggregation_temporality: DELTA };
    let told = vec![metric("codex.turn.token_usage", "", Data::Histogram(histogram))];
    metrics(resource("codex_cli_rs", more), "codex", told)
}

/// A response that is complete, as Codex tells of it.
fn codex_event(session: &str, at: u64, input: i64, cached: i64, output: i64) -> LogRecord {
    let attributes = vec![
        text("event.name", "codex.sse_event"),
        text("event.kind", "response.completed"),
        text("conversation.id", session),
        text("model", "gpt-5.5-codex"),
        text("input_token_count", &input.to_string()),
        text("output_token_count", &output.to_string()),
        attribute("cached_token_count", Any::IntValue(cached)),
        attribute("reasoning_token_count", Any::IntValue(1)),
        text("tool_token_count", &(input + output).to_string()),
    ];
    LogRecord { time_unix_nano: 0, observed_time_unix_nano: at, attributes, ..LogRecord::default() }
}

fn codex_events(records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    logs(resource("codex_cli_rs", &[]), "codex_otel", records)
}

/// An export of few words, of a story: two points of tokens, one of which is of no type that there is.
pub(crate) fn short_metrics(story: &str) -> Value {
    let at = now();
    let point = |kind: &str| {
        json!({
            "attributes": [text("type", kind), text("model", "claude-opus-4-7")],
            "startTimeUnixNano": (at - 60 * SECOND).to_string(), "timeUnixNano": at.to_string(), "asInt": "287",
        })
    };
    let sum = json!({"aggregationTemporality": DELTA, "isMonotonic": true, "dataPoints": [point("output"), point("thought")]});
    json!({"resourceMetrics": [{
        "resource": {"attributes": [text("loopctl.story_id", story)]},
        "scopeMetrics": [{"metrics": [{"name": "claude_code.token.usage", "unit": "tokens", "sum": sum}]}],
    }]})
}

/// An event of few words, of a story.
pub(crate) fn short_logs(story: &str) -> Value {
    let event = json!({
        "timeUnixNano": now().to_string(), "body": {"stringValue": "claude_code.api_request"},
        "attributes": [text("output_tokens", "287"), text("cost_usd", "0.0210788")],
    });
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("loopctl.story_id", story)]},
        "scopeLogs": [{"logRecords": [event]}],
    }]})
}

/// What counts: input, output, cache read, cache creation, picodollars; of `story_id`, `agent_id` or `project_id`.
async fn counted(of: &str, id: &str) -> [i64; 5] {
    let sql = format!(
        "select coalesce(sum(input_tokens), 0)::bigint, coalesce(sum(output_tokens), 0)::bigint,
                coalesce(sum(cache_read_tokens), 0)::bigint, coalesce(sum(cache_creation_tokens), 0)::bigint,
                coalesce(sum(cost_picodollars), 0)::bigint
         from counted_usage where {of} = $1::text::uuid"
    );
    let row = connect(&server().owner).await.query_one(&sql, &[&id]).await.unwrap();
    std::array::from_fn(|nth| row.get(nth))
}

/// What an exporter is told, and of how many points.
#[track_caller]
fn partial(reply: Reply) -> (String, String) {
    let body = reply.expect(200);
    let told = body["partialSuccess"].as_object().unwrap_or_else(|| panic!("something is told: {body}"));
    let count = told.get("rejectedDataPoints").or_else(|| told.get("rejectedLogRecords"));
    let word = |value: Option<&Value>| value.and_then(Value::as_str).unwrap().to_owned();
    (word(count), word(told.get("errorMessage")))
}
