"""``/api/v1/predictions``: a logged request over HTTP, as it was and why, told only where it may be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.serving.patience import attempts

from orita.core.errors import NotFound, Unavailable, UserError
from orita.core.home import Home
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PREFIX = "/api/v1/predictions"
FEATURES = ("item_ctr", "item_popularity")


class Explainer:
    """Explains by telling what it was asked; or raises, or waits."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.may_go = threading.Event()
        self.may_go.set()
        self.asked: list[tuple[str, Sequence[str], int, bool]] = []

    def __call__(self, identity: str, /, *, items: Sequence[str], top: int, lineage: bool) -> Mapping[str, Any]:
        """Return what was asked."""
        self.asked.append((identity, items, top, lineage))
        assert self.may_go.wait(20)
        if self.error is not None:
            raise self.error
        return {"request_id": identity, "rows": 3, "items": [{"item_id": item} for item in items or ["1"]]}


@pytest.fixture
def explainer() -> Explainer:
    """What explains."""
    return Explainer()


@pytest.fixture
def make(home: Home, explainer: Explainer) -> Callable[..., Starlette]:
    """Make an app that explains."""

    def made(**settings: object) -> Starlette:
        config = ServingConfig.model_validate(settings)
        return create_app(home, "feed", HashedFeatures(FEATURES), config, load=load_line_package, explain=explainer)

    return made


@pytest.fixture
def asked(make: Callable[..., Starlette], deploy: Callable[..., None]) -> Iterator[AsgiClient]:
    """A client of such an app."""
    deploy("v1.0.0")
    with AsgiClient(make()) as client:
        yield client


def refused(answer: Answer, status: int, code: str, words: str = "") -> None:
    """Check that *answer* is a refusal in its envelope."""
    told = answer.json()
    assert (answer.status, told["status"], told["code"], told["data"]) == (status, "error", code, None), told
    assert words in told["message"]
    assert told["request_id"] == answer.headers["x-request-id"]


def test_a_request_as_it_was(asked: AsgiClient) -> None:
    """By its id, or that of one of its predictions; an id that a caller made up may hold slashes."""
    body = {"user_id": 7, "item_ids": [1, 2, 3]}
    answer = asked.post("/predict", json=body, headers={"X-Request-Id": "a/b:1"})
    for _ in attempts():  # until the log's next group commit
        found = asked.get(f"{PREFIX}/a/b:1", headers={"X-Request-Id": "mine"})
        if found.status == 200:
            break
    told = found.json()
    assert (told["status"], told["request_id"], told["message"]) == ("success", "mine", "3 items.")
    data = told["data"]
    assert (data["request_id"], data["user_id"], data["model_version"]) == ("a/b:1", "7", "v1.0.0")
    assert [item["item_id"] for item in data["items"]] == [str(p["item_id"]) for p in answer.json()["predictions"]]
    assert sorted(data["items"][0]["features"]) == list(FEATURES)
    prediction = data["items"][1]["prediction_id"]
    assert asked.get(f"{PREFIX}/{prediction}").json()["data"] == data
    refused(asked.get(f"{PREFIX}/unknown"), 404, "not_found", "no request and no prediction has the id 'unknown'")


def test_an_explanation(asked: AsgiClient, explainer: Explainer) -> None:
    """Items, how many of the best, and lineage are passed on; the best alone, with lineage, by default."""
    told = asked.get(f"{PREFIX}/r1/explanation").json()
    assert (told["data"]["request_id"], told["message"]) == ("r1", "1 of 3 items explained.")
    asked.get(f"{PREFIX}/r1/explanation?item=5&item=a%20b&lineage=false")
    asked.get(f"{PREFIX}/r1/explanation?top=3&lineage=true")
    assert explainer.asked == [("r1", [], 1, True), ("r1", ["5", "a b"], 1, False), ("r1", [], 3, True)]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("r1/explanation?top=0", "invalid_value", "top has the value '0', allowed are whole numbers from 1 to 10"),
        ("r1/explanation?top=11", "invalid_value", "'11'"),
        ("r1/explanation?top=many", "invalid_value", "'many'"),
        ("r1/explanation?lineage=no", "invalid_value", "lineage has the value 'no', allowed are true and false"),
        ("r1/explanation?tops=1", "unknown_field", "parameter 'tops'. Did you mean 'top'?"),
        ("r1/explanation?item=1&item=1", "duplicate_items", "twice"),
        ("r1/explanation?" + "&".join(f"item={n}" for n in range(11)), "too_many_items", "11 times"),
        ("r1?top=1", "unknown_field", "parameter 'top'"),
        ("a b/explanation", "invalid_request_id", "'a b'"),
        ("a b", "invalid_request_id", "allowed are 1 to 128"),
        ("x" * 129, "invalid_request_id", "1 to 128"),
    ],
)
def test_bad_questions(asked: AsgiClient, explainer: Explainer, path: str, code: str, words: str) -> None:
    """Each is refused in a sentence, before anything is read."""
    refused(asked.get(f"{PREFIX}/{path}"), 422, code, words)
    assert explainer.asked == []


def test_what_cannot_be_explained(asked: AsgiClient, explainer: Explainer) -> None:
    """Unknown is 404, another's 409, away 503, broken 500 without the reason."""
    for error, status, code, words in (
        (NotFound("no such request"), 404, "not_found", "no such request"),
        (UserError("another package"), 409, "not_explainable", "another package"),
        (Unavailable("away"), 503, "features_unavailable", "away"),
        (ValueError("secret"), 500, "internal_error", "the server's log has the reason"),
    ):
        explainer.error = error
        refused(asked.get(f"{PREFIX}/r1/explanation"), status, code, words)


def test_few_at_a_time(asked: AsgiClient, explainer: Explainer) -> None:
    """One is explained, four wait, the next is told to come again; predictions are answered meanwhile."""
    explainer.may_go.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(asked.get, f"{PREFIX}/r{n}/explanation") for n in range(8)]
        while sum(future.done() for future in waiting) < 3:
            time.sleep(0.01)
        done = [future for future in waiting if future.done()]
        for future in done:
            refused(future.result(), 503, "predictions_busy", "as many as may be")
            assert future.result().headers["retry-after"] == "1"
        assert len(done) == 3
        assert asked.post("/predict", json={"user_id": 7, "item_ids": [1]}).status == 200
        assert len(explainer.asked) == 1
        explainer.may_go.set()
        assert [future.result().status for future in waiting if future not in done] == [200] * 5


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"host": "0.0.0.0"}, 404),
        ({"expose_explanations": False}, 404),
        ({"host": "0.0.0.0", "expose_explanations": True}, 200),
    ],
)
def test_it_is_exposed_on_demand(make: Callable[..., Starlette], settings: dict[str, object], status: int) -> None:
    """Where the listener is public, nothing is told of users unless it is asked for; the description says the same."""
    with AsgiClient(make(**settings)) as client:
        answer = client.get(f"{PREFIX}/r1/explanation")
        assert answer.status == status
        if status == 404:
            refused(answer, 404, "explanations_hidden", "serving.expose_explanations")
        described = client.get("/openapi.json").json()["paths"]
        assert (f"{PREFIX}/{{request_id}}/explanation" in described) == (status == 200)
