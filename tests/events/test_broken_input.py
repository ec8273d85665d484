"""Files that are broken as a whole: one clear sentence each, and nothing half-written."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orita.core.clock import ManualClock
from orita.core.errors import UserError
from orita.core.home import Home
from orita.events.config import ValidationConfig
from orita.events.ingest import ingest
from orita.events.lake import Lake

MakeRows = Callable[..., list[dict[str, Any]]]
WriteRows = Callable[[list[dict[str, Any]], str], Path]
ReadTable = Callable[..., list[dict[str, Any]]]

_HEADER = "interaction_id,user_id,item_id,timestamp,click\n"
_LINE = "a1,1,2,2024-01-01T00:00:00Z,0\n"

_BROKEN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("interactions.csv", b"", r"is empty \(0 bytes\)"),
    "header only": ("interactions.csv", _HEADER.encode(), "has column names but no rows"),
    "semicolons": (
        "interactions.csv",
        (_HEADER + _LINE).replace(",", ";").encode(),
        r"parted by a semicolon, expected a comma: set validation.delimiter to ';'",
    ),
    "tabs": ("interactions.csv", (_HEADER + _LINE).replace(",", "\t").encode(), "parted by a tab, expected a comma"),
    "missing column": (
        "interactions.csv",
        (_HEADER + _LINE).replace("click", "clik").encode(),
        "has no column 'click', .* it has interaction_id, user_id, item_id, timestamp, clik. Did you mean 'clik'",
    ),
    "column twice": (
        "interactions.csv",
        (_HEADER + _LINE).replace("item_id", "user_id").encode(),
        "has the column 'user_id' more than once",
    ),
    "nameless column": ("interactions.csv", (_HEADER[:-1] + ",\n" + _LINE).encode(), "a column without a name"),
    "latin-1": (
        "interactions.csv",
        (_HEADER + _LINE).encode() + "é1,1,2,2024-01-01,0\n".encode("latin-1"),
        r"is not UTF-8: line 3 holds the byte 0xe9 \(byte 78 of the text\); convert the file, for example iconv",
    ),
    "utf-16": ("interactions.csv", (_HEADER + _LINE).encode("utf-16"), "is UTF-16, expected UTF-8"),
    "half a character": ("interactions.csv", (_HEADER + _LINE + "é").encode()[:-1], "in the middle of a character"),
    "not parquet": ("interactions.parquet", b"hello, world", "is not a Parquet file"),
    "cut gzip": ("interactions.csv.gz", gzip.compress((_HEADER + _LINE * 999).encode())[:-20], "is cut off"),
    "damaged gzip": ("interactions.csv.gz", b"\x1f\x8b" + b"x" * 50, "is damaged gzip"),
    "empty gzip": ("interactions.csv.gz", gzip.compress(b""), "empty .* after decompression"),
    "huge line": (
        "interactions.csv",
        _HEADER.encode() + b"x" * 3_000_000,
        "a line longer than 1048576 bytes near line 2",
    ),
    "open quote": (
        "interactions.csv",
        (_HEADER + _LINE + '"never closed' + _LINE * 200_000).encode(),
        r'has a quotation mark \("\) in line 3 that is never closed: close it',
    ),
    "open quote in the last row": (
        "interactions.csv",
        (_HEADER + _LINE * 3 + _LINE[:-2]).encode() + b'"1',
        r'has a quotation mark \("\) in line 5 that is never closed: close it',
    ),
    "open quote behind a doubled one": (
        "interactions.csv",
        ("\r\n" + _HEADER + '"a1",1,2,"2024-01-01",0\r\n' + _LINE + 'a2,1,2,2024-01-01,"1""\n').encode(),
        r'has a quotation mark \("\) in line 5 that is never closed: close it',
    ),
    "json array": ("interactions.json", b'[{"user_id": 1}]', "is one JSON array, expected JSON lines"),
    "no json": ("interactions.jsonl", b"this is\nno json\n", "no line that is a JSON object"),
    "json without a column": ("interactions.jsonl", b'{"user_id": 1}\n', "has no column 'interaction_id'"),
    "unknown id types": (
        "interactions.csv",
        (_HEADER + "a1,,2,2024-01-01,0\n").encode(),
        "1 of 1 rows .* user_id.required",
    ),
}


@pytest.mark.parametrize("case", _BROKEN)
def test_a_broken_file_is_one_sentence(case: str, tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """Each kind of broken file is refused with its path and what to do; no table and no staged file is left."""
    name, content, sentence = _BROKEN[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        ingest(home, path, clock=clock)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Lake(home).tables() == ()
    assert not home.staging.exists() or list(home.staging.iterdir()) == []


@pytest.mark.parametrize("rows", [200, 60_000])
def test_one_stray_quote_loses_no_rows(
    rows: int, make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """A quote that opens and never closes is refused with its line, however few or many rows it would take along."""
    path = write_rows(make_rows(rows), "interactions.csv")
    lines = path.read_text().splitlines()
    lines[100] = '"' + lines[100]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match="in line 101 that is never closed"):
        ingest(home, path, clock=clock)
    assert Lake(home).tables() == ()


def test_marks_inside_a_value_open_nothing(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A quotation mark that does not start a value is text, also at the end of the file without a line end."""
    path = tmp_path / "interactions.csv"
    header = _HEADER.replace("\n", ",note\n")
    path.write_text(header + _LINE[:-1] + ',5" wide\n' + _LINE[:-1].replace("a1", "a2") + ',"a ""b"""')
    report = ingest(home, path, clock=clock).tables["interactions"]
    assert (report.rows_read, report.rows_new) == (2, 2)


def test_a_cut_parquet_file_is_told(make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock) -> None:
    """A Parquet file without its end, or with holes in its middle, is refused and the table stays."""
    path = write_rows(make_rows(5000), "interactions.parquet")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="is cut off"):
        ingest(home, path, clock=clock)
    holed = bytearray(content)
    holed[1000 : len(content) // 2] = os.urandom(len(content) // 2 - 1000)
    path.write_bytes(bytes(holed))
    with pytest.raises(UserError, match=r"is damaged|break a rule"):
        ingest(home, path, clock=clock)
    assert Lake(home).tables() == ()


def test_paths_without_data_are_told(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A path that is not there, a folder without known files, and a folder with two claims are refused."""
    with pytest.raises(UserError, match="does not exist"):
        ingest(home, tmp_path / "nowhere", clock=clock)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(UserError, match=r"has none of interactions, users, items .* it has notes\.txt"):
        ingest(home, folder, clock=clock)
    (folder / "interactions.csv").write_text(_HEADER + _LINE)
    (folder / "interactions.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"has interactions\.csv and interactions\.jsonl for the one table"):
        ingest(home, folder, clock=clock)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_an_unreadable_file_is_told(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A file without read permission is refused with the command that gives it."""
    path = tmp_path / "interactions.csv"
    path.write_text(_HEADER + _LINE)
    path.chmod(0)
    with pytest.raises(UserError, match=r"may not be read by this user: .*chmod u\+r"):
        ingest(home, path, clock=clock)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + _HEADER + _LINE,
        (_HEADER + _LINE).replace("\n", "\r\n"),
        _HEADER.replace(",", " , ") + "\n\n" + _LINE + "\n",
        "\n" + _HEADER + _LINE[:-1],
        '"interaction_id","user_id","item_id","timestamp","click"\n"a1","1","2","2024-01-01T00:00:00Z","0"\n',
        _HEADER.replace("\n", ",note\n") + '"a1",1,2,2024-01-01,0,"two\nlines, and ""quotes"""\n',
    ],
    ids=["byte-order mark", "CRLF", "blank lines", "no last line end", "quoted", "line end in quotes"],
)
def test_what_spreadsheets_write_is_read(
    text: str, tmp_path: Path, home: Home, clock: ManualClock, read_table: ReadTable
) -> None:
    """A byte-order mark, CRLF, blank lines, blanks in the header and quoted line ends are no faults."""
    (tmp_path / "interactions.csv").write_bytes(text.encode())
    report = ingest(home, tmp_path / "interactions.csv", clock=clock).tables["interactions"]
    assert (report.rows_read, report.rows_new) == (1, 1)
    assert read_table(home)[0]["interaction_id"] == "a1"


def test_other_delimiters_and_gzip_are_read(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """A configured delimiter, a .tsv file and a compressed file are read; the same text has the same digest."""
    text = _HEADER + _LINE
    (tmp_path / "a.csv").write_text(text.replace(",", ";"))
    assert ingest(home, tmp_path / "a.csv", config=ValidationConfig(delimiter=";"), clock=clock)
    (tmp_path / "b.tsv").write_text(text.replace(",", "\t"))
    assert ingest(home, tmp_path / "b.tsv", clock=clock).tables["interactions"].rows_duplicate == 1
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "d.csv").write_text(text)
    other = Home(tmp_path / "other")
    ingest(other, tmp_path / "c.csv.gz", clock=clock)
    assert ingest(other, tmp_path / "d.csv", clock=clock).tables["interactions"].rows_duplicate == 1


def test_a_file_without_a_known_suffix_is_read_by_its_content(
    make_rows: MakeRows, write_rows: WriteRows, home: Home, clock: ManualClock
) -> None:
    """Parquet and JSON lines are known by their first bytes where the name tells nothing."""
    for number, name in enumerate(["interactions.parquet", "interactions.jsonl", "interactions.csv"]):
        path = write_rows(make_rows(10, seed=number), name)
        bare = path.rename(path.with_name(f"export{number}"))
        assert ingest(home, bare, clock=clock).tables["interactions"].rows_new == 10


def test_line_numbers_hold_beyond_the_first_block(tmp_path: Path, home: Home, clock: ManualClock) -> None:
    """The line of a byte that is not UTF-8 is right also when it lies beyond the first megabyte."""
    path = tmp_path / "interactions.csv"
    path.write_bytes((_HEADER + _LINE * 100_000).encode() + b"\xff" + _LINE.encode())
    with pytest.raises(UserError, match="line 100002 holds the byte 0xff"):
        ingest(home, path, clock=clock)
