"""Which trace a request belongs to: W3C Trace Context, so that logs of all who took part can be put together.

The specification: https://www.w3.org/TR/trace-context/ (Recommendation, level 1), read strictly; the header
``traceresponse`` of answers is of its draft for responses, https://w3c.github.io/trace-context/. A request without
``traceparent`` belongs to no trace; one whose ``traceparent`` is malformed begins a new one, as the specification says.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from structlog.contextvars import bound_contextvars

__all__ = ["TraceContext", "current_trace", "in_trace", "trace_later", "trace_of"]

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16
_SAMPLED = 1

_KEY_CHARACTERS = rb"[a-z0-9_\-*/]"
_MEMBER = re.compile(
    rb"(?P<key>[a-z]%b{0,255}|[a-z0-9]%b{0,240}@[a-z]%b{0,13})" % ((_KEY_CHARACTERS,) * 3)
    + rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32


class TraceContext(NamedTuple):
    """The place of a request in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits, of the whole trace.
        parent_id: 16, of the caller's span; empty where the trace begins here.
        span_id: 16, of this request's span.
        sampled: whether the caller may have recorded its span.
        state: the value of ``tracestate``, for those who are asked next; empty where there is none.
    """

    trace_id: str
    parent_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def response(self) -> tuple[bytes, bytes]:
        """The header that tells the caller which span answered."""
        return b"traceresponse", self._written()

    @property
    def onward(self) -> list[tuple[bytes, bytes]]:
        """The headers of a request that is sent on behalf of this one."""
        state = [(b"tracestate", self.state.encode("ascii"))] if self.state else []
        return [(b"traceparent", self._written()), *state]

    @property
    def kept(self) -> str:
        """Text by which `trace_later` goes on with the trace once this request is answered."""
        return f"{self._written().decode()} {self.state}".rstrip()

    def _written(self) -> bytes:
        return f"00-{self.trace_id}-{self.span_id}-{_SAMPLED if self.sampled else 0:02x}".encode("ascii")


_current: ContextVar[TraceContext | None] = ContextVar("orita_trace", default=None)


def current_trace() -> TraceContext | None:
    """Return the trace of the request that is being answered, for logs, exemplars and calls to others."""
    return _current.get()


def trace_of(parents: Sequence[bytes], states: Sequence[bytes]) -> TraceContext | None:
    """Return the place of a request in its trace, None where it belongs to none.

    Args:
        parents: the values of its headers ``traceparent``; more than one is malformed.
        states: those of ``tracestate``, in order; malformed ones are dropped.
    """
    if not parents:
        return None
    span_id = secrets.token_hex(8)
    match = _PARENT.fullmatch(parents[0]) if len(parents) == 1 else None
    if match is None or not _is_valid(match):
        return TraceContext(secrets.token_hex(16), "", span_id, sampled=False)
    sampled = bool(int(match[4], 16) & _SAMPLED)
    return TraceContext(match[2].decode(), match[3].decode(), span_id, sampled, _checked_state(states))


def trace_later(kept: str) -> TraceContext | None:
    """Return the place of work that a request left to be done, as a part of its span; None where it was in no trace.

    Args:
        kept: `TraceContext.kept` of the request; empty: it was in none.
    """
    parent, _, state = kept.encode().partition(b" ")
    return trace_of([parent] if parent else [], [state] if state else [])


@contextmanager
def in_trace(trace: TraceContext) -> Iterator[None]:
    """Let `current_trace` be *trace* within the block, and lines of the log name it."""
    token = _current.set(trace)
    try:
        with bound_contextvars(trace_id=trace.trace_id, span_id=trace.span_id):
            yield
    finally:
        _current.reset(token)


def _is_valid(match: re.Match[bytes]) -> bool:
    """Return whether what has the form of a ``traceparent`` is one: a known form, and ids that are not nought."""
    version, trace_id, parent_id, _, more = match.groups()
    return version != b"ff" and (version != b"00" or more is None) and trace_id != _NO_TRACE and parent_id != _NO_SPAN


def _checked_state(values: Sequence[bytes]) -> str:
    """Return ``tracestate`` as one value; empty where any member is malformed, named twice, or one too many."""
    members = [stripped for value in values for each in value.split(b",") if (stripped := each.strip(b" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match["key"] for match in matches if match is not None}
    if len(members) > _MOST_MEMBERS or len(keys) != len(members):
        return ""
    return b",".join(members).decode("ascii")
