"""Ingest and validate, on sound data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest, validate
from orita.events.lake import Lake
from orita.events.schema import INTERACTION, Column, entity_schema
from orita.events.staging import one_writer

MakeRows = Callable[..., list[dict[str, Any]]]
WriteRows = Callable[[list[dict[str, Any]], str], Path]
ReadTable = Callable[..., list[dict[str, Any]]]


@pytest.mark.parametrize("name", ["interactions.csv", "interactions.jsonl", "interactions.parquet"])
def test_every_format_gives_the_same_table(
    name: str, make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """CSV, JSON lines and Parquet with the same rows give the same typed table, value for value."""
    rows = make_rows(300)
    report = ingest(home, write_rows(rows, name), clock=clock)
    assert report.tables["interactions"].rows_new == 300
    stored = read_table(home)
    expected = []
    for row in sorted(rows, key=lambda row: row["interaction_id"]):
        at = datetime.fromisoformat(row["timestamp"])
        micros = round(at.timestamp() * 1000) * 1000
        expected.append({**row, "timestamp": micros, "request_id": None, "ingested_at": None})
    assert [{name: row[name] for name in sorted(row)} for row in stored] == [
        {name: row[name] for name in sorted(row)} for row in expected
    ]


def test_stored_types_are_the_contracts(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Ids are int64, times microseconds in UTC, flags int8, dwell time double; declared columns are always there."""
    ingest(home, write_rows(make_rows(20), "interactions.csv"), clock=clock)
    schema = Lake(home).snapshot("interactions").schema
    kinds = {field.name: field.type for field in schema}
    assert list(kinds) == list(INTERACTION.names)
    assert kinds["user_id"] == pa.int64()
    assert kinds["timestamp"] == pa.timestamp("us", tz="UTC")
    assert kinds["click"] == pa.int8()
    assert kinds["dwell_time"] == pa.float64()
    assert kinds["interaction_id"] == pa.string()


def test_a_second_run_adds_nothing(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Ingesting the same file again makes no version and counts every row as a duplicate."""
    path = write_rows(make_rows(200), "interactions.csv")
    first = ingest(home, path, clock=clock).tables["interactions"]
    before = read_table(home)
    second = ingest(home, path, clock=clock).tables["interactions"]
    assert (first.version, second.version) == (0, None)
    assert (second.rows_read, second.rows_new, second.rows_duplicate) == (200, 0, 200)
    assert Lake(home).snapshot("interactions").version == 0
    assert read_table(home) == before


def test_repeated_ids_in_a_file_count_once_the_first(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Of rows with one id the first is stored; the others are duplicates, whatever else they say."""
    rows = make_rows(50)
    again = {**rows[0], "dwell_time": 1.0}
    report = ingest(home, write_rows([*rows, again, again], "interactions.csv"), clock=clock).tables["interactions"]
    assert (report.rows_new, report.rows_duplicate) == (50, 2)
    stored = next(row for row in read_table(home) if row["interaction_id"] == rows[0]["interaction_id"])
    assert stored["dwell_time"] == rows[0]["dwell_time"]


def test_only_unseen_rows_are_added(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """A file that overlaps what is stored adds what is new, in one version."""
    rows = make_rows(100)
    ingest(home, write_rows(rows[:60], "a.csv"), clock=clock)
    report = ingest(home, write_rows(rows[40:], "b.csv"), clock=clock).tables["interactions"]
    assert (report.rows_new, report.rows_duplicate, report.version) == (40, 20, 1)
    assert Lake(home).snapshot("interactions").rows == 100


def test_text_ids_make_a_text_table(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Ids that are no integers are kept as text, in interactions and entities alike."""
    rows = [{**row, "user_id": f"u-{row['user_id']}"} for row in make_rows(50)]
    write_rows(rows, "in/interactions.csv")
    users = write_rows([{"user_id": "u-1", "joined_at": "2024-01-01"}], "in/users.csv")
    ingest(home, users.parent, clock=clock)
    assert {type(row["user_id"]) for row in read_table(home)} == {str}
    assert read_table(home, "users")[0]["user_id"] == "u-1"


def test_an_integer_table_stays_one(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """Once ids are integers, a text id breaks the rule of its row."""
    rows = make_rows(100)
    ingest(home, write_rows(rows[:50], "a.csv"), clock=clock)
    rows[60]["user_id"] = "someone"
    report = ingest(home, write_rows(rows[50:], "b.csv"), clock=clock).tables["interactions"]
    assert report.reasons == {"user_id.id": 1}


def test_an_entity_table_decides_the_type_of_ids_for_interactions(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """The first table with an id column decides its type for all tables, so that they join."""
    ingest(home, write_rows([{"user_id": "u1", "joined_at": None}], "users.csv"), clock=clock)
    ingest(home, write_rows(make_rows(20), "interactions.csv"), clock=clock)
    schema = Lake(home).snapshot("interactions").schema
    assert schema.field("user_id").type == pa.string()
    assert schema.field("item_id").type == pa.int64()


def test_undeclared_columns_are_dropped_with_one_warning(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """What the schema does not declare is left out, and one warning names it all; a declared extra is kept."""
    rows = [{**row, "rating": 3.5, "colour": "red", "mood": "good"} for row in make_rows(20)]
    schemas = {"interactions": INTERACTION.with_columns(Column("rating", "float"))}
    report = ingest(home, write_rows(rows, "interactions.csv"), schemas=schemas, clock=clock).tables["interactions"]
    assert len(report.warnings) == 1
    assert report.warnings[0].endswith("dropped: colour, mood.")
    assert Lake(home).snapshot("interactions").schema.field("rating").type == pa.float64()


def test_entities_are_replaced_by_key(
    write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """A known entity takes its new attributes, an unknown one is added, the others and absent columns stay."""
    schemas = {"users": entity_schema("users", key="user_id", attributes={"age": "float", "tags": "list"})}
    first = [{"user_id": 1, "age": 20, "tags": "a|b"}, {"user_id": 2, "age": 30, "tags": ""}]
    second = [{"user_id": 2, "age": 31}, {"user_id": 3, "age": 40}]
    ingest(home, write_rows(first, "a/users.csv"), schemas=schemas, clock=clock)
    report = ingest(home, write_rows(second, "b/users.csv"), schemas=schemas, clock=clock).tables["users"]
    assert (report.rows_new, report.rows_updated, report.version) == (1, 1, 1)
    assert read_table(home, "users") == [
        {"user_id": 1, "age": 20.0, "tags": ["a", "b"]},
        {"user_id": 2, "age": 31.0, "tags": None},
        {"user_id": 3, "age": 40.0, "tags": None},
    ]
    again = ingest(home, write_rows(second, "b/users.csv"), schemas=schemas, clock=clock).tables["users"]
    assert (again.rows_duplicate, again.version) == (2, None)


def test_an_entity_column_declared_later_is_added(
    write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """A new attribute joins the table; a column that is no longer declared keeps its values."""
    before = {"users": entity_schema("users", key="user_id", attributes={"age": "float"})}
    after = {"users": entity_schema("users", key="user_id", attributes={"city": "category"})}
    ingest(home, write_rows([{"user_id": 1, "age": 20}], "a/users.csv"), schemas=before, clock=clock)
    ingest(home, write_rows([{"user_id": 1, "city": "Ife"}], "b/users.csv"), schemas=after, clock=clock)
    assert read_table(home, "users") == [{"user_id": 1, "city": "Ife", "age": 20.0}]


def test_validate_stores_nothing_and_reports_the_same(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Validation tells what ingest would, and leaves no table, quarantine, profile or staged file."""
    rows = make_rows(100)
    rows[3]["dwell_time"] = 999
    path = write_rows([*rows, rows[0]], "interactions.csv")
    told = validate(home, path, clock=clock).tables["interactions"]
    assert not [file for file in home.root.rglob("*") if file.is_file()]
    done = ingest(home, path, clock=clock).tables["interactions"]
    for figure in ("rows_read", "rows_new", "rows_duplicate", "rows_quarantined", "reasons"):
        assert getattr(told, figure) == getattr(done, figure)


def test_the_report_is_plain_json(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """The report survives a round through JSON unchanged."""
    rows = make_rows(100)
    rows[3]["device"] = "fridge"
    content = ingest(home, write_rows(rows, "interactions.csv"), clock=clock).to_dict()
    assert json.loads(json.dumps(content)) == content
    assert content["tables"]["interactions"]["reasons"] == {"device.choices": 1}


def test_nothing_is_left_in_staging(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """Staged files are gone after a run, after a refused one too."""
    ingest(home, write_rows(make_rows(20), "interactions.csv"), clock=clock)
    with pytest.raises(UserError):
        ingest(home, write_rows([{"user_id": 1}], "bad.csv"), clock=clock)
    assert list(home.staging.iterdir()) == []


def test_a_second_writer_is_told_who_writes(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """While one ingest writes, another is refused with the process that holds the home."""
    path = write_rows(make_rows(20), "interactions.csv")
    with (
        one_writer(home, 0),
        pytest.raises(UserError, match=r"another ingest \(process \d+\)"),
    ):
        ingest(home, path, config=ValidationConfig(lock_wait_seconds=0), clock=clock)


def test_commits_name_their_source(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """Each version tells the file and the digest of the content it was made from."""
    ingest(home, write_rows(make_rows(20), "interactions.csv"), clock=clock)
    properties = Lake(home).history("interactions")[0].properties
    assert properties["source"] == "interactions.csv"
    assert len(properties["source_sha256"]) == 64


def test_epoch_times_are_read_where_the_source_says_so(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """Seconds and milliseconds since 1970 are times once configured; without that, numbers are refused."""
    rows = [
        {**row, "timestamp": 1_700_000_000 + n, "time_of_day": None, "day_of_week": None}
        for n, row in enumerate(make_rows(20))
    ]
    path = write_rows(rows, "interactions.parquet")
    with pytest.raises(UserError, match=r"set validation\.timestamps to epoch_seconds"):
        ingest(home, path, clock=clock)
    ingest(home, path, config=ValidationConfig(timestamps="epoch_seconds"), clock=clock)
    assert min(row["timestamp"] for row in read_table(home)) == 1_700_000_000_000_000


def test_parquet_times_without_offset_are_utc(
    make_rows: MakeRows, tmp_path: Path, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """A Parquet timestamp with or without a zone is the same instant in UTC."""
    at = datetime(2024, 3, 3, 3, 3, 3)  # noqa: DTZ001 - without an offset on purpose
    row = {**make_rows(1)[0], "timestamp": at, "time_of_day": None, "day_of_week": None}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "interactions.parquet")
    ingest(home, tmp_path / "interactions.parquet", clock=clock)
    assert read_table(home)[0]["timestamp"] == int(at.replace(tzinfo=UTC).timestamp() * 1e6)


def test_offsets_and_lists_of_json_are_understood(
    make_rows: MakeRows, tmp_path: Path, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """An ISO offset is applied, JSON booleans are flags, and a JSON list is a list."""
    row = {**make_rows(1)[0], "timestamp": "2024-03-03T01:30:00+01:00", "click": True, "tags": ["a", "b c"]}
    row |= {"time_of_day": "night", "day_of_week": 6}
    path = tmp_path / "interactions.jsonl"
    path.write_text(json.dumps(row) + "\n\n", encoding="utf-8")
    schemas = {"interactions": INTERACTION.with_columns(Column("tags", "list"))}
    ingest(home, path, schemas=schemas, clock=clock)
    stored = read_table(home)[0]
    assert stored["timestamp"] == int(datetime(2024, 3, 3, 0, 30, tzinfo=UTC).timestamp() * 1e6)
    assert (stored["click"], stored["tags"]) == (1, ["a", "b c"])


def test_a_zone_of_the_source_is_respected(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Where time_of_day and day_of_week are told in another zone, they are judged in that zone."""
    row = {**make_rows(1)[0], "timestamp": "2024-03-03T23:30:00Z", "time_of_day": "night", "day_of_week": 0}
    path = write_rows([row], "interactions.csv")
    lagos = ValidationConfig(time_zone="Africa/Lagos")
    assert validate(home, path, config=lagos, clock=clock).tables["interactions"].rows_quarantined == 0
    strict = ValidationConfig(max_bad_share=1)
    assert validate(home, path, config=strict, clock=clock).tables["interactions"].reasons == {"day_of_week.agrees": 1}


def test_quarantine_holds_the_whole_row(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """A quarantined row has its source, number, column, value, rule, and every original value as text."""
    rows = make_rows(100)
    rows[41]["dwell_time"] = 301.5
    path = write_rows(rows, "interactions.csv")
    report = ingest(home, path, clock=clock).tables["interactions"]
    assert report.quarantine_path is not None
    with duckdb.connect() as connection:
        [kept] = connection.read_parquet(report.quarantine_path).to_arrow_table().to_pylist()
    assert (kept["source"], kept["row"], kept["column"]) == (str(path), 42, "dwell_time")
    assert (kept["value"], kept["rule"], kept["allowed"]) == ("301.5", "range", "0 to 300")
    original = json.loads(kept["original"])
    assert original == {name: str(value) for name, value in rows[41].items()}


def test_quarantine_is_written_where_leftovers_are_cleared_away(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bad rows go into the partial file itself: DuckDB makes none beside it, which a kill would leave there."""
    files: list[int] = []

    @contextmanager
    def watched(path: Path) -> Iterator[Path]:
        with atomic_file(path) as partial:
            files.append(partial.stat().st_ino)
            yield partial
            files.append(partial.stat().st_ino)

    monkeypatch.setattr("orita.events.quarantine.atomic_file", watched)
    rows = make_rows(100)
    rows[4]["dwell_time"] = 301.5
    ingest(home, write_rows(rows, "interactions.csv"), clock=clock)
    begun, ended = files
    assert begun == ended
