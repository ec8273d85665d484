"""From the event log into its table: every row judged, and there once."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.events.lake import Lake
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.kafka import KafkaLog
from orita.events.log.log import Consumer, EventLog, OffsetRetired, Position
from orita.events.profile import read_profile
from orita.events.schema import INTERACTION, Column, entity_schema
from orita.events.sink import SinkConfig, SinkReport, sink

Rows = list[dict[str, Any]]
MakeRows = Callable[..., Rows]
ReadTable = Callable[..., Rows]


@pytest.fixture
def log(home: Home, clock: ManualClock) -> Iterator[EmbeddedLog]:
    """A log with a stream of two partitions."""
    log = EmbeddedLog(home, clock)
    log.create("interactions", 2)
    yield log
    log.close()


def _append(log: EventLog, rows: Rows, at_once: int = 10_000) -> None:
    for first in range(0, len(rows), at_once):
        log.append("interactions", pa.Table.from_pylist(rows[first : first + at_once]), key=["user_id"])


def _typed(rows: Rows) -> Rows:
    return [row | {"timestamp": datetime.fromisoformat(row["timestamp"])} for row in rows]


def _quarantined(home: Home) -> Rows:
    with duckdb.connect() as connection:
        files = [str(file) for file in (home.quarantine / "interactions").glob("*.parquet")]
        return list(connection.sql(f"FROM read_parquet({files!r})").to_arrow_table().to_pylist()) if files else []


def _run(home: Home, log: EventLog, clock: ManualClock, **options: Any) -> SinkReport:
    return sink(home, log, "interactions", INTERACTION, clock=clock, **options)


@pytest.mark.parametrize("typed", [False, True])
def test_the_table_is_what_an_ingest_of_the_same_rows_gives(
    typed: bool,
    home: Home,
    log: EmbeddedLog,
    clock: ManualClock,
    tmp_path: Path,
    make_rows: MakeRows,
    write_file: Callable[[Rows, Path], Path],
    read_table: ReadTable,
) -> None:
    """Rows by the log end as those of a file: judged by the same rules, typed, each id once; the offsets are all."""
    rows = make_rows(300)
    for number, (name, value) in enumerate([("device", "fridge"), ("dwell_time", 999.0), ("day_of_week", 9)]):
        rows[number * 50][name] = value
    rows += rows[100:120]
    other = Home(tmp_path / "other")
    config = ValidationConfig(max_bad_share=1)
    by_file = ingest(other, write_file(rows, tmp_path / "interactions.jsonl"), clock=clock, config=config)
    _append(log, _typed(rows) if typed else rows)
    report = _run(home, log, clock)
    table = by_file.tables["interactions"]
    assert (report.rows_read, report.rows_new, report.commits) == (320, table.rows_new, 1)
    assert (report.rows_duplicate, report.rows_quarantined) == (table.rows_duplicate, table.rows_quarantined)
    assert report.reasons == dict(table.reasons)
    assert read_table(home) == read_table(other)
    assert Lake(home).offsets("interactions") == {p: log.end("interactions", p) for p in range(2)}
    profile = read_profile(home, "interactions")
    assert profile is not None
    assert (profile.rows, profile.version) == (297, 0)


def test_bad_rows_are_kept_with_their_place_and_reason(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """Quarantine has every bad row with what broke it, all its values, and where in the log it is."""
    rows = make_rows(30)
    for number in (3, 17):
        rows[number]["device"] = "fridge"
    _append(log, rows)
    assert _run(home, log, clock).rows_quarantined == 2
    kept = _quarantined(home)
    assert {(row["column"], row["rule"], row["value"]) for row in kept} == {("device", "choices", "fridge")}
    for original in (json.loads(row["original"]) for row in kept):
        partition, offset = int(original["_partition"]), int(original["_offset"])
        found = log.read("interactions", partition, offset, 1).rows.to_pylist()[0]
        assert found["interaction_id"] == original["interaction_id"]


def test_going_on_adds_only_what_is_new(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows, read_table: ReadTable
) -> None:
    """A sink begins where the table ends; an id that the table has, from wherever, is not added again."""
    rows = make_rows(200)
    _append(log, rows[:100])
    assert _run(home, log, clock).rows_new == 100
    before = read_table(home)
    assert _run(home, log, clock) == SinkReport()
    changed = [row | {"dwell_time": 1.0} for row in rows[50:100]]
    _append(log, changed + rows[100:])
    report = _run(home, log, clock)
    assert (report.rows_read, report.rows_new, report.rows_duplicate) == (150, 100, 50)
    after = {row["interaction_id"]: row for row in read_table(home)}
    assert len(after) == 200
    assert [after[row["interaction_id"]] for row in before] == before


def test_files_and_log_fill_one_table(
    home: Home,
    log: EmbeddedLog,
    clock: ManualClock,
    make_rows: MakeRows,
    write_rows: Callable[[Rows, str], Path],
) -> None:
    """An ingest between two sinks keeps the offsets, and neither adds what the other brought."""
    rows = make_rows(150)
    _append(log, rows[:60])
    _run(home, log, clock)
    offsets = Lake(home).offsets("interactions")
    assert ingest(home, write_rows(rows[40:100], "interactions.csv"), clock=clock).tables["interactions"].rows_new == 40
    assert Lake(home).offsets("interactions") == offsets
    _append(log, rows[80:])
    assert _run(home, log, clock).rows_new == 50
    assert Lake(home).snapshot("interactions").rows == 150


def test_commits_are_bounded(home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows) -> None:
    """No commit has more rows than allowed; each holds the offsets of what it brought, and all of them every row."""
    _append(log, make_rows(100), at_once=10)
    report = _run(home, log, clock, batching=SinkConfig(max_rows=30))
    lake = Lake(home)
    read = [sum(lake.offsets("interactions", v).values()) for v in range(report.commits)]
    assert read == sorted(read)
    assert read[-1] == 100
    assert all(b - a <= 30 for a, b in zip([0, *read], read, strict=False))
    assert [commit.rows for commit in reversed(lake.history("interactions"))][:1] == [read[0]]


def test_a_batch_of_nothing_new_still_moves_on(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """Rows that are all bad, or all known, are read once; the profile stays that of the table."""
    bad = [row | {"device": "fridge"} for row in make_rows(10)]
    _append(log, bad)
    first = _run(home, log, clock)
    assert (first.rows_read, first.rows_new, first.rows_quarantined) == (10, 0, 10)
    assert Lake(home).snapshot("interactions").rows == 0
    _append(log, make_rows(20, seed=1))
    _run(home, log, clock)
    _append(log, make_rows(20, seed=1))
    assert _run(home, log, clock).rows_duplicate == 20
    profile = read_profile(home, "interactions")
    assert profile is not None
    assert (profile.rows, profile.version) == (20, Lake(home).version("interactions"))
    assert _run(home, log, clock) == SinkReport()


def test_rows_without_a_column_or_of_another_type_are_bad_rows(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """What a whole file would be refused for is told of each row, and rows that came with it go in."""
    log.create("odd", 1)
    sound = make_rows(5)
    for name in ("click", "timestamp", "user_id", "interaction_id"):
        rows = [{key: value for key, value in row.items() if key != name} for row in make_rows(3, seed=len(name))]
        log.append("odd", pa.Table.from_pylist(rows), key=["item_id"])
    log.append("odd", pa.Table.from_pylist(sound), key=["item_id"])
    report = sink(home, log, "odd", INTERACTION, clock=clock)
    assert (report.rows_new, report.rows_quarantined) == (5, 12)
    assert report.reasons == {
        "click.required": 3,
        "timestamp.required": 3,
        "user_id.required": 3,
        "interaction_id.required": 3,
    }


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("timestamp", [1704067200, 1704067201], "timestamp.type"),
        ("device", [["mobile"], ["tablet"]], "device.type"),
        ("user_id", [{"id": 1}, {"id": 2}], "user_id.type"),
        ("interaction_id", [b"a", b"b"], "interaction_id.type"),
        ("click", ["often", "never"], "click.type"),
        ("dwell_time", [timedelta(seconds=3), timedelta(seconds=4)], "dwell_time.type"),
    ],
)
def test_a_type_that_cannot_be_makes_bad_rows_and_no_error(
    name: str, values: list[object], reason: str, home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """A producer that writes a column in a way nobody can read stops no sink; its rows say why they are bad."""
    log.create("odd", 1)
    rows = [row | {name: value} for row, value in zip(make_rows(2), values, strict=True)]
    log.append("odd", pa.Table.from_pylist(rows), key=["item_id"])
    report = sink(home, log, "odd", INTERACTION, clock=clock)
    assert (report.rows_read, report.rows_new, report.reasons) == (2, 0, {reason: 2})


_SECONDS = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("own", "timestamps"),
    [
        (["2024-05-01T00:00:00Z", None], "iso"),
        ([datetime(2024, 5, 1, tzinfo=UTC), None], "iso"),
        ([_SECONDS, None], "epoch_seconds"),
        ([str(_SECONDS * 1000), None], "epoch_milliseconds"),
    ],
)
def test_a_row_without_a_time_of_ingestion_has_the_logs(
    own: list[object],
    timestamps: Any,
    home: Home,
    clock: ManualClock,
    make_rows: MakeRows,
    read_table: ReadTable,
) -> None:
    """A row's own time of ingestion stays, whichever way it is written; a row without one has none, as by a file."""
    came = datetime(2024, 12, 30, 1, 2, 3, 456789, tzinfo=UTC)
    log = EmbeddedLog(home, ManualClock(came))
    log.create("interactions", 1)
    scale = {"iso": 0, "epoch_seconds": 1, "epoch_milliseconds": 1000}[timestamps]
    rows = [row | {"ingested_at": value} for row, value in zip(make_rows(2), own, strict=True)]
    for row in rows:
        if scale:
            row["timestamp"] = str(int(datetime.fromisoformat(row["timestamp"]).timestamp()) * scale)
            del row["time_of_day"], row["day_of_week"]
    _append(log, rows)
    _run(home, log, clock, config=ValidationConfig(timestamps=timestamps))
    found = {row["interaction_id"]: row["ingested_at"] for row in read_table(home)}
    assert found == {
        rows[0]["interaction_id"]: _SECONDS * 1_000_000,
        rows[1]["interaction_id"]: None,
    }
    log.close()


def test_a_schema_without_that_column_has_no_such_time(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """The time of ingestion is kept where it is declared, and nowhere else; a natural key makes the key."""
    columns = tuple(column for column in INTERACTION.columns if column.name != "ingested_at")
    schema = replace(INTERACTION, columns=columns, ingested=None, natural_key=("user_id", "item_id", "timestamp"))
    rows = [{key: value for key, value in row.items() if key != "interaction_id"} for row in make_rows(20)]
    _append(log, [*rows, *rows])
    report = sink(home, log, "interactions", schema, clock=clock)
    assert (report.rows_new, report.rows_duplicate) == (20, 20)
    assert "ingested_at" not in Lake(home).snapshot("interactions").schema.names


class _Overtaken:
    """A log whose consumer is held up once, after it has read: *meanwhile* happens before it can store anything."""

    def __init__(self, log: EventLog, group: str, meanwhile: Callable[[], object] | None = None) -> None:
        self._log, self._group, self._meanwhile = log, group, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def consumer(self, stream: str, group: str, *, position: Position | None = None) -> Consumer:
        consumer = self._log.consumer(stream, self._group, position=position)
        if self._meanwhile is None:
            return consumer
        original, meanwhile = consumer.poll, [self._meanwhile]

        def poll(max_rows: int, wait_seconds: float = 0.0) -> Any:
            found = original(max_rows, wait_seconds)
            if found and meanwhile:
                self._meanwhile = None
                meanwhile.pop()()
            return found

        consumer.poll = poll  # type: ignore[method-assign]
        return consumer


def test_a_sink_that_was_overtaken_stores_nothing_twice(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """One that hung with rows in hand while another stored them drops them, and goes on where the table is."""
    rows = [row | ({"device": "fridge"} if n % 10 == 0 else {}) for n, row in enumerate(make_rows(100))]
    _append(log, rows[:60])

    def meanwhile() -> None:
        _append(log, rows[60:])
        assert _run(home, _Overtaken(log, "other"), clock, batching=SinkConfig(max_rows=25)).rows_new == 90

    report = _run(home, _Overtaken(log, "lake", meanwhile), clock, until=lambda: True)
    assert (report.fenced, report.commits, report.rows_read) == (1, 0, 0)
    assert Lake(home).snapshot("interactions").rows == 90
    originals = [json.loads(row["original"])["interaction_id"] for row in _quarantined(home)]
    assert sorted(originals) == sorted(row["interaction_id"] for row in rows[::10])


def test_a_sink_compacts_its_table(home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows) -> None:
    """Many small commits do not become many small files for good; offsets and profile stay in step."""
    _append(log, make_rows(110))
    report = _run(home, log, clock, batching=SinkConfig(max_rows=10, compact_files=30))
    lake = Lake(home)
    assert report.compactions >= 1
    assert len(lake.snapshot("interactions").files) < 40
    assert lake.snapshot("interactions").rows == 110
    assert sum(lake.offsets("interactions").values()) == 110
    profile = read_profile(home, "interactions")
    assert profile is not None
    assert (profile.rows, profile.version) == (110, lake.version("interactions"))


def test_small_commits_are_no_measure_of_a_file(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows, write_rows: Callable[[Rows, str], Path]
) -> None:
    """A file after many small commits of a stream is no surprise, and one after a file is told against that file."""
    _append(log, make_rows(200))
    _run(home, log, clock, batching=SinkConfig(max_rows=40))
    report = ingest(home, write_rows(make_rows(1100, seed=1), "interactions.csv"), clock=clock)
    assert not any("earlier batches" in warning for warning in report.tables["interactions"].warnings)
    _append(log, make_rows(20, seed=2))
    _run(home, log, clock)
    report = ingest(home, write_rows(make_rows(100, seed=3), "interactions.csv"), clock=clock)
    assert any("earlier batches had about 1,100" in warning for warning in report.tables["interactions"].warnings)


def test_a_stream_of_kafka_is_stored_as_one_of_the_embedded_log(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows, tmp_path: Path, read_table: ReadTable
) -> None:
    """The same rows by Kafka's protocol give the same table, and a second sink finds nothing to do."""
    library = importlib.import_module("confluent_kafka")
    cluster = library.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    brokers = ",".join(f"{each.host}:{each.port}" for each in cluster.list_topics(timeout=10).brokers.values())
    kafka = KafkaLog(brokers, clock, prefix=tmp_path.name, create_topics=False)
    kafka.create("interactions", 4)
    rows = make_rows(120)
    rows[7]["device"] = "fridge"
    other = Home(tmp_path / "other")
    _append(log, rows)
    _append(kafka, rows)
    _run(home, log, clock)
    report = _run(other, kafka, clock)
    assert (report.rows_read, report.rows_new, report.rows_quarantined) == (120, 119, 1)
    assert read_table(other) == read_table(home)
    assert _run(other, kafka, clock) == SinkReport()
    kafka.close()
    cluster.flush(1)


def test_until_says_when_to_end(home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows) -> None:
    """A sink that is to go on goes on: rows that come later are stored too, until it is told to end."""
    asked: list[int] = []

    def until() -> bool:
        asked.append(len(asked))
        if len(asked) < 4:
            _append(log, make_rows(5, seed=len(asked)))
        return len(asked) > 6

    report = _run(home, log, clock, until=until)
    assert (report.rows_new, len(asked)) == (15, 7)


def test_what_cannot_be_stored_is_refused(
    home: Home, log: EmbeddedLog, clock: ManualClock, make_rows: MakeRows
) -> None:
    """A table of entities, of another stream, or of another system is refused before anything is read."""
    users = entity_schema("users", key="user_id", attributes={"age": Column("age", "float")})
    with pytest.raises(UserError, match="table 'users' has no time column"):
        sink(home, log, "interactions", users, clock=clock)
    _append(log, make_rows(10))
    _run(home, log, clock, origin={"system": "feed"})
    with pytest.raises(UserError, match="holds the events of system 'feed', not of 'shop'"):
        _run(home, log, clock, origin={"system": "shop"})
    log.create("other", 1)
    log.append("other", pa.Table.from_pylist(make_rows(5)), key=["user_id"])
    with pytest.raises(UserError, match="holds the rows of stream 'interactions', and these are of 'other'"):
        sink(home, log, "other", INTERACTION, clock=clock)


def test_rows_that_are_gone_from_the_log_are_told(home: Home, clock: ManualClock, make_rows: MakeRows) -> None:
    """Where the log no longer has what the table lacks, the sink says so; below the table's offsets all may go."""
    log = EmbeddedLog(home, clock, segment_bytes=2_000)
    log.create("interactions", 1)
    _append(log, make_rows(100), at_once=10)
    _run(home, log, clock)
    covered: Mapping[int, int] = Lake(home).offsets("interactions")
    assert log.retain("interactions", covered=covered, max_bytes=1)[0] > 0
    _append(log, make_rows(100, seed=1), at_once=10)
    assert _run(home, log, clock).rows_new == 100
    _append(log, make_rows(100, seed=2), at_once=10)
    log.retire("interactions", 0, 280)
    with pytest.raises(OffsetRetired, match="was retired"):
        _run(home, log, clock)
    log.close()
