"""What a feed answers with when store, model or log fail or time is short, and what a request may say of its answer.

Each answer says how good it is, and below level 1 why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from starlette.applications import Starlette
from tests.serving.feed.published import ITEMS, NOW, features_of, feed_system, published_feed
from tests.serving.patience import attempts

from orita.control.deployments import Deployments
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.features.online.following import OnlineFeatures
from orita.models.objectives import Head
from orita.models.training_bounds import TrainingBounds
from orita.serving.app import create_app
from orita.serving.config import ServingConfig
from orita.serving.predict.outliers import BOUNDS_KEY
from orita.serving.resilience.contracts import Priority
from orita.testing.asgi import Answer, AsgiClient
from orita.testing.serving import LinePackage, load_line_package, publish_line_package

PATH = "/api/v1/feed"
STORE = {"part": "store", "kind": "error", "from_seconds": 10}
MODEL = {"part": "model", "kind": "error", "from_seconds": 10}  # a model that fails at once is not even loaded
LATER = timedelta(seconds=20)


class Weighing(LinePackage):
    """Foretells clicks and likes; who likes likes gets the opposite order."""

    def score_user(
        self,
        user_id: int | str,
        item_ids: Sequence[int | str],
        x_NF: npt.NDArray[np.float32],
        /,
        *,
        objective: Mapping[str, float] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return scores, of likes one minus those of clicks."""
        scores_N = super().score_user(user_id, item_ids, x_NF)
        return 1 - scores_N if objective and objective["like"] > 1 else scores_N


def load_weighing(folder: Path) -> Weighing:
    """Return a package of two heads."""
    plain = load_line_package(folder)
    heads = (Head("click"), Head("like"))
    return Weighing(plain.version, plain.schema, plain.metadata, heads=heads, objective={"click": 1.0, "like": 1.0})


@pytest.fixture
def clock() -> ManualClock:
    """The time."""
    return ManualClock(NOW)


@pytest.fixture
def make(
    published: Home, features: OnlineFeatures, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Starlette]:
    """Make an app with settings; faults are allowed."""
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")

    def app(load: Any = load_line_package, **settings: Any) -> Starlette:
        feed = {"session_items": 30, "diversity": {"method": "off"}, "exploration": {"share": 0}}
        config = ServingConfig.model_validate({"feed": feed, **settings})
        return create_app(published, "feed", features, config, clock=clock, load=load)

    return app


def ready(client: AsgiClient) -> AsgiClient:
    """Wait until the feed knows its items: then a request whose deadline is past is refused for that."""
    for _ in attempts():
        answer = client.post(PATH, json={"user_id": "somebody"}, headers={"grpc-timeout": "1n"})
        if answer.json()["code"] == "deadline_exceeded":
            return client
    raise AssertionError("the feed has no items")


def asked(client: AsgiClient, headers: Mapping[str, str] | None = None, **body: Any) -> dict[str, Any]:
    """Return a page."""
    answer = client.post(PATH, json={"user_id": 1, **body}, headers=headers)
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def items_of(page: dict[str, Any]) -> list[int]:
    """Return the items of a page."""
    return [item["item_id"] for item in page["predictions"]]


def refused(answer: Answer, status: int, code: str, words: str = "") -> None:
    """Check an error."""
    body = answer.json()
    assert (answer.status, body["code"]) == (status, code), body
    assert words in body["message"]


@pytest.mark.parametrize("faults", [[STORE], [MODEL], [STORE, MODEL]], ids=["store", "model", "both"])
def test_who_had_a_feed_gets_one_like_it(
    make: Callable[..., Starlette], clock: ManualClock, faults: list[dict[str, Any]]
) -> None:
    """Without store, model or both a user gets the scores of before, at level 2, page by page; afterwards level 1."""
    drill = [{**fault, "until_seconds": 100} for fault in faults]
    with AsgiClient(make(faults=drill, resilience={"ping_seconds": 1e-3})) as client:
        before = asked(ready(client), limit=12)
        assert before["level"] == 1 and "reason" not in before
        clock.advance(LATER)
        first = asked(client, limit=12)
        assert (first["level"], first["reason"]) == (2, "failed")
        known = {item["item_id"]: item["score"] for item in before["predictions"]}
        assert all(known[item["item_id"]] == item["score"] for item in first["predictions"] if item["item_id"] in known)
        second = asked(client, limit=12, cursor=first["cursor"])
        assert second["level"] == 2 and second["reason"] in ("failed", "resting", "open")
        assert not set(items_of(first)) & set(items_of(second))
        clock.advance(timedelta(seconds=200))
        assert asked(client, limit=12) == {**before, "latency_ms": 0.0, "cursor": asked(client, limit=12)["cursor"]}


@pytest.mark.parametrize("faults", [[STORE], [MODEL], [STORE, MODEL]], ids=["store", "model", "both"])
def test_who_had_none_gets_what_is_popular(
    make: Callable[..., Starlette], clock: ManualClock, faults: list[dict[str, Any]]
) -> None:
    """Where nothing was ever scored the click rates answer, at level 3: those that were read with the items."""
    app = make(faults=faults)
    with AsgiClient(app) as client:
        ready(client)
        clock.advance(LATER)
        page = asked(client, limit=5)
        rates = app.state.service.parts.popularity.table.scores(list(range(ITEMS)))
    assert (page["level"], page["reason"]) == (3, "failed")
    scores = [item["score"] for item in page["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert scores == pytest.approx([float(rates[item]) for item in items_of(page)])


def test_who_knows_nothing_shows_what_was_found_in_its_order(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without click rates is at level 4: the list of the configuration, then candidates as they were found."""
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")
    home, plain = Home(tmp_path), feed_system(plain=True)
    published_feed(home, declared=plain)
    publish_line_package(home, "feed", "v1.0.0", ("times",))
    Deployments(home.control_db).deploy("feed", "v1.0.0", actor="test", reason="test")
    settings = {"faults": [STORE, MODEL], "resilience": {"static_items": [7, 3]}}
    with closing(features_of(home, plain)) as features:
        config = ServingConfig.model_validate(settings)
        app = create_app(home, "feed", features, config, clock=clock, load=load_line_package)
        with AsgiClient(app) as client:
            ready(client)
            clock.advance(LATER)
            page = asked(client, limit=6)
    assert (page["level"], page["reason"], items_of(page)) == (4, "failed", [7, 3, 0, 1, 2, 4])


def test_what_the_levels_below_answer_is_in_the_log(
    make: Callable[..., Starlette], published: Home, clock: ManualClock
) -> None:
    """With its level, and without features, which it does not come from."""
    with AsgiClient(make(faults=[MODEL])) as client:
        ready(client)
        clock.advance(LATER)
        client.post(PATH, json={"user_id": 1, "limit": 3}, headers={"x-request-id": "below"})
    rows = prediction_log(published, columns=["request_id", "level", "features", "position"]).to_pylist()
    logged = [row for row in rows if row["request_id"] == "below"]
    assert [(row["level"], row["position"]) for row in logged] == [(3, 1), (3, 2), (3, 3)]
    assert not any(value is not None for row in logged for value in (row["features"] or {}).values())


def test_short_of_time_it_takes_what_is_quick(
    make: Callable[..., Starlette], published: Home, clock: ManualClock
) -> None:
    """A deadline that the model has missed is 504; who is in a hurry then gets level 2, others level 1 as ever."""

    class Slow(LinePackage):
        def score_user(self, *given: Any, **options: Any) -> npt.NDArray[np.float32]:
            clock.advance(timedelta(seconds=0.4))
            return super().score_user(*given, **options)

    def load(folder: Path) -> LinePackage:
        plain = load_line_package(folder)
        return Slow(plain.version, plain.schema, plain.metadata)

    hurry = {"x-request-timeout-ms": "250"}
    app = make(load)
    with AsgiClient(app) as client:
        late = ready(client).post(PATH, json={"user_id": 1}, headers={**hurry, "x-request-id": "late"})
        refused(late, 504, "deadline_exceeded")
        for _ in range(20):
            assert asked(client)["level"] == 1
        page = asked(client, hurry)
        assert (page["level"], page["reason"], page["latency_ms"]) == (2, "too_late", 0.0)
        assert asked(client, hurry, cursor=page["cursor"])["reason"] == "too_late"
        assert asked(client)["level"] == 1
    assert "late" not in prediction_log(published, columns=["request_id"])["request_id"].to_pylist()


def test_faults_of_the_log_reach_the_feed(make: Callable[..., Starlette], published: Home) -> None:
    """Without room a page is turned away; a row that a drill loses is answered and not logged, each second one here."""
    with AsgiClient(make(faults=[{"part": "log", "kind": "error"}])) as client:
        answer = ready(client).post(PATH, json={"user_id": 1})
        refused(answer, 503, "log_full")
        assert answer.headers["retry-after"] == "1"
    with AsgiClient(make(faults=[{"part": "log", "kind": "drop", "every": 2}])) as client:
        ready(client)
        for number in range(6):
            named = {"x-request-id": f"drilled-{number}"}
            assert client.post(PATH, json={"user_id": 1, "limit": 2}, headers=named).status == 200
    logged = {row["request_id"] for row in prediction_log(published, columns=["request_id"]).to_pylist()}
    assert {f"drilled-{number}" for number in range(6)} & logged == {"drilled-0", "drilled-2", "drilled-4"}


def test_a_request_weighs_its_objective(make: Callable[..., Starlette]) -> None:
    """Within the bounds, as of ``/predict``: it orders the feed; what it weighed is not remembered for others."""
    app = make(load_weighing, objective_bounds={"like": [0, 2]})
    with AsgiClient(app) as client:
        plain = asked(ready(client), limit=35)
        kept = app.state.service.parts.last_good.recall(1, items_of(plain)).scores_N.tolist()
        weighed = asked(client, limit=35, objective={"like": 2})
        assert [item["score"] for item in weighed["predictions"]] == sorted(
            (item["score"] for item in weighed["predictions"]), reverse=True
        )
        scores = {item["item_id"]: item["score"] for item in plain["predictions"]}
        both = [item for item in weighed["predictions"] if item["item_id"] in scores]
        assert len(both) > 10
        assert [1 - scores[item["item_id"]] for item in both] == pytest.approx([item["score"] for item in both])
        assert app.state.service.parts.last_good.recall(1, items_of(plain)).scores_N.tolist() == kept
        for objective, code in (({"like": 3}, "invalid_value"), ({"click": 2}, "objective_not_allowed")):
            refused(client.post(PATH, json={"user_id": 1, "objective": objective}), 422, code, "objective")
        refused(client.post(PATH, json={"user_id": 1, "objective": {"like": "2"}}), 422, "invalid_value", "objective")
    with AsgiClient(make(load_weighing)) as client:
        answer = ready(client).post(PATH, json={"user_id": 1, "objective": {"like": 1}})
        refused(answer, 422, "objective_not_allowed", "serving.objective_bounds")


def test_a_page_unlike_the_training_rows_is_labelled(make: Callable[..., Starlette]) -> None:
    """As of ``/predict``, by the items that are shown, with the reason and the count; another page is not."""

    def load(folder: Path) -> LinePackage:
        plain = load_line_package(folder)
        rows_NF = np.random.default_rng(0).uniform(0, 0.45, (5000, 2)).astype(np.float32)
        return replace(plain, extra={BOUNDS_KEY: TrainingBounds.of(plain.schema, rows_NF).to_dict()})

    app = make(load, outliers={"least_confidence": 0})
    with AsgiClient(app) as client:
        page = asked(ready(client), limit=3, user_id=77)
        found = page["outliers"]
        assert found["label"] == "out" and found["reasons"][0]["feature"] == "item_ctr"
        assert found["reasons"][0]["items"] <= 3
        counts = app.state.service.outliers
        assert dict(counts.requests) == {"out": 1} and counts.items == round(3 * found["share"])


def test_a_feed_waits_at_the_door_of_predictions(make: Callable[..., Starlette]) -> None:
    """Where there is no room it is turned away like any other, with the time to come back; then it is answered."""
    app = make(resilience={"admission": {"least": 1, "most": 1}})
    with AsgiClient(app) as client:
        ready(client)
        turnstile = app.state.service.parts.turnstile

        async def full() -> Answer:
            ticket = await turnstile.enter(Priority.NORMAL, float("inf"), 0.0)
            try:
                return await asyncio.to_thread(client.post, PATH, json={"user_id": 1})
            finally:
                turnstile.leave(ticket, answered=False)

        answer = asyncio.run_coroutine_threadsafe(full(), client._loop).result(60)
        refused(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        before = turnstile.admission.admitted
        page = asked(client, limit=5)
        assert turnstile.admission.admitted == before + 2
        asked(client, limit=5, cursor=page["cursor"])
        assert turnstile.admission.admitted == before + 3
