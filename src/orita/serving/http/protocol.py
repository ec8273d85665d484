"""HTTP/1.1 on a connection: uvicorn's protocol, with limits that it lacks and a short way for the quick routes.

Most requests of a server go to a route that answers within the call, from memory. For each, ASGI would make a scope, a
task, an event and three messages. Here such a request goes from the parser to the route, and its answer to the socket;
all others go the way of ASGI. So does one that was pipelined behind a request that is still being answered, so that
answers keep their order. A quick route may let a request wait for its turn; to those behind it on the connection it
then looks like a request of ASGI.

A wish to upgrade is left (RFC 9110, 7.8). The parser would take what follows such a head for another protocol, so the
head is read again without the wish: what follows it is its body, and never another request.

The limits: bytes of a head and of a body, seconds for both to come and for the caller to go on reading what is
answered, connections open at once, and bytes of the bodies that are still coming on all of them.

What is refused on a connection is told after the answers to the requests before it. A caller that closes its side has
gone, as for uvicorn: nobody can tell it from one that hung up, and what nobody waits for is not begun.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from orita.core.ids import uuid7
from orita.serving.http.ending import answered_at_the_end
from orita.serving.http.limits import HttpLimits
from orita.serving.http.quick_turn import QuickTurn
from orita.serving.http.refusal import Refused, body_too_large
from orita.serving.http.reply import QuickRoute, QuickRoutes, Reply, refusal_reply
from orita.serving.http.unfinished_bodies import UnfinishedBodies

__all__ = ["ServingProtocol"]

_HEAD_ROOM = 4  # bytes of a header beside its name and value
_LINGER_SECONDS = 2.0

_STATUS_LINE = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_FIRST_HEADERS = b"content-type: %b\r\ncontent-length: %d\r\n"

_Cycle = RequestResponseCycle | QuickTurn


class ServingProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        waiting_since: when it began to send what is not whole yet, in the loop's time; None between requests.

    Args:
        quick: finds the quick routes, and may refuse a request before it is read.
        limits: what it may ask for.
        bodies: of all connections.
        turned_away: told the code of each refusal that no route counts.
        given: what uvicorn gives its protocols.
    """

    def __init__(
        self,
        *,
        quick: QuickRoutes,
        limits: HttpLimits,
        bodies: UnfinishedBodies,
        turned_away: Callable[[str], None],
        **given: Any,
    ) -> None:
        super().__init__(**given)
        self._quick = quick
        self._turned_away = turned_away
        self._limits, self._bodies = limits, bodies
        self._route: QuickRoute | None = None
        self._body = bytearray()
        self._head_bytes = self._hosts = self._body_bytes = 0
        self._closing = False
        self._counted = False
        self._last: Reply | None = None
        self._answering: _Cycle | None = None
        self._coming: _Cycle | None = None
        self._leaving = False
        self._between = True
        self._wishes = False
        self._coding = b""
        self._unread, self._unread_since = 0, 0.0
        self.url = b""
        self.headers = []
        self.waiting_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or turn it away where there are too many."""
        super().connection_made(transport)
        self.waiting_since = self._unread_since = self.loop.time()
        if len(self.connections) > self._limits.connections:
            self._turn_away(Refused(503, "too_many_connections", "the server has no more connections.", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of all that was asked on this connection: what waits for its turn is not begun."""
        self._bodies.ended(self)
        self.pipeline.clear()
        self._last = None
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; what is left of a connection that was turned away is not read."""
        if self._is_deaf():
            return
        if self._between and not self._busy() and not self._leaving:
            refusal = self._quick.early(data)
            if refusal is not None:
                self.waiting_since = None
                self.transport.write(refusal)
                self._answered_one()
                return
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:  # told to the caller and counted; the log is not for callers to fill
            self.send_400_response("Invalid HTTP request received.")
        if self._body_bytes and not self._between:
            self._count_unfinished()

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made when it turns out to go the way of ASGI."""
        self._between = False
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._route = self._coming = None
        self._wishes = False
        self._coding = b""
        self._head_bytes = self._hosts = self._body_bytes = 0
        if self.waiting_since is None:
            self.waiting_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request line."""
        self._count(len(url))
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._count(len(name) + len(value) + _HEAD_ROOM)
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            self._coding = value
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Choose the way of the request."""
        if self._is_deaf():
            return
        if self.parser.get_method() == b"CONNECT":
            self._turn_away(Refused(400, "invalid_http", "the method CONNECT asks for a proxy, which this is not."))
            return
        if self.parser.should_upgrade():
            self._wishes = True
            return
        if self._coding:
            message = f"the body comes as {self._coding[:40]!a}: send it plain or chunked (RFC 9112, 6.1)."
            self._turn_away(Refused(501, "unsupported_encoding", message))
            return
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            message = f"the request has {self._hosts or 'no'} headers Host: give one (RFC 9112, 3.2)."
            self._turn_away(Refused(400, "invalid_http", message))
            return
        route = self._quick.route(self.url, self.headers)
        if route is None or self._busy() or self.expect_100_continue or self.parser.get_method() != b"POST":
            url, headers, expects = self.url, self.headers, self.expect_100_continue
            super().on_message_begin()
            self.url, self.expect_100_continue = url, expects
            self.headers += headers
            super().on_headers_complete()
            self._coming = self.cycle
            if self._leaving:
                self.cycle.keep_alive = False
            return
        self._route = route
        for name, value in self.headers:
            if name == b"content-length" and int(value) > route.max_body:
                self._turn_away(body_too_large(route.max_body))

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        if self._is_deaf():
            return
        self._body_bytes += len(body)
        if self._route is None:
            super().on_body(body)
            return
        self._body += body
        if len(self._body) > self._route.max_body:
            self._turn_away(body_too_large(self._route.max_body))

    def on_message_complete(self) -> None:
        """Answer a quick request; let the others know that they are whole."""
        if self._wishes:
            return
        self.waiting_since = None
        self._between = True
        if self._counted:
            self._counted = False
            self._bodies.ended(self)
        route, self._coming = self._route, None
        if self._is_deaf():
            return
        if route is None:
            super().on_message_complete()
            return
        body, self._body, self._route = self._body, bytearray(), None
        turn = QuickTurn(self.answer, keep_alive=self.parser.should_keep_alive())
        route.enter(self.headers, body, turn.send, self.transport.is_closing)
        if not turn.response_complete:
            self.cycle = self._answering = turn  # type: ignore[assignment]

    def resume_writing(self) -> None:
        """Go on reading, too."""
        super().resume_writing()
        if not self._busy():
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the documented form."""
        self._turn_away(Refused(400, "invalid_http", f"the connection does not speak HTTP/1.1: {msg}"))

    def leave(self) -> None:
        """Say with the next answer that it is the last one on this connection."""
        self._leaving = True
        if self._busy() and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close between two requests; a request under way is answered first."""
        if self._route is None:
            super().shutdown()
        self._leaving = True

    def expire(self, now: float) -> None:
        """Close the connection where a request takes too long to come, or nothing of an answer is read.

        Args:
            now: the loop's time.
        """
        if self.waiting_since is not None and self._waits_behind():
            self.waiting_since = now  # reading is paused: it cannot come
        if self.waiting_since is not None and now - self.waiting_since > self._limits.request_seconds:
            seconds = self._limits.request_seconds
            self._turn_away(Refused(408, "request_timeout", f"no whole request came within {seconds:g} seconds."))
        self._expire_unread(now)

    def give_way(self) -> None:
        """Let go of a body that is still coming: too many are."""
        self._bodies.ended(self)
        message = "too many bodies are on their way at once: send this one again, faster or shorter."
        self._turn_away(Refused(503, "too_many_bodies", message, retry_after=1))

    def answer(self, reply: Reply, keep_alive: bool) -> None:
        """Send the answer to the quick request whose turn has come."""
        if self._closing or self.transport.is_closing():
            return
        keep_alive = keep_alive and not self._leaving
        self._write(reply, keep_alive=keep_alive)
        if keep_alive:
            self._answered_one()
            return
        self.pipeline.clear()
        self._last = None
        self._answered_one()
        self._close()

    def on_response_complete(self) -> None:
        """Go on with what was asked after it; what was refused comes last."""
        if self._last is None or self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            if self._is_deaf():
                self.flow.pause_reading()
            return
        last, self._last = self._last, None
        self._unset_keepalive_if_required()
        self._write(last, keep_alive=False)
        self._close()

    def _is_deaf(self) -> bool:
        """Whether nothing more is read: the connection is closed, or will be after its last answer."""
        return self._closing or self._last is not None

    def _waits_behind(self) -> bool:
        """Return whether what is coming comes behind a request that is being answered."""
        answering = self._answering
        return answering is not None and answering is not self._coming and not answering.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, partial(answered_at_the_end, cycle, app))

    def _count_unfinished(self) -> None:
        """Count the body that is still coming, unless nobody keeps it."""
        if self._is_deaf() or (self._coming is not None and self._coming.response_complete):
            self._bodies.ended(self)
        else:
            self._counted = True
            self._bodies.grew(self, self._body_bytes)

    def _expire_unread(self, now: float) -> None:
        """End the connection where no more is answered until its caller reads, and it does not."""
        unread = self.transport.get_write_buffer_size()
        waits = unread > 0 and (self.flow.write_paused or self.transport.is_closing())
        if not waits or unread < self._unread:
            self._unread_since = now
        self._unread = unread
        if waits and now - self._unread_since > self._limits.request_seconds:
            self.transport.abort()  # a close would wait for the caller

    def _feed(self, data: bytes) -> None:
        """Have the parser read *data*; a head that wishes to upgrade is read again, without the wish."""
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as wish:
                if self._is_deaf():
                    return
                rest, head = rest[wish.args[0] :], self._head_without_wish()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                self.parser.feed_data(head)
            else:
                return

    def _head_without_wish(self) -> bytes:
        lines = b"".join(b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, lines)

    def _answered_one(self) -> None:
        """Go on with the connection after an answer."""
        self.on_response_complete()
        if self.flow.write_paused:  # who does not read gets no more to read
            self.flow.pause_reading()

    def _busy(self) -> bool:
        """Return whether a request of ASGI is being answered, or a quick one waits for its turn."""
        return self.cycle is not None and not self.cycle.response_complete

    def _count(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > self._limits.head_bytes:
            most = self._limits.head_bytes
            self._turn_away(Refused(431, "headers_too_large", f"the headers have more than {most} bytes."))

    def _turn_away(self, refused: Refused) -> None:
        """Answer with an error, after what was asked before it, and end the connection."""
        if self._is_deaf() or self.transport.is_closing():
            return
        self._bodies.ended(self)
        self._body = bytearray()
        if self._route is None:
            self._turned_away(refused.code)
            reply = refusal_reply(refused, uuid7())
        else:
            reply = self._route.refuse(refused, self.headers)
        mine, self.waiting_since = self._coming, None
        if mine is not None and mine is self._answering:
            if not mine.response_started:
                self._write(reply, keep_alive=False)
            mine.disconnected = True
            mine.message_event.set()
        elif self._waits_behind():
            if mine is not None:
                self.pipeline.popleft()  # the newest: it is not begun
            self._last = reply
            self.flow.pause_reading()
            return
        else:
            self._write(reply, keep_alive=False)
        self._close()

    def _write(self, reply: Reply, *, keep_alive: bool) -> None:
        parts = [_STATUS_LINE[reply.status], _FIRST_HEADERS % (reply.content_type, len(reply.content))]
        for name, value in (*self.server_state.default_headers, *reply.headers):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", reply.content)
        self.transport.write(b"".join(parts))

    def _close(self) -> None:
        """End the connection so that the answer arrives: whoever is still sending is heard out for a moment."""
        self._closing = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()
