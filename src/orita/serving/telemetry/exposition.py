"""The server's counters as Prometheus and OpenMetrics read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from orita.monitoring.skew_report import SkewReport
from orita.serving.service import Service
from orita.serving.telemetry.bounded import bounded
from orita.serving.telemetry.resilience_metrics import resilience_metrics

__all__ = ["collected", "exposed", "exposition", "from_files", "wants_exposition"]


def wants_exposition(accept: str) -> bool:
    """Return whether a caller with this ``Accept`` header reads Prometheus' text rather than JSON."""
    kinds = [part.partition(";")[0].strip() for part in accept.lower().split(",")]
    text = [kind for kind in kinds if kind in ("text/plain", "application/openmetrics-text")]
    return bool(text) and ("application/json" not in kinds or kinds.index(text[0]) < kinds.index("application/json"))


def exposition(service: Service, accept: str) -> tuple[bytes, str]:
    """Return the counters in the newest format that *accept* names, and its content type."""
    return exposed([*collected(service), *from_files(service)], accept)


def exposed(metrics: Iterable[Metric], accept: str) -> tuple[bytes, str]:
    """Return *metrics* in the newest format that *accept* names, and its content type; OpenMetrics has exemplars."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(list(bounded(metrics))))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def collected(service: Service) -> Iterator[Metric]:
    """Yield the counters of this process."""
    yield from _Counters(service).collect()


def from_files(service: Service) -> Iterator[Metric]:
    """Yield what reports say of the system: the same for all workers, so told by the one that is asked."""
    if service.skew.report is not None:
        yield from _skew(service.skew.report)
    yield from service.watch.metrics()


class _Told(Collector):
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class _Counters:
    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        metrics = self._service.metrics
        requests = CounterMetricFamily(
            "requests", "Requests to POST /predict and POST /api/v1/feed.", labels=["status"]
        )
        for status, count in sorted(metrics.statuses.items()):
            requests.add_metric([str(status)], count)
        yield requests
        yield CounterMetricFamily("predictions", "Items scored.", value=metrics.predictions_total)
        told = "Requests that the server failed (5xx), but for deadlines that callers set."
        yield CounterMetricFamily("prediction_errors", told, value=metrics.failures)
        latency = HistogramMetricFamily("prediction_latency", "Seconds from request to answer.")
        latency.add_metric([], metrics.latency.buckets(), metrics.latency.sum)
        yield latency
        yield from metrics.api_latency.metrics()
        asked = CounterMetricFamily("feature_requests", "Requests to the feature store.", labels=["route", "status"])
        for (route, status), count in sorted(metrics.feature_requests.items()):
            asked.add_metric([route, str(status)], count)
        yield asked
        yield from resilience_metrics(self._service)
        yield from self._service.outliers.metrics()
        yield from self._service.joint.metrics()
        for other in metrics.others:
            yield from other()
        yield from self._gauges()

    def _gauges(self) -> Iterator[Metric]:
        log = self._service.log
        yield GaugeMetricFamily("prediction_log_pending_rows", "Rows not durable yet.", value=log.pending_rows)
        yield CounterMetricFamily("prediction_log_dropped_rows", "Rows never logged.", value=log.dropped_rows)
        yield GaugeMetricFamily(
            "prediction_log_stuck", "1 while answers cannot be made durable in time.", value=float(log.stuck)
        )
        yield GaugeMetricFamily(
            "prediction_log_unconverted_bytes",
            "Finished segments of the home that are not Parquet yet.",
            value=log.unconverted_bytes,
        )
        refused = self._service.follower.refused_seconds
        yield GaugeMetricFamily(
            "package_refused_seconds", "For how long the deployed version has not been what answers.", value=refused
        )
        uptime = self._service.metrics.uptime_seconds
        yield GaugeMetricFamily("uptime_seconds", "Seconds since the start.", value=uptime)
        champion = self._service.follower.champion
        if champion is None:
            return
        info = GaugeMetricFamily("model_info", "The model that answers.", labels=["system", "version", "type"])
        metadata = champion.package.metadata
        info.add_metric([champion.stream.system, metadata.model_version, metadata.model_type], 1)
        yield info
        if "accuracy" in metadata.metrics:
            accuracy = metadata.metrics["accuracy"]
            yield GaugeMetricFamily("model_accuracy", "Accuracy on the model's test rows.", value=accuracy)


def _skew(report: SkewReport) -> Iterator[Metric]:
    shares = GaugeMetricFamily(
        "feature_skew_share", "Served values that history does not confirm, of those compared.", labels=["feature"]
    )
    for feature in report.features:
        shares.add_metric([feature.name], feature.share)
    yield shares
    yield GaugeMetricFamily("feature_skew_rows", "Served rows compared in the latest skew report.", value=report.rows)
    measured = datetime.fromisoformat(report.at).timestamp()
    yield GaugeMetricFamily("feature_skew_timestamp_seconds", "When it was measured, Unix time.", value=measured)
