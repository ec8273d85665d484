"""How the columns of a table may change, and who can read the files."""

from __future__ import annotations

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.lake import Lake, LogSpans
from orita.events.log.log import Span


def _reader(**columns: pa.Array) -> pa.RecordBatchReader:
    table = pa.table(columns)
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def _at(*days: int) -> pa.Array:
    return pa.array([datetime(2024, 1 + day % 2, day, tzinfo=UTC) for day in days], pa.timestamp("us", tz="UTC"))


def _column(sql: str, name: str) -> list[object]:
    with duckdb.connect() as connection:
        return list(connection.sql(f"SELECT {name} FROM {sql} ORDER BY id").to_arrow_table()[name].to_pylist())


_WIDENINGS = [
    (pa.int32(), pa.int64(), [1, None, -7]),
    (pa.int8(), pa.int64(), [1, None, -7]),
    (pa.int8(), pa.int16(), [1, None, -7]),
    (pa.int16(), pa.int32(), [1, None, -7]),
    (pa.float32(), pa.float64(), [0.1, None, -7.5]),
]


@pytest.mark.parametrize(("had", "given", "values"), _WIDENINGS)
@pytest.mark.parametrize("time", [None, "at"])
def test_a_type_may_become_wider(
    had: pa.DataType, given: pa.DataType, values: list[float], time: str | None, home: Home
) -> None:
    """Rows of a wider type are taken, the table has it in every row from then on, an old snapshot as it was."""
    lake = Lake(home)
    old, new = pa.array(values, had), pa.array([2**6], given)
    lake.append("t", _reader(id=pa.array([1, 2, 3]), at=_at(1, 2, 3), x=old), time=time)
    spans = LogSpans("s", {0: Span(0, 9)})
    lake.append("t", _reader(id=pa.array([4]), at=_at(4), x=new, y=pa.array(["n"])), time=time, offsets=spans)
    now, before = lake.snapshot("t"), lake.snapshot("t", 0)
    assert (now.version, now.rows, lake.offsets("t")) == (1, 4, {0: 9})
    assert (now.schema.field("x").type, before.schema.field("x").type) == (given, had)
    assert _column(now.sql, "x") == [*old.cast(given).to_pylist(), 64]
    assert _column(now.sql, "y") == [None, None, None, "n"]
    assert _column(before.sql, "x") == old.to_pylist()
    assert ds.dataset(list(now.files)).schema.field("x").type == given
    lake.append("t", _reader(id=pa.array([5]), at=_at(5), x=new), time=time)
    assert _column(lake.snapshot("t").sql, "id") == [1, 2, 3, 4, 5]


_REFUSALS = [
    (pa.int64(), pa.int32(), "holds int64, but the new rows hold int32, which is narrower: cast them to int64"),
    (pa.float64(), pa.float32(), "holds double, but the new rows hold float, which is narrower: cast them to double"),
    (pa.int64(), pa.string(), "holds int64, but the new rows hold string: it takes int64 and nothing else"),
    (pa.int32(), pa.float64(), "holds int32, but the new rows hold double: it takes int32, or may become int64"),
    (pa.string(), pa.int64(), "holds string, but the new rows hold int64: it takes string and nothing else"),
]


@pytest.mark.parametrize(("had", "given", "sentence"), _REFUSALS)
def test_any_other_change_of_a_type_is_refused(had: pa.DataType, given: pa.DataType, sentence: str, home: Home) -> None:
    """A narrower or another type is refused with the column, both types and what to do, and nothing is stored."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.nulls(2, had)))
    with pytest.raises(UserError, match=f"column 'a' of table 't' {sentence}"):
        lake.append("t", _reader(a=pa.nulls(2, given)))
    assert (lake.version("t"), lake.snapshot("t").rows) == (0, 2)


def test_a_new_column_must_be_nullable(home: Home) -> None:
    """Rows that are there have no value for a new column, so one that is never null is refused."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1])))
    table = pa.table([[2], [3]], schema=pa.schema([("a", pa.int64()), pa.field("b", pa.int64(), nullable=False)]))
    with pytest.raises(UserError, match="column 'b' is new in table 't' and is declared not null"):
        lake.append("t", pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))


def test_a_snapshot_reads_the_same_in_every_reader(home: Home) -> None:
    """DuckDB by SQL, and Arrow and any other reader of Parquet by files and schema, see the same rows."""
    lake = Lake(home)
    lake.append("t", _reader(id=pa.array([1, 2]), at=_at(1, 2)), time="at")
    lake.append("t", _reader(id=pa.array([3]), at=_at(3), x=pa.array([0.5])), time="at")
    lake.append("t", _reader(id=pa.array([4]), at=_at(4), x=pa.array([1.5])), time="at")
    lake.compact("t", time="at")
    lake.append("t", _reader(id=pa.array([5]), at=_at(5)), time="at")
    for version in range(5):
        snapshot = lake.snapshot("t", version)
        dataset = ds.dataset(list(snapshot.files), schema=snapshot.schema, format="parquet")
        arrow = dataset.to_table().sort_by("id")
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            by_sql = connection.sql(f"SELECT * FROM {snapshot.sql} ORDER BY id").to_arrow_table()
            by_dataset = connection.sql("SELECT * FROM dataset ORDER BY id").to_arrow_table()
        assert arrow.num_rows == snapshot.rows == min(version + 2, 4) + (version == 4)
        assert by_sql.to_pylist() == by_dataset.to_pylist() == arrow.to_pylist()
