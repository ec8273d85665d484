"""Files of rows, read a chunk at a time and written: CSV, JSON lines, Parquet, by the ending of their name.

Values of text files stay text until they are typed by the columns that they belong to (`orita.events.arriving`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from orita.core.errors import UserError
from orita.core.files import atomic_file
from orita.events.arrow_rows import as_table
from orita.events.schema import Column
from orita.events.sources.probe import open_bytes, require_readable
from orita.events.whole_ids import are_whole

__all__ = ["file_format", "read_rows", "write_rows"]

Format = Literal["csv", "jsonl", "parquet"]

_ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
_BLOCK = 4 << 20


def file_format(file: Path) -> Format:
    """Return the format that the name of *file* tells; ``.gz`` behind it is passed over.

    Raises:
        UserError: it tells none.
    """
    name = file.with_suffix("") if file.suffix == ".gz" else file
    if name.suffix not in _ENDINGS:
        raise UserError(f"{file} is of no known format: its name must end in {', '.join(_ENDINGS)}.")
    return _ENDINGS[name.suffix]


def read_rows(file: Path, columns: Sequence[Column] = (), chunk_rows: int = 20_000) -> Iterator[pa.Table]:
    """Yield the rows of *file*, at most *chunk_rows* at a time.

    Args:
        file: where they are.
        columns: those that are declared: ids of text files that look like numbers become numbers only where every id
            of the file does, and lists are parted.
        chunk_rows: how many at a time.

    Raises:
        UserError: the file cannot be read as what its name says.
    """
    kind = file_format(file)
    require_readable(file)
    try:
        match kind:
            case "csv":
                yield from _csv(file, columns, chunk_rows)
            case "jsonl":
                yield from _json_lines(file, chunk_rows)
            case "parquet":
                for batch in pq.ParquetFile(file).iter_batches(chunk_rows):
                    yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, UnicodeDecodeError, EOFError) as error:
        raise UserError(f"{file} cannot be read as {kind}: {str(error).splitlines()[0]}.") from None


def write_rows(table: pa.Table, file: Path) -> None:
    """Write *table* to *file*, wholly or not at all."""
    kind = file_format(file)
    with atomic_file(file) as partial:
        match kind:
            case "csv":
                pa.csv.write_csv(_plain(table), partial)
            case "jsonl":
                with partial.open("w", encoding="utf-8") as stream:
                    for batch in table.to_batches(10_000):
                        stream.writelines(f"{_line(row)}\n" for row in batch.to_pylist())
            case "parquet":
                pq.write_table(table, partial)


def _csv(file: Path, columns: Sequence[Column], chunk_rows: int) -> Iterator[pa.Table]:
    declared = {column.name: column for column in columns}
    numbers = _number_ids(file, [column.name for column in columns if column.type == "id"])
    for table in _texts(file):
        made = {}
        for name in table.column_names:
            column = table[name]
            if name in numbers:
                column = column.cast(pa.int64())
            elif name in declared and declared[name].type == "list":
                column = pc.split_pattern(column, declared[name].separator)
            made[name] = column
        whole = pa.table(made)
        for start in range(0, len(whole), chunk_rows):
            yield whole.slice(start, chunk_rows)


def _number_ids(file: Path, ids: Sequence[str]) -> set[str]:
    """Return the ids all of whose values are whole numbers that are written as such."""
    numbers = set(ids)
    for table in _texts(file) if ids else ():
        numbers &= set(table.column_names)
        for name in list(numbers):
            if not are_whole(table[name]):
                numbers.discard(name)
    return numbers


def _texts(file: Path) -> Iterator[pa.Table]:
    with open_bytes(file) as stream:
        head = stream.readline().decode("utf-8-sig")
    names = pa.csv.read_csv(pa.BufferReader(head.encode())).column_names
    convert = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    options = pa.csv.ReadOptions(block_size=_BLOCK)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with open_bytes(file) as stream, pa.csv.open_csv(stream, options, parse, convert) as reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _json_lines(file: Path, chunk_rows: int) -> Iterator[pa.Table]:
    with open_bytes(file) as stream:
        lines = ((number, line) for number, line in enumerate(stream, 1) if line.strip())
        while chunk := list(islice(lines, chunk_rows)):
            yield as_table([_parsed(file, number, line) for number, line in chunk])


def _parsed(file: Path, number: int, line: bytes) -> Mapping[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{file} line {number} is not JSON: {error}.") from None
    if not isinstance(row, dict):
        raise UserError(f"{file} line {number} is a {type(row).__name__}, expected an object: one row a line.")
    return row


def _plain(table: pa.Table) -> pa.Table:
    """Return a table that CSV can hold: lists as text that is parted by bars, times in ISO 8601."""
    made = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_list(column.type):
            column = pc.binary_join(column.cast(pa.list_(pa.string())), "|")
        elif pa.types.is_timestamp(column.type):
            column = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
        made[name] = column
    return pa.table(made)


def _line(row: Mapping[str, Any]) -> str:
    shown = {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
    return json.dumps(shown, ensure_ascii=False)
