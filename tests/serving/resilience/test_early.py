"""What is refused before it is read is refused as it would have been after, and nothing else is."""

from __future__ import annotations

import json
import uuid

import pytest

from orita.core.clock import SystemClock
from orita.serving.resilience.admission import Admission, Ticket
from orita.serving.resilience.contracts import Priority
from orita.serving.resilience.early import EarlyRefusal
from orita.serving.resilience.retry_after import RetryAfter

BODY = b'{"user_id": 1, "item_ids": [1]}'


class Fixed:
    """A limit that stays."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def observe(self, now: float, latency: float, inside: int, /, *, expired: bool = False) -> None:
        """Learn nothing."""


def request(*headers: str, body: bytes = BODY, path: str = "/predict", length: int | None = None) -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def door(limit: int) -> Admission:
    """Return a door with two inside."""
    admission = Admission(Fixed(limit), retry_after=RetryAfter(seed=1))
    for _ in range(2):
        admission.arrive(Ticket(Priority.NORMAL, float("inf"), 0.0), 0.0)
    return admission


@pytest.fixture
def admission() -> Admission:
    """A door with as many inside as may be."""
    return door(2)


@pytest.fixture
def early(admission: Admission) -> EarlyRefusal:
    """What refuses before that door."""
    return EarlyRefusal(admission, SystemClock(), b"/predict")


def test_a_whole_request_without_room_is_answered(early: EarlyRefusal, admission: Admission) -> None:
    """The answer is that of the long way: 503, the documented body, Retry-After, an id that is a UUID version 7."""
    answers = [early(request()) for _ in range(100)]
    ids = set()
    for answer in answers:
        assert answer is not None
        head, _, body = answer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        assert lines[0] == "HTTP/1.1 503 Service Unavailable"
        assert int(headers["content-length"]) == len(body)
        assert 1 <= int(headers["retry-after"]) <= 60
        told = json.loads(body)
        assert (told["status"], told["code"]) == ("error", "overloaded")
        assert told["request_id"] == headers["x-request-id"]
        assert (uuid.UUID(told["request_id"]).version, uuid.UUID(told["request_id"]).variant) == (7, uuid.RFC_4122)
        ids.add(told["request_id"])
    assert len(ids) == 100
    assert admission.shed == [0, 100, 0]


def test_the_caller_s_id_comes_back(early: EarlyRefusal) -> None:
    """An id that was sent is in head and body, whatever the letters of its header."""
    answer = early(request("X-REQUEST-id:  Abc.1 "))
    assert answer is not None
    assert answer.count(b"Abc.1") == 2


@pytest.mark.parametrize(
    "data",
    [
        request(path="/predict/"),
        request(path="/health"),
        request().replace(b"POST", b"GET"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(length=5),
        request(length=500),
        request(length=-1),
        request().replace(b"Content-Length: 31", b"Content-Length: " + b"1" * 5000),
        request().replace(b"Content-Length: ", b"Content-Length: " + b"0" * 10),
        request("Content-Length: 5"),
        request("Transfer-Encoding: chunked"),
        request("Expect: 100-continue"),
        request("Connection: close"),
        request("X-Request-Id: ä\r\nA: b"),
        request("X-Request-Id: a", "X-Request-Id: b"),
        request() + request(),
        request()[:-1],
        request()[:20],
        b"",
    ],
)
def test_whatever_is_not_plain_goes_the_long_way(early: EarlyRefusal, admission: Admission, data: bytes) -> None:
    """Other routes and methods, parts, pipelines, doubtful lengths and ids, and closing connections are not judged."""
    assert early(data) is None
    assert sum(admission.shed) == 0


def test_with_room_nobody_is_refused() -> None:
    """A free place, and one that a lower priority would have to give up, are for the long way to give."""
    admission = door(3)
    early = EarlyRefusal(admission, SystemClock(), b"/predict")
    assert early(request()) is None
    admission.arrive(Ticket(Priority.LOW, float("inf"), 0.0), 0.0)
    assert admission.inside == admission.limit
    assert early(request()) is None
    assert sum(admission.shed) == 0


def test_who_is_trusted_to_go_first_is_read(admission: Admission) -> None:
    """Where callers may raise their priority a request that names one goes the long way."""
    early = EarlyRefusal(admission, SystemClock(), b"/predict", trusting=True)
    assert early(request("X-Request-Priority: critical")) is None
    assert early(request()) is not None
