//! What tools tell of usage by log events.

use loopctl_core::cost::measured::{Figure, Source, Tool, exact};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::batch::{Batch, Origin, Point, body_text, canonical, model_of, nanoseconds, number_of, text_of};

/// What an event tells, by its attributes.
type Figures = &'static [(&'static str, Figure)];

const CLAUDE: Figures = &[
    ("input_tokens", Figure::Input),
    ("output_tokens", Figure::Output),
    ("cache_read_tokens", Figure::CacheRead),
    ("cache_creation_tokens", Figure::CacheCreation),
    ("cost_usd", Figure::Cost),
];

/// Its input is all of it.
const CODEX: Figures = &[
    ("input_token_count", Figure::Input),
    ("output_token_count", Figure::Output),
    ("cached_token_count", Figure::CacheReadOfInput),
];

/// Finds what a request tells of usage.
pub(super) fn read(request: &ExportLogsServiceRequest, batch: &mut Batch) {
    for logs in &request.resource_logs {
        let origin = Origin::of(logs.resource.as_ref());
        for scope in &logs.scope_logs {
            let common = origin.within(scope.scope.as_ref());
            let name = scope.scope.as_ref().map_or("", |scope| scope.name.as_str());
            for record in &scope.log_records {
                if let Some((tool, figures)) = event(record, name, &origin.service) {
                    let point = point(tool, figures, record, &origin, &common, batch);
                    batch.take(&origin, point);
                }
            }
        }
    }
}

/// Whether an event tells of usage, and how.
fn event(record: &LogRecord, scope: &str, service: &str) -> Option<(Tool, Figures)> {
    let attribute = text_of(&record.attributes, "event.name");
    let names = [attribute.as_deref(), Some(record.event_name.as_str()), body_text(record.body.as_ref())];
    let is_called = |name| names.contains(&Some(name));
    if is_called("claude_code.api_request") || is_called("api_request") && is_of_claude(scope, service) {
        return Some((Tool::ClaudeCode, CLAUDE));
    }
    // Of a response that failed there are no counts.
    let is_complete = is_called("codex.sse_event")
        && text_of(&record.attributes, "event.kind").as_deref() == Some("response.completed")
        && number_of(&record.attributes, "input_token_count").is_some();
    is_complete.then_some((Tool::Codex, CODEX))
}

/// Whether Claude Code says so, where the name of an event alone does not tell.
fn is_of_claude(scope: &str, service: &str) -> bool {
    scope.contains("claude_code") || service.starts_with("claude-code")
}

fn point(
    tool: Tool,
    figures: Figures,
    record: &LogRecord,
    origin: &Origin,
    common: &[u8],
    batch: &Batch,
) -> Result<Point, &'static str> {
    let attributes: &[KeyValue] = &record.attributes;
    let mut told = Vec::new();
    for (key, figure) in figures {
        let Some(value) = number_of(attributes, key) else { continue };
        let amount = if *figure == Figure::Cost { exact::picodollars(value) } else { exact::tokens(value) }?;
        told.push((*figure, amount));
    }
    if told.is_empty() {
        return Err("it tells no figures");
    }
    let at = if record.time_unix_nano == 0 { record.observed_time_unix_nano } else { record.time_unix_nano };
    // An event is known by all that it says: it is sent again as it was.
    let body = body_text(record.body.as_ref()).unwrap_or_default();
    let parts: [&[u8]; 4] = [common, record.event_name.as_bytes(), body.as_bytes(), &canonical(attributes)];
    Ok(Point {
        tool,
        source: Source::Logs,
        session_id: origin.session_of(attributes),
        model_name: model_of(attributes),
        figures: told,
        series: batch.series(&parts),
        begun_ns: 0,
        at_ns: nanoseconds(at),
        is_total: false,
        place: None,
    })
}
