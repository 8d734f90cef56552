//! Recorded streams of each tool come to what its vendor says that they mean: whole, again, the other way round, and cut.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

use super::{
    DAY, DELTA, SECOND, Written, claude_cost, claude_event, claude_events, claude_export, claude_tokens,
    codex_event, codex_events, codex_export, counted, is_taken, now, send, send_as,
};
use crate::support::{Caller, Tenant};

const MINUTE: u64 = 60 * SECOND;

/// A session of Claude Code: two intervals of a minute, of which each type is told once, and a subagent's beside it.
fn session(begun: u64) -> Vec<ExportMetricsServiceRequest> {
    let at = begun + MINUTE;
    let first = claude_export(
        &[],
        DELTA,
        vec![
            claude_tokens("s-1", "input", begun, at, 2.0),
            claude_tokens("s-1", "output", begun, at, 287.0),
            claude_tokens("s-1", "cacheRead", begun, at, 29_531.0),
            claude_tokens("s-1", "cacheCreation", begun, at, 147.0),
        ],
        vec![claude_cost("s-1", begun, at, 0.021_078_8)],
    );
    let second = claude_export(
        &[],
        DELTA,
        vec![
            claude_tokens("s-1", "input", at, at + MINUTE, 4.0),
            claude_tokens("s-1", "output", at, at + MINUTE, 13.0),
            claude_tokens("s-1", "cacheRead", at, at + MINUTE, 30_000.0),
            claude_tokens("s-2", "input", at, at + MINUTE, 100.0),
        ],
        vec![claude_cost("s-1", at, at + MINUTE, 0.1), claude_cost("s-2", at, at + MINUTE, 0.2)],
    );
    vec![first, second]
}

/// What it comes to.
const SESSION: [i64; 5] = [106, 300, 59_531, 147, 321_078_800_000];

/// Each point in an export of its own.
fn cut(export: &ExportMetricsServiceRequest) -> Vec<ExportMetricsServiceRequest> {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    let mut parts = Vec::new();
    for (nth, metric) in export.resource_metrics[0].scope_metrics[0].metrics.iter().enumerate() {
        let Some(Data::Sum(sum)) = &metric.data else { continue };
        for point in &sum.data_points {
            let mut part = export.clone();
            let mut alone = metric.clone();
            let Some(Data::Sum(sum)) = &mut alone.data else { continue };
            sum.data_points = vec![point.clone()];
            part.resource_metrics[0].scope_metrics[0].metrics = vec![alone];
            parts.push(part);
        }
        assert!(nth < 3);
    }
    parts
}

async fn agent() -> Caller {
    Tenant::new().await.agent().await
}

#[tokio::test]
async fn sessions_of_claude_code() {
    let exports = session(now() - 3 * MINUTE);
    for written in [Written::Protobuf, Written::Json, Written::Gzip] {
        let agent = agent().await;
        for export in &exports {
            send_as(&agent, export, written).await.expect(200);
        }
        assert_eq!(counted("agent_id", agent.agent()).await, SESSION, "{written:?}");
        // Again, as an exporter sends it that was not answered; in whatever it is written then.
        for export in exports.iter().rev() {
            is_taken(send(&agent, export).await);
        }
        assert_eq!(counted("agent_id", agent.agent()).await, SESSION, "{written:?}, again");
    }
    // The other way round, in pieces, and all of it once more.
    let agent = agent().await;
    let mut parts: Vec<_> = exports.iter().flat_map(cut).collect();
    parts.reverse();
    for export in parts.iter().chain(&exports) {
        is_taken(send(&agent, export).await);
    }
    assert_eq!(counted("agent_id", agent.agent()).await, SESSION);
    // Another agent is another one, though it says the same.
    assert_eq!(counted("agent_id", Tenant::new().await.agent().await.agent()).await, [0; 5]);
}

/// The events of a session say the same as its metrics: they count where metrics do not.
#[tokio::test]
async fn metrics_of_a_session_win() {
    let begun = now() - 3 * MINUTE;
    let event = |session: &str, nth: i64, figures: &[(&str, &str)]| {
        claude_event(session, begun + SECOND * u64::try_from(nth).unwrap(), nth, figures)
    };
    let one = [
        ("input_tokens", "2"),
        ("output_tokens", "287"),
        ("cache_read_tokens", "29531"),
        ("cache_creation_tokens", "147"),
        ("cost_usd", "0.0210788"),
    ];
    let two = [("input_tokens", "4"), ("output_tokens", "13"), ("cost_usd", "0.1")];
    let events =
        || claude_events(&[], vec![event("s-1", 1, &one), event("s-1", 2, &two), event("s-9", 3, &two)]);
    let agent = agent().await;
    let id = agent.agent();
    is_taken(send(&agent, &events()).await);
    is_taken(send(&agent, &events()).await);
    assert_eq!(counted("agent_id", id).await, [10, 313, 29_531, 147, 221_078_800_000]);
    // Metrics of the cost of one session: of its tokens the events still are all that is known.
    let cost =
        |dollars| claude_export(&[], DELTA, Vec::new(), vec![claude_cost("s-1", begun, begun + 1, dollars)]);
    is_taken(send(&agent, &cost(0.5)).await);
    assert_eq!(counted("agent_id", id).await, [10, 313, 29_531, 147, 600_000_000_000]);
    // And of all: the session without metrics counts by its events.
    for export in session(begun) {
        is_taken(send(&agent, &export).await);
    }
    let [input, output, read, created, cost] = SESSION;
    assert_eq!(
        counted("agent_id", id).await,
        [input + 4, output + 13, read, created, cost + 600_000_000_000]
    );
    // Events that come afterwards count no more than those before.
    is_taken(send(&agent, &claude_events(&[], vec![event("s-1", 4, &two)])).await);
    assert_eq!(counted("agent_id", id).await[0], input + 4);
}

/// Input is all of it, what was read from a cache included; what is thought is a part of the output.
#[tokio::test]
async fn turns_of_codex() {
    // Yesterday at noon: none of it is of another day.
    let at = now() / DAY * DAY - DAY / 2;
    let turn = |begun: u64, input: f64, cached: f64, written: f64, output: f64| {
        let tokens = [
            ("total", input + output),
            ("input", input),
            ("cached_input", cached),
            ("cache_write_input", written),
            ("output", output),
            ("reasoning_output", output / 2.0),
        ];
        codex_export(&[], begun, begun + 10 * SECOND, &tokens)
    };
    let exports = [turn(at, 32_562.0, 1_920.0, 62.0, 34.0), turn(at + 10 * SECOND, 1_000.0, 0.0, 0.0, 6.0)];
    let agent = agent().await;
    for export in exports.iter().rev().chain(&exports) {
        is_taken(send(&agent, export).await);
    }
    let turns = [31_580, 40, 1_920, 62, 0];
    assert_eq!(counted("agent_id", agent.agent()).await, turns);
    // Its metrics name no session: they are taken for those of all sessions of their day.
    let events = codex_events(vec![
        codex_event("c-1", at, 32_562, 1_920, 34),
        codex_event("c-1", at + 1, 1_000, 0, 6),
    ]);
    is_taken(send(&agent, &events).await);
    assert_eq!(counted("agent_id", agent.agent()).await, turns);
    let before = codex_events(vec![codex_event("c-0", at - 2 * DAY, 500, 100, 7)]);
    is_taken(send(&agent, &before).await);
    assert_eq!(counted("agent_id", agent.agent()).await, [31_980, 47, 2_020, 62, 0]);
    // What another tool says has nothing to do with it.
    let other = claude_events(&[], vec![claude_event("c-1", at, 1, &[("input_tokens", "3")])]);
    is_taken(send(&agent, &other).await);
    assert_eq!(counted("agent_id", agent.agent()).await[0], 31_983);
}

#[tokio::test]
async fn events_of_codex() {
    let agent = agent().await;
    let at = now();
    let failed = |name: &str| {
        let mut event = codex_event("c", at, 5, 0, 5);
        event.attributes.retain(|attribute| attribute.key != name);
        event
    };
    // A response that failed has no counts, and other events are not about usage.
    let events = codex_events(vec![
        codex_event("c", at, 100, 40, 5),
        failed("input_token_count"),
        failed("event.kind"),
        failed("event.name"),
        codex_event("c", at, 100, 40, 5),
        codex_event("c", at + 1, 100, 40, 5),
    ]);
    is_taken(send(&agent, &events).await);
    assert_eq!(counted("agent_id", agent.agent()).await, [120, 10, 80, 0, 0]);
}
