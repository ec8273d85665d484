"""The query engine of the data path: DuckDB, bounded in memory, in UTC, spilling into a folder of its own.

It is imported where it is first used: a server reads tables now and then, and must start first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

__all__ = ["draw_nothing", "one_row", "open_engine"]


@contextmanager
def open_engine(folder: Path, memory_mb: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection that holds at most *memory_mb* MiB and spills the rest into *folder*."""
    import duckdb

    connection = duckdb.connect(
        config={"memory_limit": f"{memory_mb}MiB", "temp_directory": str(folder / "spill")},
    )
    try:
        connection.execute("SET TimeZone = 'UTC'")
        draw_nothing(connection)
        yield connection
    finally:
        connection.close()


def draw_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    """Turn DuckDB's own progress bar off.

    In a notebook without ipywidgets it is off, and DuckDB refuses to hear of it.
    """
    if one_row(connection, "SELECT current_setting('enable_progress_bar')")[0]:
        connection.execute("SET enable_progress_bar = false")


def one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Run *sql* and return its only row."""
    (row,) = connection.execute(sql).fetchall()
    return tuple(row)
