"""What a server sends by OTLP: recorded requests, its metrics, lines of its log; from a thread, never a request's."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
import structlog
from prometheus_client.metrics_core import CounterMetricFamily, Metric

from orita import __version__
from orita.serving.background.parts import Background
from orita.serving.otlp.config import TelemetryConfig
from orita.serving.otlp.messages import LogLine, logs_message, metrics_message, traces_message
from orita.serving.otlp.sender import OtlpSender
from orita.serving.tracing.recording import Recording
from orita.serving.tracing.tracer import Tracer

__all__ = ["Telemetry"]

_LOOK_SECONDS = 0.5
_BATCH = 512
_OWN = "otlp_"


class Telemetry:
    """Gathers what is to be sent, and sends it.

    Args:
        config: where to, and what.
        system: whose server it is.
        collect: yields the metrics of this process.
        monotonic: the clock that arrivals are told by, in seconds.

    Attributes:
        tracer: records requests; None where traces are not sent.

    Raises:
        MissingExtra, UserError: see `orita.serving.otlp.sender.OtlpSender`.
    """

    def __init__(
        self,
        config: TelemetryConfig,
        system: str,
        collect: Callable[[], Iterable[Metric]],
        monotonic: Callable[[], float],
    ) -> None:
        self._config, self._system, self._collect = config, system, collect
        self._recordings: deque[Recording] = deque()
        self._lines: deque[LogLine] = deque()
        self._lost = {"traces": 0, "logs": 0}
        self._started_ns = time.time_ns()
        self._metrics_at = 0.0
        self.tracer: Tracer | None = None
        self.background = Background("what sends telemetry", "orita-otlp", self._turn)
        self._sender = None if config.endpoint is None else OtlpSender(config, self.background.stopping)
        if config.endpoint is not None and config.traces:
            self.tracer = Tracer(config.trace_share, self.take, monotonic)

    def take(self, recording: Recording) -> None:
        """Take a request that was recorded."""
        if len(self._recordings) >= self._config.queue:
            self._lost["traces"] += 1
        else:
            self._recordings.append(recording)

    def metrics(self) -> Iterator[Metric]:
        """Yield how much was sent and dropped."""
        if self._sender is None:
            return
        sent = CounterMetricFamily("otlp_messages", "Messages that a collector took.", labels=["signal"])
        dropped = CounterMetricFamily("otlp_dropped_messages", "Messages that none took.", labels=["signal"])
        lost = CounterMetricFamily("otlp_dropped_records", "Traces and log lines without room.", labels=["signal"])
        for signal in ("traces", "metrics", "logs"):
            sent.add_metric([signal], self._sender.sent[signal])
            dropped.add_metric([signal], self._sender.dropped[signal])
            lost.add_metric([signal], self._lost.get(signal, 0))
        yield from (sent, dropped, lost)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send within the block, and what is left at its end."""
        if self._sender is None:
            yield
            return
        before = self._listen()
        self.background.start()
        try:
            yield
        finally:
            if before is not None:
                structlog.configure(processors=before)
            await anyio.to_thread.run_sync(self.background.close)
            await anyio.to_thread.run_sync(self._send_rest)

    def _listen(self) -> list[Any] | None:
        """Hear the lines of the log before they are drawn; return what was before, None where they are not sent."""
        if not self._config.logs:
            return None
        before = list(structlog.get_config()["processors"])
        structlog.configure(processors=[*before[:-1], self._heard, *before[-1:]])
        return before

    def _heard(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if not str(event.get("event", "")).startswith(_OWN):  # what cannot be sent is not sent either
            if len(self._lines) >= self._config.queue:
                self._lost["logs"] += 1
            else:
                self._lines.append({"level": method, **event, "at_ns": time.time_ns()})
        return event

    def _turn(self) -> float:
        self._send_gathered()
        if self._config.metrics and time.monotonic() >= self._metrics_at:
            self._metrics_at = time.monotonic() + self._config.metrics_seconds
            self._send_metrics()
        return _LOOK_SECONDS

    def _send_rest(self) -> None:
        self._send_gathered()
        if self._config.metrics:
            self._send_metrics()

    def _send_gathered(self) -> None:
        assert self._sender is not None
        while recordings := _taken(self._recordings):
            self._sender.send("traces", traces_message(self._resource, recordings))
        while lines := _taken(self._lines):
            self._sender.send("logs", logs_message(self._resource, lines))

    def _send_metrics(self) -> None:
        assert self._sender is not None
        message = metrics_message(self._resource, self._collect(), started_ns=self._started_ns, now_ns=time.time_ns())
        self._sender.send("metrics", message)

    @property
    def _resource(self) -> dict[str, object]:
        """What this process is: one of several workers has an identity of its own, so that totals can be added up."""
        return {
            "service.name": self._config.service or f"orita-{self._system}",
            "service.version": __version__,
            "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            "process.pid": os.getpid(),
        }


def _taken(waiting: deque[Any]) -> list[Any]:
    return [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
