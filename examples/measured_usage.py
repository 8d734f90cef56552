"""What a coding agent measures of its work, sent by the OpenTelemetry SDK for Python: bin/api-check runs it.

    LOOPCTL_KEY=lc_… LOOPCTL_STORY=… python3 examples/measured_usage.py http://localhost:4000

Metrics and events in the shape in which Claude Code exports them, as differences and as totals, with gzip and without.
"""

import os
import sys
import time

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExportResult
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry._logs import LogRecord, SeverityNumber

server = sys.argv[1]
headers = {"Authorization": f"Bearer {os.environ['LOOPCTL_KEY']}"}
resource = Resource.create({"service.name": "claude-code", "loopctl.story_id": os.environ["LOOPCTL_STORY"]})


taken = []


class Metrics(OTLPMetricExporter):
    """Notes what came of each export, which the SDK only logs."""

    def export(self, *args, **more):
        result = super().export(*args, **more)
        taken.append(result is MetricExportResult.SUCCESS)
        return result


class Logs(OTLPLogExporter):
    """The same, of events."""

    def export(self, *args, **more):
        result = super().export(*args, **more)
        taken.append(result is LogRecordExportResult.SUCCESS)
        return result


def measure(session, temporality, compression):
    """Two turns of a session, each exported by itself: 300 tokens read, 30 written, 0.3 dollars."""
    exporter = Metrics(
        endpoint=f"{server}/v1/metrics",
        headers=headers,
        compression=compression,
        preferred_temporality={Counter: temporality},
    )
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider(metric_readers=[reader], resource=resource)
    meter = provider.get_meter("com.anthropic.claude_code", "2.1.0")
    tokens = meter.create_counter("claude_code.token.usage", unit="tokens")
    cost = meter.create_counter("claude_code.cost.usage", unit="USD")
    says = {"session.id": session, "model": "claude-opus-4-7"}
    for turn in (1, 2):
        tokens.add(100 * turn, {**says, "type": "input"})
        tokens.add(10 * turn, {**says, "type": "output"})
        cost.add(0.1 * turn, says)
        provider.force_flush()
    provider.shutdown()


def tell(session):
    """An event of another session: 5 tokens written, and what they cost."""
    exporter = Logs(endpoint=f"{server}/v1/logs", headers=headers, compression=Compression.Gzip)
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("com.anthropic.claude_code.events", "2.1.0")
    attributes = {
        "event.name": "api_request",
        "session.id": session,
        "model": "claude-opus-4-7",
        "output_tokens": "5",
        "cost_usd": "0.0210788",
    }
    logger.emit(
        LogRecord(
            timestamp=time.time_ns(),
            severity_number=SeverityNumber.INFO,
            body="claude_code.api_request",
            attributes=attributes,
        )
    )
    provider.shutdown()


measure("differences", AggregationTemporality.DELTA, Compression.Gzip)
measure("totals", AggregationTemporality.CUMULATIVE, Compression.NoCompression)
tell("events")
assert len(taken) >= 5 and all(taken), taken
print("sent: 600 tokens read, 65 written, 0.6210788 dollars")
