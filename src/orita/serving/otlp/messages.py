"""Recordings, metrics and lines of the log in the messages of OTLP, as its JSON has them.

The specification: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: names in lowerCamelCase, ids in
hexadecimal digits, integers of 64 bits as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from orita import __version__
from orita.serving.tracing.recording import Recording, Span

__all__ = ["LogLine", "logs_message", "metrics_message", "traces_message"]

Message = dict[str, Any]
LogLine = Mapping[str, object]
"""A line of the log: its fields, and ``at_ns``, nanoseconds of Unix time."""

_SCOPE = {"name": "orita", "version": __version__}
_KINDS = {"internal": 1, "server": 2, "client": 3, "consumer": 5}  # SpanKind
_ERROR = 2  # StatusCode
_CUMULATIVE = 2  # AggregationTemporality
_SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}
_OWN_FIELDS = frozenset(("event", "level", "at_ns", "trace_id", "span_id", "timestamp"))


def traces_message(resource: Mapping[str, object], recordings: Iterable[Recording]) -> Message:
    """Return *recordings* as an ``ExportTraceServiceRequest``."""
    spans = [_span(recording, each) for recording in recordings for each in recording.spans]
    scope = {"scope": _SCOPE, "spans": spans}
    return {"resourceSpans": [{"resource": _resource(resource), "scopeSpans": [scope]}]}


def metrics_message(
    resource: Mapping[str, object], metrics: Iterable[Metric], *, started_ns: int, now_ns: int
) -> Message:
    """Return *metrics* of one process as an ``ExportMetricsServiceRequest``: totals since *started_ns*."""
    times = {"startTimeUnixNano": str(started_ns), "timeUnixNano": str(now_ns)}
    told = [found for metric in metrics if (found := _metric(metric, times)) is not None]
    scope = {"scope": _SCOPE, "metrics": told}
    return {"resourceMetrics": [{"resource": _resource(resource), "scopeMetrics": [scope]}]}


def logs_message(resource: Mapping[str, object], lines: Iterable[LogLine]) -> Message:
    """Return *lines* as an ``ExportLogsServiceRequest``."""
    scope = {"scope": _SCOPE, "logRecords": [_log_record(line) for line in lines]}
    return {"resourceLogs": [{"resource": _resource(resource), "scopeLogs": [scope]}]}


def _resource(resource: Mapping[str, object]) -> Message:
    return {"attributes": _attributes(resource)}


def _span(recording: Recording, told: Span) -> Message:
    message: Message = {
        "traceId": recording.trace_id,
        "spanId": told.span_id,
        "name": told.name,
        "kind": _KINDS[told.kind],
        "startTimeUnixNano": str(told.started_ns),
        "endTimeUnixNano": str(max(told.ended_ns, told.started_ns)),
        "attributes": _attributes(told.attributes),
    }
    if told.parent_id:
        message["parentSpanId"] = told.parent_id
    if told.error is not None:
        message["status"] = {"code": _ERROR, "message": told.error}
    return message


def _metric(metric: Metric, times: Mapping[str, str]) -> Message | None:
    """Return one metric, None where it has no samples yet."""
    if not metric.samples:
        return None
    message: Message = {"name": metric.name, "description": metric.documentation}
    if metric.type == "histogram":
        points = [_histogram_point(labels, samples, times) for labels, samples in _by_labels(metric.samples)]
        return {**message, "histogram": {"aggregationTemporality": _CUMULATIVE, "dataPoints": points}}
    points = [
        {**times, "attributes": _attributes(sample.labels), "asDouble": float(sample.value)}
        for sample in metric.samples
        if not sample.name.endswith("_created")
    ]
    if metric.type == "counter":
        total = {"aggregationTemporality": _CUMULATIVE, "isMonotonic": True, "dataPoints": points}
        return {**message, "sum": total}
    return {**message, "gauge": {"dataPoints": points}}


def _by_labels(samples: Sequence[Sample]) -> list[tuple[dict[str, str], list[Sample]]]:
    """Return the samples of each histogram of a family: those whose labels are the same but for the bucket's."""
    found: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        key = tuple((name, value) for name, value in sample.labels.items() if name != "le")
        found.setdefault(key, []).append(sample)
    return [(dict(key), of) for key, of in found.items()]


def _histogram_point(labels: Mapping[str, str], samples: Sequence[Sample], times: Mapping[str, str]) -> Message:
    """Return one histogram; Prometheus counts what is below each bound, OTLP what is between two of them."""
    buckets = [sample for sample in samples if "le" in sample.labels]
    totals = [int(sample.value) for sample in buckets]
    between = [total - before for total, before in zip(totals, [0, *totals], strict=False)]
    message: Message = {
        **times,
        "attributes": _attributes(labels),
        "count": str(totals[-1]),
        "sum": next((float(sample.value) for sample in samples if sample.name.endswith("_sum")), 0.0),
        "bucketCounts": [str(count) for count in between],
        "explicitBounds": [float(sample.labels["le"]) for sample in buckets[:-1]],
    }
    exemplars = [
        {
            "timeUnixNano": str(round(float(sample.exemplar.timestamp or 0) * 1e9)),
            "asDouble": sample.exemplar.value,
            "traceId": sample.exemplar.labels["trace_id"],
        }
        for sample in buckets
        if sample.exemplar is not None
    ]
    return {**message, "exemplars": exemplars} if exemplars else message


def _log_record(line: LogLine) -> Message:
    level = str(line.get("level", "info"))
    message: Message = {
        "timeUnixNano": str(line["at_ns"]),
        "severityNumber": _SEVERITIES.get(level, 9),
        "severityText": level.upper(),
        "body": {"stringValue": str(line.get("event", ""))},
        "attributes": _attributes({name: value for name, value in line.items() if name not in _OWN_FIELDS}),
    }
    if "trace_id" in line and "span_id" in line:
        message |= {"traceId": str(line["trace_id"]), "spanId": str(line["span_id"])}
    return message


def _attributes(values: Mapping[str, object]) -> list[Message]:
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value is not None]


def _value(value: object) -> Message:
    match value:
        case bool():
            return {"boolValue": value}
        case int() if -(2**63) <= value < 2**63:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": str(value)}
