"""The events told of a feature are those that it was made of: as many as a count of them counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.features.small_system import NOW, declared_system, events, ingested, small_workspace

from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.events.lake import Lake
from orita.explain.events_behind import EventsBehind
from orita.explain.lineage import lineage_of_feature
from orita.features.api.relations import system_tables
from orita.features.declarations import Aggregate
from orita.features.history import offline_features
from orita.features.plan import plan_of
from orita.pipelines.workspace import Workspace

COUNTED = """
from orita import INTERACTION, Column, Entity, Source, system

user = Entity("user", key="user_id")
item = Entity("item", key="item_id", table="items", attributes=[
    Column("topic", "category", choices=("a", "b")), Column("tags", "list", choices=("x", "y", "z"))])
shown = Source("interactions", INTERACTION)
feed = system("small", label=shown.click, rank=item, for_=user)
feed.features(
    ever=shown.count().by(user),
    pair=shown.count().by(user, item),
    day=shown.count().by(item).over("1d"),
    latest=shown.count().by(item).over("3d", cap=4),
    hopped=shown.count().by(user).over("6h", hop="1h"),
    since_midnight=shown.count().by(user).tumbling("1d"),
    session=shown.count().by(item).session("45m"),
    late=shown.count().by(user).over("1d").delayed("5h"),
    clicked=shown.count().by(user).where(shown.click.equals(1) & (shown.dwell_time > 1)),
    topic=shown.count().by(user, item["topic"]),
    everywhere=shown.count(),
)
"""
TOPICS = {100: "a", 101: "b", 102: "a", 103: "b"}  # 104 has none


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home with 400 events, of which every fourth became known seven hours late, and items with topics."""
    folder = tmp_path_factory.mktemp("behind")
    made = small_workspace(folder, declared_system(COUNTED))
    rows = events(400)
    for n, row in enumerate(rows):
        lag = timedelta(hours=7 if n % 4 == 0 else 0, seconds=1)
        row["ingested_at"] = (datetime.fromisoformat(row["timestamp"]) + lag).isoformat()
    ingested(made.home, folder, rows, made.system)
    items = pa.table({"item_id": pa.array(list(TOPICS)), "topic": list(TOPICS.values()), "tags": [["x"]] * 4})
    Lake(made.home).append("items", items.to_reader())
    return made


def test_as_many_as_were_counted(workspace: Workspace) -> None:
    """For every window, filter and key a count is the number of events that are told, known as of its time."""
    system, random = workspace.system, np.random.default_rng(4)
    times = [NOW - timedelta(minutes=int(m)) for m in random.integers(1, 4000, 25)]
    asked = [(int(random.integers(0, 8)), int(random.integers(100, 106)), at) for at in times]
    tables = system_tables(Lake(workspace.home), system)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = zip(*asked, strict=True)
        rows = pa.table(dict(zip(("user_id", "item_id", "timestamp"), map(list, columns), strict=True)))
        made = offline_features(
            plan_of(system), connection, tables.relations, rows, system.schema(), "known", unique=True
        )
        differing = 0
        for n, (user, item, at) in enumerate(asked):
            ids = {system.user: str(user), system.item: str(item)}
            behind = EventsBehind(connection, tables, ids, to_micros(at))
            for name, expression in system.declared.items():
                assert isinstance(expression, Aggregate)
                told = behind.of(expression)
                assert told.count == (made[name][n].as_py() or 0), f"{name} of user {user}, item {item} at {at}"
                assert len(told.latest) == min(3, told.count)
                assert (told.first <= told.last) and all(e["timestamp"] < at.isoformat() for e in told.latest)
                differing += told.count != behind.of(system.declared["ever"]).count  # type: ignore[arg-type]
    assert differing > 150, "windows and filters do not all say the same"


@pytest.fixture
def behind(workspace: Workspace) -> Iterator[EventsBehind]:
    """What finds events of user 3 and item 102 at the present."""
    system = workspace.system
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ids = {system.user: "3", system.item: "102"}
        yield EventsBehind(connection, system_tables(Lake(workspace.home), system), ids, to_micros(NOW))


def test_what_is_told_of_them(workspace: Workspace, behind: EventsBehind) -> None:
    """Keys, window and filter are named, and the latest events come first with the columns that were read."""
    told = lineage_of_feature(workspace.system.declared["clicked"], behind)
    (events_,) = told["events"]
    assert (events_["source"], events_["by"], events_["window"]) == ("interactions", {"user_id": "3"}, "lifetime")
    assert "click" in events_["filter"]
    assert told["declared"].startswith("number of events in interactions")
    assert {"interactions.click", "interactions.dwell_time", "interactions.user_id"} <= set(told["reads"])
    latest: list[dict[str, Any]] = list(events_["latest"])
    assert latest == sorted(latest, key=lambda event: event["timestamp"], reverse=True)
    assert {event["click"] for event in latest} == {1} and {event["user_id"] for event in latest} == {3}
    assert latest[0]["timestamp"] == events_["last"]


def test_attributes_are_told(workspace: Workspace, behind: EventsBehind) -> None:
    """What stands in an entity's table is named with its value; an entity that the log does not name is said to be."""
    told = lineage_of_feature(workspace.system.declared["topic"], behind)
    assert told["attributes"] == [{"table": "items", "column": "topic", "id": "102", "value": "a"}]
    assert told["events"][0]["by"] == {"user_id": "3", "item.topic": "a"}
    unnamed = behind.for_row({workspace.system.user: "3"})
    told = lineage_of_feature(workspace.system.declared["pair"], unnamed)
    assert told["events"] == []
    assert told["unknown"] == ["interactions: it is keyed by item_id of the request, which is not logged."]


def test_an_id_of_another_kind(workspace: Workspace, behind: EventsBehind) -> None:
    """An id that is no number has no events in a table of numbers."""
    odd = behind.for_row({workspace.system.user: "o'hara", workspace.system.item: "007"})
    ever = workspace.system.declared["ever"]
    assert isinstance(ever, Aggregate)
    assert odd.of(ever).count == 0


def test_a_table_that_is_gone(workspace: Workspace, behind: EventsBehind) -> None:
    """A source without a table is said to be gone."""
    ever = workspace.system.declared["ever"]
    assert isinstance(ever, Aggregate)
    behind.tables = type(behind.tables)({})
    with pytest.raises(UserError, match="the lake has no table 'interactions' any more"):
        behind.of(ever)
