"""What becomes of a request of ASGI that is not answered when its server ends."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from orita.core.ids import uuid7
from orita.serving.http.refusal import Refused
from orita.serving.http.reply import refusal_reply

__all__ = ["answered_at_the_end"]


async def answered_at_the_end(
    cycle: RequestResponseCycle, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Have *app* answer; where the server ends before it does, its caller is told in the documented form."""
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        if cycle.response_started or cycle.flow.write_paused:
            cycle.transport.close()
            cycle.disconnected = True
            return
        reply = refusal_reply(
            Refused(503, "stopping", "the server stops: ask another one, or again.", retry_after=1), uuid7()
        )
        headers = [(b"content-type", reply.content_type), (b"content-length", b"%d" % len(reply.content))]
        start = {"status": reply.status, "headers": [*headers, *reply.headers, (b"connection", b"close")]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": reply.content})
