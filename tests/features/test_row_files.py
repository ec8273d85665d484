"""Files of rows: read as what they say, a chunk at a time, and written so that they can be read again."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orita import Column
from orita.core.errors import UserError
from orita.features.api.row_files import file_format, read_rows, write_rows

COLUMNS = (Column("who", "id"), Column("what", "id"), Column("tags", "list"), Column("note", "str"))
AT = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


def whole(file: Path, chunk_rows: int = 2) -> list[dict[str, object]]:
    """Return all rows of *file*."""
    return [row for table in read_rows(file, COLUMNS, chunk_rows) for row in table.to_pylist()]


def test_csv_keeps_texts_and_makes_ids_numbers_only_where_all_are(tmp_path: Path) -> None:
    """Ids are numbers where every one of the file is, later ones too; lists are parted; blanks are missing."""
    file = tmp_path / "rows.csv"
    file.write_text('who,what,tags,note\n1,7,a|b,"x, y"\n22,007,,\n3,9,c,"two\nlines"\n')
    assert whole(file) == [
        {"who": 1, "what": "7", "tags": ["a", "b"], "note": "x, y"},
        {"who": 22, "what": "007", "tags": None, "note": None},
        {"who": 3, "what": "9", "tags": ["c"], "note": "two\nlines"},
    ]
    assert [len(table) for table in read_rows(file, COLUMNS, 2)] == [2, 1]


def test_compressed_and_marked_text_is_read(tmp_path: Path) -> None:
    """gzip and a byte-order mark change nothing."""
    file = tmp_path / "rows.csv.gz"
    file.write_bytes(gzip.compress("\ufeffwho,note\n1,é\n".encode()))
    assert whole(file) == [{"who": 1, "note": "é"}]
    lines = tmp_path / "rows.jsonl.gz"
    lines.write_bytes(gzip.compress(b'{"who": 1}\n\n{"note": "x"}\n'))
    assert whole(lines, 10) == [{"who": 1, "note": None}, {"who": None, "note": "x"}]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_what_was_written_is_read_again(tmp_path: Path, ending: str) -> None:
    """Numbers, texts, times, lists and missing values survive every format, as far as it has types."""
    table = pa.table(
        {
            "who": pa.array([1, 2]),
            "note": pa.array(["x", None]),
            "tags": pa.array([["a", "b"], None], pa.list_(pa.string())),
            "at": pa.array([AT, None], pa.timestamp("us", tz="UTC")),
            "share": pa.array([0.5, None]),
        }
    )
    file = tmp_path / f"rows.{ending}"
    write_rows(table, file)
    first, second = whole(file)
    assert (first["who"], first["note"], first["tags"]) == (1, "x", ["a", "b"])
    assert float(str(first["share"])) == 0.5
    at = first["at"]
    assert (at if isinstance(at, datetime) else datetime.fromisoformat(str(at))) == AT
    assert [second[name] for name in ("note", "tags", "at", "share")] == [None] * 4


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.txt", b"x", [".csv", ".parquet"]),
        ("rows.csv", b"", ["empty"]),
        ("rows.csv", b"a,b\n1\n", ["csv"]),
        ("rows.jsonl", b'{"a": 1}\n[1]\n', ["line 2", "list"]),
        ("rows.jsonl", b"{", ["line 1", "not JSON"]),
        ("rows.parquet", b"nonsense", ["parquet"]),
    ],
)
def test_what_is_no_file_of_rows_is_one_sentence(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    """The sentence names the file, and the line where there are lines."""
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        whole(file)
    assert all(word in str(error.value) for word in (name, *words))


def test_a_file_is_written_wholly_or_not_at_all(tmp_path: Path) -> None:
    """What cannot be written leaves what was there."""
    file = tmp_path / "rows.parquet"
    write_rows(pa.table({"a": [1]}), file)
    with pytest.raises(UserError):
        write_rows(pa.table({"a": [2]}), tmp_path / "rows.txt")
    assert pq.read_table(file)["a"].to_pylist() == [1]
    assert file_format(Path("x.ndjson")) == "jsonl"
