"""Quick routes behind the door: deadline and priority from the headers, then the turn of the request.

    quick = AdmittedRoutes({b"/predict": route}, parts)
    quick[b"/predict"].enter(headers, body, send, is_gone)      # `ServingProtocol`, with a whole request
    quick.early(data)                                           # and with what came, where there is no room

The route finds its deadline and its arrival by `current_deadline` and `current_arrival`.
"""

from __future__ import annotations

from collections.abc import Callable

from orita.serving.refusal import Refused
from orita.serving.reply import Headers, QuickRoute, QuickRoutes, Reply
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.deadline import until
from orita.serving.resilience.early import EarlyRefusal
from orita.serving.resilience.parts import Parts

__all__ = ["AdmittedRoute", "AdmittedRoutes", "admission_headers"]

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
        self.reply, self.refuse = route.reply, route.refuse

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

        self._parts.turnstile.go(priority, deadline, arrived, answer, refuse, is_gone)


class AdmittedRoutes(dict[bytes, QuickRoute]):
    """Quick routes behind the door of one server.

    Args:
        routes: by their path; it may have a method ``route`` that finds others, as `QuickPaths` has.
        parts: the server's.
        refused_early: told the path of each request that was refused before it was read.
    """

    def __init__(self, routes: QuickRoutes, parts: Parts, refused_early: Callable[[bytes], None]) -> None:
        super().__init__({path: AdmittedRoute(route, parts) for path, route in routes.items()})
        self._find: Callable[[bytes, Headers], QuickRoute | None] | None = getattr(routes, "route", None)
        self._parts, self._refused_early = parts, refused_early
        self._admission = admission = parts.turnstile.admission
        trusting = parts.priorities.trusting
        self._early = [(path, EarlyRefusal(admission, parts.clock, path, trusting=trusting)) for path in routes]

    def route(self, path: bytes, headers: Headers) -> QuickRoute | None:
        """Return the route of a POST request that may be answered within the call, None where none may."""
        known = self.get(path)
        if known is not None or self._find is None:
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
