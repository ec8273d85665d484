"""The feature store in Python: one meaning offline, online and after a push; what is wrong is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.features.small_system import NOW, events, ingested, small_workspace

from orita.core.clock import to_micros
from orita.core.errors import NotFound, UserError
from orita.features.api.async_feature_store import AsyncFeatureStore
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.folder import FolderGenerations
from orita.features.online.following import OnlineFeatures
from orita.features.plan import plan_of
from orita.pipelines.etl import publish_online
from orita.pipelines.feature_stream import stream_features
from orita.pipelines.workspace import Workspace

FEATURES = ["user_clicks", "item_ctr", "recent", "device", "hour", "never"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home with 200 events in the lake, published; read only."""
    folder = tmp_path_factory.mktemp("published")
    workspace = small_workspace(folder)
    ingested(workspace.home, folder, events(200), workspace.system)
    publish_online(workspace)
    return workspace


@pytest.fixture
def store(published: Workspace) -> Iterator[FeatureStore]:
    """Its store."""
    with closing(FeatureStore(published.home, published.system, clock=published.clock)) as store:
        yield store


def test_offline_and_online_give_the_same_values_and_types(store: FeatureStore) -> None:
    """A row that asks at the present has, offline and online, equal features in equal types."""
    items = [100, 104, 999]
    rows = [{"user_id": 3, "item_id": i, "timestamp": NOW.isoformat(), "device": "tablet"} for i in items]
    offline = store.get_offline_features(rows).drop_columns(["user_id", "timestamp"])
    online = store.get_online_features(3, items, context={"device": "tablet"})
    given = [*rows[0]]
    assert offline.drop_columns(["device"]) == online
    assert [name for name in offline.column_names if name not in given] == list(store.system.schema().names)
    first = online.slice(0, 1).to_pylist()[0]
    assert (first["user_clicks"], first["device_tablet"], first["hour"], first["never"]) == (10, 1, 12, None)
    assert online["recent"].to_pylist()[:2] == [27, 28]


def test_offline_keeps_every_row_in_its_order_with_its_own_columns(store: FeatureStore) -> None:
    """Rows come back as they were, duplicates and columns of their own included; an id that nobody has sees nothing."""
    row = {"user_id": 3, "item_id": 100, "timestamp": "2024-11-20T00:00:00Z", "note": "kept"}
    rows = [row, {**row, "user_id": 999}, row, {**row, "timestamp": "1990-01-01T00:00:00"}]
    found = store.get_offline_features(rows, ["user_clicks"]).to_pylist()
    assert [each["note"] for each in found] == ["kept"] * 4
    assert [each["user_clicks"] for each in found] == [found[0]["user_clicks"], 0, found[0]["user_clicks"], 0]
    assert found[0]["user_clicks"] > 0
    assert store.get_offline_features(pa.Table.from_pylist(rows[:1]), ["hour"])["hour"].to_pylist() == [0]


def test_known_is_not_what_happened(tmp_path: Path) -> None:
    """An event that became known late is not seen before that, unless events are asked for."""
    workspace = small_workspace(tmp_path)
    late = {**events(1)[0], "ingested_at": NOW.isoformat()}
    ingested(workspace.home, tmp_path, [late], workspace.system)
    store = FeatureStore(workspace.home, workspace.system)
    row = {"user_id": 0, "item_id": 100, "timestamp": (NOW - timedelta(minutes=30)).isoformat()}
    assert store.get_offline_features([row], ["user_clicks"])["user_clicks"].to_pylist() == [0]
    assert store.get_offline_features([row], ["user_clicks"], as_of="event")["user_clicks"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("rows", "features", "words"),
    [
        ([{"user_id": 3, "item_id": 100}], None, ["'timestamp'"]),
        ([{"user_id": 3, "timestamp": NOW.isoformat()}], None, ["'item_id'"]),
        ([{"user_id": 3, "item_id": 1, "timestamp": "soon"}], None, ["row 0", "'timestamp'"]),
        ([{"user_id": 3, "item_id": 1, "timestamp": NOW.isoformat()}], ["item_crt"], ["'item_crt'", "'item_ctr'"]),
        ([{"user_id": 3, "item_id": 1, "timestamp": NOW.isoformat(), "item_ctr": 1}], None, ["'item_ctr'", "feature"]),
    ],
)
def test_rows_that_cannot_ask_are_refused(
    store: FeatureStore, rows: list[dict[str, object]], features: list[str] | None, words: list[str]
) -> None:
    """What is missing, unknown or no time is said by row and column."""
    with pytest.raises(UserError) as error:
        store.get_offline_features(rows, features)
    assert all(word in str(error.value) for word in words)


def test_online_refuses_the_past_and_names_nobody_declared(store: FeatureStore) -> None:
    """A time that the state has passed, an unknown feature and an unknown column of the request are errors."""
    with pytest.raises(UserError, match="not after the latest event"):
        store.get_online_features(3, [100], at=to_micros(NOW - timedelta(days=1)))
    with pytest.raises(NotFound, match="item_ctr"):
        store.get_online_features(3, [100], features=["item_crt"])
    with pytest.raises(NotFound, match="device"):
        store.get_online_features(3, [100], context={"devise": "mobile"})


def test_nothing_published_is_said(tmp_path: Path) -> None:
    """Without published features, online says what to run; without events, offline does."""
    workspace = small_workspace(tmp_path)
    store = FeatureStore(workspace.home, workspace.system)
    with pytest.raises(UserError, match="orita run etl"):
        store.get_online_features(1, [2])
    with pytest.raises(UserError, match="orita ingest"):
        store.get_offline_features([])


def test_a_process_opens_the_online_state_once(published: Workspace) -> None:
    """A store that is given what reads the online state beside a server reads through the same."""
    online = OnlineFeatures(plan_of(published.system), FolderGenerations(published.home.online / "small"))
    online.refresh()
    store = FeatureStore(published.home, published.system, online=online, clock=published.clock)
    assert store.get_online_features(3, [100])["user_clicks"].to_pylist() == [10]
    store.close()
    assert not online.refresh()
    online.close()


def test_the_readers_that_are_kept_are_bounded(store: FeatureStore) -> None:
    """However many selections are asked for, only so many readers are kept."""
    names = list(store.system.schema().names)
    for n in range(100):
        store.get_online_features(3, [100], features=[names[k % len(names)] for k in (n, n // 8, n // 64, 0)])
    assert len(store._readers) <= 64


def test_pushed_events_are_in_the_features_once(tmp_path: Path) -> None:
    """Events that are pushed twice count once, online and, through the lake, offline; ids keep the lake's type."""
    workspace = small_workspace(tmp_path)
    ingested(workspace.home, tmp_path, events(50), workspace.system)
    before = publish_online(workspace)
    store = FeatureStore(workspace.home, workspace.system, clock=workspace.clock)
    more = [{**row, "user_id": str(row["user_id"]), "click": 1} for row in events(7, start=50, last=NOW)]
    for _ in range(2):
        taken = store.push_features([{**row, "timestamp": (NOW - timedelta(minutes=5)).isoformat()} for row in more])
        assert sum(span.next - span.first for span in taken.values()) == 7
    done = stream_features(workspace, until=lambda _: False, once=True)
    assert (done.counted, done.duplicates, done.waiting, done.generation) == (7, 7, 0, before.name)
    clicks = 8 // 3 + 1  # of user 1: events 1, 8, … 43, of which every third was clicked
    row = {"user_id": 1, "item_id": 100, "timestamp": NOW.isoformat()}
    online = store.get_online_features(1, [100], features=["user_clicks"])["user_clicks"].to_pylist()
    assert online == store.get_offline_features([row], ["user_clicks"])["user_clicks"].to_pylist() == [clicks]


def test_a_push_is_whole_or_nothing(tmp_path: Path) -> None:
    """One unsound row, or an undeclared column, refuses the push; the sentence names row, column and value."""
    workspace = small_workspace(tmp_path)
    store = FeatureStore(workspace.home, workspace.system)
    rows = events(3)
    with pytest.raises(UserError, match=r"row 1.*click is 7"):
        store.push_features([rows[0], {**rows[1], "click": 7}, rows[2]])
    with pytest.raises(UserError, match=r"'clik'.*'click'"):
        store.push_features([{**rows[0], "clik": 1}])
    with pytest.raises(NotFound, match="interactions"):
        store.push_features(rows, "interaction")
    assert store.log.streams() == ()
    assert store.push_features([]) == {}


def test_a_stream_follows_a_new_generation(tmp_path: Path) -> None:
    """What is published while a stream runs is taken up by it."""
    workspace = small_workspace(tmp_path)
    ingested(workspace.home, tmp_path, events(20), workspace.system)
    publish_online(workspace)
    seen: list[str] = []

    def until(done: object) -> bool:
        generation = done.generation  # type: ignore[attr-defined]
        if not seen:
            ingested(workspace.home, tmp_path, events(1, start=20), workspace.system)
            publish_online(workspace)
        seen.append(generation)
        return len(set(seen)) == 2

    done = stream_features(workspace, until=until, into_lake=False)
    current = workspace.generations().current()
    assert current is not None and done.generation == current.name != seen[0]


def test_all_of_it_can_be_awaited(store: FeatureStore) -> None:
    """The asynchronous store gives what the other gives, and several calls may be under way at once."""
    plain = store
    awaited = AsyncFeatureStore(plain)
    row = {"user_id": 3, "item_id": 100, "timestamp": NOW.isoformat()}

    async def every() -> list[pa.Table]:
        online = [awaited.get_online_features(user, [100, 101]) for user in range(4)]
        return list(await asyncio.gather(*online, awaited.get_offline_features([row])))

    found = asyncio.run(every())
    assert found[:4] == [plain.get_online_features(user, [100, 101]) for user in range(4)]
    assert found[4] == plain.get_offline_features([row])
    assert asyncio.run(awaited.push_features([])) == {}
