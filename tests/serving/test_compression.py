"""Answers are compressed for callers that can read them so, requests may not be, and neither costs memory."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable

import pyarrow as pa
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from orita.serving.http.compression import CompressionMiddleware, chosen_encoding, compressed
from orita.serving.http.reply import Reply
from orita.testing.asgi import AsgiClient

LONG = json.dumps([{"item_id": n, "score": n / 1000} for n in range(400)]).encode()


def plain(encoding: str | None, body: bytes) -> bytes:
    """Return what a body means."""
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "zstd":
        with pa.CompressedInputStream(pa.BufferReader(body), "zstd") as stream:
            whole: bytes = stream.read()
        return whole
    assert encoding is None
    return body


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        (b"gzip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"GZip;Q=0.5", b"gzip"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"gzip;q=1.0, zstd;q=0.9", b"gzip"),
        (b"gzip;q=0, zstd;q=0.001", b"zstd"),
        (b"*", b"gzip"),
        (b"gzip;q=0, *", None),
        (b"*;q=0", None),
        (b"br, deflate", None),
        (b"identity", None),
        (b"gzip;q=0.5, identity", None),
        (b"gzip;q=0.5, identity;q=0.4", b"gzip"),
        (b"gzip;q=0", None),
        (b"gzip;q=2", None),
        (b"gzip;level=9", None),
        (b"", None),
        (b",;=,gzip", b"gzip"),
        (b"," * 100_000 + b"gzip", None),
    ],
)
def test_the_caller_chooses(accepted: bytes, chosen: bytes | None) -> None:
    """By weight, and of equal weights zstd; a malformed weight, or a list that never ends, chooses nothing."""
    assert chosen_encoding(accepted) == chosen


def test_a_whole_reply() -> None:
    """It says the same in fewer bytes; a short one, one of no text, or one for a caller that did not ask stays."""
    reply = Reply(200, [(b"x-request-id", b"r1")], LONG)
    for name in ("gzip", "zstd"):
        sent = compressed(name.encode(), reply, 1024)
        assert plain(name, sent.content) == LONG
        assert len(sent.content) < len(LONG) / 3
        assert dict(sent.headers) == {
            b"x-request-id": b"r1",
            b"content-encoding": name.encode(),
            b"vary": b"accept-encoding",
        }
    for asked in (None, b"identity"):
        told = [*reply.headers, (b"vary", b"accept-encoding")]
        assert compressed(asked, reply, 1024) == reply._replace(headers=told)
    assert compressed(b"gzip", reply, len(LONG) + 1) is reply
    binary = reply._replace(content_type=b"application/octet-stream")
    assert compressed(b"gzip", binary, 1024) is binary


@pytest.mark.skipif(shutil.which("zstd") is None, reason="there is no zstd to hold ours against")
def test_zstd_is_what_others_read() -> None:
    """The frames are of the standard: the tool of its authors reads them."""
    sent = compressed(b"zstd", Reply(200, [], LONG), 0).content
    told = subprocess.run(["zstd", "-d", "-c"], input=sent, capture_output=True, check=True, timeout=20)
    assert told.stdout == LONG


def _routes() -> Starlette:
    async def pieces() -> object:
        for _ in range(3):
            yield LONG

    def answer(kind: str) -> Callable[[Request], Response]:
        return lambda _: Response(LONG, media_type=kind)

    routes = [
        Route("/json", answer("application/json"), methods=["GET", "HEAD"]),
        Route("/envelope", answer("application/problem+json")),
        Route("/image", answer("image/png")),
        Route("/short", lambda _: PlainTextResponse("short")),
        Route("/done", lambda _: Response(LONG, headers={"content-type": "text/html", "content-encoding": "br"})),
        Route("/huge", lambda _: PlainTextResponse(LONG * 20)),
        Route("/stream", lambda _: StreamingResponse(pieces(), media_type="text/plain")),  # type: ignore[arg-type]
    ]
    app = Starlette(routes=routes)
    app.add_middleware(CompressionMiddleware, least=1024)
    return app


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_answers_of_asgi(encoding: str) -> None:
    """Whole texts are compressed, with their new length; what is short, no text, compressed or in pieces is not."""
    with AsgiClient(_routes()) as client:
        for path, content, shrinks in (
            ("/json", LONG, True),
            ("/envelope", LONG, True),
            ("/huge", LONG * 20, True),
            ("/image", LONG, False),
            ("/short", b"short", False),
            ("/stream", LONG * 3, False),
        ):
            answer = client.get(path, headers={"Accept-Encoding": encoding})
            assert answer.headers.get("content-encoding") == (encoding if shrinks else None), path
            assert plain(answer.headers.get("content-encoding"), answer.body) == content
            assert answer.headers.get("content-length", str(len(answer.body))) == str(len(answer.body))
            assert ("vary" in answer.headers) == shrinks
        assert client.get("/done", headers={"Accept-Encoding": encoding}).headers["content-encoding"] == "br"
        head = client.send("HEAD", "/json", [], {"Accept-Encoding": encoding})
        assert "content-encoding" not in head.headers
        bare = client.get("/json")
        assert (bare.body, bare.headers["vary"]) == (LONG, "accept-encoding")


def test_predictions(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """A long answer is compressed by either way through the server, and not where it is switched off."""
    deploy("v1.0.0")
    body = json.dumps({"user_id": 7, "item_ids": list(range(1, 101))}).encode()
    for settings, encoding in (({}, "zstd"), ({"compress_bytes": None}, None)):
        app = make_app(**settings)
        with AsgiClient(app) as client:
            answer = client.post("/predict", body=body, headers={"Accept-Encoding": "gzip, zstd"})
            assert answer.headers.get("content-encoding") == encoding
            reply = app.state.quick.fixed[b"/predict"].reply([(b"accept-encoding", b"gzip, zstd")], body)
            assert dict(reply.headers).get(b"content-encoding") == (encoding.encode() if encoding else None)
            for sent in (answer.body, reply.content):
                assert len(json.loads(plain(encoding, sent))["predictions"]) == 100


def test_a_compressed_request_is_refused(make_app: Callable[..., Starlette], deploy: Callable[..., None]) -> None:
    """A bomb of a quarter of a gigabyte is refused by its header, by either way; ``identity`` is no compression."""
    deploy("v1.0.0")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(squeeze.compress(bytes(2**20)) for _ in range(256)) + squeeze.flush()
    assert len(bomb) < 1024 * 1024
    app = make_app()
    with AsgiClient(app) as client:
        for path in ("/predict", "/v2/models/feed/infer"):
            answer = client.post(path, body=bomb, headers={"Content-Encoding": "gzip"})
            assert answer.status == 415
            assert b"Content-Encoding has the value 'gzip'" in answer.body
        quick = app.state.quick.fixed[b"/predict"]
        reply = quick.reply([(b"content-encoding", b"zstd"), (b"x-request-id", b"r1")], os.urandom(100))
        told = json.loads(reply.content)
        assert (reply.status, told["code"], told["request_id"]) == (415, "unsupported_encoding", "r1")
        body = json.dumps({"user_id": 7, "item_ids": [1]}).encode()
        assert quick.reply([(b"content-encoding", b"identity")], body).status == 200
