"""Jobs, as the clients hand them in and wait for them, against servers that go away, shed and refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from tests.client.driving import driven
from tests.client.wire import Act, enveloped, hangs_up, refusal, wire

from orita.client import JobFailed, PredictionJob, PredictRequest, Refused, TimedOut
from orita.client.address import Address
from orita.client.asking import Asker
from orita.client.exchange import Reply
from orita.client.jobs import JobCalls
from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.serving.jobs.queue import State

Opened = Callable[..., Any]
ANSWER = (
    '{"user_id":1,"predictions":[{"item_id":7,"score":0.5,"rank":1}],"model_version":"v1","latency_ms":1,"level":1}'
)
REQUESTS = [PredictRequest(1, range(7, 9), {"device": "mobile"}), PredictRequest("b", (9,), objective={"like": 2.0})]


def job(state: str, **more: object) -> str:
    """Return the data of a job of one request."""
    ended = None if state in ("queued", "running") else "2024-11-15T10:30:01Z"
    data = {"job": "j-1", "state": state, "url": "/api/v1/jobs/j-1", "requests": 1, "attempts": 1}
    data |= {"submitted_at": "2024-11-15T10:30:00Z", "ended_at": ended, "results": None, "error": None}
    text = json.dumps(data | {"callback": None} | more)
    if state == "succeeded":
        return text.replace('"results": null', f'"results":[{{"request_id":"j-1:0:1","answer":{ANSWER}}}]')
    return text


DONE, RUNS, WAITS = enveloped(job("succeeded")), enveloped(job("running")), enveloped(job("queued"))
TAKEN = enveloped(job("queued"), "202 Accepted")


def test_requests_are_handed_in(opened: Opened) -> None:
    """The body is that of the contract, what is not given is left out, and the job is typed."""
    with wire([TAKEN]) as server, opened(server.url) as ask:
        taken = ask("jobs.submit", REQUESTS, callback_url="https://hooks.example.org/done", idempotency_key="mail-1")
    assert isinstance(taken, PredictionJob)
    assert (taken.job, taken.state, taken.ended, taken.results) == ("j-1", "queued", False, None)
    assert json.loads(server.bodies[0]) == {
        "requests": [
            {"user_id": 1, "item_ids": [7, 8], "context": {"device": "mobile"}},
            {"user_id": "b", "item_ids": [9], "objective": {"like": 2.0}},
        ],
        "callback_url": "https://hooks.example.org/done",
    }
    assert server.requests[0][1]["idempotency-key"] == "mail-1"


def test_a_job_that_is_sent_again_is_one_job(opened: Opened) -> None:
    """Every attempt of a call has one key, made if none is given; every call has its own."""
    with wire([hangs_up, refusal("queue_full", "503 Busy", "Retry-After: 0\r\n"), TAKEN]) as server:
        with opened(server.url) as ask:
            ask("jobs.submit", REQUESTS)
            ask("jobs.submit", REQUESTS)
    keys = [headers["idempotency-key"] for _, headers in server.requests]
    assert len(keys) == 4
    assert len(set(keys[:3])) == 1
    assert keys[3] != keys[0]


@pytest.mark.parametrize("key", ["", "a b", "a\r\nb", "ä", "x" * 256])
def test_a_key_that_is_none_is_not_sent(opened: Opened, key: str) -> None:
    """It could not be a header, or would be refused."""
    with wire([TAKEN]) as server, opened(server.url) as ask:
        with pytest.raises(UserError, match="idempotency_key has the value"):
            ask("jobs.submit", REQUESTS, idempotency_key=key)
    assert server.requests == []


def test_the_result_of_a_job(opened: Opened) -> None:
    """It is asked for until it is there; each answer has the request id that feedback joins."""
    with wire([WAITS, RUNS, DONE]) as server, opened(server.url) as ask:
        (ranking,) = ask("jobs.result", "j-1")
    assert (ranking.item_ids, ranking.level, ranking.request_id) == ([7], 1, "j-1:0:1")
    assert [line for line, _ in server.requests] == ["GET /api/v1/jobs/j-1 HTTP/1.1"] * 3


def test_waiting_outlasts_a_server_that_is_away(opened: Opened) -> None:
    """The job is durable: lost connections and refusals that pass are waited out, beyond the retries of one call."""
    away: list[Act] = [hangs_up, hangs_up, refusal("queue_unavailable", "503 Busy", "Retry-After: 0\r\n"), hangs_up]
    with wire([*away, DONE]) as server, opened(server.url, retries=0) as ask:
        assert ask("jobs.wait", "j-1").state == "succeeded"
    assert len(server.requests) == 5


def test_a_job_that_failed(opened: Opened) -> None:
    """`wait` returns it, `result` raises why."""
    told = enveloped(job("failed", error={"code": "invalid_value", "message": "the time is too early."}))
    with wire([told]) as server, opened(server.url) as ask:
        ended = ask("jobs.wait", "j-1")
        assert (ended.state, ended.error.code) == ("failed", "invalid_value")
        with pytest.raises(JobFailed, match="the time is too early") as caught:
            ask("jobs.result", ended)
    assert (caught.value.job, caught.value.code) == ("j-1", "invalid_value")


def test_a_job_that_was_cancelled_has_no_result(opened: Opened) -> None:
    """Its code says so."""
    with wire([enveloped(job("cancelled"))]) as server, opened(server.url) as ask:
        assert ask("jobs.cancel", "j-1").state == "cancelled"
        with pytest.raises(JobFailed) as caught:
            ask("jobs.result", "j-1")
    assert server.requests[0][0] == "DELETE /api/v1/jobs/j-1 HTTP/1.1"
    assert caught.value.code == "cancelled"


@pytest.mark.parametrize(
    ("name", "code", "status"),
    [
        ("cancel", "job_begun", "409 Conflict"),
        ("get", "job_not_found", "404 Not Found"),
        ("wait", "job_not_found", "404 Not Found"),
        ("result", "internal_error", "500 Error"),
    ],
)
def test_what_does_not_pass_is_raised_at_once(opened: Opened, name: str, code: str, status: str) -> None:
    """Asking again would not help."""
    with wire([refusal(code, status)]) as server, opened(server.url) as ask:
        with pytest.raises(Refused) as caught:
            ask(f"jobs.{name}", "j/1")
    assert caught.value.code == code
    assert [line.split()[1] for line, _ in server.requests] == ["/api/v1/jobs/j%2F1"]


def test_a_job_that_takes_too_long(opened: Opened) -> None:
    """The deadline is that of the whole wait, and the sentence says how the job is."""
    with wire([RUNS]) as server, opened(server.url) as ask:
        with pytest.raises(TimedOut, match=r"has not ended within 0\.3 s: it is running") as caught:
            ask("jobs.wait", "j-1", timeout=0.3, request_id="r-2")
    assert caught.value.request_id == "r-2"
    assert len(server.requests) >= 2


def test_every_state_of_the_server_s_is_known() -> None:
    """What has ended is told by the time, so that a state that is new needs no new client."""
    assert set(get_args(State)) == {"queued", "running", "succeeded", "failed", "cancelled"}


class _Alone(JobCalls):
    """Gives courses, and runs none."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker


def waited(outcomes: list[Reply], *, timeout: float, takes: float = 0.0) -> tuple[object, list[float], list[float]]:
    """Return the end of a wait, its pauses, and the seconds that each attempt was given."""
    clock = ManualClock()
    alone = _Alone(Asker(Address.parse("http://x"), None, (), 10.0, 0, 1, clock))
    course = alone._ended("j-1", {"timeout": timeout})
    end, pauses, attempts = driven(course, clock, outcomes, takes)
    return end, pauses, [attempt.seconds for attempt in attempts]


RUNNING = Reply(200, {}, f'{{"data":{job("running")}}}'.encode())
BUSY = Reply(503, {b"retry-after": b"7"}, b'{"code":"queue_unavailable","message":"later."}')


def test_pauses_grow_and_end_in_time() -> None:
    """From 0.05 to 2 seconds, the last one so that it is asked once more just before the deadline, and none after."""
    end, pauses, given = waited([RUNNING], timeout=30)
    assert isinstance(end, TimedOut)
    assert pauses[0] == pytest.approx(0.05)
    assert pauses[:-1] == sorted(pauses[:-1])
    assert max(pauses) == 2.0
    assert sum(pauses) == pytest.approx(29.95, abs=0.06)
    assert len(given) == len(pauses) + 1
    assert all(0 < seconds <= 30 for seconds in given)


def test_a_wait_is_no_shorter_than_the_server_asks() -> None:
    """``Retry-After`` of a refusal is the least pause; where it passes the deadline, the wait ends with the reason."""
    _, pauses, _ = waited([BUSY, RUNNING], timeout=30)
    assert pauses[0] == 7.0
    end, pauses, given = waited([BUSY], timeout=5)
    assert isinstance(end, TimedOut) and isinstance(end.__cause__, Refused)
    assert (pauses, len(given)) == ([], 1)


def test_a_server_that_is_slow_has_no_attempt_beyond_the_deadline() -> None:
    """Attempts that take all the time there is end the wait."""
    end, _, given = waited([RUNNING], timeout=3, takes=1.4)
    assert isinstance(end, TimedOut)
    assert len(given) == 3 and given == sorted(given, reverse=True)
