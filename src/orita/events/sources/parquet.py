"""Rows of a Parquet file: read in place, typed; a file that was cut off is told before anything is read."""

from __future__ import annotations

from pathlib import Path

import duckdb

from orita.core.errors import UserError
from orita.core.sql import literal
from orita.events.sources.opened import FAULT, ROW, TEXT

__all__ = ["open_parquet"]

_MAGIC = b"PAR1"


def open_parquet(connection: duckdb.DuckDBPyConnection, file: Path) -> tuple[str, dict[str, str]]:
    """Return SQL that reads *file*, and its columns with their DuckDB types.

    Raises:
        UserError: it is not Parquet, or was cut off.
    """
    with file.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0, 2)
        size = stream.tell()
        stream.seek(max(0, size - 4))
        tail = stream.read(4)
    if head != _MAGIC:
        raise UserError(f"{file} is not a Parquet file (it does not start with PAR1): check its name and format.")
    if size < 12 or tail != _MAGIC:
        raise UserError(f"{file} is cut off (a whole Parquet file ends with PAR1): copy or write it again.")
    # Minima and maxima in a Parquet file leave NaN out; unless told, the engine would skip rows that hold one.
    options = "file_row_number = true, hive_partitioning = false, can_have_nan = true"
    reading = f"read_parquet({literal(str(file))}, {options})"
    try:
        described = connection.execute(f"DESCRIBE SELECT * EXCLUDE (file_row_number) FROM {reading}").fetchall()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{file} is damaged Parquet ({reason}): copy or write it again.") from None
    extra = f"file_row_number + 1 AS {ROW}, NULL::VARCHAR AS {FAULT}, NULL::VARCHAR AS {TEXT}"
    sql = f"(SELECT {extra}, * EXCLUDE (file_row_number) FROM {reading})"
    return sql, {row[0]: row[1] for row in described}
