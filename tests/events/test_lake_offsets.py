"""What a table holds of the event log, said by each of its commits."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from orita.core.errors import NotFound, UserError
from orita.core.home import Home
from orita.events.lake import Fenced, Lake, LogSpans
from orita.events.lake import commits as commits_of_lake
from orita.events.log.log import Span


def _reader(*values: int) -> pa.RecordBatchReader:
    table = pa.table({"a": pa.array(values, pa.int64())})
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches())


def _spans(**spans: tuple[int, int]) -> LogSpans:
    return LogSpans("s", {int(name[1:]): Span(*span) for name, span in spans.items()})


def test_each_version_tells_the_offsets_of_all_partitions(home: Home) -> None:
    """A commit brings some partitions' rows, and says of all up to where the table holds them."""
    lake = Lake(home)
    assert lake.offsets("t") == {}
    lake.append("t", _reader(1), offsets=_spans(p0=(0, 1)))
    lake.append("t", _reader(2), offsets=_spans(p1=(5, 9)))
    lake.append("t", _reader(3), offsets=_spans(p0=(1, 4), p2=(0, 1)))
    assert [lake.offsets("t", version) for version in range(3)] == [{0: 1}, {0: 1, 1: 9}, {0: 4, 1: 9, 2: 1}]
    assert lake.offsets("t") == {0: 4, 1: 9, 2: 1}


def test_other_commits_keep_the_offsets(home: Home) -> None:
    """Rows of files, a replacement, a compaction and a commit of another program leave the offsets as they are."""
    lake = Lake(home)
    lake.append("t", _reader(1))
    assert lake.offsets("t") == {}
    lake.append("t", _reader(2), offsets=_spans(p0=(0, 7)))
    lake.append("t", _reader(3))
    lake.compact("t")
    write_deltalake(str(home.table("t")), pa.table({"a": [4]}), mode="append")
    assert lake.offsets("t") == {0: 7}
    lake.replace("t", _reader(5))
    assert [lake.offsets("t", version) for version in range(6)] == [{}, {0: 7}, {0: 7}, {0: 7}, {0: 7}, {0: 7}]


def test_offsets_without_rows_are_a_commit(home: Home) -> None:
    """Where every row of a batch was bad or known, the table still moves on in the log."""
    lake = Lake(home)
    lake.append("t", _reader(), offsets=_spans(p0=(0, 3)))
    assert lake.append("t", _reader(), offsets=_spans(p0=(3, 5))) == 1
    assert (lake.offsets("t"), lake.snapshot("t").rows) == ({0: 5}, 0)


@pytest.mark.parametrize("span", [(0, 5), (2, 5), (6, 9)])
def test_rows_that_do_not_follow_are_refused(span: tuple[int, int], home: Home) -> None:
    """Rows that the table has, in part or wholly, and rows after a gap, are refused, and nothing is stored."""
    lake = Lake(home)
    lake.append("t", _reader(1), offsets=_spans(p0=(0, 5)))
    with pytest.raises(Fenced, match=f"up to offset 5, and these rows begin at {span[0]}"):
        lake.append("t", _reader(2), offsets=_spans(p0=span))
    assert (lake.version("t"), lake.snapshot("t").rows, lake.offsets("t")) == (0, 1, {0: 5})


def test_rows_of_another_stream_are_refused(home: Home) -> None:
    """Offsets of two streams do not mix in one table."""
    lake = Lake(home)
    lake.append("t", _reader(1), offsets=_spans(p0=(0, 5)))
    with pytest.raises(UserError, match="holds the rows of stream 's', and these are of 'other'"):
        lake.append("t", _reader(2), offsets=LogSpans("other", {0: Span(5, 6)}))


def test_of_two_commits_at_once_one_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is overtaken between its look at the offsets and its commit stores nothing, without any lock."""
    lake = Lake(home)
    lake.append("t", _reader(1), offsets=_spans(p0=(0, 5)))
    original = write_deltalake

    def overtaken(table: DeltaTable, rows: pa.RecordBatchReader, **options: object) -> None:
        monkeypatch.undo()
        lake.append("t", _reader(10), offsets=_spans(p0=(5, 6)))
        original(table, rows, **options)

    monkeypatch.setattr("orita.events.lake.tables.write_deltalake", overtaken)
    with pytest.raises(Fenced, match="another process changed table 't' at the same moment"):
        lake.append("t", _reader(20), offsets=_spans(p0=(5, 8)))
    assert (lake.snapshot("t").rows, lake.offsets("t")) == (2, {0: 6})


def test_offsets_are_read_from_one_commit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many commits there are, one is read."""
    lake = Lake(home)
    lake.append("t", _reader(1), offsets=_spans(p0=(0, 1)))
    for number in range(2, 12):
        lake.append("t", _reader(number))
    read: list[Path] = []
    original = commits_of_lake.commit_file

    def counted(folder: Path, version: int) -> Path:
        read.append(original(folder, version))
        return read[-1]

    monkeypatch.setattr(commits_of_lake, "commit_file", counted)
    assert lake.offsets("t") == lake.offsets("t", 3) == {0: 1}
    assert {path.stem.lstrip("0") for path in read} <= {"", "10", "3"}


def test_offsets_of_an_unknown_version_are_refused(home: Home) -> None:
    """A version that the table does not have has no offsets."""
    lake = Lake(home)
    lake.append("t", _reader(1))
    with pytest.raises(NotFound, match="has no version 4: it has 0 to 0"):
        lake.offsets("t", 4)
