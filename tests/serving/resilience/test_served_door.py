"""The door of a real server: deadlines, places, order; who waits in vain costs nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.serving.talking import BODY, Talk, request, served

from orita.core.home import Home

_STEP_MS = 50
_SETTINGS = {
    "faults": [{"part": "store", "kind": "latency", "milliseconds": _STEP_MS}],
    "resilience": {
        "store": {"slow_ms": None},
        "admission": {"most": 16, "wait_ms": 10000},
        "priority": {"trust_callers": True},
        "deadline": {"default_ms": 30000},
    },
}
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a server answers whose store takes a twentieth of a second."""
    with served(Home(tmp_path_factory.mktemp("served")), **_SETTINGS) as (port, _):
        yield port


@contextmanager
def _talks(port: int, count: int) -> Iterator[list[Talk]]:
    """Give connections that the server has taken."""
    talks = [Talk(port) for _ in range(count)]
    try:
        for talk in talks:
            talk.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert talk.answer()[0] == 200
        yield talks
    finally:
        for talk in talks:
            talk.close()


def _counted(port: int) -> dict[str, float]:
    with closing(Talk(port)) as talk:
        talk.send(_METRICS)
        lines = talk.text().splitlines()
    told = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in told}


def test_what_nobody_waits_for_is_dropped(port: int) -> None:
    """Of requests that wait, those whose time is up, and those whose caller hung up, cost nothing more."""
    patient, hurried = (request(BODY, f"X-Request-Timeout-Ms: {ms}") for ms in (30000, _STEP_MS // 2))
    before = _counted(port)
    with _talks(port, 14) as talks:
        for talk in talks[:6]:
            talk.send(patient)
        for talk in talks[4:6]:
            talk.close()
        for talk in talks[6:]:
            talk.send(hurried)
        patiently, hurriedly = ([talk.answer()[0] for talk in its] for its in (talks[:4], talks[6:]))
    assert patiently == [200] * 4
    assert 504 in hurriedly
    assert set(hurriedly) <= {200, 504}
    spent = {name: value - before.get(name, 0) for name, value in _counted(port).items()}
    assert spent["requests_abandoned_total"] == 2
    expired = spent["requests_expired_total"]
    assert 1 <= expired <= hurriedly.count(504)
    assert spent["requests_admitted_total"] == 12 - expired


def test_who_has_no_room_is_told_when_to_come_back(port: int) -> None:
    """Past the limit requests get 503 and a time; who goes first takes the place of those of low priority."""
    before = _counted(port)
    with _talks(port, 36) as talks:
        for talk in talks[:30]:
            talk.send(request(BODY, "X-Request-Priority: low"))
        for talk in talks[30:]:
            talk.send(request(BODY, "X-Request-Priority: critical"))
        answers = [talk.answer() for talk in talks]
    assert [status for status, _, _ in answers[30:]] == [200] * 6
    shed = [(headers, answer) for status, headers, answer in answers if status != 200]
    assert shed
    for headers, answer in shed:
        assert (answer["code"], answer["request_id"]) == ("overloaded", headers["x-request-id"])
        assert 1 <= int(headers["retry-after"]) <= 60
    spent = {name: value - before.get(name, 0) for name, value in _counted(port).items()}
    assert spent['requests_shed_total{priority="low"}'] == spent['requests_total{status="503"}'] == len(shed)


def test_who_was_refused_may_ask_again_on_the_same_connection(port: int) -> None:
    """A refusal, also one from the bytes alone, leaves the connection as an answer does; each request has its id."""
    with _talks(port, 36) as talks:
        for n, talk in enumerate(talks):
            talk.send(request(BODY, f"X-Request-Id: burst-{n}"))
        answers = [talk.answer() for talk in talks]
        assert [headers["x-request-id"] for _, headers, _ in answers] == [f"burst-{n}" for n in range(36)]
        assert {status for status, _, _ in answers} == {200, 503}
        for talk in talks[:12]:
            talk.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" + request())
            assert [talk.answer()[0] for _ in range(2)] == [200, 200]


def test_a_deadline_is_kept_to(port: int) -> None:
    """Who cannot wait for a slow store gets 504 while nobody knows that it is slow, then an answer of a level below."""
    with closing(Talk(port)) as talk:
        talk.send(request())
        assert talk.answer()[2]["level"] == 1, "it is within the time of who does not say, whatever others allow"
        statuses = []
        while 200 not in statuses:
            talk.send(request(BODY, f"X-Request-Timeout-Ms: {_STEP_MS // 2}"))
            status, _, answer = talk.answer()
            assert (status, answer.get("code")) in ((200, None), (504, "deadline_exceeded"))
            statuses.append(status)
            assert len(statuses) < 100
        assert (answer["level"], answer["reason"]) == (2, "too_late")
        talk.send(request())
        assert talk.answer()[2]["level"] == 1
        talk.send(request(BODY, "grpc-timeout: 1n"))
        status, _, answer = talk.answer()
        assert (status, answer["code"]) == (504, "deadline_exceeded")
        for header in ("X-Request-Timeout-Ms: soon", "X-Request-Priority: mine"):
            talk.send(request(BODY, header))
            status, _, answer = talk.answer()
            assert (status, answer["code"]) == (422, "invalid_value")
            assert header.partition(":")[0] in answer["message"]


def test_a_waiting_request_is_answered_in_its_order_and_before_a_stop(tmp_path: Path) -> None:
    """What came on one connection is answered in order, though it waited; so is what waits when the server stops."""
    with served(Home(tmp_path), **_SETTINGS) as (port, process), _talks(port, 2) as (one, other):
        asked = [request(BODY, f"X-Request-Id: r{n}") for n in range(4)]
        health = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: h\r\n\r\n"
        other.send(request())
        one.send(asked[0] + health + b"".join(asked[1:]))
        assert [one.answer()[1]["x-request-id"] for _ in range(5)] == ["r0", "h", "r1", "r2", "r3"]
        assert other.answer()[0] == 200
        for talk in (other, one):
            talk.send(request())
        time.sleep(0.02)
        process.terminate()
        assert [talk.answer()[0] for talk in (other, one)] == [200, 200]
        assert process.wait(30) == 0
