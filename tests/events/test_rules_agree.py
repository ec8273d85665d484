"""The rules in SQL, by which rows come into the lake, and those of rows that arrive: two writings of one set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from orita.core.clock import ManualClock, to_micros
from orita.events.arriving import arrived
from orita.events.config import ValidationConfig
from orita.events.log.log import Batch
from orita.events.quality import IdType, compile_judge
from orita.events.schema import Column, TableSchema
from orita.events.sources.batches import open_batches

CAME = datetime(2024, 5, 3, 12, tzinfo=UTC)
SCHEMA = TableSchema(
    "events",
    key="key",
    time="at",
    columns=(
        Column("key", "str", required=True),
        Column("number", "id", required=True),
        Column("name", "id"),
        Column("at", "time"),
        Column("known", "time"),
        Column("count", "int", minimum=0, maximum=9.5),
        Column("code", "int"),
        Column("price", "float", minimum=-1.5, maximum=300.01),
        Column("flag", "flag"),
        Column("must", "flag", required=True),
        Column("word", "str", pattern="[a-z]+.?"),
        Column("text", "str"),
        Column("kind", "category", choices=("x", "night", "it's")),
        Column("part", "category", choices=("morning", "afternoon", "evening", "night"), agrees="time_of_day"),
        Column("day", "int", minimum=0, maximum=6, agrees="day_of_week"),
        Column("tags", "list", choices=("p", "q")),
        Column("list", "list"),
    ),
)
ID_TYPES: dict[str, IdType] = {"number": "BIGINT", "name": "VARCHAR"}
ARROW_IDS = {"number": pa.int64(), "name": pa.string()}
SOUND: dict[str, pa.Array] = {
    "key": pa.array(["k"]), "number": pa.array([1]), "at": pa.array([CAME]), "must": pa.array([1], pa.int8()),
}  # fmt: skip

TEXTS = [
    "", " ", "a", "abc", "abc\n", "a\nb", " a", "a ", "é", "x", "night", "morning", "it's", "p", "p|q", "p| r",
    "[]", '["p"]', '["p", null]', '[1, "q"]', "[", "{}", '{"a": 1}', "0", "-0", "1", "+1", "007", " 7 ", "7\t",
    "3.0", "3.5", ".5", "1.", "1e3", "1E-3", "1e400", "-1e400", "1_0", "1__0", "0x10", "nan", "NaN", " nan ",
    "-nan", "inf", "Infinity", "true", "TRUE", "false", "True ", "yes", "9223372036854775807",
    "9223372036854775808", "-1", "9007199254740993", "1.0000000000000001", "2024-05-01", "2024-5-1",
    "2024-05-01T10:15", "2024-05-01T10:15:00Z", "2024-05-01 10:15:00.1234567+01:30", "20240501",
    "2024-05-01T24:00:00", "2024-05-01T10:15:60Z", "2024-02-30", "1969-12-31T23:59:59Z", "1600-01-01",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024-05-04T12:00:00Z",
    "2024-05-04T12:00:00.000001Z", "2024-05-01T10:15:00+99:00", "epoch", "infinity", "1714560000",
    "1714560000000", "2024-05-01 10:15 UTC", "2024-W18-3", "\u0661", "x" * 256, "x" * 257, "é" * 129,
    "2024-05-01T10:15:00+01:60",
]  # fmt: skip
WHOLE = [0, 1, 2, -1, 6, 7, 9, 10, 127, 128, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 1714560000]
REALS = [
    0.0,
    -0.0,
    1.0,
    0.5,
    9.5,
    9.6,
    300.01,
    300.02,
    -1.5,
    1e300,
    2.0**63,
    -(2.0**63),
    float("nan"),
    float("inf"),
    -1.0,
]
TIMES = [CAME, CAME + timedelta(days=1), CAME + timedelta(days=1, microseconds=1), CAME - timedelta(hours=13)]
TIMES += [datetime(1969, 12, 31, 23, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
KINDS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "text": (pa.string(), TEXTS),
    "large text": (pa.large_string(), TEXTS),
    "int64": (pa.int64(), WHOLE),
    "uint64": (pa.uint64(), [0, 1, 9, 2**63, 2**64 - 1]),
    "int8": (pa.int8(), [0, 1, 2, -1, 6, 127]),
    "real": (pa.float64(), REALS),
    "small real": (pa.float32(), [0.0, 1.0, 0.5, 300.01, float("nan"), float("-inf")]),
    "bool": (pa.bool_(), [True, False]),
    "time": (pa.timestamp("us", tz="UTC"), TIMES),
    "local time": (pa.timestamp("us"), [time.replace(tzinfo=None) for time in TIMES]),
    "seconds": (pa.timestamp("s", tz="Europe/Paris"), TIMES[:1]),
    "fine time": (pa.timestamp("ns", tz="UTC"), [1714560000000000001, -1]),
    "date": (pa.date32(), [date(2024, 5, 1), date(1960, 1, 1)]),
    "duration": (pa.duration("us"), [timedelta(seconds=3)]),
    "bytes": (pa.binary(), [b"a", b"p", b"\xff", b"{}", b'["p"]', b""]),
    "texts": (pa.list_(pa.string()), [[], ["p"], ["p", "q"], ["r"], ["p", None]]),
    "numbers": (pa.list_(pa.int64()), [[], [1], [None]]),
    "object": (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": None}]),
    "nothing": (pa.null(), [None]),
}


def _more(kind: str) -> st.SearchStrategy[list[Any]]:
    """Values of a kind beside those that are listed."""
    if kind == "real":
        return st.lists(st.floats(), max_size=8)
    if kind not in ("text", "large text"):
        return st.just([])
    return st.lists(st.text(max_size=6) | st.from_regex(r"\A[0-9 .:+TZeE_-]{1,25}\Z").filter(str.isascii), max_size=8)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that tells times in UTC."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


Verdict = tuple[list[bool], dict[tuple[str, str], int], list[dict[str, Any]]]
"""Which rows are sound, the first that breaks each rule of a column, and the sound ones, typed."""


def _by_sql(
    engine: duckdb.DuckDBPyConnection, rows: pa.Table, came_N: np.ndarray[Any, Any], config: ValidationConfig
) -> Verdict:
    batch = Batch(0, 0, len(rows), rows.combine_chunks().to_batches()[0], came_N)
    opened = open_batches(engine, "events", [batch], SCHEMA, config, {})
    judge = compile_judge(opened, ID_TYPES, {}, config, ManualClock(datetime(2030, 1, 1, tzinfo=UTC)))
    times = {name for name in judge.typed if SCHEMA.column(name).type == "time"}
    values = ", ".join(f"epoch_us({sql})" if name in times else sql for name, sql in judge.typed.items())
    found = engine.execute(f"SELECT {judge.verdict}, {values} FROM {judge.relation} ORDER BY _row").fetchall()
    first: dict[tuple[str, str], int] = {}
    for row, (position, *_) in enumerate(found):
        if position is not None:
            first.setdefault((judge.rules[position].column, judge.rules[position].name), row)
    sound = [dict(zip(judge.typed, typed, strict=True)) for position, *typed in found if position is None]
    return [position is None for position, *_ in found], first, sound


def _as_they_arrive(rows: pa.Table, came_N: np.ndarray[Any, Any], config: ValidationConfig) -> Verdict:
    found = arrived(SCHEMA, rows, ARROW_IDS, config, came_N)
    first = {(fault.column, fault.rule): fault.row for fault in found.faults}
    names = [name for name in found.table.column_names if name in rows.column_names]
    columns = {name: found.sound[name] for name in names}
    times = {name: column.cast(pa.int64()) for name, column in columns.items() if SCHEMA.column(name).type == "time"}
    return found.sound_N.tolist(), first, pa.table({**columns, **times}).to_pylist()


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    column=st.sampled_from(SCHEMA.names),
    held=st.sampled_from(sorted(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), _more(kind))),
    timestamps=st.sampled_from(["iso", "iso", "epoch_seconds", "epoch_milliseconds"]),
    zone=st.sampled_from(["UTC", "Africa/Lagos", "America/New_York"]),
)
@example(column="number", held=("text", []), timestamps="iso", zone="UTC")
@example(column="at", held=("text", []), timestamps="iso", zone="UTC")
@example(column="key", held=("text", []), timestamps="iso", zone="UTC")
@example(column="tags", held=("text", []), timestamps="iso", zone="UTC")
@example(column="day", held=("int8", []), timestamps="iso", zone="America/New_York")
def test_rows_are_judged_alike_in_sql_and_as_they_arrive(
    column: str, held: tuple[str, list[Any]], timestamps: Any, zone: str, engine: duckdb.DuckDBPyConnection
) -> None:
    """Whatever a column holds, in whatever type: the same rows break the same rules, and the others are typed alike."""
    kind, more = held
    values = [None, *KINDS[kind][1], *more]
    config = ValidationConfig(timestamps=timestamps, time_zone=zone)
    columns = {name: pa.concat_arrays([one] * len(values)) for name, one in SOUND.items()}
    rows = pa.table({**columns, column: pa.array(values, KINDS[kind][0])})
    came_N = np.full(len(rows), to_micros(CAME))
    assert _as_they_arrive(rows, came_N, config) == _by_sql(engine, rows, came_N, config)
