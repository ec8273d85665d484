"""Tables as they were: by version and by time, after compaction, and until a vacuum."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orita.core.clock import ManualClock
from orita.core.errors import NotFound, OritaError, UserError
from orita.core.home import Home
from orita.events.lake import Lake


def _events(n: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    start = np.datetime64("2024-01-01", "us").astype(np.int64)
    return pa.table(
        {
            "id": pa.array([f"{seed}-{i}" for i in range(n)]),
            "at": pa.array(start + random.integers(0, 60 * 86_400_000_000, n), pa.timestamp("us", tz="UTC")),
            "value": pa.array(random.random(n), mask=random.random(n) < 0.2),
        }
    )


def _append(lake: Lake, table: pa.Table) -> int:
    return lake.append("t", pa.RecordBatchReader.from_batches(table.schema, table.to_batches()), time="at")


def _rows(lake: Lake, version: int | None = None) -> list[dict[str, object]]:
    with duckdb.connect() as connection:
        rows = connection.sql(f"SELECT * FROM {lake.snapshot('t', version).sql} ORDER BY id").to_arrow_table()
        return list(rows.to_pylist())


@pytest.fixture
def lake(home: Home) -> Lake:
    """A table of twelve commits over two months, 240 rows."""
    lake = Lake(home)
    for seed in range(12):
        _append(lake, _events(20, seed))
    return lake


def test_a_time_names_the_version_that_was_the_newest(lake: Lake) -> None:
    """As of the moment of a commit, and until the next, the table reads as that commit left it."""
    commits = list(reversed(lake.history("t")))
    assert [commit.version for commit in commits] == list(range(12))
    for commit, following in zip(commits, [*commits[1:], None], strict=True):
        last = following.at - timedelta(microseconds=1) if following else commit.at + timedelta(days=1)
        assert lake.snapshot("t", at=last).version == commit.version
        assert lake.snapshot("t", at=max(commit.at, commits[0].at)).rows >= 20 * (commit.version + 1)


def test_a_time_before_the_table_is_refused(lake: Lake) -> None:
    """What was not there yet is told with the first time that can be read; so are a time and a version together."""
    first = lake.history("t")[-1].at
    with pytest.raises(NotFound, match="it did not exist before " + first.isoformat().replace("+", r"\+")):
        lake.snapshot("t", at=first - timedelta(seconds=1))
    with pytest.raises(UserError, match="give one of them"):
        lake.snapshot("t", 0, at=first)


def test_history_lists_the_newest_first_and_no_more_than_asked(lake: Lake) -> None:
    """Versions come with what they did, how many rows they wrote and when."""
    found = lake.history("t", 2)
    assert [(c.version, c.operation, c.rows) for c in found] == [(11, "WRITE", 20), (10, "WRITE", 20)]
    assert abs(found[0].at - datetime.now(UTC)) < timedelta(minutes=5)


def test_compaction_keeps_rows_orders_them_and_leaves_the_past(lake: Lake) -> None:
    """Many files become one a month, in the order of time; the rows are the same, and old versions read as before."""
    before, earlier = _rows(lake), _rows(lake, 5)
    done = lake.compact("t", time="at")
    assert (done.version, done.files_before, done.files_after, done.rows) == (12, 24, 2, 240)
    assert _rows(lake) == before
    assert (_rows(lake, 5), _rows(lake, 11)) == (earlier, before)
    for file in lake.snapshot("t").files:
        times = pq.read_table(file)["at"].to_pylist()
        assert times == sorted(times)


def test_compaction_of_what_is_compact_does_nothing(lake: Lake) -> None:
    """A second compaction makes no version; neither does one of a table without rows."""
    lake.compact("t", time="at")
    again = lake.compact("t", time="at")
    assert (again.version, again.files_before, again.files_after) == (12, 2, 2)
    lake.append("empty", pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), []))
    assert lake.compact("empty").files_after == 0


def test_compaction_touches_only_months_with_small_files(lake: Lake) -> None:
    """A month that is one file already stays in that file."""
    lake.compact("t", time="at")
    january = [file for file in lake.snapshot("t").files if "month=2024-01" in file]
    late = _events(40, 99)
    _append(lake, late.filter(pa.compute.greater(late["at"], pa.scalar(datetime(2024, 2, 1, tzinfo=UTC)))))
    assert lake.compact("t", time="at").files_after == 2
    assert [file for file in lake.snapshot("t").files if "month=2024-01" in file] == january


def test_compaction_unites_files_of_different_columns(home: Home) -> None:
    """Rows of before a column was added are null there, and count as the same rows."""
    lake = Lake(home)
    _append(lake, _events(20, 1))
    _append(lake, _events(20, 2).append_column("note", pa.array(["x"] * 20)))
    before = _rows(lake)
    assert lake.compact("t", time="at").files_after == 2
    assert _rows(lake) == before
    assert lake.snapshot("t", 0).schema.names == ["id", "at", "value"]


def test_a_table_without_months_is_compacted_too(home: Home) -> None:
    """Entities have no time; their files become one all the same."""
    lake = Lake(home)
    for seed in range(3):
        rows = _events(5, seed).drop_columns(["at"])
        lake.append("t", pa.RecordBatchReader.from_batches(rows.schema, rows.to_batches()))
    before = _rows(lake)
    assert lake.compact("t").files_after == 1
    assert _rows(lake) == before


def test_a_compaction_that_changed_rows_is_undone(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should rewriting ever lose a row, it is told, and the table reads as before."""
    before = _rows(lake)
    sums = iter([(240, 1), (239, 1)])
    monkeypatch.setattr("orita.events.lake.compaction._sum_of_rows", lambda *_: next(sums))
    with pytest.raises(OritaError, match=r"changed rows .* it was undone"):
        lake.compact("t", time="at")
    assert _rows(lake) == before
    _append(lake, _events(20, 50))
    assert lake.snapshot("t").rows == 260


def test_vacuum_lets_go_only_what_is_old_and_not_named(lake: Lake) -> None:
    """Versions of the time that is kept and those that are named read as before; others are told as vacuumed."""
    named = _rows(lake, 3)
    lake.compact("t", time="at")
    newest = _rows(lake)
    files = set(lake.snapshot("t").files) | set(lake.snapshot("t", 3).files)
    assert lake.vacuum("t", timedelta(hours=1), named={}).files == 0
    done = lake.vacuum("t", timedelta(0), named={3: ["feed/abc"], 99: ["feed/gone"]})
    assert (done.files, dict(done.kept), done.oldest) == (16, {3: ("feed/abc",)}, 3)
    assert _files(lake) == files
    assert (_rows(lake), _rows(lake, 3)) == (newest, named)
    with pytest.raises(NotFound, match="version 7 of table 't' was vacuumed, its files are gone"):
        lake.snapshot("t", 7)
    with pytest.raises(NotFound, match="version 2 of table 't' was vacuumed: it has 3 to 12"):
        lake.snapshot("t", 2)
    assert lake.unreadable("t") == frozenset(range(4, 12))
    with pytest.raises(NotFound, match="what it was is gone: it was vacuumed"):
        lake.snapshot("t", at=lake.history("t")[-1].at - timedelta(days=1))


def test_a_forced_vacuum_lets_go_named_versions(lake: Lake) -> None:
    """With force nothing but the table as it is stays, and the table goes on from there."""
    newest = _rows(lake)
    lake.compact("t", time="at")
    done = lake.vacuum("t", timedelta(0), named={3: ["feed/abc"]}, force=True)
    assert (done.files, dict(done.kept), done.oldest) == (24, {}, 12)
    assert (_rows(lake), lake.unreadable("t")) == (newest, frozenset())
    assert [commit.version for commit in lake.history("t")] == [12]
    assert _append(lake, _events(20, 77)) == 13
    assert lake.snapshot("t").rows == 260
    assert len(_rows(lake, 12)) == 240
    assert lake.vacuum("t", timedelta(0), named={}).files == 0
    assert lake.sweep("t") == 0
    assert lake.snapshot("t").rows == 260


def test_vacuum_counts_time_from_when_a_version_was_replaced(lake: Lake) -> None:
    """A version that was still the newest at the limit stays, however old it is."""
    lake.compact("t", time="at")
    first, *_, last = (commit.at for commit in lake.history("t"))
    assert lake.vacuum("t", timedelta(days=7), named={}, clock=ManualClock(first + timedelta(days=7))).files == 24
    with pytest.raises(UserError, match="older_than is -1 day, 0:00:00"):
        lake.vacuum("t", timedelta(days=-1), named={})
    assert last <= first


def test_vacuum_is_whole_after_a_kill(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended after any deletion, a vacuum leaves a table that reads, and a second one ends it."""
    newest = _rows(lake)
    lake.compact("t", time="at")

    class Killed(BaseException):
        pass

    unlink = Path.unlink
    for deletions in (3, 26, 30):
        left = iter(range(deletions))

        def dying(path: Path, missing_ok: bool = False, left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed
            unlink(path, missing_ok)

        with monkeypatch.context() as patch, contextlib.suppress(Killed):
            patch.setattr(Path, "unlink", dying)
            lake.vacuum("t", timedelta(0), named={})
        assert _rows(lake) == newest
        assert all(commit.version <= 12 for commit in lake.history("t"))
        assert lake.sweep("t") == 0
    lake.vacuum("t", timedelta(0), named={})
    assert _files(lake) == set(lake.snapshot("t").files)
    assert len(lake.history("t")) == 1


def _files(lake: Lake) -> set[str]:
    folder = lake.home.table("t").absolute()
    return {str(file) for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts}
