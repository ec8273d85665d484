"""Requests that wait are scored in one run: each answer, error and row of the log is as if it had been alone."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from tests.serving.batching.at_once import Sent, asked_at_once

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.serving.http.reply import Reply
from orita.serving.telemetry.exposition import exposition
from orita.testing.serving import HashedReader, LinePackage

MakeApp = Callable[..., Starlette]
ALWAYS = {"batching": {"enabled": "always"}}
NEVER = {"batching": {"enabled": "never"}}


@pytest.fixture(autouse=True)
def _deployed(deploy: Callable[..., None]) -> None:
    deploy("v1.0.0")


def asks(user: int, *items: int, **more: Any) -> dict[str, Any]:
    """Return a request of a user for some items."""
    return {"user_id": user, "item_ids": list(items or (1, 2, 3)), **more}


def sizes(app: Starlette) -> dict[str, float]:
    """Return how many runs there were, and of how many requests together."""
    content, _ = exposition(app.state.service, "text/plain")
    found = {}
    for family in text_string_to_metric_families(content.decode()):
        for sample in family.samples:
            if sample.name.startswith("joint_") and not sample.labels:
                found[sample.name] = sample.value
    return found


def _plain(reply: Reply) -> bytes:
    packed = (b"content-encoding", b"gzip") in reply.headers
    return gzip.decompress(reply.content) if packed else reply.content


def told(answers: list[tuple[int, Any]]) -> dict[int, Any]:
    """Return status and content of each answer but its latency, and the headers but what is drawn."""
    found = {}
    for number, reply in answers:
        content = json.loads(_plain(reply))
        content.pop("latency_ms", None)
        drawn = {b"traceresponse": b""}
        found[number] = reply.status, content, sorted((name, drawn.get(name, value)) for name, value in reply.headers)
    return found


def rows(home: Home) -> list[dict[str, Any]]:
    """Return the rows of the log in order."""
    return sorted(prediction_log(home).to_pylist(), key=lambda row: (row["request_id"], row["item_id"]))


MIXED = [
    Sent(asks(1), {"x-request-id": "a"}),
    Sent(asks(2, 0, 5), {"x-request-id": "b"}),
    Sent(b'{"user_id": 1', {"x-request-id": "c"}),
    Sent(asks(3, context={"device": "clock"}), {"x-request-id": "d"}),
    Sent(asks(4, context={"timestamp": "1999-01-01T00:00:00Z"}), {"x-request-id": "e"}),
    Sent(asks(5, *range(40)), {"x-request-id": "f", "accept-encoding": "gzip"}),
    Sent(asks(6), {"x-request-id": "g", "content-encoding": "gzip"}),
    Sent(asks(7), {"x-request-id": "not one"}),
    Sent(asks(8, objective={"click": 1.0}), {"x-request-id": "i"}),
    Sent(asks(9), {"x-request-id": "j", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}),
    Sent(asks(10), {"x-request-id": "k"}, gone=True),
    Sent(asks(11), {"x-request-id": "l"}),
]


def test_each_is_answered_as_if_it_were_alone(make_app: MakeApp, home: Home) -> None:
    """Of right and wrong requests, answers, errors, headers and rows of the log are the same, together and alone."""
    known: set[str] = set()
    found = []
    for settings in (NEVER, ALWAYS):
        app = make_app(**settings)
        answers = told(asked_at_once(app, MIXED))
        new = [row for row in rows(home) if row["prediction_id"] not in known]
        known |= {row["prediction_id"] for row in new}
        found.append((answers, new))
        # Whose headers are wrong is scored all the same: the run knows bodies alone.
        assert sizes(app)["joint_requests_sum"] == (0 if settings is NEVER else 5)
    (alone, rows_alone), (together, rows_together) = found
    assert sorted(alone) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11], "who hung up is not answered"
    assert [alone[number][0] for number in sorted(alone)] == [200, 200, 400, 422, 422, 200, 415, 422, 422, 200, 200]
    del alone[7], together[7]  # its id is made, and is in the answer
    assert together == alone
    for row in (*rows_alone, *rows_together):
        del row["prediction_id"]
    assert rows_together == rows_alone
    assert {row["request_id"] for row in rows_alone} == {"a", "b", "f", "j", "l"}


def test_one_who_comes_alone_goes_alone(make_app: MakeApp) -> None:
    """There is no run for one, whether it waited or not."""
    app = make_app(**ALWAYS)
    assert [number for number, _ in asked_at_once(app, [Sent(asks(1)), Sent(asks(2))])] == [0, 1]
    assert sizes(app)["joint_requests_sum"] == 0


def test_who_goes_first_goes_first(make_app: MakeApp) -> None:
    """Those who wait are answered by priority, as many in one run as are allowed, and in the order they came."""
    app = make_app(batching={"enabled": "always", "most": 3}, resilience={"priority": {"trust_callers": True}})
    low, critical = {"x-request-priority": "low"}, {"x-request-priority": "critical"}
    sent = [Sent(asks(n), head) for n, head in enumerate([{}, low, {}, critical, low, {}, critical])]
    assert [number for number, _ in asked_at_once(app, sent)] == [0, 3, 6, 2, 5, 1, 4]
    assert sizes(app)["joint_requests_sum"] == 2 + 3, "two for a trial, then as many as may be; the last is alone"
    assert sizes(app)["joint_requests_count"] == 2


def test_who_is_too_late_is_dropped(make_app: MakeApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that passes while it waits, or while the others are scored, is the request's own."""
    app, score = make_app(**ALWAYS), LinePackage.score_requests

    def slow(self: LinePackage, *asked: Any) -> Any:
        clock.advance(timedelta(seconds=0.2))
        return score(self, *asked)

    monkeypatch.setattr(LinePackage, "score_requests", slow)
    sent = [Sent(asks(n), {"x-request-timeout-ms": ms}) for n, ms in enumerate(["500", "500", "100", "500"])]
    answers = told(asked_at_once(app, sent))
    assert [answers[number][0] for number in range(4)] == [200, 200, 504, 200]


@pytest.mark.parametrize("fault", ["raises", "nan"])
def test_a_run_that_fails_takes_nothing_from_anybody(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Where the run raises each is scored alone; where one of its scores is no number the others have theirs."""
    app, score = make_app(**ALWAYS), LinePackage.score_requests

    def faulty(self: LinePackage, users: Any, *asked: Any) -> Any:
        if fault == "raises":
            raise RuntimeError("the run failed")
        scores_M = score(self, users, *asked)
        scores_M[0] = np.nan
        return scores_M

    monkeypatch.setattr(LinePackage, "score_requests", faulty)
    answers = told(asked_at_once(app, [Sent(asks(n)) for n in range(4)]))
    full = [answers[number][1]["level"] == 1 for number in range(4)]
    assert full == [True, fault == "raises", True, True]
    assert sizes(app)["joint_runs_failed_total"] == (fault == "raises")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, clock: ManualClock) -> Iterator[list[int]]:
    """Reads of features take 4 ms each; whose they were."""
    read, users = HashedReader.matrix, []

    def slow(self: HashedReader, user_id: Any, *asked: Any) -> Any:
        users.append(user_id)
        clock.advance(timedelta(milliseconds=4))
        return read(self, user_id, *asked)

    monkeypatch.setattr(HashedReader, "matrix", slow)
    yield users


def test_where_reading_is_slow_requests_go_alone(make_app: MakeApp, reads: list[int]) -> None:
    """Features that take long are read together for a trial, and then not for a second; each is read once."""
    app = make_app(batching={"enabled": "always", "most": 4})
    answers = told(asked_at_once(app, [Sent(asks(n)) for n in range(9)]))
    assert {answer[0] for answer in answers.values()} == {200}
    assert reads == list(range(9))
    assert sizes(app)["joint_requests_sum"] == 2, "after one run of two, the others went alone"


def test_a_store_that_fails_is_asked_no_more_than_alone(
    make_app: MakeApp, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that raises is asked twice, then the level rests, together as alone; every request is answered."""
    calls = []

    def failing(*_: Any) -> Any:
        calls.append(1)
        raise ConnectionError("away")

    monkeypatch.setattr(HashedReader, "matrix", failing)
    app = make_app(**ALWAYS)
    answers = told(asked_at_once(app, [Sent(asks(n)) for n in range(8)]))
    assert {answer[1]["level"] for answer in answers.values()} == {4}
    assert len(calls) == 2
