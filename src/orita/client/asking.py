"""What both clients are given, checked once, and how a call of theirs begins."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, get_args

from orita.client.address import Address, tls_context
from orita.client.exchange import Call, Course, Exchange, exchange
from orita.core.clock import Clock, SystemClock
from orita.core.errors import UserError
from orita.core.extras import require
from orita.core.ids import uuid7

__all__ = ["Asker", "CallOptions", "ClientOptions", "Priority"]

T = TypeVar("T")
Priority = Literal["critical", "normal", "low"]

_MOST_RETRIES = 10
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_OURS = frozenset(
    {
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "idempotency-key",
        "x-request-priority",
        "x-request-timeout-ms",
    }
)


class ClientOptions(TypedDict, total=False):
    """How a client asks.

    Attributes:
        timeout: seconds for a call, with all its attempts and pauses; 10.
        retries: how often a call is sent again, at most, 0 to 10; 2.
        connections: most connections at once; 10.
        headers: of every request, such as ``{"Authorization": "Bearer …"}``.
        authorities: a PEM file of certificates to trust instead of the system's.
        pins: keys of which the server must have one, each ``sha256//…``; see `orita.client.pin_of`.
    """

    timeout: float
    retries: int
    connections: int
    headers: Mapping[str, str]
    authorities: Path | str | None
    pins: Iterable[str]


class CallOptions(TypedDict, total=False):
    """What one call has of its own.

    Attributes:
        request_id: joins feedback to the answer, and names the call in the server's log; made if not given.
        traceparent: the trace that the call belongs to (W3C Trace Context), passed on as it is.
        tracestate: what vendors add to it.
        timeout: seconds, instead of the client's.
        priority: ``low`` is shed first by a server that has too much to do; more than ``normal`` needs its trust.
    """

    request_id: str
    traceparent: str
    tracestate: str
    timeout: float
    priority: Priority


@dataclass(frozen=True, slots=True)
class Asker:
    """Begins calls.

    Attributes:
        address: whose server.
        tls: how its certificate is checked; None without TLS.
        headers: of every request.
        timeout: seconds for a call.
        retries: how often it is sent again.
        connections: most at once.
        clock: the time.
    """

    address: Address
    tls: ssl.SSLContext | None
    headers: tuple[tuple[bytes, bytes], ...]
    timeout: float
    retries: int
    connections: int
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def of(
        cls,
        url: str,
        *,
        timeout: float = 10.0,
        retries: int = 2,
        connections: int = 10,
        headers: Mapping[str, str] | None = None,
        authorities: Path | str | None = None,
        pins: Iterable[str] = (),
    ) -> Asker:
        """Return what begins calls to the server at *url*; see `ClientOptions`.

        Raises:
            UserError: a value is not allowed.
            MissingExtra: the extra ``client`` is not installed.
        """
        require("httpcore2", extra="client")
        address = Address.parse(url)
        _check_timeout(timeout)
        _check_count("retries", retries, 0, _MOST_RETRIES)
        _check_count("connections", connections, 1, 10_000)
        given = tuple(_header(name, value) for name, value in (headers or {}).items())
        fixed = ((b"host", address.host_and_port.encode()), (b"accept", b"application/json"))
        return cls(address, tls_context(address, authorities, pins), (*fixed, *given), timeout, retries, connections)

    def start(
        self,
        call: Call[T],
        *,
        request_id: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        timeout: float | None = None,
        priority: Priority | None = None,
    ) -> Course[T]:
        """Return the course of *call*, for a client to run; see `CallOptions`.

        Raises:
            UserError: a value is not allowed.
        """
        request_id = uuid7(self.clock) if request_id is None else _checked_id(request_id)
        headers = [*self.headers, *call.headers, (b"x-request-id", request_id.encode())]
        if call.body is not None:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(call.body))]
        if traceparent is not None:
            headers.append((b"traceparent", _checked_trace(traceparent).encode()))
        if tracestate is not None:
            headers.append(_header("tracestate", tracestate))
        if priority is not None:
            headers.append((b"x-request-priority", _checked_priority(priority).encode()))
        if timeout is not None:
            _check_timeout(timeout)
        seconds = self.timeout if timeout is None else timeout
        return exchange(Exchange(call, str(self.address), request_id, headers, seconds, self.retries, self.clock))

    def __repr__(self) -> str:  # headers may hold a secret
        return f"Asker({self.address})"


def _check_timeout(seconds: float) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
        raise UserError(f"timeout has the value {seconds!r}, allowed are seconds above 0, up to a day.")


def _check_count(name: str, count: int, least: int, most: int) -> None:
    if not isinstance(count, int) or not least <= count <= most:
        raise UserError(f"{name} has the value {count!r}, allowed are {least} to {most}.")


def _checked_id(request_id: str) -> str:
    if not _REQUEST_ID.fullmatch(request_id):
        raise UserError(
            f"request_id has the value {request_id[:128]!r}, allowed are 1 to 128 letters, digits and . _ : / + = -."
        )
    return request_id


def _checked_trace(traceparent: str) -> str:
    if not _TRACEPARENT.fullmatch(traceparent):
        raise UserError(
            f"traceparent has the value {traceparent[:128]!r}, allowed is the form of W3C Trace Context, such as "
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01."
        )
    return traceparent


def _checked_priority(priority: str) -> str:
    if priority not in get_args(Priority):
        raise UserError(f"priority has the value {priority!r}, allowed are {', '.join(get_args(Priority))}.")
    return priority


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
        raise UserError(
            f"headers has the name {name!r}, which is none, or one that the client sets itself: leave it out."
        )
    if not _HEADER_VALUE.fullmatch(value):  # not shown: it may be a secret
        raise UserError(f"the header {name!r} has a value that is empty or holds more than printable ASCII.")
    return name.lower().encode(), value.encode()
