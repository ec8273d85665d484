"""What is sent to hold a server up, to every endpoint that reads a body: refused, in bounded memory, in time."""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest
from tests.serving.models_at_hand import model_id
from tests.serving.standing_server import Standing, standing_server

from orita.core.home import Home

_GIB = 1024**3
_MIB = 1024**2
_ROOM_MIB = 48  # above what it had, for bodies of at most 4 MiB and what Python keeps
_MODEL = model_id("v1.1.0")
_TAKES_BODIES = [  # the feed, which needs a real store, reads its body as the jobs do
    ("POST", "/predict"),
    ("POST", "/predict?way=long"),
    ("POST", "/api/v1/jobs"),
    ("POST", "/api/v1/features/online"),
    ("POST", "/api/v1/features/offline"),
    ("POST", "/api/v1/features/push"),
    ("PUT", f"/api/v1/models/{_MODEL}"),
    ("POST", f"/api/v1/models/{_MODEL}/predict"),
    ("POST", "/graphql"),
    ("POST", "/v2/models/feed/infer"),
    ("POST", "/v2/models/feed/versions/v1.1.0/infer"),
    ("POST", "/predict/batch"),
    ("POST", "/ofrep/v1/evaluate/flags"),
    ("POST", "/ofrep/v1/evaluate/flags/a"),
    ("POST", "/api/v1/bandits/a/choose"),
    ("POST", "/api/v1/bandits/a/reward"),
    ("POST", "/api/v1/rollouts"),
    *(
        ("POST", f"/api/v1/rollouts/a/{decision}")
        for decision in ("abort", "acknowledge", "advance", "pause", "promote", "resume")
    ),
]
_TAKES_NONE = [("GET", "/health"), ("GET", "/metrics"), ("GET", f"/api/v1/models/{_MODEL}"), ("POST", "/nowhere")]

every_body = pytest.mark.parametrize(("method", "path"), _TAKES_BODIES)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    """A server whose requests must come within a second."""
    with standing_server(Home(tmp_path_factory.mktemp("hostile")), request_seconds=1) as server:
        yield server


def head(method: str, path: str, *headers: str) -> bytes:
    """Return the head of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def answered(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Return the status and the body of the answer on *connection*."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split()[1])
        return status, json.loads(stream.read(length))


def asked(server: Standing, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Send a whole request; return the status and the body of its answer."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request(method, path, body, {"Host": "localhost", "Content-Type": "application/json", **headers})
        response = connection.getresponse()
        return response.status, response.read()


def still_answers(server: Standing) -> None:
    """Check that the server answers others."""
    body = json.dumps({"user_id": 7, "item_ids": [1, 2]}).encode()
    assert asked(server, "POST", "/predict", body, {})[0] == 200


def test_every_endpoint_that_reads_a_body_is_tried(server: Standing) -> None:
    """Those of the server's own document."""
    _, told = asked(server, "GET", "/openapi.json", b"", {})
    tried = [(method.lower(), path.partition("?")[0]) for method, path in _TAKES_BODIES]
    for template, operations in json.loads(told)["paths"].items():
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        for method in (method for method, operation in operations.items() if "requestBody" in operation):
            assert any(known == method and re.fullmatch(pattern, path) for known, path in tried), (method, template)


@every_body
def test_a_gibibyte_that_is_announced(server: Standing, method: str, path: str) -> None:
    """A body that is too long by its own header is refused before it is read, and the connection ends."""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(head(method, path, f"Content-Length: {_GIB}"))
        status, told = answered(connection)
        assert status == 413
        assert "body" in json.dumps(told)
        assert connection.recv(1) == b""


@pytest.mark.parametrize(("method", "path"), _TAKES_BODIES + _TAKES_NONE)
def test_a_gibibyte_in_chunks(server: Standing, method: str, path: str) -> None:
    """A body without end is cut where it is too long; one that nobody reads is not kept: memory stays bounded."""
    before, chunk = server.most_memory_mib, b"%x\r\n%s\r\n" % (_MIB, b" " * _MIB)
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=30)) as connection:
        connection.sendall(head(method, path, "Transfer-Encoding: chunked"))
        try:
            for _ in range(96):  # more than any bound, and than the memory that is allowed
                connection.sendall(chunk)
        except OSError:
            pass  # the server has hung up
    still_answers(server)
    assert server.most_memory_mib < before + _ROOM_MIB


@every_body
@pytest.mark.parametrize(("depth", "refused"), [(10_000, (400, 422)), (100_000, (400, 413, 422))])
def test_a_hundred_thousand_brackets(
    server: Standing, method: str, path: str, depth: int, refused: tuple[int, ...]
) -> None:
    """Brackets too deep to read are refused as any other text that is no request, or for their length."""
    for body in (b"[" * depth, b'{"a":' * depth, b'{"item_ids":' + b"[" * depth + b"]" * depth + b"}"):
        status, told = asked(server, method, path, body, {})
        assert status in refused, told
        assert b"rror" in told


@every_body
def test_a_bomb_of_gzip(server: Standing, method: str, path: str) -> None:
    """A body that is compressed is refused by its header and never unpacked."""
    before, bomb = server.most_memory_mib, gzip.compress(b" " * (64 * _MIB), 9)
    assert len(bomb) < _MIB
    status, told = asked(server, method, path, bomb, {"Content-Encoding": "gzip"})
    assert status == 415, told
    assert server.most_memory_mib < before + _ROOM_MIB
    status, told = asked(server, method, path, bomb, {})  # and where the header is left out it is no JSON
    assert status in (400, 422), told


def test_those_who_dribble(server: Standing) -> None:
    """Whoever sends a head or a body byte by byte is let go after the time a request may take, on every endpoint."""
    wanted = [(m, p, cut) for m, p in _TAKES_BODIES for cut in ("head", "body")]
    slow = []
    try:
        for method, path, cut in wanted:
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            slow.append(connection)
            whole = head(method, path, "Content-Length: 64") + b'{"user_id"'
            connection.sendall(whole[:20] if cut == "head" else whole)
        for (method, path, cut), connection in zip(wanted, slow, strict=True):
            status, told = answered(connection)
            assert status == 408, (method, path, cut)
            assert "no whole request came" in json.dumps(told), (method, path, cut)
            assert connection.recv(1) == b""
        still_answers(server)
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.slow
@every_body
def test_a_whole_gibibyte(server: Standing, method: str, path: str) -> None:
    """The whole of it, sent by somebody who does not stop: the server has no more of it than its bound."""
    before, chunk, sent = server.most_memory_mib, b" " * _MIB, 0
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=60)) as connection:
        connection.sendall(head(method, path, f"Content-Length: {_GIB}"))
        try:
            while sent < _GIB:
                connection.sendall(chunk)
                sent += _MIB
        except OSError:
            pass  # the server has hung up
    still_answers(server)
    assert server.most_memory_mib < before + _ROOM_MIB
