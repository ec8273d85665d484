"""Quick routes behind the door: deadline and priority from the headers, then the turn of the request.

    quick = AdmittedRoutes(QuickPaths({b"/predict": route}, None, None), parts, print)
    quick.fixed[b"/predict"].enter(headers, body, send, is_gone)      # `ServingProtocol`, with a whole request
    quick.early(data)                                           # and with what came, where there is no room

The route finds its deadline and its arrival by `current_deadline` and `current_arrival`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, QuickRoute, QuickRoutes, Reply
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import current_deadline, until
from orita.serving.resilience.early import EarlyRefusal
from orita.serving.resilience.parts import Parts

__all__ = [
    "AdmittedRoute",
    "AdmittedRoutes",
    "admission_headers",
    "in_time",
    "in_turn",
    "said_deadline",
    "says_deadline",
]

_TIMEOUT, _GRPC, _PRIORITY = b"x-request-timeout-ms", b"grpc-timeout", b"x-request-priority"
_READ = frozenset((_TIMEOUT, _GRPC, _PRIORITY))


def admission_headers(parts: Parts, headers: Headers, arrived: float) -> tuple[Priority, float]:
    """Return priority and deadline of a request that came at *arrived*, in monotonic seconds.

    Raises:
        Refused: 422, a header says something else.
    """
    said = {name: value for name, value in headers if name in _READ}
    if not said:
        return Priority.NORMAL, parts.deadlines.read(None, None, arrived)
    priority = parts.priorities.read(said.get(_PRIORITY), Priority.NORMAL)
    return priority, parts.deadlines.read(said.get(_TIMEOUT), said.get(_GRPC), arrived)


def in_time(refused: Refused, headers: Headers) -> bool:
    """Return whether *refused* says something else than that a deadline passed which the caller had set."""
    return refused.status != 504 or not says_deadline(headers)


def says_deadline(headers: Headers) -> bool:
    """Return whether the caller says until when an answer is wanted."""
    return any(name in (_TIMEOUT, _GRPC) for name, _ in headers)


def said_deadline(parts: Parts, headers: Headers, arrived: float) -> float:
    """Return the deadline of a request that came at *arrived*, infinite where its caller says none.

    Raises:
        Refused: 422, a header says something else.
    """
    said = {name: value for name, value in headers if name in (_TIMEOUT, _GRPC)}
    return parts.deadlines.read(said.get(_TIMEOUT), said.get(_GRPC), arrived) if said else float("inf")


@asynccontextmanager
async def in_turn(parts: Parts, headers: Headers, arrived: float) -> AsyncIterator[None]:
    """Let it be the turn of a request that came at *arrived*, with the deadline and the priority that its headers say.

    Raises:
        Refused: 422, a header says something else; 503, there is no room; 504, its deadline is past.
    """
    priority, deadline = admission_headers(parts, headers, arrived)
    ticket = await parts.turnstile.enter(priority, min(deadline, current_deadline()), arrived)
    answered = False
    try:
        with until(deadline, arrived):
            yield
        answered = True
    finally:
        parts.turnstile.leave(ticket, answered=answered)


class AdmittedRoute:
    """A `QuickRoute` whose requests wait for their turn.

    Args:
        route: answers within the call.
        parts: the server's.
    """

    def __init__(self, route: QuickRoute, parts: Parts) -> None:
        self._route, self._parts = route, parts
        self._monotonic = parts.clock.monotonic
        self.max_body = route.max_body
        self.reply, self.refuse, self.company = route.reply, route.refuse, route.company

    def enter(
        self, headers: Headers, body: bytes | bytearray, send: Callable[[Reply], None], is_gone: Callable[[], bool]
    ) -> None:
        """Give the answer to *send*, within the call or later; never where *is_gone* says that the caller hung up."""
        arrived = self._monotonic()
        try:
            priority, deadline = admission_headers(self._parts, headers, arrived)
        except Refused as refused:
            send(self.refuse(refused, headers))
            return

        def answer() -> bool:
            with until(deadline, arrived):
                reply = self.reply(headers, body)
            send(reply)
            return reply.status == 200

        def refuse(refused: Refused) -> None:
            send(self.refuse(refused, headers))

        company = self.company(body)
        self._parts.turnstile.go(priority, deadline, arrived, answer, refuse, is_gone, company)


class AdmittedRoutes(QuickRoutes):
    """Quick routes behind the door of one server.

    Args:
        routes: finds them.
        parts: the server's.
        refused_early: told the path of each request that was refused before it was read.
    """

    def __init__(self, routes: QuickRoutes, parts: Parts, refused_early: Callable[[bytes], None]) -> None:
        self.fixed = {path: AdmittedRoute(route, parts) for path, route in routes.fixed.items()}
        self._find, self._parts, self._refused_early = routes.route, parts, refused_early
        self._admission = admission = parts.turnstile.admission
        trusting = parts.priorities.trusting
        self._early = [(path, EarlyRefusal(admission, parts.clock, path, trusting=trusting)) for path in self.fixed]

    def route(self, path: bytes, headers: Headers) -> QuickRoute | None:
        """Return the route of a POST request that may be answered within the call, None where none may."""
        known = self.fixed.get(path)
        if known is not None:
            return known
        found = self._find(path, headers)
        return None if found is None else AdmittedRoute(found, self._parts)

    def early(self, data: bytes) -> bytes | None:
        """Return the refusal of what came, None where it is to be read; see `EarlyRefusal`."""
        if self._admission.inside < self._admission.limit:
            return None
        for path, early in self._early:
            if (answer := early(data)) is not None:
                self._refused_early(path)
                return answer
        return None
