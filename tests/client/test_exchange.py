"""When a call is sent again, how long it waits, and how it ends: without a server and without waiting."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.driving import driven

from orita.client.errors import BadAnswer, Refused, TimedOut, Unreachable, Untrusted
from orita.client.exchange import Attempt, Broken, Call, Exchange, Reply, exchange
from orita.core.clock import ManualClock

AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
LOST = Broken("lost", "connection reset")
STALE = Broken("lost", "connection reset", reused=True)
OK = Reply(200, {}, b"fine")


def refusal(status: int = 503, retry_after: bytes | None = None) -> Reply:
    """Return a refusal of Orita's."""
    headers = {} if retry_after is None else {b"retry-after": retry_after}
    return Reply(status, headers, b'{"status":"error","code":"log_full","message":"later.","request_id":"r-9"}')


def run(
    outcomes: Sequence[Reply | Broken],
    *,
    timeout: float = 10,
    retries: int = 2,
    jitter: float = 0.5,
    takes: float = 0.0,
) -> tuple[bytes | Exception, list[float], list[Attempt]]:
    """Return the end, the pauses and the attempts of a call whose attempts end as *outcomes*, each after *takes* s."""
    clock = ManualClock(AT)
    call = Call(b"GET", "/health", lambda reply: reply.body)
    course = exchange(Exchange(call, "http://x:1", "r-1", [], timeout, retries, clock, lambda: jitter))
    return driven(course, clock, outcomes, takes)


def test_an_answer_ends_it() -> None:
    """One attempt, no pause."""
    end, pauses, attempts = run([OK])
    assert (end, pauses, len(attempts)) == (b"fine", [], 1)


@pytest.mark.parametrize("outcome", [LOST, refusal(503), refusal(429)])
def test_what_may_be_mended_is_tried_again(outcome: Reply | Broken) -> None:
    """A lost connection, 429 and 503 are tried again after growing pauses, and an answer is an answer."""
    end, pauses, attempts = run([outcome, outcome, OK])
    assert (end, len(attempts)) == (b"fine", 3)
    assert pauses == pytest.approx([0.025, 0.05])


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (refusal(422), Refused),
        (refusal(500), Refused),
        (Broken("lost", "reset", began=True), Unreachable),
        (Broken("lost", "reset", began=True, reused=True), Unreachable),
        (Broken("late", "no answer"), TimedOut),
        (Broken("untrusted", "self-signed"), Untrusted),
        (Broken("garbled", "not HTTP"), BadAnswer),
    ],
)
def test_what_will_not_change_is_not_tried_again(outcome: Reply | Broken, error: type[Exception]) -> None:
    """Other refusals, an answer that began, the deadline, a certificate: one attempt."""
    end, pauses, attempts = run([outcome])
    assert type(end) is error
    assert (pauses, len(attempts)) == ([], 1)


def test_retries_end() -> None:
    """After the last retry the last error is raised; with none, the first."""
    end, _, attempts = run([LOST], retries=3)
    assert isinstance(end, Unreachable) and "http://x:1 did not answer: connection reset" in str(end)
    assert len(attempts) == 4
    assert len(run([LOST], retries=0)[2]) == 1


def test_a_connection_closed_between_requests_is_tried_at_once_and_once() -> None:
    """That retry costs no pause and none of the others; a second one of the kind is a failure like any."""
    end, pauses, attempts = run([STALE, OK], retries=0)
    assert (end, pauses, len(attempts)) == (b"fine", [], 2)
    end, pauses, attempts = run([STALE, STALE, OK], retries=0)
    assert isinstance(end, Unreachable) and (pauses, len(attempts)) == ([], 2)


@pytest.mark.parametrize(
    ("header", "least"),
    [
        (b"1", 1.0),
        (b" 2 ", 2.0),
        (b"Fri, 15 Nov 2024 10:30:03 GMT", 3.0),
        (b"Fri, 15 Nov 2024 10:29:00 GMT", 0.0),
        (b"soon", 0.0),
        (b"-1", 0.0),
    ],
)
def test_retry_after_is_the_least_pause(header: bytes, least: float) -> None:
    """Seconds or a date; jitter comes on top, so that callers do not come back together; nonsense asks for nothing."""
    _, pauses, _ = run([refusal(503, header), OK])
    assert pauses == pytest.approx([least + 0.025])


@given(
    header=st.binary(max_size=40) | st.from_regex(rb"Fri, \d{1,3} Nov \d{1,6} \d\d:\d\d:\d\d [+-]\d{4}", fullmatch=True)
)
def test_no_retry_after_is_a_failure_of_the_client(header: bytes) -> None:
    """Whatever the header says, the end is the refusal or the answer, in time."""
    end, pauses, _ = run([refusal(503, header), OK])
    assert end == b"fine" or isinstance(end, Refused)
    assert sum(pauses) < 10


def test_a_pause_that_passes_the_deadline_is_not_slept() -> None:
    """A refusal that asks for more time than there is, is raised at once, and says how long to wait."""
    end, pauses, attempts = run([refusal(503, b"60")], timeout=5)
    assert isinstance(end, Refused) and (pauses, len(attempts)) == ([], 1)
    assert (end.status, end.code, end.message, end.request_id, end.retry_after) == (
        503,
        "log_full",
        "later.",
        "r-9",
        60,
    )


@given(
    outcomes=st.lists(st.sampled_from([LOST, STALE, refusal(), refusal(429, b"1")]), min_size=1, max_size=12),
    timeout=st.floats(0.01, 8),
    retries=st.integers(0, 10),
    jitter=st.floats(0, 0.999),
    takes=st.floats(0, 2),
)
def test_nothing_begins_after_the_deadline(
    outcomes: list[Reply | Broken], timeout: float, retries: int, jitter: float, takes: float
) -> None:
    """Whatever happens: no more attempts than allowed, each told what is left of the deadline and no more."""
    _, pauses, attempts = run(outcomes, timeout=timeout, retries=retries, jitter=jitter, takes=takes)
    assert len(pauses) <= retries and len(attempts) <= retries + 2
    assert sum(pauses) < timeout
    assert all(0 < attempt.seconds <= timeout + 1e-6 for attempt in attempts)
    told = [int(dict(attempt.headers)[b"x-request-timeout-ms"]) for attempt in attempts]
    assert told == [max(1, int(attempt.seconds * 1000)) for attempt in attempts]
    assert told == sorted(told, reverse=True)


@given(jitter=st.floats(0, 0.999))
def test_pauses_are_jittered_from_nothing_to_twice_the_last(jitter: float) -> None:
    """Full jitter: each pause lies between 0 and a bound that doubles up to two seconds."""
    _, pauses, _ = run([LOST], timeout=1000, retries=10, jitter=jitter)
    assert pauses == pytest.approx([jitter * min(2.0, 0.05 * 2**n) for n in range(10)])


def test_what_another_program_says_is_a_refusal_too() -> None:
    """A proxy's page is no JSON of ours: the status is told, and the page is not shown."""
    end, _, _ = run([Reply(502, {}, b"<html>\xff")])
    assert isinstance(end, Refused)
    assert (end.code, end.message) == ("http_error", "GET /health was answered with HTTP 502.")
