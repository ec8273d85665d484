"""A server with a cache: what repeats is not scored again, is logged and labelled, and events are heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from tests.features.small_system import small_workspace
from tests.features.stores.redis_process import RedisProcess
from tests.serving.conftest import FEATURES
from tests.serving.patience import PATIENT

from orita.core.clock import ManualClock
from orita.core.errors import NotFound
from orita.core.home import Home
from orita.events.predictions import prediction_log
from orita.events.schema import Column, TableSchema
from orita.features.api.feature_store import FeatureStore
from orita.features.declarations import Entity, Source
from orita.features.system import System
from orita.serving.app import create_app
from orita.serving.cache.invalidating import Declared, id_columns
from orita.serving.cache.redis import RedisCacheStore
from orita.serving.cache.store import Looked
from orita.serving.config import ServingConfig
from orita.serving.resilience.guarded import GuardedPackage
from orita.testing.asgi import AsgiClient
from orita.testing.serving import HashedFeatures, load_line_package

PUSH = "/api/v1/features/push"
ASKED = {"user_id": 1, "item_ids": [5, 6, 7]}
BY_IDS = {"enabled": True, "key": "ids", "stable_seconds": 30, "beta": 0}


class Pushed:
    """A feature store that only takes events."""

    def push_features(self, events: Any, source: str | None = None, /) -> dict[int, Any]:
        """Take them."""
        return {}


class DeclaredStore(Pushed):
    """One of a system whose keys have names of their own; its visits name the reader otherwise, and no article."""

    def __init__(self) -> None:
        reader, article = Entity("reader", key="reader"), Entity("article", key="article")
        views = Source("views", _schema("views", Column("reader", "id"), Column("article", "id")))
        visits = Source("visits", _schema("visits", Column("guest", "id")), renamed={"reader": "guest"})
        self.system = System("feed", views.column("click"), reader, article)
        self._sources = {None: views, "visits": visits}

    def source(self, name: str | None = None) -> Source:
        """Return one of the two."""
        return self._sources[name]


def _schema(name: str, *ids: Column) -> TableSchema:
    columns = (Column("event", "str"), *ids, Column("timestamp", "time"), Column("click", "flag"))
    return TableSchema(name, "event", "timestamp", columns)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The users that the model was asked about, in order."""
    asked: list[object] = []
    score = GuardedPackage.score_user

    def counted(self: GuardedPackage, user_id: Any, item_ids: Any, x_NF: Any, /, **options: Any) -> Any:
        asked.append(user_id)
        return score(self, user_id, item_ids, x_NF, **options)

    monkeypatch.setattr(GuardedPackage, "score_user", counted)
    return asked


def _answers(client: AsgiClient, asked: dict[str, Any], times: int) -> list[dict[str, Any]]:
    answers = [client.post("/predict", json=asked) for _ in range(times)]
    assert {answer.status for answer in answers} == {200}
    return [answer.json() for answer in answers]


def test_while_one_look_is_awaited_others_are_made(
    make_app: Callable[..., Starlette],
    deploy: Callable[..., None],
    cache_redis: RedisProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look into Redis holds no other request up: here each look waits until four are under way."""
    deploy("v1.0.0")
    look, under_way = RedisCacheStore.get, asyncio.Barrier(4)

    async def together(self: RedisCacheStore, key: bytes, tags: list[bytes]) -> Looked:
        async with asyncio.timeout(20):
            await under_way.wait()
        return await look(self, key, tags)

    monkeypatch.setattr(RedisCacheStore, "get", together)
    cache = {"enabled": True, "store": "redis", "redis": cache_redis.config.model_dump()}
    with AsgiClient(make_app(cache=cache, resilience=PATIENT["resilience"])) as client:
        with ThreadPoolExecutor(4) as callers:
            answers = list(callers.map(lambda user: client.post("/predict", json={**ASKED, "user_id": user}), range(4)))
    assert [answer.status for answer in answers] == [200] * 4


@pytest.mark.parametrize("cache", [{"enabled": True}, BY_IDS])
def test_what_repeats_is_scored_once(
    cache: dict[str, Any],
    make_app: Callable[..., Starlette],
    deploy: Callable[..., None],
    scored: list[object],
    home: Home,
) -> None:
    """The second answer is the first one's, says that it is from the cache, and is in the log and the metrics."""
    deploy("v1.0.0")
    with AsgiClient(make_app(cache=cache)) as client:
        scored.clear()
        first, second, third = _answers(client, ASKED, 3)
        assert scored == [1]
        assert "cached" not in first
        assert second["cached"] and third["cached"]
        assert first["predictions"] == second["predictions"] == third["predictions"]
        assert (second["level"], second["model_version"]) == (1, "v1.0.0")
        assert _answers(client, {**ASKED, "user_id": "1"}, 1)[0].get("cached") is None, "another user"
        counted = client.get("/metrics", {"accept": "text/plain"}).text
        assert 'cache_requests_total{outcome="hit"} 2.0' in counted
        assert "cache_hit_rate 0.5" in counted
        assert 'requests_total{status="200"} 4.0' in counted
    rows = prediction_log(home, columns=["cached", "level", "score", "features"]).to_pylist()
    assert [row["cached"] for row in rows] == [False] * 3 + [True] * 6 + [False] * 3
    assert [row["score"] for row in rows[3:6]] == [row["score"] for row in rows[:3]]
    assert [row["features"] for row in rows[3:6]] == [row["features"] for row in rows[:3]]


def test_off_by_default(make_app: Callable[..., Starlette], deploy: Callable[..., None], scored: list[object]) -> None:
    """Nothing is kept unless it is asked for."""
    deploy("v1.0.0")
    with AsgiClient(make_app()) as client:
        scored.clear()
        assert all("cached" not in answer for answer in _answers(client, ASKED, 2))
        assert scored == [1, 1]
        assert "cache_requests" not in client.get("/metrics", {"accept": "text/plain"}).text


def test_it_ends_with_its_time(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], clock: ManualClock, scored: list[object]
) -> None:
    """After the time for which features are stable a request is answered anew."""
    deploy("v1.0.0")
    with AsgiClient(make_app(cache=BY_IDS)) as client:
        scored.clear()
        _answers(client, ASKED, 2)
        clock.advance(timedelta(seconds=31))
        assert "cached" not in _answers(client, ASKED, 1)[0]
        assert scored == [1, 1]


def test_another_version_has_its_own(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], scored: list[object]
) -> None:
    """What one version said is not what another says, and is let go."""
    deploy("v1.0.0")
    app = make_app(cache=BY_IDS, reload_seconds=1)
    with AsgiClient(app) as client:
        _answers(client, ASKED, 2)
        deploy("v1.1.0")
        app.state.service.follower.look()
        scored.clear()
        answers = _answers(client, ASKED, 2)
        assert [answer["model_version"] for answer in answers] == ["v1.1.0"] * 2
        assert [answer.get("cached") for answer in answers] == [None, True]
        assert scored == [1]
        assert app.state.service.cache.counts.invalidations == 1


def test_an_event_lets_go(home: Home, clock: ManualClock, deploy: Callable[..., None], scored: list[object]) -> None:
    """A push that names a user or an item lets go of what was said of them, and of nothing else, at once."""
    deploy("v1.0.0")
    config = ServingConfig.model_validate({"cache": BY_IDS})
    store: Any = Pushed()
    features = HashedFeatures(FEATURES)
    app = create_app(home, "feed", features, config, store=store, clock=clock, load=load_line_package)
    with AsgiClient(app) as client:
        asked = [{"user_id": user, "item_ids": items} for user, items in ((1, [5]), (2, [6]), (3, [7]))]
        for one in asked:
            _answers(client, one, 1)
        event = {"interaction_id": "e", "user_id": 1, "item_id": 6, "timestamp": "2024-11-15T10:00:00Z", "click": 1}
        assert client.post(PUSH, json={"events": [event]}).status == 200
        assert [_answers(client, one, 1)[0].get("cached") for one in asked] == [None, None, True]


@pytest.mark.parametrize(("user", "item"), [("1", "6"), (1.0, 6.0), (1, None)])
def test_an_event_lets_go_however_its_ids_are_spelled(
    home: Home, clock: ManualClock, deploy: Callable[..., None], user: object, item: object
) -> None:
    """What the log takes for the user 1 lets go of the user 1; a column that is empty names nobody."""
    deploy("v1.0.0")
    config = ServingConfig.model_validate({"cache": BY_IDS})
    store: Any = Pushed()
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, store=store, clock=clock, load=load_line_package)
    with AsgiClient(app) as client:
        pairs: list[tuple[object, object]] = [(1, 5), ("2", "6"), (3, 7)]
        asked = [{"user_id": one, "item_ids": [other]} for one, other in pairs]
        for one in asked:
            _answers(client, one, 1)
        assert client.post(PUSH, json={"events": [{"user_id": user, "item_id": item}]}).status == 200
        kept = [_answers(client, one, 1)[0].get("cached") for one in asked]
    assert kept == [None, True if item is None else None, True]


@pytest.mark.parametrize(("source", "kept"), [(None, [None, None, True]), ("visits", [None, True, True])])
def test_ids_are_found_where_they_are_declared(
    home: Home, clock: ManualClock, deploy: Callable[..., None], source: str | None, kept: list[bool | None]
) -> None:
    """Columns have the names of the system's keys, or those that a source has for them."""
    deploy("v1.0.0")
    config = ServingConfig.model_validate({"cache": BY_IDS})
    store: Any = DeclaredStore()
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, store=store, clock=clock, load=load_line_package)
    with AsgiClient(app) as client:
        asked = [{"user_id": user, "item_ids": items} for user, items in ((1, [5]), (2, [6]), (3, [7]))]
        for one in asked:
            _answers(client, one, 1)
        event = {"reader": 1, "article": 6} if source is None else {"guest": 1, "reader": 3, "article": 6}
        pushed = {"events": [event]} if source is None else {"events": [event], "source": source}
        assert client.post(PUSH, json=pushed).status == 200
        assert [_answers(client, one, 1)[0].get("cached") for one in asked] == kept


def test_what_is_asked_before_the_stream_has_the_event_is_let_go(
    home: Home, clock: ManualClock, deploy: Callable[..., None]
) -> None:
    """An answer between the push and the features is kept for as long as these take to settle, and no longer."""
    deploy("v1.0.0")
    config = ServingConfig.model_validate({"cache": {**BY_IDS, "settle_seconds": 0.3}})
    store: Any = Pushed()
    app = create_app(home, "feed", HashedFeatures(FEATURES), config, store=store, clock=clock, load=load_line_package)
    with AsgiClient(app) as client:
        counts = app.state.service.cache.counts
        assert client.post(PUSH, json={"events": [{"user_id": 1, "item_id": 6}]}).status == 200
        _answers(client, ASKED, 1)
        before = counts.invalidations
        while counts.invalidations == before:
            time.sleep(0.02)
        assert _answers(client, ASKED, 1)[0].get("cached") is None
        assert _answers(client, ASKED, 1)[0].get("cached") is True


def test_degraded_answers_are_not_kept(
    make_app: Callable[..., Starlette], deploy: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model is away answers are of a level below and not kept; then they are the model's."""
    deploy("v1.0.0")
    monkeypatch.setenv("ORITA_ALLOW_FAULTS", "1")
    app = make_app(cache=BY_IDS, faults=[{"part": "store", "kind": "error", "every": 2}])
    with AsgiClient(app) as client:
        answers = [_answers(client, {**ASKED, "user_id": user}, 1)[0] for user in (1, 2, 2, 2)]
        assert [answer["level"] for answer in answers] == [1, 2, 1, 1]
        assert [answer.get("cached") for answer in answers] == [None, None, None, True]


def test_the_feature_store_says_where_ids_are(tmp_path: Path) -> None:
    """The store that `orita serve` has is asked, and refuses a source that it does not know."""
    workspace = small_workspace(tmp_path)
    with closing(FeatureStore(workspace.home, workspace.system)) as store:
        system = workspace.system
        assert isinstance(store, Declared)
        assert id_columns(store, None) == (*system.user.columns, *system.item.columns)
        with pytest.raises(NotFound, match="nowhere"):
            id_columns(store, "nowhere")
