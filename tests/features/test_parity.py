"""Batch, online and a naive oracle give the same values, whatever the events."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.oracle import DAY, Oracle

from orita import INTERACTION, Column, Entity, Source, System, system
from orita.core.clock import to_micros
from orita.features.history import compute_history, feature_rows
from orita.features.online import OnlineFeatures
from orita.features.plan import Plan, plan_of
from orita.features.publish import publish
from orita.features.schema import FeatureSchema

START = 1_704_067_200_000_000
COLOURS = ("red", "green")
TAGS = ("a", "b'c", "d")


def declare() -> System:
    """Declare a system with every kind of expression."""
    user = Entity(
        "user",
        "user_id",
        "users",
        [Column("group", "category", choices=COLOURS), Column("joined", "time"), Column("age", "float")],
    )
    item = Entity("item", "item_id", "items", [Column("tags", "list", choices=TAGS), Column("made", "time")])
    shown = Source("interactions", INTERACTION)
    mean_by_item = shown.mean("dwell_time").by(item).smooth(3.0, weight=2)
    above = shown.dwell_time - mean_by_item
    declared = system("test", label=shown.click, rank=item, for_=user)
    declared.features(
        count_user=shown.count().by(user),
        count_pair=shown.count().by(user, item),
        count_all=shown.count(),
        ctr_user=shown.mean("click").by(user),
        ctr_smooth=shown.mean("click").by(item).smooth(0.25, weight=4),
        dwell_sum=shown.sum("dwell_time").by(item),
        days=shown.distinct_days().by(user),
        days_pair=shown.distinct_days().by(user, item),
        recency=shown.last_time().by(user, item).decay("6h"),
        item_age=item["made"].age(otherwise=shown.first_time().by(item)),
        user_age=user["joined"].age(),
        age=user["age"],
        group=user["group"],
        tags=item["tags"],
        by_group=shown.mean("click").by(item, user["group"]),
        group_count=shown.count().by(user["group"]),
        group_last=shown.last_time().by(item, user["group"]).decay("1d"),
        tag_count=shown.count().by(user, item["tags"]),
        tag_mean=shown.mean("dwell_time").by(user, item["tags"]),
        tag_sum=shown.sum("dwell_time").by(item["tags"]),
        tag_smooth=shown.mean("click").by(user, item["tags"]).smooth(0.5, weight=1),
        mean_item=mean_by_item,
        above_user=shown.mean(above).by(user),
        above_tags=shown.mean(above).by(user, item["tags"]),
        hour=shown.context.hour_of_day(),
        weekday=shown.context.day_of_week(),
        device=shown.context.device.one_hot("mobile", "tablet"),
    )
    return declared


SYSTEM = declare()
PLAN = plan_of(SYSTEM)

times = st.integers(0, 40).map(lambda step: START + step * (DAY // 9))
optional_float = st.one_of(st.none(), st.floats(0, 300).map(lambda v: round(v, 2)))


def events_of(ids: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return lists of events with ties, missing values and few ids, so that keys repeat."""
    event = st.fixed_dictionaries({
        "user_id": ids,
        "item_id": ids,
        "t": times,
        "click": st.integers(0, 1),
        "dwell_time": optional_float,
        "device": st.sampled_from([None, "mobile", "desktop", "tablet"]),
    })  # fmt: skip
    return st.lists(event, min_size=1, max_size=25)


def attributes_of(ids: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, dict[Any, dict[str, Any]]]]:
    """Return attributes for some of the ids, with missing and undeclared values."""
    users = st.fixed_dictionaries({
        "group": st.sampled_from([None, "red", "green", "blue"]),
        "joined": st.one_of(st.none(), times),
        "age": st.one_of(st.none(), st.integers(1, 90)),
    })  # fmt: skip
    items = st.fixed_dictionaries({
        "tags": st.one_of(st.none(), st.lists(st.sampled_from([*TAGS, "z"]), max_size=3)),
        "made": st.one_of(st.none(), times),
    })  # fmt: skip
    return st.fixed_dictionaries({
        "user": st.dictionaries(ids, users, max_size=4),
        "item": st.dictionaries(ids, items, max_size=4),
    })  # fmt: skip


integers = st.sampled_from([0, 1, 11, 111])
strings = st.sampled_from(["1", "11", "ẹ̀kọ́", "a" * 300])


def connect(
    events: list[dict[str, Any]], attributes: dict[str, dict[Any, dict[str, Any]]], ids: pa.DataType
) -> tuple[Any, dict[str, str]]:
    """Return a connection that holds the events and attributes as tables."""
    connection = duckdb.connect()
    stamp = pa.timestamp("us")
    interactions = pa.table({
        "interaction_id": [f"e{i}" for i in range(len(events))],
        "user_id": pa.array([e["user_id"] for e in events], ids),
        "item_id": pa.array([e["item_id"] for e in events], ids),
        "timestamp": pa.array([e["t"] for e in events], stamp),
        "click": pa.array([e["click"] for e in events], pa.int8()),
        "dwell_time": pa.array([e["dwell_time"] for e in events], pa.float64()),
        "device": pa.array([e["device"] for e in events], pa.string()),
    })  # fmt: skip
    users, items = attributes["user"], attributes["item"]
    tables = {
        "interactions": interactions,
        "users": pa.table({
            "user_id": pa.array(list(users), ids),
            "group": pa.array([v["group"] for v in users.values()], pa.string()),
            "joined": pa.array([v["joined"] for v in users.values()], stamp),
            "age": pa.array([v["age"] for v in users.values()], pa.float64()),
        }),
        "items": pa.table({
            "item_id": pa.array(list(items), ids),
            "tags": pa.array([v["tags"] for v in items.values()], pa.list_(pa.string())),
            "made": pa.array([v["made"] for v in items.values()], stamp),
        }),
    }  # fmt: skip
    for name, table in tables.items():
        connection.register(f"{name}_arrow", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")
    return connection, {name: name for name in tables}


def close(found: float | None, expected: float, what: str) -> None:
    """Assert that two values are equal: both missing, or within float32 rounding of each other."""
    missing = found is None or math.isnan(found)
    assert missing == math.isnan(expected), f"{what}: {found} but the oracle says {expected}"
    if not missing:
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-4), what


def rows_of(plan: Plan, connection: Any, relations: dict[str, str], schema: FeatureSchema) -> list[dict[str, Any]]:
    """Return the rows of the batch engine."""
    rows: list[dict[str, Any]] = feature_rows(plan, compute_history(plan, connection, relations), schema).to_pylist()
    return rows


def check_history(
    plan: Plan, connection: Any, relations: dict[str, str], events: list[dict[str, Any]], oracle: Oracle
) -> None:
    """Assert that the batch engine has one row an event, each as the oracle computes it."""
    schema = plan.system.schema()
    rows = rows_of(plan, connection, relations, schema)
    assert sorted(row["event_id"] for row in rows) == sorted(f"e{i}" for i in range(len(events)))
    for row in rows:
        event = events[int(row["event_id"][1:])]
        expected = oracle.row(event["user_id"], event["item_id"], event["t"], event)
        for name in schema.names:
            close(row[name], expected[name], f"history {name} of {event}")


def check_online(
    plan: Plan, connection: Any, relations: dict[str, str], ids: list[Any], oracle: Oracle, folder: Path
) -> None:
    """Assert that the online engine answers as the oracle does, for known and unknown keys."""
    publish(plan, connection, relations, folder, tables={})
    reader = OnlineFeatures(plan, folder).reader(plan.system.schema())
    at = START + 50 * DAY + 12_345
    for user in ids:
        x_NF = reader.matrix(user, ids, {"device": "tablet"}, at)
        for item, row in zip(ids, x_NF.tolist(), strict=True):
            expected = oracle.row(user, item, at, {"device": "tablet"})
            for name, value in zip(reader.schema.names, row, strict=True):
                close(value, expected[name], f"online {name} of {user!r}, {item!r}")


@settings(max_examples=25, deadline=None)
@given(st.data(), st.sampled_from([(integers, pa.int64(), 99), (strings, pa.string(), "new")]))
def test_batch_and_online_equal_the_oracle(
    data: st.DataObject, kind: tuple[st.SearchStrategy[Any], pa.DataType, Any]
) -> None:
    """Same events, same time: batch and online give the oracle's values, for every expression and any order of rows."""
    ids, arrow, unknown = kind
    events = data.draw(events_of(ids))
    attributes = data.draw(attributes_of(ids))
    connection, relations = connect(events, attributes, arrow)
    oracle = Oracle(SYSTEM, events, attributes)
    check_history(PLAN, connection, relations, events, oracle)
    known = sorted({e["user_id"] for e in events} | {e["item_id"] for e in events} | {unknown}, key=str)
    with tempfile.TemporaryDirectory() as folder:
        check_online(PLAN, connection, relations, known, oracle, Path(folder))
    connection.close()


def test_an_event_never_sees_its_own_instant() -> None:
    """Two events at one time do not count for each other; the next instant sees both."""
    events = [
        {"user_id": 1, "item_id": 1, "t": START + step, "click": 1, "dwell_time": 1.0, "device": None}
        for step in (0, 0, 1)
    ]
    connection, relations = connect(events, {"user": {}, "item": {}}, pa.int64())
    rows = rows_of(PLAN, connection, relations, SYSTEM.schema(["count_user"]))
    assert sorted((row["event_id"], row["count_user"]) for row in rows) == [("e0", 0), ("e1", 0), ("e2", 2)]
    connection.close()


def test_a_time_that_state_has_passed_is_refused(tmp_path: Path) -> None:
    """Online, a request that is not after the latest event of its keys is an error, never a wrong number."""
    events = [{"user_id": 1, "item_id": 2, "t": START, "click": 1, "dwell_time": 1.0, "device": None}]
    connection, relations = connect(events, {"user": {}, "item": {}}, pa.int64())
    publish(PLAN, connection, relations, tmp_path, tables={})
    reader = OnlineFeatures(PLAN, tmp_path).reader(SYSTEM.schema())
    for user, item in ((1, 9), (9, 2), (1, 2)):
        with pytest.raises(ValueError, match="send a later timestamp"):
            reader.matrix(user, [item], {}, START)
    assert reader.matrix(9, [9], {}, START).shape == (1, len(reader.schema))
    assert reader.matrix(1, [2], {}, START + 1).shape == (1, len(reader.schema))
    connection.close()


def test_time_is_utc() -> None:
    """Hour and weekday are those of UTC: 2024-01-01 was a Monday."""
    from datetime import datetime

    at = to_micros(datetime.fromisoformat("2024-01-01T23:30:00+00:00"))
    events = [{"user_id": 1, "item_id": 2, "t": at, "click": 1, "dwell_time": 1.0, "device": None}]
    connection, relations = connect(events, {"user": {}, "item": {}}, pa.int64())
    (row,) = rows_of(PLAN, connection, relations, SYSTEM.schema(["hour", "weekday"]))
    assert (row["hour"], row["weekday"]) == (23, 0)
    connection.close()
