"""Requests of ASGI within their trace: known to the log, told to the caller, recorded where that was decided."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orita.serving.access.permissions import PROBES
from orita.serving.http.reply import Headers
from orita.serving.http.trace_context import TraceContext, in_trace, trace_of
from orita.serving.tracing.recording import Span
from orita.serving.tracing.tracer import Tracer

__all__ = ["TraceMiddleware"]

_NO_ROUTE = "unknown"
_WATCHES = PROBES | {"/metrics", "/status"}
"""Asked every few seconds by what watches a server: nobody looks for their traces."""


class TraceMiddleware:
    """Answers each request of an ASGI application within its trace, and tells which span answered.

    Args:
        app: the application.
        tracer: records requests; None: none is recorded.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer | None = None) -> None:
        self.app, self._tracer = app, tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ASGI."""
        trace = _trace_in(scope["headers"]) if scope["type"] == "http" else None
        tracer = self._tracer if scope["type"] == "http" and scope["path"] not in _WATCHES else None
        if tracer is not None and (recordable := tracer.recordable(trace)) is not None:
            with tracer.recording(recordable, scope["method"], _NO_ROUTE) as request:
                try:
                    await self.app(scope, receive, _telling(send, recordable, request))
                finally:
                    _name(request, scope)
        elif trace is None:
            await self.app(scope, receive, send)
        else:
            with in_trace(trace):
                await self.app(scope, receive, _telling(send, trace, None))


def _telling(send: Send, trace: TraceContext, request: Span | None) -> Send:
    """Return *send* that tells the caller which span answered, and the span with which status."""
    header = trace.response

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), header]}
            if request is not None:
                request.attributes["http.response.status_code"] = message["status"]
        await send(message)

    return told


def _name(request: Span, scope: Scope) -> None:
    """Name the request by the pattern of its route: paths are as many as callers make up."""
    path = getattr(scope.get("route"), "path", _NO_ROUTE)
    request.name = f"{scope['method']} {path}"
    request.attributes["http.route"] = path


def _trace_in(headers: Headers) -> TraceContext | None:
    parents = [value for name, value in headers if name == b"traceparent"]
    return trace_of(parents, [value for name, value in headers if name == b"tracestate"]) if parents else None
