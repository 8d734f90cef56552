//! Points that cannot be used, beside others that can.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use super::{
    CUMULATIVE, DAY, DELTA, SECOND, Written, attribute, claude, claude_cost, claude_event, claude_events,
    claude_export, claude_tokens, counted, is_taken, metric, metrics, now, number, partial, resource, send,
    send_as, sum,
};
use crate::support::{Caller, Tenant};

async fn told_of(agent: &Caller, metric: Metric) -> (String, String) {
    let export = metrics(resource("claude-code", &[]), "com.anthropic.claude_code", vec![metric]);
    partial(send(agent, &export).await)
}

const TOKENS: &str = "claude_code.token.usage";

#[tokio::test]
async fn metrics_of_another_kind() {
    let agent = Tenant::new().await.agent().await;
    let at = now();
    let point = || claude_tokens("s", "input", at - 1, at, 5.0);
    let gauge = Data::Gauge(Gauge { data_points: vec![point(), point()] });
    let refused = told_of(&agent, metric(TOKENS, "tokens", gauge)).await;
    assert_eq!(refused, ("2".to_owned(), "2 not taken: its metric is no sum".to_owned()));
    let falling = Sum { data_points: vec![point()], aggregation_temporality: DELTA, is_monotonic: false };
    let (count, why) = told_of(&agent, metric(TOKENS, "tokens", Data::Sum(falling))).await;
    assert_eq!((count.as_str(), why.as_str()), ("1", "1 not taken: its metric is a sum that may fall"));
    let points =
        vec![HistogramDataPoint { sum: Some(5.0), time_unix_nano: at, ..HistogramDataPoint::default() }];
    let histogram = Histogram { data_points: points, aggregation_temporality: DELTA };
    let (count, why) = told_of(&agent, metric(TOKENS, "tokens", Data::Histogram(histogram))).await;
    assert_eq!((count.as_str(), why.as_str()), ("1", "1 not taken: its metric is no sum"));
    let (_, why) = told_of(&agent, sum(TOKENS, "tokens", 0, vec![point()])).await;
    assert!(why.contains("does not say whether it is a difference or a total"), "{why}");
    // What is none of our business is passed over, whatever it is like.
    let export = metrics(
        resource("x", &[]),
        "x",
        vec![metric("x", "", Data::Gauge(Gauge { data_points: vec![point()] }))],
    );
    is_taken(send(&agent, &export).await);
    assert_eq!(counted("agent_id", agent.agent()).await, [0; 5]);
}

#[tokio::test]
async fn points_that_say_what_cannot_be() {
    let agent = Tenant::new().await.agent().await;
    let at = now();
    let with = |value| vec![number(at - 1, at, value, claude("s", &[("type", "input")]))];
    let of = async |temporality, points: Vec<NumberDataPoint>| {
        // JSON has no word for infinity.
        let export = claude_export(&[], temporality, points, Vec::new());
        if export.resource_metrics.is_empty() {
            unreachable!()
        }
        let reply = send_as(&agent, &export, Written::Protobuf).await;
        let body = reply.expect(200);
        body.as_str().unwrap_or_default().to_owned()
    };
    for (temporality, points, why) in [
        (DELTA, with(Number::AsDouble(f64::NAN)), "the value is no number"),
        (DELTA, with(Number::AsDouble(f64::INFINITY)), "the value is no number"),
        (DELTA, with(Number::AsDouble(-1.0)), "the value is negative"),
        (DELTA, with(Number::AsInt(-1)), "the value is negative"),
        (DELTA, with(Number::AsDouble(1.5)), "no whole number"),
        (DELTA, with(Number::AsInt(i64::MAX)), "larger than anybody can have used"),
        (DELTA, vec![NumberDataPoint { value: None, ..with(Number::AsInt(1)).remove(0) }], "it has no value"),
        (DELTA, vec![NumberDataPoint { flags: 1, ..with(Number::AsInt(1)).remove(0) }], "it has no value"),
        (DELTA, vec![claude_tokens("s", "input", 0, 0, 1.0)], "it has no time"),
        (DELTA, vec![claude_tokens("s", "input", 1, at - 8 * DAY, 1.0)], "older than a week"),
        (DELTA, vec![claude_tokens("s", "input", 1, at + 2 * DAY, 1.0)], "more than a day ahead"),
        (DELTA, vec![claude_tokens("s", "input", 1, u64::MAX, 1.0)], "more than a day ahead"),
        (DELTA, vec![claude_tokens(&"s".repeat(256), "input", 1, at, 1.0)], "at most 255 characters"),
        (DELTA, vec![claude_tokens("a\0b", "input", 1, at, 1.0)], "at most 255 characters"),
        (DELTA, vec![claude_tokens("s", "thought", 1, at, 1.0)], "its type of tokens is not known"),
        (DELTA, vec![claude_cost("s", 1, at, 1.0)], "its type of tokens is not known"),
        (CUMULATIVE, vec![claude_tokens("s", "input", 0, at, 1.0)], "not when that was"),
        (CUMULATIVE, vec![claude_tokens("s", "input", at - 9 * DAY, at, 1.0)], "began more than a week ago"),
    ] {
        let told = of(temporality, points).await;
        assert!(told.contains(why), "{why}: {told:?}");
    }
    assert_eq!(counted("agent_id", agent.agent()).await, [0; 5]);
}

/// All the rest is taken, and each reason is told once.
#[tokio::test]
async fn the_rest_is_taken() {
    let agent = Tenant::new().await.agent().await;
    let at = now();
    let tokens = vec![
        claude_tokens("s", "input", at - SECOND, at, 5.0),
        claude_tokens("s", "thought", at - SECOND, at, 5.0),
        claude_tokens("s", "output", at - 9 * DAY, at - 8 * DAY, 5.0),
        claude_tokens("s", "dreamt", at - SECOND, at, 5.0),
    ];
    let cost = vec![claude_cost("s", at - SECOND, at, -1.0), claude_cost("s", at - SECOND, at, 0.25)];
    let told = partial(send(&agent, &claude_export(&[], DELTA, tokens, cost)).await);
    let expected = "1 not taken: it is older than a week, and it is not known any more whether it has come before; \
                    2 not taken: its type of tokens is not known; 1 not taken: the value is negative";
    assert_eq!(told, ("4".to_owned(), expected.to_owned()));
    assert_eq!(counted("agent_id", agent.agent()).await, [5, 0, 0, 0, 250_000_000_000]);
    // Events as well.
    let event = |figures: &[(&str, &str)]| claude_event("t", at, 1, figures);
    let mut typed = event(&[]);
    typed.attributes.push(attribute("input_tokens", Any::BoolValue(true)));
    let records = vec![event(&[]), event(&[("input_tokens", "-3")]), event(&[("output_tokens", "4")]), typed];
    let (count, why) = partial(send(&agent, &claude_events(&[], records)).await);
    assert_eq!(count, "3");
    let expected = "1 not taken: it tells no figures; 1 not taken: the value is negative; 1 not taken: the value is no number";
    assert_eq!(why, expected);
    assert_eq!(counted("agent_id", agent.agent()).await[1], 4);
}

#[tokio::test]
async fn a_request_tells_of_so_many_points() {
    let agent = Tenant::new().await.agent().await;
    let at = now();
    let points = (0..2_002).map(|nth| claude_tokens("s", "input", at - 1, at - nth, 1.0)).collect();
    let export = claude_export(&[], DELTA, points, Vec::new());
    let reply = send_as(&agent, &export, Written::Gzip).await.expect(200);
    assert!(reply.as_str().unwrap().contains("2 not taken: a request may tell of 2,000 points"), "{reply}");
    assert_eq!(counted("agent_id", agent.agent()).await[0], 2_000);
}
