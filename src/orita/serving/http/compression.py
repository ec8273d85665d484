"""Answers made smaller for callers that can read them so, and bodies that are refused for being so.

``Accept-Encoding`` chooses among ``zstd`` (RFC 8878) and ``gzip`` (RFC 1952), by its weights; of equal ones zstd, which
costs less. Small answers, and kinds that are no text, go as they are. The body of a request may not be compressed: a
few bytes may stand for gigabytes, and bodies here are small.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from functools import lru_cache, partial

import anyio.to_thread
import pyarrow as pa
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orita.serving.http.refusal import Refused
from orita.serving.http.reply import Headers, Reply

__all__ = ["CompressionMiddleware", "check_not_encoded", "chosen_encoding", "compressed", "refused_encoding"]

_ZSTD_LEVEL, _GZIP_LEVEL = 1, 1  # more takes twice the time for 5 % fewer bytes of JSON
_GZIP_WINDOW = 31  # the widest window, with gzip's head and tail around it
_THREAD_BYTES = 64 * 1024  # about a millisecond: less than a thread costs those who wait
_LONGEST_HEADER = 512
_WEIGHT = re.compile(rb"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_TEXT = re.compile(rb"text/(?!event-stream)|application/([a-z0-9.+-]*\+)?(json|xml|javascript|openmetrics-text)\b")
_VARY = (b"vary", b"accept-encoding")


def _gzip(content: bytes) -> bytes:
    return zlib.compress(content, _GZIP_LEVEL, _GZIP_WINDOW)


def _zstd(content: bytes) -> bytes:
    shrunk: bytes = pa.Codec("zstd", compression_level=_ZSTD_LEVEL).compress(content, asbytes=True)
    return shrunk


_ENCODERS: dict[bytes, Callable[[bytes], bytes]] = {b"zstd": _zstd, b"gzip": _gzip}


@lru_cache(maxsize=64)
def chosen_encoding(accepted: bytes) -> bytes | None:
    """Return ``zstd`` or ``gzip``, as the value of ``Accept-Encoding`` prefers (RFC 9110); None: as it is.

    What is no weight in the value counts as none being wanted, since such a caller may not read what comes.
    """
    weights: dict[bytes, float] = {}
    for part in accepted[:_LONGEST_HEADER].lower().split(b","):
        name, *given = (piece.strip() for piece in part.split(b";"))
        match = _WEIGHT.fullmatch(given[0]) if given else None
        weights[b"gzip" if name == b"x-gzip" else name] = float(match[1]) if match else float(not given)
    wanted = [(weights[name], name) for name in _ENCODERS if name in weights]
    if b"*" in weights and b"gzip" not in weights:
        wanted.append((weights[b"*"], b"gzip"))
    best, name = max(wanted, key=lambda each: each[0], default=(0.0, b""))
    return name if best > 0 and best >= weights.get(b"identity", 0.0) else None


def compressed(accepted: bytes | None, reply: Reply, least: int) -> Reply:
    """Return *reply* as a caller wants it.

    Args:
        accepted: the value of ``Accept-Encoding``, None where there is none.
        reply: the answer.
        least: bytes; a shorter answer goes as it is. Others say that they depend on ``Accept-Encoding``.
    """
    if len(reply.content) < least or not _TEXT.match(reply.content_type):
        return reply
    encoding = None if accepted is None else chosen_encoding(accepted)
    if encoding is None:
        return reply._replace(headers=[*reply.headers, _VARY])
    headers = [*reply.headers, (b"content-encoding", encoding), _VARY]
    return reply._replace(headers=headers, content=_ENCODERS[encoding](reply.content))


def refused_encoding(encoding: bytes) -> Refused | None:
    """Return why a body with this ``Content-Encoding`` is not read, None where it is."""
    if encoding.strip().lower() in {b"", b"identity"}:
        return None
    shown = encoding[:40].decode("ascii", "backslashreplace")
    message = f"the header Content-Encoding has the value {shown!r}: send the body as it is, without compression."
    return Refused(415, "unsupported_encoding", message)


def check_not_encoded(headers: Headers) -> None:
    """Refuse a body that is compressed.

    Raises:
        Refused: 415, the header ``Content-Encoding`` says so.
    """
    for name, value in headers:
        if name == b"content-encoding" and (refused := refused_encoding(value)) is not None:
            raise refused


class CompressionMiddleware:
    """Compresses whole answers of an ASGI application; what comes in pieces goes as it is.

    Args:
        app: the application.
        least: bytes; a shorter answer goes as it is.
    """

    def __init__(self, app: ASGIApp, least: int) -> None:
        self.app = app
        self._least = least

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
        await self.app(scope, receive, partial(_Sender(send, accepted, self._least, scope["method"]).send))


class _Sender:
    """Sends one answer: its start waits for its body, whose length decides."""

    def __init__(self, send: Send, accepted: bytes, least: int, method: str) -> None:
        self._send, self._accepted, self._least, self._method = send, accepted, least, method
        self._start: Message | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            message = await self._begun(start, message)
        await self._send(message)

    async def _begun(self, start: Message, body: Message) -> Message:
        """Send the start of an answer, and return its body."""
        content, headers = body.get("body", b""), list(start.get("headers", ()))
        whole = "body" in body and not body.get("more_body", False) and self._method != "HEAD"
        if whole and len(content) >= self._least and _is_text(headers):
            headers.append(_VARY)
            encoding = chosen_encoding(self._accepted)
            if encoding is not None:
                content = await _encoded(encoding, content)
                headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
                headers += [(b"content-encoding", encoding), (b"content-length", b"%d" % len(content))]
                body = {**body, "body": content}
        await self._send({**start, "headers": headers})
        return body


async def _encoded(encoding: bytes, content: bytes) -> bytes:
    encode = partial(_ENCODERS[encoding], content)
    return encode() if len(content) <= _THREAD_BYTES else await anyio.to_thread.run_sync(encode)


def _is_text(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether an answer is of a kind that shrinks, and is not compressed already."""
    told = {name.lower(): value for name, value in headers}
    return b"content-encoding" not in told and _TEXT.match(told.get(b"content-type", b"").lower()) is not None
