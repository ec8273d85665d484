"""The edge of the server, by both ways through it: answers are compressed, and requests know their trace.

Routes of ASGI have it by middleware, quick routes from one look at the headers.
"""

from __future__ import annotations

from starlette.middleware import Middleware

from orita.serving.access.own_pages import WATCHED, OwnPages
from orita.serving.http.compression import CompressionMiddleware, compressed, refused_encoding
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, QuickRoute, Reply
from orita.serving.http.request_id import RequestIdMiddleware
from orita.serving.http.trace_context import TraceContext, in_trace, trace_of
from orita.serving.resilience.turnstile import Company
from orita.serving.tracing.middleware import TraceMiddleware
from orita.serving.tracing.tracer import Tracer

__all__ = ["EdgeRoute", "edges"]

_WATCHED = WATCHED | {b"accept-encoding", b"content-encoding", b"traceparent", b"tracestate"}


def edges(least: int | None, tracer: Tracer | None = None) -> list[Middleware]:
    """Return the middleware of routes of ASGI; *least* and *tracer* are as of `EdgeRoute`."""
    compression = [] if least is None else [Middleware(CompressionMiddleware, least=least)]
    return [Middleware(RequestIdMiddleware), Middleware(TraceMiddleware, tracer=tracer), *compression]


class EdgeRoute(QuickRoute):
    """A quick route whose answers are compressed, whose requests are not, and that knows their trace.

    Args:
        route: answers.
        least: bytes; a shorter answer goes as it is. None: every answer does.
        pages: knows whose pages ask.
        path: of the route.
        tracer: records requests; None: none is recorded.
        pattern: of the route, where its path is one of many; None: the path.
    """

    def __init__(
        self,
        route: QuickRoute,
        least: int | None,
        pages: OwnPages,
        path: str,
        tracer: Tracer | None = None,
        pattern: str | None = None,
    ) -> None:
        self._route = route
        self._tracer, self._pattern = tracer, pattern or path
        self._least = least
        self._pages, self._known, self._path = pages, pages.known, path
        self.max_body = route.max_body

    def company(self, body: bytes | bytearray) -> Company | None:
        """Return with whom a request may have its turn; None: it has it alone."""
        return self._route.company(body)

    def reply(self, headers: Headers, body: bytes | bytearray) -> Reply:
        """Return the answer to a whole request."""
        known = self._known  # what was looked at before: most requests are watched for nothing more
        watched = [pair for pair in headers if pair[0] in _WATCHED and pair not in known]
        if watched:
            return self._watched(watched, headers, body)
        if self._tracer is not None and (trace := self._tracer.recordable(None)) is not None:
            return self._recorded(self._tracer, trace, {}, headers, body)
        return self._route.reply(headers, body)

    def refuse(self, refused: Refused, headers: Headers) -> Reply:
        """Return the answer to a request that cannot be had whole."""
        return self._route.refuse(refused, headers)

    def _watched(self, watched: Headers, headers: Headers, body: bytes | bytearray) -> Reply:
        given: dict[bytes, list[bytes]] = {}
        for name, value in watched:
            given.setdefault(name, []).append(value)
        trace = trace_of(given.get(b"traceparent", ()), given.get(b"tracestate", ()))
        tracer = self._tracer
        if tracer is not None and (recordable := tracer.recordable(trace)) is not None:
            reply = self._recorded(tracer, recordable, given, headers, body)
        elif trace is None:
            reply = self._checked(given, headers, body)
        else:
            with in_trace(trace):
                reply = self._checked(given, headers, body)
            reply = reply._replace(headers=[*reply.headers, trace.response])
        if self._least is None or b"accept-encoding" not in given:
            return reply
        return compressed(b",".join(given[b"accept-encoding"]), reply, self._least)

    def _recorded(
        self,
        tracer: Tracer,
        trace: TraceContext,
        given: dict[bytes, list[bytes]],
        headers: Headers,
        body: bytes | bytearray,
    ) -> Reply:
        with tracer.recording(trace, "POST", self._pattern) as request:
            reply = self._checked(given, headers, body)
            request.attributes["http.response.status_code"] = reply.status
        return reply._replace(headers=[*reply.headers, trace.response])

    def _checked(self, given: dict[bytes, list[bytes]], headers: Headers, body: bytes | bytearray) -> Reply:
        encodings = given.get(b"content-encoding")
        refused = refused_encoding(b",".join(encodings)) if encodings else None
        if refused is None and not given.keys().isdisjoint(WATCHED):
            refused = self._pages.refused("POST", self._path, headers)
        return self._route.reply(headers, body) if refused is None else self._route.refuse(refused, headers)
