"""The spans of one request, while it is answered; for all others, next to nothing.

    with span("model_inference", model_version=version):
        scores = …

Where the request is not recorded, `span` is a look at a context variable. Spans are what OpenTelemetry calls so:
https://opentelemetry.io/docs/specs/otel/trace/api/.
"""

from __future__ import annotations

import secrets
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

__all__ = ["Kind", "Recording", "Span", "Value", "current_recording", "recorded", "span"]

Value = str | int | float | bool
Kind = Literal["internal", "server", "client", "consumer"]
"""Of a span, as OpenTelemetry has them: a step, an answer to a request, a request to others, work that was left."""

_MOST_SPANS = 512


@dataclass(slots=True)
class Span:
    """One step.

    Attributes:
        name: what was done.
        span_id: 16 hexadecimal digits.
        parent_id: of the step that it is part of; empty where the trace begins.
        started_ns: nanoseconds of Unix time.
        ended_ns: likewise; 0 while it goes on.
        attributes: what else is known of it.
        error: why it failed; None: it did not.
        kind: what it is to others.
    """

    name: str
    span_id: str
    parent_id: str
    started_ns: int
    ended_ns: int = 0
    attributes: dict[str, Value] = field(default_factory=dict)
    error: str | None = None
    kind: Kind = "internal"


class Recording:
    """The spans of one request, the request's own first; steps beyond 512 are not kept.

    Args:
        trace_id: 32 hexadecimal digits.
        request: the request's span.

    Attributes:
        trace_id: as given.
        spans: those that began.
    """

    __slots__ = ("_open", "spans", "trace_id")

    def __init__(self, trace_id: str, request: Span) -> None:
        self.trace_id = trace_id
        self.spans = [request]
        self._open = [request]

    @property
    def request(self) -> Span:
        """The span of the request itself."""
        return self.spans[0]

    def begin(self, name: str, attributes: dict[str, Value]) -> Span:
        """Begin a step within the one that is under way."""
        begun = Span(name, secrets.token_hex(8), self._open[-1].span_id, time.time_ns(), 0, attributes)
        if len(self.spans) < _MOST_SPANS:
            self.spans.append(begun)
        self._open.append(begun)
        return begun

    def end(self, ended: Span, error: BaseException | None) -> None:
        """End a step, and whatever was begun within it and not ended."""
        ended.ended_ns = time.time_ns()
        if error is not None:
            ended.error = f"{type(error).__name__}: {error}"
        while self._open[-1] is not ended and len(self._open) > 1:
            self._open.pop()
        if len(self._open) > 1:
            self._open.pop()


_current: ContextVar[Recording | None] = ContextVar("orita_recording", default=None)


def current_recording() -> Recording | None:
    """Return the recording of the request that is being answered; None where it is not recorded."""
    return _current.get()


class recorded:  # noqa: N801 - used as a statement
    """Let steps within the block be part of *recording*."""

    __slots__ = ("_recording", "_token")

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __enter__(self) -> Recording:
        self._token = _current.set(self._recording)
        return self._recording

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class _Step:
    __slots__ = ("_attributes", "_name", "_recording", "_span")

    def __init__(self, recording: Recording, name: str, attributes: dict[str, Value]) -> None:
        self._recording, self._name, self._attributes = recording, name, attributes

    def __enter__(self) -> None:
        self._span = self._recording.begin(self._name, self._attributes)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._recording.end(self._span, error)


class _Unrecorded:
    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


_UNRECORDED = _Unrecorded()


def span(name: str, /, **attributes: Value) -> _Step | _Unrecorded:
    """Return a block that is recorded as a step of the request, where that is recorded."""
    recording = _current.get()
    return _UNRECORDED if recording is None else _Step(recording, name, attributes)
