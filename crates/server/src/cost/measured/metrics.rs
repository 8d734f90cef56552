//! What tools tell of usage by metrics.

use loopctl_core::cost::measured::exact::{self, Sent};
use loopctl_core::cost::measured::{Figure, Source, Tool};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint, SummaryDataPoint,
};

use super::batch::{Batch, Origin, Point, canonical, model_of, nanoseconds, text_of};

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Tokens, in a sum, by `type`.
    ClaudeTokens,
    /// Dollars, in a sum.
    ClaudeCost,
    /// Tokens, in a histogram of what turns used, by `token_type`.
    CodexTokens,
}

impl Counts {
    fn of(metric: &str) -> Option<Self> {
        match metric {
            "claude_code.token.usage" => Some(Self::ClaudeTokens),
            "claude_code.cost.usage" => Some(Self::ClaudeCost),
            "codex.turn.token_usage" => Some(Self::CodexTokens),
            _ => None,
        }
    }

    fn tool(self) -> Tool {
        if self == Self::CodexTokens { Tool::Codex } else { Tool::ClaudeCode }
    }

    /// Of what a point is; None for what is told by other points of the metric as well.
    fn figure(self, attributes: &[KeyValue]) -> Result<Option<Figure>, &'static str> {
        const UNKNOWN: &str = "its type of tokens is not known";
        let word = |key| text_of(attributes, key).ok_or(UNKNOWN);
        match self {
            Self::ClaudeCost => Ok(Some(Figure::Cost)),
            Self::ClaudeTokens => match word("type")?.as_str() {
                "input" => Ok(Some(Figure::Input)),
                "output" => Ok(Some(Figure::Output)),
                "cacheRead" => Ok(Some(Figure::CacheRead)),
                "cacheCreation" => Ok(Some(Figure::CacheCreation)),
                _ => Err(UNKNOWN),
            },
            // Its input is all of it. Reasoning is a part of the output.
            Self::CodexTokens => match word("token_type")?.as_str() {
                "input" => Ok(Some(Figure::Input)),
                "output" => Ok(Some(Figure::Output)),
                "cached_input" => Ok(Some(Figure::CacheReadOfInput)),
                "cache_write_input" => Ok(Some(Figure::CacheCreationOfInput)),
                "total" | "reasoning_output" => Ok(None),
                _ => Err(UNKNOWN),
            },
        }
    }
}

/// A point of any kind of metric, as far as it matters.
struct Told<'a> {
    attributes: &'a [KeyValue],
    begun: u64,
    at: u64,
    flags: u32,
    value: Option<Sent<'a>>,
}

/// The points of a metric, whether they tell of all since the beginning, and what is wrong with all of them.
struct Series<'a> {
    points: Vec<Told<'a>>,
    temporality: i32,
    fault: Option<&'static str>,
}

/// Finds what a request tells of usage.
pub(super) fn read(request: &ExportMetricsServiceRequest, batch: &mut Batch) {
    for metrics in &request.resource_metrics {
        let origin = Origin::of(metrics.resource.as_ref());
        for scope in &metrics.scope_metrics {
            let common = origin.within(scope.scope.as_ref());
            for metric in &scope.metrics {
                if let Some(counts) = Counts::of(&metric.name) {
                    read_metric(counts, metric, &origin, &common, batch);
                }
            }
        }
    }
}

fn read_metric(counts: Counts, metric: &Metric, origin: &Origin, common: &[u8], batch: &mut Batch) {
    let Some(series) = series(counts, metric.data.as_ref()) else { return };
    let is_total = series.temporality == AggregationTemporality::Cumulative as i32;
    let is_known = is_total || series.temporality == AggregationTemporality::Delta as i32;
    let fault = series
        .fault
        .or((!is_known).then_some("its metric does not say whether it is a difference or a total"));
    for told in &series.points {
        let figure = match fault.map_or_else(|| counts.figure(told.attributes), Err) {
            Ok(Some(figure)) => figure,
            Ok(None) => continue,
            Err(reason) => {
                batch.refuse(reason);
                continue;
            }
        };
        let attributes = canonical(told.attributes);
        let (name, unit, kind) = (metric.name.as_bytes(), metric.unit.as_bytes(), [u8::from(is_total)]);
        let parts: [&[u8]; 5] = [common, name, unit, &kind, &attributes];
        let series = batch.series(&parts);
        let amount = if told.flags & DataPointFlags::NoRecordedValueMask as u32 != 0 {
            Err("it has no value")
        } else {
            match told.value {
                None => Err("it has no value"),
                Some(value) if figure == Figure::Cost => exact::picodollars(value),
                Some(value) => exact::tokens(value),
            }
        };
        let point = amount.map(|amount| Point {
            tool: counts.tool(),
            source: Source::Metrics,
            session_id: origin.session_of(told.attributes),
            model_name: model_of(told.attributes),
            figures: vec![(figure, amount)],
            series,
            begun_ns: nanoseconds(told.begun),
            at_ns: nanoseconds(told.at),
            is_total,
            place: None,
        });
        batch.take(origin, point);
    }
}

/// What the points of a metric say, of whatever kind they are. None of these types knows of the others.
macro_rules! told {
    ($points:expr, $value:expr) => {
        $points
            .iter()
            .map(|point| Told {
                attributes: &point.attributes,
                begun: point.start_time_unix_nano,
                at: point.time_unix_nano,
                flags: point.flags,
                value: $value(point),
            })
            .collect()
    };
}

/// Sums that only grow are taken, and from Codex histograms, of which the sum counts.
fn series(counts: Counts, data: Option<&Data>) -> Option<Series<'_>> {
    const NO_SUM: &str = "its metric is no sum";
    let number = |point: &NumberDataPoint| {
        point.value.map(|value| match value {
            Value::AsInt(value) => Sent::Integer(value),
            Value::AsDouble(value) => Sent::Float(value),
        })
    };
    let (points, temporality, fault) = match data? {
        Data::Sum(sum) => {
            let may_fall = (!sum.is_monotonic).then_some("its metric is a sum that may fall");
            (told!(sum.data_points, number), sum.aggregation_temporality, may_fall)
        }
        Data::Gauge(gauge) => (told!(gauge.data_points, number), 0, Some(NO_SUM)),
        Data::Histogram(of) => {
            let sum = |point: &HistogramDataPoint| point.sum.map(Sent::Float);
            (told!(of.data_points, sum), of.aggregation_temporality, None)
        }
        Data::ExponentialHistogram(of) => {
            let sum = |point: &ExponentialHistogramDataPoint| point.sum.map(Sent::Float);
            (told!(of.data_points, sum), of.aggregation_temporality, None)
        }
        Data::Summary(summary) => {
            let sum = |point: &SummaryDataPoint| Some(Sent::Float(point.sum));
            (told!(summary.data_points, sum), 0, Some(NO_SUM))
        }
    };
    let is_histogram = matches!(data, Some(Data::Histogram(_) | Data::ExponentialHistogram(_)));
    let fault = fault.or((is_histogram && counts != Counts::CodexTokens).then_some(NO_SUM));
    Some(Series { points, temporality, fault })
}
