"""What the server counts: requests, errors, latencies; by the one thread that answers, so without a lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime

import msgspec
import numpy as np
import numpy.typing as npt
from prometheus_client.metrics_core import Metric

from orita.core.clock import Clock
from orita.serving.http.trace_context import current_trace
from orita.serving.telemetry.api_latency import ApiLatency
from orita.serving.telemetry.histogram import Histogram

__all__ = ["MetricsAnswer", "ServingMetrics"]

WINDOW_SECONDS = 60
LATENCIES = 8192
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class MetricsAnswer(msgspec.Struct, frozen=True):
    """The JSON answer of ``GET /metrics``.

    Attributes:
        requests_total: requests to ``POST /predict`` and ``POST /api/v1/feed`` since the start, however they ended.
        requests_per_second: over the last 60 seconds, or since the start if that is later.
        latency_p50_ms: of the last 8,192 answers; null before the first.
        latency_p99_ms: likewise.
        error_rate: share of the requests of the last 60 seconds that the server failed (5xx) or shed; where a deadline
            passed that the caller set, it did neither.
        predictions_total: items scored since the start.
    """

    requests_total: int
    requests_per_second: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    error_rate: float
    predictions_total: int


class ServingMetrics:
    """The counters of one server.

    Attributes:
        statuses: requests by HTTP status.
        failures: requests that the server failed or shed: 5xx, but for deadlines that callers set.
        feature_requests: requests to the feature store by route and HTTP status.
        predictions_total: items scored.
        latency: seconds of the answers.
        api_latency: those of the other routes.
        others: what other parts of the server count; each yields its metrics when they are asked for.
        last_prediction: when the last answer was given.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self.statuses: Counter[int] = Counter()
        self.failures = 0
        self.feature_requests: Counter[tuple[str, int]] = Counter()
        self.predictions_total = 0
        self.latency = Histogram(_BUCKETS)
        self.api_latency = ApiLatency(clock)
        self.others: list[Callable[[], Iterator[Metric]]] = []
        self.last_prediction: datetime | None = None
        self._latencies: npt.NDArray[np.float64] = np.zeros(LATENCIES)
        self._answers = 0
        self._seconds = [-1] * WINDOW_SECONDS
        self._requests = [0] * WINDOW_SECONDS
        self._failures = [0] * WINDOW_SECONDS

    @property
    def uptime_seconds(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self._started

    def answered(self, items: int, latency_ms: float) -> None:
        """Count an answer with *items* predictions."""
        self._count(200, failed=False)
        self.predictions_total += items
        self.last_prediction = self._clock.now()
        self._latencies[self._answers % LATENCIES] = latency_ms
        self._answers += 1
        self.latency.add(latency_ms / 1000)
        trace = current_trace()
        if trace is not None and trace.sampled:  # a trace that nobody recorded would lead nowhere
            self.latency.exemplify(latency_ms / 1000, trace.trace_id, self._clock.now().timestamp())

    def refused(self, status: int, *, in_time: bool = True) -> None:
        """Count a request that got an error; *in_time* is false where its caller set a deadline that passed."""
        self._count(status, failed=status >= 500 and in_time)

    def feature_request(self, route: str, status: int) -> None:
        """Count a request to the feature store, however it ended."""
        self.feature_requests[route, status] += 1

    def recent_latencies_ms(self) -> npt.NDArray[np.float64]:
        """Return the latencies of the last 8,192 answers, in no order."""
        return self._latencies[: min(self._answers, LATENCIES)]

    def answer(self) -> MetricsAnswer:
        """Return the figures as they are now."""
        requests, failures = self._window()
        known_N = self.recent_latencies_ms()
        p50, p99 = np.percentile(known_N, (50, 99)).round(3).tolist() if len(known_N) else (None, None)
        seconds = min(max(self.uptime_seconds, 1.0), WINDOW_SECONDS)
        return MetricsAnswer(
            requests_total=self.statuses.total(),
            requests_per_second=round(requests / seconds, 3),
            latency_p50_ms=p50,
            latency_p99_ms=p99,
            error_rate=failures / requests if requests else 0.0,
            predictions_total=self.predictions_total,
        )

    def _count(self, status: int, *, failed: bool) -> None:
        self.statuses[status] += 1
        second = int(self._clock.monotonic())
        slot = second % WINDOW_SECONDS
        if self._seconds[slot] != second:
            self._seconds[slot], self._requests[slot], self._failures[slot] = second, 0, 0
        self._requests[slot] += 1
        self._failures[slot] += failed
        self.failures += failed

    def _window(self) -> tuple[int, int]:
        oldest = int(self._clock.monotonic()) - WINDOW_SECONDS
        recent = [slot for slot in range(WINDOW_SECONDS) if self._seconds[slot] > oldest]
        return sum(self._requests[slot] for slot in recent), sum(self._failures[slot] for slot in recent)
