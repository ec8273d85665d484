"""What the server makes of HTTP: the short way answers as the long one, and nobody can hold it up."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.serving.patience import attempts
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


_WISH = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")


@pytest.mark.parametrize("path", ["/predict", "/predict?way=long"])
def test_a_wish_to_upgrade_is_left(talk: Talk, path: str) -> None:
    """A request that wishes to upgrade gets its answer, however its body comes, and so does the next."""
    whole = request(BODY, "X-Request-Id: wish", *_WISH, path=path)
    for pieces in ([whole], [whole[:-10], whole[-10:]], [whole[: -len(BODY)], BODY], [bytes([byte]) for byte in whole]):
        for piece in pieces:
            talk.send(piece)
            time.sleep(0.01 if len(pieces) < 3 else 0)
        status, headers, answer = talk.answer()
        assert (status, headers["x-request-id"], len(answer["predictions"])) == (200, "wish", 3)
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    head = "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *_WISH, "", ""])
    talk.send(head.encode() + chunks + request(BODY, "X-Request-Id: next"))
    assert len(talk.answer()[2]["predictions"]) == 3
    assert talk.answer()[1]["x-request-id"] == "next"
    assert not _has_more(talk)


def test_a_body_behind_a_wish_is_no_request(talk: Talk) -> None:
    """What a balancer takes for the body of a request is never answered as one of its own."""
    hidden = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    whole = request(hidden, *_WISH)
    talk.send(whole[: -len(hidden)])
    time.sleep(0.3)
    talk.send(hidden)
    assert (talk.answer()[2]["code"], _has_more(talk)) == ("invalid_json", False)


def test_many_wishes_in_one_piece(talk: Talk) -> None:
    """Each of them is answered, in order."""
    wish = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    talk.send(wish * 1500 + request(BODY, "X-Request-Id: last"))
    assert {talk.answer()[0] for _ in range(1500)} == {200}
    assert talk.answer()[1]["x-request-id"] == "last"


def test_no_tunnel(talk: Talk) -> None:
    """The server is no proxy: who asks for a tunnel is refused, and nothing behind that is read."""
    talk.send(b"CONNECT /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + request())
    status, headers, answer = talk.answer()
    assert (status, headers["connection"], answer["code"]) == (400, "close", "invalid_http")
    assert talk.over()


def _has_more(talk: Talk) -> bool:
    """Return whether one more answer comes."""
    talk.socket.settimeout(0.3)
    try:
        return talk.socket.recv(1) != b""
    except TimeoutError:
        return False


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
        (
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
            "unsupported_encoding",
        ),
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
    assert (headers.get("connection") == "close") == (status in (400, 413, 431, 501) and code != "invalid_json")


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


def test_who_never_reads_loses_the_connection(home: Home) -> None:
    """One slot, and a caller that asks whole requests and reads no answer: others have it after a request's seconds."""
    limits = _LIMITS | {"request_seconds": 1, "max_connections": 1, "max_body_bytes": 65_536}
    many = request(json.dumps({"user_id": 1, "item_ids": list(range(900))}).encode())
    with served(home, **limits) as (port, _), closing(Talk(port)) as deaf:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):  # it may be over before all is sent
            for _ in range(100):
                deaf.send(many)
                time.sleep(0.02)  # so that the server has it whole
        assert any(_is_answered(port) for _ in attempts())


def _is_answered(port: int) -> bool:
    with closing(Talk(port)) as other:
        other.send(request())
        return bool(other.answer()[0] == 200)


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
    """While it drains it answers, each time for the last time on its connection; a second signal ends it at once."""
    with served(home, **_LIMITS, drain_seconds=60) as (port, process), closing(Talk(port)) as kept:
        kept.send(request())
        assert kept.answer()[0] == 200
        process.send_signal(signal.SIGTERM)
        while True:
            with closing(Talk(port)) as talk:
                talk.send(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
                status, _, told = talk.answer()
            if status != 200:
                break
        assert (status, told["status"]) == (503, "stopping")
        time.sleep(0.3)
        with closing(Talk(port)) as begun:
            begun.send(b"GET /health HTTP/1.1\r\n")
            time.sleep(0.3)
            begun.send(b"Host: localhost\r\n\r\n")
            assert begun.answer()[1]["connection"] == "close"
            assert begun.over()
        kept.send(request())
        status, headers, _ = kept.answer()
        assert (status, headers["connection"], kept.over()) == (200, "close", True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("path", ["/predict", "/predict?way=long"])
def test_a_request_on_its_way_at_the_stop(home: Home, path: str) -> None:
    """A kept connection is not closed at once: a request that was sent just then is answered."""
    with served(home, **_LIMITS) as (port, process), closing(Talk(port)) as talk:
        talk.send(request())
        assert talk.answer()[0] == 200
        process.send_signal(signal.SIGHUP)
        time.sleep(0.4)
        talk.send(request(path=path))
        status, headers, _ = talk.answer()
        assert (status, headers["connection"]) == (200, "close")
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


@pytest.mark.parametrize("wrong", [b"nonsense\r\n\r\n", request(BODY, "X-Much: " + "x" * 3000)])
def test_a_refusal_comes_after_the_answers_before_it(talk: Talk, wrong: bytes) -> None:
    """What is refused behind requests that are being answered takes no answer from them."""
    asked = [request(BODY, f"X-Request-Id: r{n}", path="/predict?way=long") for n in range(3)]
    talk.send(b"".join(asked) + wrong + request())
    answers = [talk.answer() for _ in asked]
    assert [(status, headers["x-request-id"]) for status, headers, _ in answers] == [(200, f"r{n}") for n in range(3)]
    status, headers, _ = talk.answer()
    assert (status, headers["connection"]) == (400 if wrong.startswith(b"nonsense") else 431, "close")
    assert talk.over()


def test_what_does_not_come_behind_others_is_told_after_them(port: int) -> None:
    """A body that never ends, behind requests that were answered meanwhile, gets its 408."""
    with closing(Talk(port)) as talk:
        unfinished = request(path="/predict?way=long")[:-1]
        talk.send(request(path="/predict?way=long") + unfinished)
        assert talk.answer()[0] == 200
        assert talk.answer()[2]["code"] == "request_timeout"
        assert talk.over()


def test_who_hangs_up_behind_several_requests_leaves_no_trace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the one being answered nor those that wait behind it fill the log."""
    with served(Home(tmp_path)) as (port, _):
        for paths in (["/predict?way=long"], ["/api/v1/feed", "/predict"], ["/predict/batch", "/predict?way=long"]):
            for _ in range(10):
                with closing(Talk(port)) as talk:
                    talk.send(b"".join(request(path=path) for path in paths) * 20)
        with closing(Talk(port)) as talk:
            talk.send(request())
            assert talk.answer()[0] == 200
    told = capfd.readouterr()
    assert "Exception" not in told.out + told.err
    assert "Traceback" not in told.out + told.err


_SLOW_JOBS = {"faults": [{"part": "jobs", "kind": "latency", "milliseconds": 2500}]}


def test_a_request_behind_a_slow_one_is_not_timed_meanwhile(home: Home) -> None:
    """The server does not read it then; its seconds begin when it may come."""
    slow = b"GET /api/v1/jobs/0190 HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout-Ms: 20000\r\n\r\n"
    with served(home, **_LIMITS, **_SLOW_JOBS) as (port, _), closing(Talk(port)) as talk:
        whole = request(path="/predict?way=long")
        talk.send(slow + whole[:-1])
        time.sleep(0.1)
        talk.send(whole[-1:])
        assert talk.answer()[0] in (404, 503, 504)
        assert talk.answer()[0] == 200


def test_what_is_not_answered_at_the_end_is_told_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Requests that the stop cuts off have the documented error, and the log no traces of them."""
    settings = {"shutdown_seconds": 1, "faults": [{"part": "jobs", "kind": "latency", "milliseconds": 4000}]}
    slow = b"GET /api/v1/jobs/0190 HTTP/1.1\r\nHost: localhost\r\nX-Request-Timeout-Ms: 20000\r\n\r\n"
    with (
        served(Home(tmp_path), **settings) as (port, process),
        closing(Talk(port)) as talk,
        closing(Talk(port)) as half,
    ):
        talk.send(slow)
        half.send(request(path="/predict?way=long")[:-1])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        for each in (talk, half):
            status, headers, answer = each.answer()
            assert (status, answer["code"], headers["connection"]) == (503, "stopping", "close")
        process.wait(20)
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err


def test_a_body_that_nobody_keeps_counts_for_nothing(home: Home) -> None:
    """A long one to a path that is not there pushes out nobody."""
    features = {"features": {"max_body_bytes": 300_000}, "jobs": {"max_body_bytes": 300_000}}
    limits = {"max_body_bytes": 300_000, "max_unfinished_bytes": 400_000, **features}
    with served(home, **limits) as (port, _), closing(Talk(port)) as talk, closing(Talk(port)) as nowhere:
        nowhere.send(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n" + b" " * 1000)
        assert nowhere.answer()[0] == 404
        whole = request(BODY + b" " * (200_000 - len(BODY)))
        talk.send(whole[:150_000])
        nowhere.send(b" " * 2_000_000)
        time.sleep(0.2)
        talk.send(whole[150_000:])
        assert talk.answer()[0] == 200


@pytest.mark.parametrize("path", ["/predict", "/predict?way=long"])
def test_long_bodies_that_do_not_come_give_way(home: Home, path: str) -> None:
    """The one that has been long for the longest time is told to come back; the others are answered."""
    whole = request(BODY + b" " * (300_000 - len(BODY)), path=path)
    features = {"features": {"max_body_bytes": 300_000}, "jobs": {"max_body_bytes": 300_000}}
    limits = {"max_body_bytes": 300_000, "max_unfinished_bytes": 1_150_000, **features}
    with served(home, **limits) as (port, _):
        talks = []
        try:
            for _ in range(6):
                talks.append(Talk(port))
                talks[-1].send(whole[:200_000])
                time.sleep(0.1)  # so that they become long in this order
            for talk in talks[1:]:
                talk.send(whole[200_000:])
                assert talk.answer()[0] == 200
            status, headers, answer = talks[0].answer()
            assert (status, answer["code"], headers["connection"]) == (503, "too_many_bodies", "close")
            assert headers["retry-after"] == "1"
        finally:
            for talk in talks:
                talk.close()
        with closing(Talk(port)) as after:  # what was let go is not counted any more
            after.send(whole)
            assert after.answer()[0] == 200
