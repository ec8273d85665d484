"""``POST /predict/batch``: every request has its own answer or error, in order, and others go between."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.serving.talking import Talk, request, served

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.serving.batching.requests import parts_of
from orita.serving.predict.predictor import Predictor
from orita.serving.predict.requests import Asked
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedReader

MakeApp = Callable[..., Starlette]
PATH = "/predict/batch"


@pytest.fixture(autouse=True)
def _deployed(deploy: Callable[..., None]) -> None:
    deploy("v1.0.0")


def asks(user: int, *items: int, **more: Any) -> dict[str, Any]:
    """Return a request of a user for some items."""
    return {"user_id": user, "item_ids": list(items or (1, 2, 3)), **more}


@pytest.mark.parametrize("enabled", ["always", "never"])
@pytest.mark.parametrize("cached", [False, True])
def test_each_has_what_it_would_have_had(make_app: MakeApp, home: Home, enabled: str, *, cached: bool) -> None:
    """Answers are those of ``POST /predict``, in order; what one cannot be answered for is its own error; all that is
    answered is logged and counted."""
    requests = [asks(user, *range(1, 2 + user)) for user in range(20)]
    requests[7]["context"] = {"timestamp": "1999-01-01T00:00:00Z"}
    requests[9]["objective"] = {"click": 1.0}
    settings: dict[str, Any] = {"batching": {"enabled": enabled}, "cache": {"enabled": cached}}
    with AsgiClient(make_app(**settings)) as client:
        alone = [client.post("/predict", json=request) for request in requests]
        answer = client.post(PATH, json={"requests": requests}, headers={"x-request-id": "night"})
        metrics = client.get("/metrics").json()
        assert client.app.state.service.log.flush()  # type: ignore[attr-defined]
    assert answer.status == 200
    assert answer.headers["x-request-id"] == "night"
    body = answer.json()
    assert (body["answered"], body["failed"], len(body["results"])) == (18, 2, 20)
    for number, (one, result) in enumerate(zip(alone, body["results"], strict=True)):
        assert result["request_id"] == f"night:{number}"
        told = one.json()
        if number in (7, 9):
            assert result["error"] == {"status": one.status, "code": told["code"], "message": told["message"]}
            assert "answer" not in result
            continue
        assert "error" not in result
        for each in (told, result["answer"]):
            del each["latency_ms"]
            each.pop("cached", None)
        assert result["answer"] == told
    rows = [row for row in prediction_log(home).to_pylist() if row["request_id"].startswith("night:")]
    assert len(rows) == sum(len(each["item_ids"]) for n, each in enumerate(requests) if n not in (7, 9))
    assert metrics["requests_total"] == 40


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"[", 400, "invalid_json", "not valid JSON"),
        ({}, 422, "missing_field", "requests is missing"),
        ({"requests": []}, 422, "invalid_value", "requests is empty"),
        ({"requests": 5}, 422, "invalid_value", "requests has the value 5"),
        ({"requests": [asks(1)], "context": {}}, 422, "unknown_field", "'context'"),
        ({"requests": [asks(1), {"user_id": 2}]}, 422, "missing_field", "requests[1]: item_ids is missing"),
        ({"requests": [asks(1), asks(2, 4, 4)]}, 422, "duplicate_items", "requests[1]: item_ids has the item 4"),
        ({"requests": [asks(1)] * 6}, 422, "batch_too_long", "6 requests, allowed are 5"),
        ({"requests": [asks(1, *range(30))] * 3}, 422, "too_many_items", "90 items in all, allowed are 80"),
    ],
)
def test_a_wrong_batch_is_refused_whole(
    make_app: MakeApp, home: Home, body: Any, status: int, code: str, words: str
) -> None:
    """The sentence names the request, and none of them is answered."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with AsgiClient(make_app(batching={"max_requests": 5, "max_items": 80})) as client:
        answer = client.post(PATH, body=content)
        assert client.app.state.service.log.flush()  # type: ignore[attr-defined]
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert words in answer.json()["message"]
    assert len(prediction_log(home)) == 0


def test_ids_of_batches_leave_room_for_numbers(make_app: MakeApp) -> None:
    """An id that would make those of its requests too long is refused by name."""
    with AsgiClient(make_app()) as client:
        for length, status in ((120, 200), (121, 422)):
            answer = client.post(PATH, json={"requests": [asks(1)]}, headers={"x-request-id": "a" * length})
            assert answer.status == status
    assert answer.json()["code"] == "invalid_request_id"


def test_others_go_between_two_parts(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that comes while a batch is answered has its turn before the batch is done."""
    read, seen, first = HashedReader.matrix, [], threading.Event()

    def watched(self: HashedReader, user_id: Any, *asked: Any) -> Any:
        seen.append(user_id)
        if user_id == 0:
            first.set()
            came.wait(5)
        return read(self, user_id, *asked)

    came = threading.Event()
    monkeypatch.setattr(HashedReader, "matrix", watched)
    with AsgiClient(make_app()) as client:

        def single() -> None:
            first.wait(5)
            threading.Timer(0.05, came.set).start()
            client.post("/predict", json=asks(10_000))

        thread = threading.Thread(target=single)
        thread.start()
        answer = client.post(PATH, json={"requests": [asks(user) for user in range(200)]})
        thread.join()
    assert answer.json()["answered"] == 200
    assert 8 <= seen.index(10_000) < 200


def test_past_the_deadline_the_rest_is_not_answered(
    make_app: MakeApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered in time stays so; each of the others says that it was too late, and costs nothing."""
    finish, seen = Predictor.finished, []

    def slow(self: Predictor, question: Any, *rest: Any) -> Any:
        seen.append(question.user_id)
        clock.advance(timedelta(milliseconds=10))
        return finish(self, question, *rest)

    monkeypatch.setattr(Predictor, "finished", slow)
    app = make_app(batching={"most": 4, "enabled": "never"})
    with AsgiClient(app) as client:
        headers = {"x-request-timeout-ms": "65"}
        body = client.post(PATH, json={"requests": [asks(user) for user in range(40)]}, headers=headers).json()
    codes = [result.get("error", {}).get("code") for result in body["results"]]
    assert codes[:6] == [None] * 6
    assert codes[6:] == ["deadline_exceeded"] * 34
    assert len(seen) == 8, "the parts after this one were not begun"
    assert (body["answered"], body["failed"]) == (6, 34)


@pytest.mark.parametrize(("most_ms", "answered"), [(30_000, 40), (205, 20)])
def test_who_says_no_deadline_has_one_for_each_part(
    make_app: MakeApp, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, most_ms: int, answered: int
) -> None:
    """A batch may take as long as its parts may, and as one may say at most."""
    finish = Predictor.finished

    def slow(self: Predictor, *rest: Any) -> Any:
        clock.advance(timedelta(milliseconds=10))
        return finish(self, *rest)

    monkeypatch.setattr(Predictor, "finished", slow)
    deadline = {"default_ms": 50, "most_ms": most_ms}
    with AsgiClient(make_app(batching={"most": 4, "enabled": "never"}, resilience={"deadline": deadline})) as client:
        body = client.post(PATH, json={"requests": [asks(user) for user in range(40)]}).json()
    assert (body["answered"], body["failed"]) == (answered, 40 - answered)


def test_once_the_caller_has_gone_no_part_is_begun(home: Home) -> None:
    """Over a real connection: what was answered by then stays logged, the rest is not answered."""
    settings = {"batching": {"most": 2}, "faults": [{"part": "store", "kind": "latency", "milliseconds": 25}]}
    with served(home, **settings) as (port, process):
        batch = json.dumps({"requests": [asks(user) for user in range(120)]}).encode()
        talk, other = Talk(port), Talk(port)
        talk.send(request(batch, "X-Request-Id: night", path=PATH))
        while "night:0" not in _request_ids(home):
            time.sleep(0.02)
        talk.close()
        other.send(request(json.dumps(asks(10_000)).encode()))
        assert other.answer()[0] == 200
        other.close()
        process.send_signal(signal.SIGTERM)  # an orderly stop lets what is being answered come to its end
        process.wait(20)
    answered = _request_ids(home)
    assert len(answered) < 80
    assert {"night:0", "night:1"} <= answered


def _request_ids(home: Home) -> set[str]:
    return set(prediction_log(home, columns=["request_id"])["request_id"].to_pylist())


def test_what_fails_beforehand_is_the_error_of_that_request(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever one request raises when it is read, its neighbours are answered, and it says so in the usual form."""
    question = Predictor.question

    def broken(self: Predictor, asked: Asked) -> Any:
        if asked.user_id == 3:
            raise RuntimeError("a secret of the machine")
        return question(self, asked)

    monkeypatch.setattr(Predictor, "question", broken)
    with AsgiClient(make_app(batching={"enabled": "always"})) as client:
        answer = client.post(PATH, json={"requests": [asks(user) for user in range(8)]})
    assert answer.status == 200
    errors = [result.get("error", {}).get("code") for result in answer.json()["results"]]
    assert errors == [None] * 3 + ["internal_error"] + [None] * 4
    assert "secret" not in answer.text


def test_parts_have_few_requests_and_few_items() -> None:
    """Parts are of as many as may be, of 200 items in all, or of one; together they are all, in order."""
    lengths = [1] * 9 + [150, 60, 10, 1000, 1, 199]
    asked = [Asked(1, list(range(length)), {}, None) for length in lengths]
    parts = list(parts_of(asked, 4))
    assert [number for part in parts for number in part] == list(range(len(lengths)))
    assert [len(part) for part in parts] == [4, 4, 2, 2, 1, 2]


def test_a_server_without_a_model_says_so_for_each(make_app: MakeApp, home: Home) -> None:
    """Without a model there is no answer, and each request says why."""
    app = make_app()
    app.state.service.follower.look = lambda: None
    with AsgiClient(app) as client:
        body = client.post(PATH, json={"requests": [asks(1), asks(2)]}).json()
    assert [result["error"]["code"] for result in body["results"]] == ["no_model", "no_model"]
