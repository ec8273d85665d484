"""A table as it was at one version: the files that hold it, and how DuckDB, Arrow and Spark read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from orita.core.sql import literal, quoted

__all__ = ["Snapshot"]

_SQL_TYPES = {
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.string(): "VARCHAR",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
    pa.list_(pa.string()): "VARCHAR[]",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as it was at one version.

    The files are plain Parquet, one row stored once, no file with rows that are not in the snapshot: any reader of
    Parquet reads the table from `files` and `schema`.

    Attributes:
        name: the table.
        version: counts from 0, one a commit.
        files: absolute paths of the Parquet files that hold it.
        rows: how many rows they hold.
        schema: Arrow names and types of the rows, without the partition column.
    """

    name: str
    version: int
    files: tuple[str, ...]
    rows: int
    schema: pa.Schema

    @property
    def bytes(self) -> int:
        """How large the files are."""
        return sum(Path(file).stat().st_size for file in self.files)

    @property
    def sql(self) -> str:
        """SQL that can stand behind FROM in DuckDB; a column that an older file lacks is null there."""
        if not self.files:
            columns = ((field.name, _SQL_TYPES.get(field.type, "VARCHAR")) for field in self.schema)
            nulls = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(name)}" for name, kind in columns)
            return f"(SELECT {nulls} WHERE false)"
        files = ", ".join(literal(file) for file in self.files)
        return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
