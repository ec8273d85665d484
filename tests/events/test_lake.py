"""Lake tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.ingest import ingest
from orita.events.lake import Lake


def _reader(**columns: pa.Array) -> pa.RecordBatchReader:
    table = pa.table(columns)
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def _times(*months: int) -> pa.Array:
    return pa.array([datetime(2024, month, 1, tzinfo=UTC) for month in months], pa.timestamp("us", tz="UTC"))


def _rows(sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect() as connection:
        return list(connection.sql(f"SELECT * FROM {sql} ORDER BY 1").fetchall())


def test_append_adds_versions_and_old_ones_stay_readable(home: Home) -> None:
    """Each append is one version; an earlier version reads as it was."""
    lake = Lake(home)
    assert lake.append("t", _reader(a=pa.array([1, 2]))) == 0
    assert lake.append("t", _reader(a=pa.array([3]))) == 1
    assert _rows(lake.snapshot("t").sql) == [(1,), (2,), (3,)]
    assert _rows(lake.snapshot("t", 0).sql) == [(1,), (2,)]
    assert lake.snapshot("t").rows == 3


def test_append_of_no_rows_makes_no_version(home: Home) -> None:
    """Nothing to add means no commit, except that a new table comes to be, readable and typed."""
    lake = Lake(home)
    assert lake.append("t", _reader(a=pa.array([], pa.int64()), b=pa.array([], pa.string()))) == 0
    assert lake.append("t", _reader(a=pa.array([], pa.int64()))) == 0
    snapshot = lake.snapshot("t")
    assert (snapshot.rows, snapshot.files) == (0, ())
    assert _rows(snapshot.sql) == []
    assert snapshot.schema.names == ["a", "b"]


def test_a_new_column_is_null_in_older_rows(home: Home) -> None:
    """Tables grow by columns; rows written before have null there, rows that lack one have null too."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1])))
    lake.append("t", _reader(a=pa.array([2]), b=pa.array(["x"])))
    lake.append("t", _reader(a=pa.array([3])))
    assert _rows(lake.snapshot("t").sql) == [(1, None), (2, "x"), (3, None)]


def test_another_type_for_a_column_is_refused(home: Home) -> None:
    """A column keeps its type: other rows are refused with the column, both types, and nothing is written."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1])))
    with pytest.raises(UserError, match="'a' of table 't' holds int64, but the new rows hold string"):
        lake.append("t", _reader(a=pa.array(["x"])))
    assert lake.snapshot("t").version == 0


def test_months_partition_the_files_and_not_the_rows(home: Home) -> None:
    """Rows of different months lie in different files, and no month column is read back."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1, 2, 3]), at=_times(1, 2, 2)), time="at")
    snapshot = lake.snapshot("t")
    assert sorted(Path(file).parent.name for file in snapshot.files) == ["month=2024-01", "month=2024-02"]
    assert snapshot.schema.names == ["a", "at"]
    with duckdb.connect() as connection:
        columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {snapshot.sql}").fetchall()]
    assert columns == ["a", "at"]


def test_replace_makes_the_rows_the_whole_table(home: Home) -> None:
    """Replace leaves only its own rows and columns; the version before stays readable."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1]), b=pa.array(["x"])))
    lake.replace("t", _reader(a=pa.array([7])))
    assert _rows(lake.snapshot("t").sql) == [(7,)]
    assert _rows(lake.snapshot("t", 0).sql) == [(1, "x")]


def test_properties_are_kept_with_the_commit(home: Home) -> None:
    """What a commit was made from can be read back from the table."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1])), {"source_sha256": "abc"})
    assert lake.history("t")[0].properties["source_sha256"] == "abc"


def test_missing_tables_and_versions_are_named(home: Home) -> None:
    """A table or version that does not exist is refused with those that do."""
    lake = Lake(home)
    lake.append("interactions", _reader(a=pa.array([1])))
    assert lake.tables() == ("interactions",)
    with pytest.raises(NotFound, match="Did you mean 'interactions'"):
        lake.snapshot("interaction")
    with pytest.raises(NotFound, match="has no version 3: it has 0 to 0"):
        lake.snapshot("interactions", 3)


def test_sweep_deletes_only_what_no_commit_names(home: Home) -> None:
    """A killed writer's file is deleted; files of the present and of earlier versions stay."""
    lake = Lake(home)
    lake.append("t", _reader(a=pa.array([1, 2]), at=_times(1, 2)), time="at")
    lake.replace("t", _reader(a=pa.array([3]), at=_times(3)), time="at")
    orphan = home.table("t") / "month=2024-03" / "part-orphan.parquet"
    orphan.write_bytes(b"half")
    assert lake.sweep("t") == 1
    assert not orphan.exists()
    assert _rows(f"(SELECT a FROM {lake.snapshot('t', 0).sql})") == [(1,), (2,)]
    assert _rows(f"(SELECT a FROM {lake.snapshot('t').sql})") == [(3,)]


@pytest.mark.parametrize("name", ["a b", "é%#", "it's"])
def test_any_name_of_a_home_reads_and_sweeps(
    name: str, tmp_path: Path, make_rows: Callable[..., Any], write_rows: Callable[..., Path], clock: ManualClock
) -> None:
    """Whatever marks a home's path has, data comes in, is read, and a sweep keeps it, also once its log is gone."""
    home = Home(tmp_path / name)
    lake = Lake(home)
    rows = make_rows(60)
    rows[0]["device"] = "fridge"
    path = write_rows(rows, "interactions.csv")
    assert ingest(home, path, clock=clock).tables["interactions"].rows_new == 59
    assert ingest(home, path, clock=clock).tables["interactions"].rows_duplicate == 59
    assert home.table("interactions").is_relative_to(tmp_path / name)
    assert [child.name for child in tmp_path.iterdir() if child.is_dir()] == [name]
    files = lake.snapshot("interactions").files
    assert all(Path(file).is_file() for file in files)
    DeltaTable(str(home.table("interactions"))).create_checkpoint()
    for log in (home.table("interactions") / "_delta_log").glob("*.json"):
        log.write_text("")
    orphan = home.table("interactions") / "part-orphan.parquet"
    orphan.write_bytes(b"half")
    assert lake.sweep("interactions") == 1
    assert lake.snapshot("interactions").files == files
    assert len(_rows(f"(SELECT interaction_id FROM {lake.snapshot('interactions').sql})")) == 59


@pytest.mark.parametrize(
    ("name", "unfit"), [("a%20b", "%20"), ("a[b]", r"\["), ("a|b", r"\|"), ("a^b", r"\^"), ("a\\b", r"\\")]
)
def test_a_home_that_the_lake_cannot_address_is_refused(name: str, unfit: str, tmp_path: Path) -> None:
    """A path that the lake's log would read as another folder, or fail on, is refused with what is wrong in it."""
    with pytest.raises(UserError, match=f"holds {unfit}, which .* name the folder without"):
        Lake(Home(tmp_path / name)).append("t", _reader(a=pa.array([1])))
    assert list(tmp_path.iterdir()) == []


def test_a_home_below_a_relative_path_names_absolute_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of a snapshot are absolute, and a sweep keeps them, where the home is named relative to a folder."""
    monkeypatch.chdir(tmp_path)
    lake = Lake(Home(Path("a b")))
    lake.append("t", _reader(a=pa.array([1])))
    assert lake.sweep("t") == 0
    assert all(Path(file).is_absolute() for file in lake.snapshot("t").files)
    assert _rows(lake.snapshot("t").sql) == [(1,)]
