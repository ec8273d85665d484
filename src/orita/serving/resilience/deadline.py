"""Until when an answer is wanted: said by the caller, bounded by configuration, carried to whoever waits.

A deadline is one float, seconds of `Clock.monotonic`; work that is past it is dropped before it costs anything.

    deadlines = Deadlines(config.deadline)
    deadline = deadlines.read(headers.get(b"x-request-timeout-ms"), headers.get(b"grpc-timeout"), arrived)
    check_deadline(deadline, clock.monotonic())                  # before each step that costs
    timeout = seconds_left(deadline, clock.monotonic(), 1.0)     # for a store

Where a signature has no place for it, `until` carries it in a context variable, also into threads that anyio starts.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from types import TracebackType
from typing import Annotated

from pydantic import Field, model_validator

from orita.core.config import Section
from orita.serving.http.refusal import Refused

__all__ = [
    "DeadlineConfig",
    "Deadlines",
    "check_deadline",
    "current_arrival",
    "current_deadline",
    "seconds_left",
    "until",
]

_GRPC_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MILLIS_DIGITS = 9
_NEVER = float("inf")

_current: ContextVar[float] = ContextVar("orita_deadline", default=_NEVER)
_arrived: ContextVar[float | None] = ContextVar("orita_arrival", default=None)


class DeadlineConfig(Section):
    """How long a request may take.

    Attributes:
        default_ms: milliseconds where the caller does not say.
        most_ms: a caller who says more gets this.
    """

    default_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 1000
    most_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 30_000

    @model_validator(mode="after")
    def _default_is_allowed(self) -> DeadlineConfig:
        if self.default_ms > self.most_ms:
            raise ValueError(f"default_ms is {self.default_ms}, allowed are values up to most_ms ({self.most_ms})")
        return self


class Deadlines:
    """Reads deadlines from headers."""

    def __init__(self, config: DeadlineConfig | None = None) -> None:
        config = config or DeadlineConfig()
        self._default = config.default_ms / 1000
        self._most = config.most_ms / 1000

    def read(self, timeout_ms: bytes | None, grpc_timeout: bytes | None, arrived: float) -> float:
        """Return the absolute deadline, in seconds of the monotonic clock.

        Args:
            timeout_ms: the header ``X-Request-Timeout-Ms``, None where it is absent; it goes before the other.
            grpc_timeout: the header ``grpc-timeout``, such as ``100m`` (gRPC over HTTP/2, "Requests").
            arrived: when the request came, likewise.

        Raises:
            Refused: 422, a header says something else than a time.
        """
        if timeout_ms is not None:
            if not timeout_ms.isdigit() or len(timeout_ms) > _MILLIS_DIGITS or int(timeout_ms) == 0:
                raise _wrong("X-Request-Timeout-Ms", timeout_ms, "whole milliseconds of 1 to 9 digits, such as 250")
            return arrived + min(int(timeout_ms) / 1000, self._most)
        if grpc_timeout is not None:
            said = _GRPC.fullmatch(grpc_timeout)
            if said is None or int(said[1]) == 0:
                raise _wrong("grpc-timeout", grpc_timeout, "1 to 8 digits and one of H, M, S, m, u, n, such as 250m")
            return arrived + min(int(said[1]) * _GRPC_SECONDS[said[2]], self._most)
        return self.unsaid(arrived)

    def unsaid(self, arrived: float, parts: int = 1) -> float:
        """Return the deadline of who does not say one: *parts* times that of one request, at most what may be said."""
        return arrived + min(self._default * parts, self._most)


def check_deadline(deadline: float, now: float) -> None:
    """Do nothing while there is time.

    Raises:
        Refused: 504, *deadline* is past; who asked has gone, so nothing more is worth doing.
    """
    if now >= deadline:
        message = "the deadline of the request is past: allow more time in X-Request-Timeout-Ms, or ask for less."
        raise Refused(504, "deadline_exceeded", message)


def seconds_left(deadline: float, now: float, most: float) -> float:
    """Return the timeout for a step: what is left, in seconds from 0 to *most*."""
    left = deadline - now
    return most if left > most else max(left, 0.0)


class until:  # noqa: N801 - it is used like a function, and costs a third of a generator
    """Let `current_deadline` be *deadline* within the block, or the one around it where that is earlier.

    *arrived*, where it is said, is when the request came, for `current_arrival`.
    """

    __slots__ = ("_given", "_tokens")

    def __init__(self, deadline: float, arrived: float | None = None) -> None:
        self._given = (deadline, arrived)

    def __enter__(self) -> None:
        deadline, arrived = self._given
        self._tokens = _current.set(min(deadline, _current.get())), _arrived.set(arrived)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._tokens[0])
        _arrived.reset(self._tokens[1])


def current_deadline() -> float:
    """Return the deadline of the work at hand, infinite outside of `until`."""
    return _current.get()


def current_arrival() -> float | None:
    """Return when the request at hand came, in monotonic seconds; None where nobody said so."""
    return _arrived.get()


def _wrong(header: str, value: bytes, allowed: str) -> Refused:
    shown = value[:32].decode("latin-1")
    return Refused(422, "invalid_value", f"the header {header} is {shown!r}, allowed are {allowed}.")
