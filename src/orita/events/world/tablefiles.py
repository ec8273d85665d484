"""A table written block by block as Parquet, CSV or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from orita.core.errors import UserError

__all__ = ["FORMATS", "TableFormat", "TableWriter", "open_table", "table_format"]

TableFormat: TypeAlias = Literal["parquet", "csv", "jsonl"]
FORMATS: tuple[str, ...] = get_args(TableFormat)
# Columns whose values hardly repeat: a dictionary of them would cost time and save nothing.
_DISTINCT = frozenset({"interaction_id", "created_at", "joined_at", "p"})


class TableWriter(Protocol):
    """Takes the blocks of one table."""

    def write_table(self, table: pa.Table) -> None:
        """Write one more block."""
        ...


def table_format(name: str) -> TableFormat:
    """Return *name* as a format.

    Raises:
        UserError: it is none.
    """
    for known in get_args(TableFormat):
        if name == known:
            chosen: TableFormat = known
            return chosen
    raise UserError(f"format {name!r} is not known: choose one of {', '.join(FORMATS)}.")


@contextmanager
def open_table(path: Path, schema: pa.Schema, form: TableFormat) -> Iterator[TableWriter]:
    """Open *path* for blocks of *schema*."""
    if form == "parquet":
        repeated = [name for name in schema.names if name not in _DISTINCT]
        with pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=repeated) as writer:
            yield writer
    elif form == "csv":
        with pyarrow.csv.CSVWriter(path, schema, write_options=_csv_options()) as writer:
            yield writer
    else:
        with path.open("wb") as file:
            yield _JsonLines(file)


def _csv_options() -> Any:
    return pyarrow.csv.WriteOptions(quoting_style="needed", quoting_header="needed")


class _JsonLines:
    """Joins columns as text in Arrow; the values of the world need no escape."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        pieces: list[Any] = []
        for place, field in enumerate(table.schema):
            quote = '"' if pa.types.is_string(field.type) else ""
            previous = "{" if place == 0 else ","
            pieces += [f'{previous}"{field.name}":{quote}', pc.cast(table[field.name], pa.string())]
            if quote:
                pieces.append(quote)
        lines = pc.binary_join_element_wise(*pieces, "}\n", "")
        for chunk in lines.chunks:
            offsets, data = chunk.buffers()[1:]
            assert chunk.offset == 0
            assert offsets is not None
            self._file.write(data)
