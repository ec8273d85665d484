"""What happens from a call to its answer, without input or output: which attempts, which pauses, which end.

`exchange` is a generator that a driver runs: it yields an `Attempt` to be sent, and is given the `Reply` or what was
`Broken`; or it yields a `Pause` to be slept. So both clients share all of it, and tests need no server.

A request is sent again where that cannot do harm twice and may help: nothing of an answer had come, or the answer was
429 or 503. Every call may be repeated: reading changes nothing, events that are pushed again count once, a job has a
key that makes it one however often it is sent, and a model that is where it should be stays there. Pauses grow
exponentially with full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015), never shorter than ``Retry-After``
asks, and there is none that would pass the deadline. There is no circuit breaker: a caller that has a deadline and few
retries needs none, and one in each client would only know what that client saw.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import msgspec

from orita.client.errors import BadAnswer, ExpiredCursor, Refused, TimedOut, Unreachable, Untrusted
from orita.core.clock import Clock

__all__ = ["Attempt", "Broken", "Call", "Course", "Exchange", "Pause", "Reply", "exchange"]

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_AGAIN = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its headers by lower-case name, its body."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """No answer.

    Attributes:
        kind: ``lost``, the connection failed; ``late``, the deadline passed; ``untrusted``, the certificate is refused;
            ``garbled``, what came is not HTTP, or too long.
        reason: in words.
        began: whether some of an answer had come.
        reused: whether the connection had answered before.
    """

    kind: str
    reason: str
    began: bool = False
    reused: bool = False


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """What is asked.

    Attributes:
        method: of HTTP.
        path: below the server's address.
        read: turns an accepted reply into the answer; raises what msgspec raises where it is none.
        body: JSON, None where there is none.
        accepted: the statuses of an answer.
        headers: of this call alone.
    """

    method: bytes
    path: str
    read: Callable[[Reply], T]
    body: bytes | None = None
    accepted: frozenset[int] = frozenset({200})
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request to be sent now; its answer must be whole within *seconds*."""

    call: Call[Any]
    headers: list[tuple[bytes, bytes]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing to be done for *seconds*."""

    seconds: float


Course = Generator[Attempt | Pause, Reply | Broken | None, T]
"""What a driver runs; its value is a `T`."""


@dataclass(frozen=True, slots=True)
class Exchange(Generic[T]):
    """One call with all that decides how it goes.

    Attributes:
        call: what is asked.
        address: of whom, in words.
        request_id: the same in every attempt, so that the server's log shows them as one.
        headers: of every attempt.
        timeout: seconds for all attempts and pauses together.
        retries: how often it is sent again, at most; one more, at once, is free where the server had closed the
            connection between two requests, as it may at any time.
        clock: tells how much time is left.
        draw: gives a number in [0, 1), for the jitter.
    """

    call: Call[T]
    address: str
    request_id: str
    headers: list[tuple[bytes, bytes]]
    timeout: float
    retries: int
    clock: Clock
    draw: Callable[[], float] = field(default=random.random)


def exchange(asked: Exchange[T]) -> Course[T]:
    """Run *asked*; the value of the generator is the answer.

    Raises:
        Refused, Unreachable, TimedOut, Untrusted, BadAnswer: there is none.
    """
    ends_at = asked.clock.monotonic() + asked.timeout
    retries, free = 0, True
    while True:
        left = ends_at - asked.clock.monotonic()
        outcome = yield Attempt(asked.call, [*asked.headers, _deadline(left)], left)
        assert outcome is not None
        if isinstance(outcome, Reply) and outcome.status in asked.call.accepted:
            return _read(asked, outcome)
        error, again, at_least = _failed(asked, outcome)
        at_once = free and isinstance(outcome, Broken) and outcome.reused
        pause = 0.0 if at_once else at_least + asked.draw() * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**retries)
        exhausted = retries >= asked.retries and not at_once
        if not again or exhausted or asked.clock.monotonic() + pause >= ends_at:
            raise error
        if at_once:
            free = False
            continue
        retries += 1
        yield Pause(pause)


def _deadline(seconds: float) -> tuple[bytes, bytes]:
    return b"x-request-timeout-ms", b"%d" % max(1, int(seconds * 1000))


def _failed(asked: Exchange[T], outcome: Reply | Broken) -> tuple[Exception, bool, float]:
    """Return the error that *outcome* is, whether to try again, and after how many seconds at least."""
    if isinstance(outcome, Reply):
        refused = _refused(asked, outcome)
        return refused, outcome.status in _AGAIN, refused.retry_after or 0.0
    if outcome.kind == "late":
        return TimedOut(f"{asked.address} did not answer within {asked.timeout:g} s.", asked.request_id), False, 0.0
    if outcome.kind == "untrusted":
        return Untrusted(f"{asked.address} is not trusted: {outcome.reason}.", asked.request_id), False, 0.0
    if outcome.kind == "garbled":
        return BadAnswer(f"{asked.address} does not answer as Orita does: {outcome.reason}."), False, 0.0
    lost = "broke off its answer" if outcome.began else "did not answer"
    return Unreachable(f"{asked.address} {lost}: {outcome.reason}.", asked.request_id), not outcome.began, 0.0


class _Said(msgspec.Struct):
    code: str
    message: str
    request_id: str = ""


def _refused(asked: Exchange[T], reply: Reply) -> Refused:
    request_id = reply.headers.get(b"x-request-id", asked.request_id.encode()).decode("latin-1")
    wait = _retry_after(reply.headers.get(b"retry-after"), asked.clock)
    try:
        said = msgspec.json.decode(reply.body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):  # a proxy on the way has pages of its own
        message = f"{asked.call.method.decode()} {asked.call.path} was answered with HTTP {reply.status}."
        return Refused(reply.status, "http_error", message, request_id, retry_after=wait)
    kind = ExpiredCursor if said.code == "expired_cursor" else Refused
    return kind(reply.status, said.code, said.message, said.request_id or request_id, retry_after=wait)


def _retry_after(value: bytes | None, clock: Clock) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3), a number or a date, else None."""
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - clock.now()).total_seconds())


def _read(asked: Exchange[T], reply: Reply) -> T:
    try:
        return asked.call.read(reply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if reply.status >= 400:  # an answer with that status was possible, and this is an error like any
            raise _refused(asked, reply) from None
        raise BadAnswer(
            f"{asked.address}{asked.call.path} does not answer as Orita does: {error}. Is another program, or a "
            "version that does not fit this client, at that address?"
        ) from None
