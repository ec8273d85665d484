"""The batch engine against expectations written by hand; what it promises of rows, errors and its interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from orita import Column, Entity, Source, System, TableSchema, system
from orita.core.errors import UserError
from orita.features.batch import attribute_column
from orita.features.frame import attribute_tables, grouping_attributes, load_events, with_attributes
from orita.features.history import (
    compute_history,
    feature_rows,
    feature_values,
    offline_features,
    residual_values,
    values_of_read,
)
from orita.features.history import stretch as stretches
from orita.features.plan import Plan, plan_of

HOUR = 3_600_000_000
NOON = 1_704_110_400_000_000

SHOWN_TABLE = TableSchema(
    "shown",
    key="id",
    time="at",
    ingested="seen",
    columns=(
        Column("id", "str", required=True),
        Column("user", "id"),
        Column("item", "id"),
        Column("at", "time", required=True),
        Column("seen", "time"),
        Column("click", "flag"),
        Column("amount", "float"),
    ),
)
USER = Entity("user", "user", "users", [Column("colour", "category", choices=("red", "blue"))])
ITEM = Entity("item", "item", "items", [Column("tags", "list", choices=("a", "b"))])
SHOWN = Source("shown", SHOWN_TABLE)


def declare(**features: Any) -> Plan:
    """Return the plan of a system with *features*."""
    declared: System = system("test", label=SHOWN.click, rank=ITEM, for_=USER)
    declared.features(**features)
    return plan_of(declared)


def events(*rows: tuple[int, int | None, int | None, float], late: int = 0) -> pa.Table:
    """Return events of (hour, user, item, amount), each known *late* hours after its time."""
    hours = [row[0] for row in rows]
    return pa.table({
        "id": [f"e{n}" for n in range(len(rows))],
        "user": pa.array([row[1] for row in rows], pa.int64()),
        "item": pa.array([row[2] for row in rows], pa.int64()),
        "at": moments(hours),
        "seen": moments([hour + late for hour in hours]),
        "click": pa.array([n % 2 for n in range(len(rows))], pa.int8()),
        "amount": pa.array([row[3] for row in rows], pa.float64()),
    })  # fmt: skip


def moments(hours: list[int]) -> pa.Array:
    """Return times so many hours after noon."""
    return pa.array([NOON + hour * HOUR for hour in hours], pa.timestamp("us"))


def asking(*rows: tuple[int, int | None, int | None]) -> pa.Table:
    """Return rows of (hour, user, item)."""
    return pa.table({
        "user": pa.array([row[1] for row in rows], pa.int64()),
        "item": pa.array([row[2] for row in rows], pa.int64()),
        "at": moments([row[0] for row in rows]),
    })  # fmt: skip


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """Return an empty database."""
    with duckdb.connect() as opened:
        yield opened


def ask(
    plan: Plan, connection: duckdb.DuckDBPyConnection, told: pa.Table, rows: pa.Table | None = None, **options: Any
) -> dict[str, list[float | None]]:
    """Return the features of *rows*, or of the events themselves, by name; None where missing."""
    connection.register("told", told)
    history = compute_history(plan, connection, {"shown": "told"}, rows=rows, **options)
    values = feature_values(plan, history, plan.system.schema())
    return {name: [None if x != x else x for x in value_N.tolist()] for name, value_N in values.items()}


def test_rows_are_answered_in_their_order_each_once(connection: duckdb.DuckDBPyConnection) -> None:
    """Rows that repeat, lack a key, are unknown or come before the first event are all there, where they were."""
    plan = declare(n=SHOWN.count().by(USER), pair=SHOWN.count().by(USER, ITEM), mean=SHOWN.mean("amount").by(USER))
    told = events((0, 1, 7, 2.0), (1, 1, 8, 4.0), (1, None, 7, 9.0))
    rows = asking((5, 1, 7), (0, 1, 7), (5, None, 7), (5, 99, 7), (5, 1, 7), (1, 1, 7))
    found = ask(plan, connection, told, rows)
    assert found["n"] == [2, 0, 0, 0, 2, 1]
    assert found["pair"] == [1, 0, 0, 0, 1, 1]
    assert found["mean"] == [3, None, None, None, 3, 2]


def test_an_event_sees_neither_itself_nor_its_instant(connection: duckdb.DuckDBPyConnection) -> None:
    """Events of one instant do not see each other, in whatever order they are stored."""
    plan = declare(n=SHOWN.count().by(USER))
    assert ask(plan, connection, events((1, 1, 1, 0.0), (0, 1, 1, 0.0), (1, 1, 2, 0.0)))["n"] == [1, 0, 1]


def test_known_and_event_time_differ_where_events_come_late(connection: duckdb.DuckDBPyConnection) -> None:
    """As of what was known, an event is seen from when it was known; as of event time, from its own time."""
    plan = declare(n=SHOWN.count().by(USER), week=SHOWN.sum("amount").by(USER).over("3h"))
    told, rows = events((0, 1, 1, 1.0), (1, 1, 1, 2.0), late=2), asking((1, 1, 1), (2, 1, 1), (3, 1, 1), (4, 1, 1))
    assert ask(plan, connection, told, rows) == {"n": [0, 1, 2, 2], "week": [0, 1, 3, 2]}
    assert ask(plan, connection, told, rows, as_of="event") == {"n": [1, 2, 2, 2], "week": [1, 3, 3, 2]}


def test_the_same_id_twice_counts_once_the_first_known(connection: duckdb.DuckDBPyConnection) -> None:
    """Of two rows of one id the one that became known first is kept, unless the table is said to have ids once."""
    told = events((0, 1, 1, 1.0), (0, 1, 1, 5.0), (1, 1, 1, 10.0))
    seen = moments([9, 3, 1])
    told = told.set_column(0, "id", pa.array(["a", "a", "b"])).set_column(4, "seen", seen)
    plan, rows = declare(total=SHOWN.sum("amount").by(USER)), asking((20, 1, 1))
    assert ask(plan, connection, told, rows)["total"] == [15]
    assert ask(plan, connection, told, rows, unique=True)["total"] == [16]
    assert len(ask(plan, connection, told)["total"]) == 2


def test_keys_may_be_text_on_both_sides_and_never_number_and_text(connection: duckdb.DuckDBPyConnection) -> None:
    """Text keys meet text keys; numbers and text are refused, in a sentence that names the key and both types."""
    plan = declare(n=SHOWN.count().by(USER))
    told, rows = events((0, 1, 1, 1.0), (1, 11, 1, 1.0)), asking((5, 11, 1), (5, 2, 1))
    as_text = [
        table.set_column(table.column_names.index("user"), "user", table["user"].cast(pa.string()))
        for table in (told, rows)
    ]
    assert ask(plan, connection, *as_text)["n"] == [1, 0]
    with pytest.raises(UserError, match="the key 'user' is of the types int64 and string"):
        ask(plan, connection, told, as_text[1])


def test_rows_without_a_key_column_or_a_time_are_refused(connection: duckdb.DuckDBPyConnection) -> None:
    """What is missing is named."""
    plan, told = declare(n=SHOWN.count().by(USER)), events((0, 1, 1, 1.0))
    with pytest.raises(UserError, match="need the column 'user'"):
        ask(plan, connection, told, asking((0, 1, 1)).drop_columns("user"))
    with pytest.raises(UserError, match="give each row a timestamp"):
        ask(plan, connection, told, asking((0, 1, 1)).set_column(2, "at", pa.array([None], pa.timestamp("us"))))
    with pytest.raises(UserError, match="table 'shown' has no column 'at'"):
        ask(plan, connection, told.drop_columns("at"))
    with pytest.raises(UserError, match="1 events without 'at'"):
        ask(plan, connection, told.set_column(3, "at", pa.array([None], pa.timestamp("us"))))
    with pytest.raises(UserError, match="there is no table 'shown'"):
        compute_history(plan, connection, {})


def test_a_column_that_came_later_is_missing_before(connection: duckdb.DuckDBPyConnection) -> None:
    """A table without a declared column is read as if it were null everywhere."""
    plan = declare(total=SHOWN.sum("amount").by(USER), mean=SHOWN.mean("amount").by(USER), n=SHOWN.count().by(USER))
    told = events((0, 1, 1, 1.0), (1, 1, 1, 1.0)).drop_columns(["amount", "seen"])
    assert ask(plan, connection, told) == {"total": [0, 0], "mean": [None, None], "n": [0, 1]}


def test_training_rows_and_asked_rows_are_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Events become rows with ids, time and target; other rows keep their columns; a count is a whole number."""
    plan = declare(n=SHOWN.count().by(USER), mean=SHOWN.mean("amount").by(USER), colour=USER["colour"])
    connection.register("told", events((0, 1, 7, 2.0), (1, 1, 8, 4.0)))
    connection.execute("CREATE TABLE users AS SELECT 1 AS user, 'blue' AS colour")
    relations, schema = {"shown": "told", "users": "users"}, plan.system.schema()
    rows = feature_rows(plan, compute_history(plan, connection, relations), schema)
    assert rows.column_names == ["event_id", "user_id", "item_id", "timestamp", "target", "n", "mean", "colour"]
    assert rows.select(["event_id", "item_id", "target", "n", "mean", "colour"]).to_pylist() == [
        {"event_id": "e0", "item_id": 7, "target": 0, "n": 0, "mean": None, "colour": 1},
        {"event_id": "e1", "item_id": 8, "target": 1, "n": 1, "mean": 2.0, "colour": 1},
    ]
    asked = asking((5, 1, 7), (5, 2, 7)).append_column("note", pa.array(["x", "y"]))
    found = offline_features(plan, connection, relations, asked, schema)
    assert found.column_names == ["user", "item", "at", "note", "n", "mean", "colour"]
    assert found.select(["note", "n", "colour"]).to_pylist() == [
        {"note": "x", "n": 2, "colour": 1},
        {"note": "y", "n": 0, "colour": None},
    ]


def test_ids_of_several_columns_are_told_apart_in_training_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """A user whose key has two columns is one text in training rows, and no two users are the same text."""
    schema = SHOWN_TABLE.with_columns(Column("bank", "str"), Column("branch", "str"))
    source, branch = Source("shown", schema), Entity("branch", ("bank", "branch"))
    declared = system("test", label=source.click, rank=ITEM, for_=branch)
    declared.features(n=source.count().by(branch))
    plan = plan_of(declared)
    told = events(*((hour, 1, 1, 0.0) for hour in range(4)))
    told = told.append_column("bank", pa.array(["a/", "a", "a\\", "a"])).append_column(
        "branch", pa.array(["b", "/b", "/b", "/b"])
    )
    connection.register("told", told)
    rows = feature_rows(plan, compute_history(plan, connection, {"shown": "told"}), declared.schema())
    assert len(set(rows["user_id"].to_pylist())) == 3
    assert rows["n"].to_pylist() == [0, 0, 0, 1]


def test_one_read_on_arrow_tables_alone_is_what_history_computes(connection: duckdb.DuckDBPyConnection) -> None:
    """Any engine that brings keys together itself gets the same values of a read from the events and rows of a part."""
    above = SHOWN.amount - SHOWN.mean("amount").by(ITEM).smooth(2.0, weight=1)
    plan = declare(
        n=SHOWN.count().by(USER).over("3h"),
        tags=SHOWN.sum("amount").by(USER, ITEM["tags"]),
        above=SHOWN.mean(above).by(USER),
        all=SHOWN.max("amount"),
        colours=SHOWN.last("amount").by(ITEM, USER["colour"]),
    )
    draw = np.random.default_rng(5)
    told = events(*((int(h), int(u), int(i), float(h % 5)) for h, u, i in draw.integers(0, 9, (60, 3))), late=1)
    connection.register("told", told)
    connection.execute(
        "CREATE TABLE users AS SELECT range AS user, if(range % 2 = 0, 'red', 'blue') AS colour FROM range(6)"
    )
    connection.execute(
        "CREATE TABLE items AS SELECT range AS item, if(range < 4, ['a', 'b'], ['b']) AS tags FROM range(7)"
    )
    relations = {"shown": "told", "users": "users", "items": "items"}
    asked = asking(*((int(h), int(u), int(i)) for h, u, i in draw.integers(0, 12, (40, 3))))
    history = compute_history(plan, connection, relations, rows=asked)
    attributes, key_of = grouping_attributes(plan, SHOWN), {USER: "user", ITEM: "item"}
    known = attribute_tables(plan, connection, relations)
    table = with_attributes(load_events(plan, SHOWN, connection, relations), attributes, key_of, known)
    for residual, value_N in residual_values(plan, {"shown": table}).items():
        table = table.append_column(plan.residual(residual), pa.array(value_N))
    rows = with_attributes(asked, attributes, key_of, known)
    assert attribute_column(ITEM["tags"]) in rows.column_names
    found: dict[str, Any] = {}
    for read in plan.reads:
        part = values_of_read(plan, read, table, rows)
        found |= {name: part[name].to_pylist() for name in part.column_names}
    for aggregate in plan.aggregates:
        expected = [None if x != x else x for x in history.values[aggregate].tolist()]
        assert found[plan.name(aggregate)] == pytest.approx(expected), aggregate


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_the_size_of_stretches_changes_nothing(
    size: int, connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However the groups are parted into stretches of work, every row has its value."""
    plan = declare(
        n=SHOWN.count().by(USER).over("5h"), pair=SHOWN.sum("amount").by(USER, ITEM), total=SHOWN.sum("amount")
    )
    draw = np.random.default_rng(11)
    told = events(*((int(h), int(u), int(i), float(h)) for h, u, i in draw.integers(0, 12, (200, 3))))
    rows = told.to_pylist()
    hours = [(row["at"] - rows[0]["at"]).total_seconds() for row in rows]
    monkeypatch.setattr(stretches.stretch_bounds, "__defaults__", (size,))
    found = ask(plan, connection, told)
    for n, row in enumerate(rows):
        past = [(other, hours[m]) for m, other in enumerate(rows) if hours[m] < hours[n]]
        mine = [other for other, at in past if other["user"] == row["user"] and at >= hours[n] - 5 * 3600]
        assert found["n"][n] == len(mine)
        both = [o["amount"] for o, _ in past if (o["user"], o["item"]) == (row["user"], row["item"])]
        assert found["pair"][n] == sum(both)
        assert found["total"][n] == sum(other["amount"] for other, _ in past)


def test_many_late_events_of_one_key_take_no_quadratic_time(connection: duckdb.DuckDBPyConnection) -> None:
    """Where every event becomes known late, a window over all of them is not gone through for each row."""
    plan = declare(total=SHOWN.sum("amount"), top=SHOWN.max("amount").over("9000h", cap=1_000_000))
    size = 200_000
    at = np.arange(size) * 1_000_000 + NOON
    told = pa.table({
        "id": np.arange(size).astype(str), "user": np.zeros(size, np.int64), "item": np.zeros(size, np.int64),
        "at": pa.array(at, pa.timestamp("us")), "seen": pa.array(at + 5_000_000, pa.timestamp("us")),
        "click": np.zeros(size, np.int8), "amount": np.ones(size),
    })  # fmt: skip
    found = ask(plan, connection, told)
    assert found["total"] == [max(0, n - 4) for n in range(size)]
    assert found["top"] == [1.0 if n > 4 else None for n in range(size)]
