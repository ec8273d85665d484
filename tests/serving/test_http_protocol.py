"""What the server makes of HTTP: the short way answers as the long one, and nobody can hold it up."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.serving.talking import BODY, Talk, request, served

from orita.core.home import Home

_LIMITS = {"max_header_bytes": 2048, "max_body_bytes": 4096, "request_seconds": 1, "max_connections": 12}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server with narrow limits answers."""
    with served(Home(tmp_path_factory.mktemp("served")), **_LIMITS) as (port, _):
        yield port


@pytest.fixture
def talk(port: int) -> Iterator[Talk]:
    """A new connection."""
    with closing(Talk(port)) as talk:
        yield talk


def test_one_connection_has_many_requests(talk: Talk) -> None:
    """Answers come in the order of the requests, also where these came in one piece, or by both ways."""
    asked = [request(BODY, f"X-Request-Id: r{n}", path="/predict" if n % 3 else "/predict?way=long") for n in range(30)]
    talk.send(b"".join(asked))
    answers = [talk.answer() for _ in asked]
    assert [(status, headers["x-request-id"]) for status, headers, _ in answers] == [(200, f"r{n}") for n in range(30)]
    assert all([item["rank"] for item in answer["predictions"]] == [1, 2, 3] for _, _, answer in answers)


def test_a_request_behind_another_way(talk: Talk) -> None:
    """A prediction that was pipelined behind a question of state is answered after it."""
    talk.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + request())
    assert "uptime_seconds" in talk.answer()[2]
    assert "predictions" in talk.answer()[2]


def test_both_ways_answer_alike(talk: Talk) -> None:
    """The short way and ASGI have the same headers and the same predictions."""
    talk.send(request(BODY, "X-Request-Id: same"))
    short = talk.answer()
    talk.send(request(BODY, "X-Request-Id: same", path="/predict?"))
    long = talk.answer()
    assert set(short[1]) == set(long[1])
    assert short[2]["predictions"] == long[2]["predictions"]


def test_bodies_come_in_pieces(talk: Talk) -> None:
    """A body may come byte by byte, in chunks, or after "100 Continue"."""
    for byte in request():
        talk.send(bytes([byte]))
    assert talk.answer()[0] == 200
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
    talk.send(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert talk.answer()[0] == 200
    talk.send(request(BODY, "Expect: 100-continue")[: -len(BODY)])
    assert talk.socket.recv(64) == b"HTTP/1.1 100 Continue\r\n\r\n"
    talk.send(BODY)
    assert talk.answer()[0] == 200


@pytest.mark.parametrize(("headers", "version"), [(("Connection: close",), "1.1"), ((), "1.0")])
def test_the_lastrequest(talk: Talk, headers: tuple[str, ...], version: str) -> None:
    """Who wants no more, or speaks HTTP/1.0, gets an answer and the end."""
    talk.send(request(BODY, *headers, version=version))
    status, told, _ = talk.answer()
    assert (status, told["connection"]) == (200, "close")
    assert talk.over()


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (request(BODY, "X-Long: " + "x" * 4000), 431, "headers_too_large"),
        (request(BODY, *(f"X-{n}: x" for n in range(1000))), 431, "headers_too_large"),
        (request(BODY, path="/predict?" + "x" * 4000), 431, "headers_too_large"),
        (b"this is no request\r\n\r\n", 400, "invalid_http"),
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "invalid_http"),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n" + b"[" * 5000,
            413,
            "body_too_large",
        ),
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1500\r\n" + b"[" * 5000,
            413,
            "body_too_large",
        ),
        (b"GET /health HTTP/1.1\r\n\r\n", 400, "invalid_http"),
        (request(BODY, "Host: localhost"), 400, "invalid_http"),
        (request(BODY, "HOST: other"), 400, "invalid_http"),
        (request(b"{" * 4096), 400, "invalid_json"),
        (request(BODY, "X-Request-Id: no good"), 422, "invalid_request_id"),
    ],
)
def test_what_is_too_much_is_refused(talk: Talk, request_: bytes, status: int, code: str) -> None:
    """A head, body or id past its limit gets the documented error; after what cannot be read on, the end."""
    talk.send(request_)
    got, headers, answer = talk.answer()
    assert (got, answer["code"], answer["status"]) == (status, code, "error")
    assert answer["request_id"] == headers["x-request-id"]
    assert (headers.get("connection") == "close") == (status in (400, 413, 431) and code != "invalid_json")


def test_the_slow_are_not_waited_for(port: int) -> None:
    """Who does not begin, or does not end, gets 408 and the end; who has sent a request may wait with the next."""
    with closing(Talk(port)) as silent, closing(Talk(port)) as slow, closing(Talk(port)) as patient:
        patient.send(request())
        assert patient.answer()[0] == 200
        slow.send(request()[:-5])
        for each in (silent, slow):
            status, _, answer = each.answer()
            assert (status, answer["code"]) == (408, "request_timeout")
            assert each.over()
        patient.send(request())
        assert patient.answer()[0] == 200


def test_too_many_connections(port: int) -> None:
    """Past the limit the next connection is told to come back; those there are answered."""
    talks = [Talk(port) for _ in range(12)]
    try:
        for each in talks:
            each.send(request())
            assert each.answer()[0] == 200
        with closing(Talk(port)) as one_more:
            status, headers, answer = one_more.answer()
            assert (status, answer["code"], headers["retry-after"]) == (503, "too_many_connections", "1")
        talks[0].send(request())
        assert talks[0].answer()[0] == 200
    finally:
        for each in talks:
            each.close()


def test_who_does_not_read_gets_no_more(port: int) -> None:
    """A caller that sends and never reads is not read from any more, and others are answered."""
    with closing(Talk(port)) as deaf:
        deaf.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(10_000):
                deaf.send(request() * 100)
        with closing(Talk(port)) as other:
            other.send(request())
            assert other.answer()[0] == 200


def test_a_stop_waits_for_the_request_under_way(home: Home) -> None:
    """A request of which a part is there when the server is stopped is answered, and told that it was the last."""
    with served(home, **_LIMITS) as (port, process), closing(Talk(port)) as talk:
        whole = request()
        talk.send(whole[:-5])
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        talk.send(whole[-5:])
        status, headers, _ = talk.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert process.wait(30) == 0


def test_a_server_that_is_to_stop_says_so_first(home: Home) -> None:
    """While it drains it answers, and tells whoever asks that it wants no more; a second signal ends it at once."""
    with served(home, **_LIMITS, drain_seconds=60) as (port, process), closing(Talk(port)) as talk:
        ask = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
        talk.send(ask)
        assert talk.answer()[0] == 200
        process.send_signal(signal.SIGTERM)
        while True:
            talk.send(ask)
            status, _, told = talk.answer()
            if status != 200:
                break
        assert (status, told["status"]) == (503, "stopping")
        talk.send(request())
        assert talk.answer()[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_callers_do_not_fill_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no HTTP is told to its caller and counted, and the log says nothing; nor does it of a wish to upgrade."""
    with served(Home(tmp_path)) as (port, _):
        for wrong in (b"nonsense\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"):
            with closing(Talk(port)) as talk:
                talk.send(wrong)
                assert talk.answer()[0] == 400
        with closing(Talk(port)) as talk:
            wish = b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            talk.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + wish)
            assert talk.answer()[0] == 200
        with closing(Talk(port)) as talk:
            talk.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n")
            assert 'turned_away_requests_total{code="invalid_http"} 3.0' in talk.text()
    assert capfd.readouterr().err == ""
