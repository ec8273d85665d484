"""What a server counts of jobs: those that it took in and ended, their callbacks, and how many the queue holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from orita.core.clock import Clock, to_micros
from orita.core.ids import millis_of
from orita.serving.jobs.queue import QueueSize
from orita.serving.telemetry.histogram import Histogram

__all__ = ["JobCounts"]

_BUCKETS = (0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
_OUTCOMES = ("succeeded", "failed", "cancelled")
_CALLBACKS = ("delivered", "failed", "put_off")


class JobCounts:
    """The counters of one process; called by the thread of its event loop.

    Args:
        clock: the time.

    Attributes:
        taken: jobs that were taken in here.
        put_off: attempts after which a job waits for another one.
        leases_lost: jobs that another worker took over while this one had them.
        callbacks: calls by how they ended.
        size: of the queue, as it was last seen; None: it cannot be asked.
    """

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self.taken = self.put_off = self.leases_lost = 0
        self.callbacks: Counter[str] = Counter()
        self.size: QueueSize | None = None
        self._ended: Counter[str] = Counter()
        self._seconds = Histogram(_BUCKETS)

    def ended(self, job: str, outcome: Literal["succeeded", "failed", "cancelled"]) -> None:
        """Count the end of the job of that id, which says when it was made."""
        self._ended[outcome] += 1
        if outcome != "cancelled":
            self._seconds.add(max(0.0, to_micros(self._now()) / 1e6 - millis_of(job) / 1e3))

    def metrics(self) -> Iterator[Metric]:
        """Yield what is counted."""
        yield CounterMetricFamily("jobs_taken", "Jobs that were taken in.", value=self.taken)
        ended = CounterMetricFamily("jobs_ended", "Jobs that ended, by outcome.", labels=["outcome"])
        for outcome in _OUTCOMES:
            ended.add_metric([outcome], self._ended[outcome])
        yield ended
        yield CounterMetricFamily("jobs_put_off", "Attempts after which a job is tried again.", value=self.put_off)
        yield CounterMetricFamily("job_leases_lost", "Jobs that another worker took over.", value=self.leases_lost)
        calls = CounterMetricFamily("job_callbacks", "Calls to who waits for a job, by outcome.", labels=["outcome"])
        for outcome in _CALLBACKS:
            calls.add_metric([outcome], self.callbacks[outcome])
        yield calls
        latency = HistogramMetricFamily("job_latency", "Seconds from a job's request to its end.")
        latency.add_metric([], self._seconds.buckets(), self._seconds.sum)
        yield latency
        if self.size is not None:
            yield from _queue(self.size)


def _queue(size: QueueSize) -> Iterator[Metric]:
    """Yield how much the queue holds; every process that shares it tells the same."""
    held = GaugeMetricFamily("jobs_open", "Jobs that wait, and that a worker has.", labels=["state"])
    held.add_metric(["queued"], size.open - size.running)
    held.add_metric(["running"], size.running)
    yield held
    yield GaugeMetricFamily("jobs_oldest_seconds", "Age of the oldest job that is open.", value=size.oldest_seconds)
