"""Events as they arrive: typed where they can be, refused by row, column and value where they cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita import INTERACTION, Column, TableSchema
from orita.core.clock import to_micros
from orita.core.errors import UserError
from orita.events.arriving import arrived, event_table
from orita.events.arrow_rows import as_table

ROW: dict[str, Any] = {
    "interaction_id": "a", "user_id": 1, "item_id": 2, "timestamp": "2024-11-15T10:30:00Z", "click": 1,
}  # fmt: skip
SCHEMA = TableSchema(
    "events",
    key="id",
    time="at",
    columns=(
        Column("id", "str", required=True),
        Column("at", "time", required=True),
        Column("who", "id"),
        Column("count", "int", minimum=0),
        Column("price", "float", maximum=10),
        Column("flag", "flag"),
        Column("code", "str", pattern="[a-z]+"),
        Column("kind", "category", choices=("x", "y")),
        Column("tags", "list"),
    ),
)
SOUND: dict[str, Any] = {
    "id": "a", "at": "2024-11-15T10:30:00", "who": 3, "count": "7", "price": 1, "flag": True, "code": "abc",
    "kind": "y", "tags": ["p", "q"],
}  # fmt: skip


def test_rows_are_typed_by_their_columns() -> None:
    """Texts that are numbers become numbers, times UTC, flags 0 or 1; an absent column stays absent."""
    table = event_table(SCHEMA, [SOUND])
    at = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)
    typed = {**SOUND, "at": at, "count": 7, "price": 1.0, "flag": 1}
    assert table.to_pylist() == [typed]
    kinds = [
        "string",
        "timestamp[us, tz=UTC]",
        "int64",
        "int64",
        "double",
        "int8",
        "string",
        "string",
        "list<item: string>",
    ]
    assert [str(field.type) for field in table.schema] == kinds
    assert "price" not in event_table(SCHEMA, [{"id": "a", "at": at}]).column_names


@pytest.mark.parametrize(
    "at",
    [
        "2024-11-15T10:30:00Z",
        "2024-11-15T10:30:00",
        "2024-11-15 10:30:00.000000",
        "2024-11-15T11:30:00+01:00",
        datetime(2024, 11, 15, 10, 30),  # noqa: DTZ001 - without an offset, on purpose
        datetime(2024, 11, 15, 10, 30, tzinfo=UTC),
    ],
)
def test_a_time_without_offset_is_utc_and_others_are_turned(at: object) -> None:
    """However a time is written, it is the same instant."""
    found = event_table(SCHEMA, [{**SOUND, "at": at}])["at"].to_pylist()
    assert found == [datetime(2024, 11, 15, 10, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("id", None, "text"),
        ("at", None, "a time"),
        ("at", "yesterday", "a time"),
        ("who", -3, "from 0 to"),
        ("count", 1.5, "whole number"),
        ("count", -1, "from 0"),
        ("price", 11, "to 10"),
        ("price", float("inf"), "number"),
        ("flag", 2, "0 or 1"),
        ("code", "ABC", "[a-z]+"),
        ("kind", "z", "['x', 'y']"),
    ],
)
def test_an_unsound_value_is_refused_by_row_and_column(column: str, value: object, allowed: str) -> None:
    """The sentence names row, column, value and what is allowed; the other rows are still found sound."""
    rows = [SOUND, {**SOUND, column: value}, SOUND]
    with pytest.raises(UserError) as error:
        event_table(SCHEMA, rows)
    told = str(error.value)
    assert told.startswith(f"row 1 of 'events': {column} is ")
    assert allowed in told
    found = arrived(SCHEMA, as_table(rows))
    assert found.sound_N.tolist() == [True, False, True]
    assert len(found.sound) == 2
    assert [fault[:2] for fault in found.faults] == [(1, column)]


def test_a_missing_required_column_and_an_undeclared_one_are_refused() -> None:
    """Both are told, the undeclared one with the closest that is declared."""
    without = {name: value for name, value in ROW.items() if name != "click"}
    with pytest.raises(UserError, match="row 0 of 'interactions': click is None"):
        event_table(INTERACTION, [without])
    with pytest.raises(UserError, match="'devise'.*'device'"):  # noqa: RUF043
        event_table(INTERACTION, [{**ROW, "devise": "mobile"}])


def test_ids_take_the_type_that_is_decided() -> None:
    """Where events are stored, ids are made their type; an id that cannot be is unsound where it is required."""
    types = {"user_id": pa.int64(), "item_id": pa.string()}
    found = event_table(INTERACTION, [{**ROW, "user_id": "12", "item_id": 7}], types).to_pylist()[0]
    assert (found["user_id"], found["item_id"]) == (12, "7")
    with pytest.raises(UserError, match="user_id is 'abc'"):
        event_table(INTERACTION, [{**ROW, "user_id": "abc"}], types)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=3), st.booleans()), max_size=5))
def test_whatever_arrives_is_judged_never_a_crash(values: list[object]) -> None:
    """Any JSON value in any column is either sound, and then within the rules, or a fault."""
    for column in ("who", "count", "price", "flag", "code", "kind", "at"):
        rows = [{"id": "a", "at": SOUND["at"], column: value} for value in values]
        found = arrived(SCHEMA, as_table(rows))
        assert len(found.table) == len(rows) == len(found.sound_N)
        for count in found.sound.to_pylist() if column == "count" else ():
            assert count["count"] is None or count["count"] >= 0


def test_nothing_in_an_optional_column_is_sound() -> None:
    """A row may lack what is not required, beside rows that have it; NaN is nothing, as it is in a file."""
    optional = [column.name for column in SCHEMA.columns if not SCHEMA.requires(column)]
    rows = [SOUND, *({**SOUND, name: None} for name in optional), {**SOUND, "price": float("nan")}]
    found = event_table(SCHEMA, rows).to_pylist()
    assert [found[n + 1][name] for n, name in enumerate(optional)] == [None] * len(optional)
    assert found[-1]["price"] is None


@pytest.mark.parametrize("rows", [[{}], [{}, {}], [SOUND, {}], [{"price": 1.0}]])
def test_rows_without_what_is_required_are_refused(rows: list[dict[str, Any]]) -> None:
    """A row of nothing is a row, and lacks its id."""
    with pytest.raises(UserError, match=rf"row {len(rows) - 1 if SOUND in rows else 0} of 'events': id is None"):
        event_table(SCHEMA, rows)


def test_too_far_ahead_is_told_from_when_a_row_came() -> None:
    """A time may lie a day after its row came, and no microsecond more, whichever day it is judged."""
    came = datetime(2024, 11, 14, 10, 30, tzinfo=UTC)
    micros = np.array([to_micros(came), to_micros(came) - 1])
    found = arrived(SCHEMA, as_table([{**SOUND, "at": came + timedelta(days=1)}] * 2), came=micros)
    assert found.sound_N.tolist() == [True, False]
    assert "at most 1 days after it came" in found.faults[0].allowed


def test_a_repeated_column_and_text_that_is_none_are_refused() -> None:
    """What no table can hold is told by its column, and by its row where it is a value."""
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    with pytest.raises(UserError, match="column 'id' is there twice"):
        event_table(SCHEMA, twice)
    with pytest.raises(UserError, match=r"row 1: code is '\\ud800': it is no text in Unicode"):
        event_table(SCHEMA, [SOUND, {**SOUND, "code": "\ud800"}])
    with pytest.raises(UserError, match=r"row 1: code is '\\ud800'"):
        event_table(SCHEMA, [{**SOUND, "code": 1}, {**SOUND, "code": "\ud800"}])
    with pytest.raises(UserError, match="a column is named"):
        event_table(SCHEMA, [{**SOUND, "\ud800": 1}])


@pytest.mark.parametrize("value", [{"a": 1}, ["a"]])
def test_an_object_among_other_values_is_refused(value: object) -> None:
    """It is no text, though it could be written as one."""
    with pytest.raises(UserError, match="row 1: code is"):
        event_table(SCHEMA, [SOUND, {**SOUND, "code": value}])
    with pytest.raises(UserError, match="row 0 of 'events': code is"):
        event_table(SCHEMA, [{**SOUND, "code": value}])
