"""What is stored: lake tables on disk (Delta Lake), grown one atomic commit at a time, read as snapshots.

Every change of a table is one commit: a reader sees all of it or none, also after a kill. A snapshot names a
version and the files that hold it, so what was read can be read again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, write_deltalake

from orita.core.errors import NotFound, UserError, closest
from orita.core.home import Home

__all__ = ["MONTH", "Commit", "Lake", "Snapshot"]

MONTH = "month"
"""Name of the partition column; derived from the event time, not part of the rows that are read back."""

_UNFIT = re.compile(r"[\[\]\\^|]|%[0-9A-Fa-f]{2}")

_FILE_BYTES = 16 * 1024 * 1024

_Mode = Literal["append", "overwrite"]

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
class Commit:
    """One change of a table: its version and the properties it was written with."""

    version: int
    properties: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table as it was at one version.

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
    def sql(self) -> str:
        """SQL that can stand behind FROM in DuckDB; a column that an older file lacks is null there."""
        if not self.files:
            columns = ((field.name, _SQL_TYPES.get(field.type, "VARCHAR")) for field in self.schema)
            nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in columns)
            return f"(SELECT {nulls} WHERE false)"
        files = ", ".join("'" + file.replace("'", "''") + "'" for file in self.files)
        return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"


@dataclass(frozen=True, slots=True)
class Lake:
    """The lake tables of a home."""

    home: Home

    def exists(self, table: str) -> bool:
        """Tell whether *table* has a first commit."""
        log = self.home.table(table) / "_delta_log"
        return log.is_dir() and any(log.glob("*.json"))

    def tables(self) -> tuple[str, ...]:
        """Return the names of the tables that exist, sorted."""
        folder = self.home.table("any").parent
        found = sorted(child.name for child in folder.iterdir()) if folder.is_dir() else []
        return tuple(name for name in found if self.exists(name))

    def append(
        self,
        table: str,
        reader: pa.RecordBatchReader,
        properties: Mapping[str, str] | None = None,
        *,
        time: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> int:
        """Add the rows of *reader* to *table* in one commit; return the version that holds them.

        Columns that the table does not have yet are added; columns that the reader lacks are null. No rows,
        no commit, unless the table is new.

        Args:
            table: name of the table, made if it does not exist.
            reader: rows, streamed; the writer holds at most one open file of 16 MiB a month.
            properties: kept with the commit, see `history`.
            time: a timestamp column; the table is partitioned by its month.
            origin: whose rows these are, kept with the table when this makes it, see `origin`.

        Raises:
            UserError: a column's type differs from the table's.
        """
        exists = self.exists(table)
        if exists:
            self._check_types(table, reader.schema)
        rows = _partitioned(reader, time) if time else reader
        first = next((batch for batch in rows if batch.num_rows), None)
        if first is None and exists:
            return int(self._open(table).version())
        self._write(table, _chained(rows, first), "append", properties, origin, by_month=time is not None)
        return int(self._open(table).version())

    def replace(
        self,
        table: str,
        reader: pa.RecordBatchReader,
        properties: Mapping[str, str] | None = None,
        *,
        time: str | None = None,
        origin: Mapping[str, str] | None = None,
    ) -> int:
        """Make the rows of *reader* the whole content of *table* in one commit; return its version.

        Earlier versions stay readable. Arguments as in `append`.
        """
        rows = _partitioned(reader, time) if time else reader
        self._write(table, rows, "overwrite", properties, origin, by_month=time is not None)
        return int(self._open(table).version())

    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        """Return *table* as it is, or as it was at *version*.

        Raises:
            NotFound: no such table or version; the sentence lists what exists.
        """
        opened = self._open(table, version)
        actions = pa.table(opened.get_add_actions(flatten=True))
        schema = pa.schema(opened.schema().to_arrow())
        fields = [field for field in schema if field.name not in opened.metadata().partition_columns]
        rows = pc.sum(actions["num_records"]).as_py() if actions.num_rows else 0
        files = sorted(_live_files(self.home.table(table), actions))
        return Snapshot(table, opened.version(), tuple(files), int(rows or 0), pa.schema(fields))

    def history(self, table: str) -> tuple[Commit, ...]:
        """Return the commits of *table*, the newest first, with the properties they were written with."""
        return tuple(
            Commit(int(entry["version"]), {str(k): v for k, v in entry.items() if isinstance(v, str)})
            for entry in self._open(table).history()
        )

    def origin(self, table: str) -> dict[str, str]:
        """Return whose rows *table* holds, as said when it was made; empty where nothing was said."""
        described = self._open(table).metadata().description
        return {str(name): str(value) for name, value in json.loads(described).items()} if described else {}

    def sweep(self, table: str) -> int:
        """Delete data files of *table* that no commit names (a killed writer's); return how many there were.

        Only call it where no other writer can be at work.
        """
        if not self.exists(table):
            return 0
        folder = self.home.table(table).absolute()
        live = _live_files(folder, pa.table(self._open(table).get_add_actions(flatten=True)))
        named = set(_named_in_log(folder)) | set(live)
        data = (file for file in folder.rglob("*.parquet") if "_delta_log" not in file.relative_to(folder).parts)
        orphans = [file for file in data if str(file) not in named]
        for file in orphans:
            file.unlink()
        return len(orphans)

    def _open(self, table: str, version: int | None = None) -> DeltaTable:
        if not self.exists(table):
            known = closest(table, self.tables())
            raise NotFound(f"table {table!r} does not exist in {self.home.root}. {known}")
        if version is not None:
            newest = DeltaTable(_address(self.home.table(table))).version()
            if not 0 <= version <= newest:
                raise NotFound(f"table {table!r} has no version {version}: it has 0 to {newest}.")
        return DeltaTable(_address(self.home.table(table)), version=version)

    def _write(
        self,
        table: str,
        rows: pa.RecordBatchReader,
        mode: _Mode,
        properties: Mapping[str, str] | None,
        origin: Mapping[str, str] | None,
        *,
        by_month: bool,
    ) -> None:
        address = _address(self.home.table(table))
        self.home.table(table).mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {
            "mode": mode,
            "schema_mode": "merge" if mode == "append" else "overwrite",
            "partition_by": [MONTH] if by_month else None,
            "target_file_size": _FILE_BYTES,
            "description": json.dumps(dict(origin)) if origin else None,  # kept from the first commit on
            "commit_properties": CommitProperties(custom_metadata=dict(properties or {})),
        }
        write_deltalake(address, rows, **options)

    def _check_types(self, table: str, schema: pa.Schema) -> None:
        stored = _stored_schema(self._open(table))
        for field in schema:
            position = stored.get_field_index(field.name)
            if position >= 0 and stored.field(position).type != field.type:
                raise UserError(
                    f"column {field.name!r} of table {table!r} holds {stored.field(position).type}, "
                    f"but the new rows hold {field.type}: convert them, or write them to another table."
                )


def _stored_schema(table: DeltaTable) -> pa.Schema:
    return pa.schema(table.schema().to_arrow())


def _partitioned(reader: pa.RecordBatchReader, time: str) -> pa.RecordBatchReader:
    """Return the rows with their month, such as ``2024-03``."""
    schema = reader.schema.append(pa.field(MONTH, pa.string()))
    batches = (batch.append_column(schema.field(MONTH), _months(batch[time])) for batch in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def _months(times_N: pa.Array) -> pa.Array:
    """Return ``YYYY-MM`` of each time; text is made once a month, not once a row."""
    starts = pc.dictionary_encode(pc.floor_temporal(times_N, unit="month"))
    names = pa.array([start.as_py().strftime("%Y-%m") for start in starts.dictionary], pa.string())
    return names.take(starts.indices)


def _chained(rows: pa.RecordBatchReader, first: pa.RecordBatch | None) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        if first is not None:
            yield first
        yield from rows

    return pa.RecordBatchReader.from_batches(rows.schema, batches())


def _address(folder: Path) -> str:
    """Return the address of a table's folder for the writer and reader of its log."""
    path = str(folder.absolute())
    # They decode a path once too often, so that a%20b is written as that and read as "a b"; the other marks end them.
    unfit = _UNFIT.search(folder.absolute().as_posix())
    if unfit:
        raise UserError(
            f"the path {path} holds {unfit.group()}, which lake tables cannot have in their path: name the folder "
            "without square brackets, \\, ^, |, and a % before two hexadecimal digits."
        )
    return path


def _data_file(folder: Path, logged: str) -> str:
    """Return the absolute path of a data file, of which the log holds the percent-encoded path below *folder*."""
    return str(folder.absolute() / unquote(logged))


def _live_files(folder: Path, actions: pa.Table) -> list[str]:
    """Return the absolute paths of the files that the add actions of one version name."""
    return [_data_file(folder, path) for path in actions["path"].to_pylist()] if actions.num_rows else []


def _named_in_log(folder: Path) -> Iterator[str]:
    for log in sorted((folder / "_delta_log").glob("*.json")):
        for line in log.read_text(encoding="utf-8").splitlines():
            action: dict[str, Any] = json.loads(line)
            for kind in ("add", "remove"):
                if kind in action:
                    yield _data_file(folder, action[kind]["path"])
