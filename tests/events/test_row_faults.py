"""Rows that break a rule: found, named, kept, and never more than those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.schema import INTERACTION, Column

MakeRows = Callable[..., list[dict[str, Any]]]
WriteRows = Callable[[list[dict[str, Any]], str], Path]
ReadTable = Callable[..., list[dict[str, Any]]]

_FAULTS: list[tuple[str, Any, str]] = [
    ("interaction_id", None, "required"),
    ("interaction_id", " padded", "id"),
    ("user_id", None, "required"),
    ("user_id", -5, "id"),
    ("user_id", "someone", "id"),
    ("item_id", 1.5, "id"),
    ("timestamp", None, "required"),
    ("timestamp", "yesterday", "type"),
    ("timestamp", "infinity", "type"),
    ("timestamp", "2024-02-30T00:00:00Z", "type"),
    ("timestamp", "1969-12-31T23:59:59Z", "past"),
    ("timestamp", "2025-01-02T00:00:01Z", "future"),
    ("click", None, "required"),
    ("click", 2, "type"),
    ("click", "yes", "type"),
    ("like", -1, "type"),
    ("share", 0.5, "type"),
    ("dwell_time", -0.01, "range"),
    ("dwell_time", 300.01, "range"),
    ("dwell_time", "long", "type"),
    ("dwell_time", "inf", "type"),
    ("device", "fridge", "choices"),
    ("device", "Mobile", "choices"),
    ("time_of_day", "noon", "choices"),
    ("day_of_week", 7, "range"),
    ("day_of_week", 3.5, "type"),
    ("position", 0, "range"),
    ("ingested_at", "soon", "type"),
    ("code", "AB-12", "pattern"),
]
_SCHEMA = INTERACTION.with_columns(Column("code", "str", pattern="[A-Z]{2}[0-9]{2}"))
_NEXT = {"morning": "night", "night": "evening", "evening": "afternoon", "afternoon": "morning"}


def _quarantined(path: str) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        return list(connection.read_parquet(path).to_arrow_table().to_pylist())


def _with_faults(rows: list[dict[str, Any]]) -> dict[int, tuple[str, str]]:
    """Break one row in thirty, each in another way; return what was broken by row number."""
    broken: dict[int, tuple[str, str]] = {}
    for row in rows:
        row.setdefault("ingested_at", None)
        row["code"] = "AB12"
    for n, (column, value, rule) in enumerate(_FAULTS):
        rows[30 * n + 7][column] = value
        broken[30 * n + 8] = (column, rule)
    rows[900]["time_of_day"] = _NEXT[rows[900]["time_of_day"]]
    broken[901] = ("time_of_day", "agrees")
    rows[930]["day_of_week"] = (rows[930]["day_of_week"] + 1) % 7
    broken[931] = ("day_of_week", "agrees")
    return broken


@pytest.mark.parametrize("name", ["interactions.csv", "interactions.jsonl"])
def test_every_kind_of_fault_is_caught_and_nothing_else(
    name: str, make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Among 1,000 rows, each of 31 faults goes to quarantine under its own column and rule, and no sound row does."""
    rows = make_rows(1000)
    broken = _with_faults(rows)
    path = write_rows(rows, name)
    report = ingest(home, path, schemas={"interactions": _SCHEMA}, clock=clock).tables["interactions"]
    assert report.quarantine_path is not None
    kept = _quarantined(report.quarantine_path)
    assert {row["row"]: (row["column"], row["rule"]) for row in kept} == broken
    assert report.rows_quarantined == len(broken) == len(kept)
    assert report.reasons == dict(Counter(f"{column}.{rule}" for column, rule in broken.values()))
    stored = {row["interaction_id"] for row in read_table(home)}
    assert stored == {row["interaction_id"] for number, row in enumerate(rows, 1) if number not in broken}
    assert report.rows_read == report.rows_new + report.rows_duplicate + report.rows_quarantined


def test_parquet_types_are_judged_too(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Typed columns are judged by value: negative ids, NaN where a value is required, flags beyond 1."""
    rows = make_rows(200)
    for row in rows:
        row["click"] = float(row["click"])
    rows[10]["user_id"] = -1
    rows[20]["click"] = float("nan")
    rows[30]["like"] = 3
    rows[40]["dwell_time"] = float("nan")
    report = ingest(home, write_rows(rows, "interactions.parquet"), clock=clock).tables["interactions"]
    assert report.reasons == {"user_id.id": 1, "click.required": 1, "like.type": 1}


def test_broken_lines_cost_one_row_each(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """A CSV row with too few or too many columns is quarantined with its whole text and its number."""
    path = write_rows(make_rows(100), "interactions.csv")
    lines = path.read_text().splitlines()
    lines[10] = "a,b"
    lines[50] += ",more,and more"
    lines.insert(30, "")
    path.write_text("\r\n".join(lines) + "\r\n")
    report = ingest(home, path, clock=clock).tables["interactions"]
    assert report.quarantine_path is not None
    kept = _quarantined(report.quarantine_path)
    assert [(row["row"], row["rule"], row["value"]) for row in kept] == [
        (10, "columns", "a,b"),
        (50, "columns", lines[51]),
    ]
    assert (report.rows_read, report.rows_new) == (100, 98)


def test_broken_json_costs_one_row_each(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """A line that is no JSON object is quarantined under the rule json with its text."""
    path = write_rows(make_rows(100), "interactions.jsonl")
    lines = path.read_text().splitlines()
    lines[10] = '{"interaction_id": "cut'
    lines[20] = "[1, 2]"
    lines[30] = "7"
    path.write_text("\n".join(lines))
    report = ingest(home, path, clock=clock).tables["interactions"]
    assert report.quarantine_path is not None
    kept = _quarantined(report.quarantine_path)
    assert [(row["row"], row["rule"], row["value"]) for row in kept] == [
        (11, "json", lines[10]),
        (21, "json", "[1, 2]"),
        (31, "json", "7"),
    ]


def test_objects_and_lists_are_no_values(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """In JSON lines an object or a list where one value belongs breaks the rule type; text that looks so does not."""
    schema = INTERACTION.with_columns(Column("code", "str"), Column("a/b~c", "str"), Column("tags", "list"))
    rows = [{**row, "code": "x", "a/b~c": "y", "tags": ["p", "q"]} for row in make_rows(200)]
    broken = {
        "interaction_id": {"x": 1},
        "user_id": {"x": 1},
        "item_id": [1],
        "timestamp": ["2024-01-01"],
        "dwell_time": [2.5],
        "device": {"mobile": 1},
        "code": {},
        "a/b~c": [],
        "tags": {"p": 1},
    }
    for number, (column, value) in enumerate(broken.items()):
        rows[number][column] = value
    rows[50]["code"] = '{"x": [1]}'
    path = write_rows(rows, "interactions.jsonl")
    report = ingest(home, path, schemas={"interactions": schema}, clock=clock).tables["interactions"]
    assert report.reasons == {f"{column}.type": 1 for column in broken}
    assert report.rows_new == 200 - len(broken)
    stored = {row["interaction_id"]: row for row in read_table(home)}
    assert stored[rows[50]["interaction_id"]]["code"] == '{"x": [1]}'
    assert stored[rows[50]["interaction_id"]]["tags"] == ["p", "q"]
    assert isinstance(stored[rows[50]["interaction_id"]]["user_id"], int)


@pytest.mark.parametrize("name", ["interactions.csv", "interactions.jsonl", "interactions.parquet"])
def test_numbers_beyond_the_range_of_ids_leave_the_column_integer(
    name: str, make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Where every id is a number, negative and over-large ones go to quarantine; the others stay integers."""
    rows = make_rows(100)
    rows[0]["item_id"] = 2**63 - 1
    for n in range(1, 5):
        rows[n]["user_id"] = -n
    if not name.endswith("parquet"):
        rows[5]["item_id"] = 2**63
    report = ingest(home, write_rows(rows, name), config=ValidationConfig(max_bad_share=0.2), clock=clock).tables[
        "interactions"
    ]
    large = {} if name.endswith("parquet") else {"item_id.id": 1}
    assert report.reasons == {"user_id.id": 4, **large}
    assert not [warning for warning in report.warnings if "stored as text" in warning]
    stored = read_table(home)
    assert {type(row[column]) for row in stored for column in ("user_id", "item_id")} == {int}
    assert max(row["item_id"] for row in stored) == 2**63 - 1


def test_a_column_of_ids_that_becomes_text_is_told(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Where some ids are numbers and others are not, the column is text and the report says so, once."""
    rows = make_rows(100)
    for n in range(3):
        rows[n]["user_id"] = f"guest-{n}"
    rows[3]["user_id"] = "007"
    first = ingest(home, write_rows(rows, "a.csv"), clock=clock).tables["interactions"]
    [warning] = [warning for warning in first.warnings if "stored as text" in warning]
    assert "'user_id' is stored as text from now on, as 4 of its 100 ids are no whole numbers" in warning
    assert {row["user_id"] for row in read_table(home)} >= {"guest-0", "007"}
    second = ingest(home, write_rows(make_rows(50, seed=1), "b.csv"), clock=clock).tables["interactions"]
    assert not [warning for warning in second.warnings if "stored as text" in warning]


def test_too_many_bad_rows_stop_the_run(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Past the share, one sentence has figures, reasons, an example and the file; no table of the folder changes."""
    ingest(home, write_rows(make_rows(50, seed=1), "first/interactions.csv"), clock=clock)
    before = read_table(home)
    rows = make_rows(100)
    for n in range(6):
        rows[n]["dwell_time"] = 999
    path = write_rows(rows, "second/interactions.csv")
    write_rows([{"user_id": 1, "joined_at": "2024-01-01"}], "second/users.csv")
    with pytest.raises(UserError) as caught:
        ingest(home, path.parent, clock=clock)
    sentence = str(caught.value)
    assert "6 of 100 rows" in sentence
    assert "dwell_time.range 6 times (row 1: '999', allowed: 0 to 300)" in sentence
    [kept] = (home.quarantine / "interactions").glob("*.parquet")
    assert str(kept) in sentence
    assert len(_quarantined(str(kept))) == 6
    assert read_table(home) == before
    assert not Lake(home).exists("users")
    report = ingest(home, path.parent, config=ValidationConfig(max_bad_share=0.06), clock=clock)
    assert report.tables["interactions"].rows_new == 94


def test_quarantine_is_replaced_not_doubled(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """The same source always has the same quarantine file: a rerun replaces it, a mended rule removes it."""
    rows = make_rows(100)
    rows[0]["device"] = "fridge"
    path = write_rows(rows, "interactions.csv")
    first = ingest(home, path, clock=clock).tables["interactions"].quarantine_path
    second = ingest(home, path, clock=clock).tables["interactions"].quarantine_path
    assert first is not None
    assert first == second
    assert len(_quarantined(first)) == 1
    wider = {"interactions": INTERACTION.with_columns(Column("device", "category"))}
    assert ingest(home, path, schemas=wider, clock=clock).tables["interactions"].quarantine_path is None
    assert not Path(first).exists()
