"""Rows of delimited text (CSV, TSV): read once as text into a staged Parquet file, broken rows kept apart.

RFC 4180 with allowances: a byte-order mark, either line end, line ends inside quotes, blank lines. A row with
the wrong number of columns does not stop the file; it is kept whole for the quarantine.
"""

from __future__ import annotations

import csv
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.sql import literal
from orita.events.sources.opened import FAULT, ROW, TEXT
from orita.events.sources.probe import open_bytes

__all__ = ["Dialect", "read_header", "stage_rows"]

_BLOCK = 4 << 20
_MOST_BROKEN = 1_000_000
_MOST_LINES = 100
# Any text with doubled marks in it, and the single mark that ends it.
_CLOSING = re.compile(rb'[^"]*+(?:""[^"]*+)*+"')
_DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the columns of a text are parted, and whether quotation marks may enclose a value."""

    delimiter: str = ","
    quoted: bool = True


def read_header(file: Path, delimiter: str, max_line_bytes: int) -> list[str]:
    """Return the names in the first line of *file*.

    Raises:
        UserError: another delimiter than *delimiter* parts the line, a name is empty, or there is no row.
    """
    with open_bytes(file) as stream:
        line = _first_line(stream, max_line_bytes)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    others = [mark for mark in _DELIMITERS if mark != delimiter and line.count(mark) > 0]
    if len(names) == 1 and others:
        found = max(others, key=line.count)
        raise UserError(
            f"{file} is parted by {_named(found)}, expected {_named(delimiter)}: "
            f"set validation.delimiter to {found!r}, or write the file with {_named(delimiter)}."
        )
    if not all(names) or not names:
        raise UserError(f"{file} has a column without a name in its first line: name every column.")
    return names


def _first_line(stream: BinaryIO, limit: int) -> str:
    while raw := stream.readline(limit):
        line = bytes(raw).decode("utf-8-sig").strip("\r\n")
        if line.strip():
            return line
    return ""


def _named(delimiter: str) -> str:
    return _DELIMITERS.get(delimiter, repr(delimiter))


def stage_rows(file: Path, names: list[str], target: Path, dialect: Dialect, *, header: bool = True) -> str:
    """Write the rows of *file* as text to the Parquet file *target*; return SQL that reads it.

    Args:
        file: UTF-8 text, perhaps compressed.
        names: of its columns.
        target: where to stage.
        dialect: how columns are parted.
        header: whether the first line holds the names.

    Raises:
        UserError: a quote is never closed, or hardly a row has the right number of columns.
    """
    end = f"end-{uuid.uuid4().hex}" if dialect.quoted else None
    extra = [(ROW, pa.int64()), (FAULT, pa.string()), (TEXT, pa.string())]
    schema = pa.schema([*extra, *((name, pa.string()) for name in names)])
    broken = _Broken()
    done, ended = 0, end is None
    try:
        with (
            pq.ParquetWriter(target, schema, compression="none", use_dictionary=False, write_statistics=False) as out,
            open_bytes(file) as stream,
        ):
            if header:
                _first_line(stream, _BLOCK)
            for read in _batches(_with_end(stream, end, names, dialect), names, dialect, broken):
                ended = ended or bool(read.num_rows and read[0][-1].as_py() == end)
                batch = read.slice(0, read.num_rows - 1) if ended and end is not None else read
                numbers_N = broken.number(batch.num_rows, done)
                done = int(numbers_N[-1]) if len(numbers_N) else done
                _write(out, schema, numbers_N, batch)
                _write(out, schema, *broken.take(done))
            _write(out, schema, *broken.take(None))
    except pa.ArrowInvalid as error:
        raise UserError(_unreadable(file, done, len(names), broken, error, dialect)) from None
    if not ended:
        raise UserError(_open_quote(file, done, dialect))
    return f"read_parquet({literal(str(target))})"


class _Ended:
    """A stream with a last row of our own behind its content."""

    def __init__(self, stream: BinaryIO, last: bytes) -> None:
        self.stream = stream
        self.last = last
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        chunk = self.stream.read(size)
        if chunk or size == 0:
            return chunk
        chunk, self.last = self.last, b""
        return chunk

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def _with_end(stream: BinaryIO, end: str | None, names: list[str], dialect: Dialect) -> BinaryIO:
    """Return the stream with a last row that starts with *end*: a quote that is open before it swallows that row."""
    if end is None:
        return stream
    row = f"\n{end}{dialect.delimiter * (len(names) - 1)}\n"
    return cast(BinaryIO, _Ended(stream, row.encode()))


class _Broken:
    """Rows with the wrong number of columns, until the rows around them have got their numbers."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, str]] = []
        self.swallowed = False

    def __call__(self, row: pc.InvalidRow) -> str:
        self.rows.append((row.number, row.text))
        self.swallowed = row.text.count("\n") > _MOST_LINES
        return "error" if self.swallowed or len(self.rows) > _MOST_BROKEN else "skip"

    def number(self, rows: int, done: int) -> npt.NDArray[np.int64]:
        """Return the numbers of the next *rows* good rows after row *done*."""
        among_N = np.arange(done + 1, done + 1 + rows + len(self.rows))
        taken = np.array([number for number, _ in self.rows], np.int64)
        return among_N[~np.isin(among_N, taken)][:rows]

    def take(self, until: int | None) -> tuple[npt.NDArray[np.int64], pa.RecordBatch]:
        """Hand over the broken rows up to row *until*, or all."""
        out = [row for row in self.rows if until is None or row[0] <= until]
        self.rows = self.rows[len(out) :]
        fields = {FAULT: ["columns"] * len(out), TEXT: [text for _, text in out]}
        batch = pa.record_batch({name: pa.array(values, pa.string()) for name, values in fields.items()})
        return np.array([number for number, _ in out], np.int64), batch


def _batches(stream: BinaryIO, names: list[str], dialect: Dialect, broken: _Broken) -> Iterator[pa.RecordBatch]:
    try:
        yield from pc.open_csv(
            stream,
            # One thread: only then are broken rows told with their numbers.
            read_options=pc.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=names),
            parse_options=pc.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char='"' if dialect.quoted else False,
                newlines_in_values=dialect.quoted,
                invalid_row_handler=broken,
            ),
            convert_options=pc.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" not in str(error):
            raise


def _write(out: pq.ParquetWriter, schema: pa.Schema, numbers_N: npt.NDArray[np.int64], batch: pa.RecordBatch) -> None:
    nulls = pa.nulls(len(numbers_N), pa.string())
    given = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = [pa.array(numbers_N), *(given.get(name, nulls) for name in schema.names[1:])]
    if len(numbers_N):
        out.write_batch(pa.record_batch(columns, schema=schema))


def _unreadable(file: Path, done: int, expected: int, broken: _Broken, error: pa.ArrowInvalid, dialect: Dialect) -> str:
    if len(broken.rows) > _MOST_BROKEN:
        return (
            f"{file} has over {_MOST_BROKEN} rows after row {done} without the {expected} columns of its first "
            "line: check its delimiter and its first line."
        )
    if broken.swallowed or "straddling" in str(error) or "out of sync" in str(error):
        return _open_quote(file, done, dialect)
    return f"{file} cannot be read as delimited text after row {done}: {error}."


def _open_quote(file: Path, done: int, dialect: Dialect) -> str:
    line = _line_of_open_quote(file, dialect.delimiter)
    if line is None:
        return (
            f'{file} has a quotation mark (") after row {done} that is not closed for over {_MOST_LINES} lines: '
            "close it, or double it where it is part of the text."
        )
    return (
        f'{file} has a quotation mark (") in line {line} that is never closed: close it, or enclose the value in '
        "quotation marks and double those that are part of its text."
    )


def _line_of_open_quote(file: Path, delimiter: str) -> int | None:
    """Return the line, from 1, of the quotation mark that is still open at the end of *file*; None if none is."""
    # A mark opens a value only where the value starts; elsewhere it is text.
    opening = re.compile(rb"(?:\A|(?<=[\r\n])|(?<=" + re.escape(delimiter.encode()) + rb'))"')
    opened = None
    with open_bytes(file) as stream:
        for number, line in enumerate(stream, 1):
            opened = _open_after(line, opening, opened, number)
    return opened


def _open_after(line: bytes, opening: re.Pattern[bytes], opened: int | None, number: int) -> int | None:
    """Return the line of the mark that is open after *line*, where that of line *opened* was open before it."""
    position = 0
    while True:
        if opened is None:
            found = opening.search(line, position)
            if found is None:
                return None
            opened, position = number, found.end()
        closing = _CLOSING.match(line, position)
        if closing is None:
            return opened
        opened, position = None, closing.end()
