"""Which requests are recorded: those whose caller records them, and a share of those that nobody decided on.

Work that a request left to be done is recorded where the request was.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

from orita.serving.http.trace_context import TraceContext, in_trace
from orita.serving.resilience.deadline import current_arrival
from orita.serving.tracing.recording import Kind, Recording, Span, Value, recorded

__all__ = ["Tracer"]

_FAILED = 500


class Tracer:
    """Records requests.

    Args:
        share: of the requests that carry no decision, 0 … 1.
        take: given each recording when its request was answered.
        monotonic: the clock that arrivals are told by, in seconds.
        seed: fixes which requests are recorded.
    """

    def __init__(
        self,
        share: float,
        take: Callable[[Recording], None],
        monotonic: Callable[[], float],
        *,
        seed: int | None = None,
    ) -> None:
        self._share, self._take, self._monotonic = share, take, monotonic
        self._random = Random(seed).random

    def wanted(self) -> bool:
        """Return whether a request that nobody decided on is recorded."""
        return self._random() < self._share

    def recordable(self, trace: TraceContext | None) -> TraceContext | None:
        """Return the trace by which a request is recorded, None where it is not.

        Args:
            trace: its place; None where it belongs to none. One that begins here carries nobody's decision.
        """
        if trace is not None and trace.parent_id:
            return trace if trace.sampled else None
        if not self.wanted():
            return None
        if trace is not None:
            return trace._replace(sampled=True)
        return TraceContext(secrets.token_hex(16), "", secrets.token_hex(8), sampled=True)

    @contextmanager
    def recording(self, trace: TraceContext, method: str, path: str) -> Iterator[Span]:
        """Record the request that is answered within the block, from its arrival on.

        Args:
            trace: its place.
            method: of HTTP.
            path: the pattern of its route, of which there are few.

        The block sets ``http.response.status_code``; without it the request counts as failed.
        """
        arrived, now = current_arrival(), time.time_ns()
        started = now if arrived is None else now - round(max(self._monotonic() - arrived, 0.0) * 1e9)
        attributes: dict[str, Value] = {"http.request.method": method, "http.route": path}
        request = Span(f"{method} {path}", trace.span_id, trace.parent_id, started, 0, attributes, kind="server")
        recording = Recording(trace.trace_id, request)
        try:
            with in_trace(trace), recorded(recording):
                yield request
        finally:
            request.ended_ns = time.time_ns()
            status = request.attributes.setdefault("http.response.status_code", _FAILED)
            if int(status) >= _FAILED:
                request.error = f"status {status}"
            self._take(recording)

    @contextmanager
    def going_on(self, trace: TraceContext, name: str, kind: Kind, attributes: dict[str, Value]) -> Iterator[Span]:
        """Record what is done within the block for a request that was answered before.

        Args:
            trace: its place, see `orita.serving.http.trace_context.trace_later`.
            name, kind, attributes: of its span.
        """
        work = Span(name, trace.span_id, trace.parent_id, time.time_ns(), 0, attributes, kind=kind)
        recording = Recording(trace.trace_id, work)
        try:
            with in_trace(trace), recorded(recording):
                yield work
        except BaseException as error:
            work.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            work.ended_ns = time.time_ns()
            self._take(recording)
