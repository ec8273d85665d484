"""Which files of a path hold which table, and how each is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb

from orita.core.errors import NotFound, UserError, closest
from orita.events.config import ValidationConfig
from orita.events.schema import INTERACTION, TableSchema, entity_schema
from orita.events.sources.delimited import Dialect, read_header, stage_rows
from orita.events.sources.jsonlines import stage_objects
from orita.events.sources.movielens import find_movielens, open_movielens
from orita.events.sources.opened import Opened, check_columns, with_natural_key
from orita.events.sources.parquet import open_parquet
from orita.events.sources.probe import digest_of, open_bytes, probe_text, require_readable

__all__ = ["DEFAULT_SCHEMAS", "Found", "find_sources", "open_source"]

DEFAULT_SCHEMAS: Mapping[str, TableSchema] = {
    "interactions": INTERACTION,
    "users": entity_schema("users", key="user_id", attributes={"joined_at": "time", "region": "category"}),
    "items": entity_schema("items", key="item_id", attributes={"created_at": "time", "topic": "int"}),
}
"""What is assumed where the caller declares no table of events."""

Format = Literal["parquet", "csv", "tsv", "jsonl", "movielens"]
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A file, the table it holds and its format.

    Attributes:
        others: the tables that it could hold as well, where its name tells none.
    """

    table: str
    file: Path
    format: Format
    others: tuple[str, ...] = ()


def find_sources(
    path: Path, schemas: Mapping[str, TableSchema] | None = None, table: str | None = None
) -> tuple[Found, ...]:
    """Return the files below *path*, which is one file or a folder, one a table.

    A file is known by its name, which is that of a table. One that is named otherwise holds events, where there is one
    table of events only.

    Args:
        path: a file, a folder, or a data set that is known by its files.
        schemas: the tables that there are, by name; without one of events, `DEFAULT_SCHEMAS` too.
        table: which of them the file holds, whatever it is called.

    Raises:
        NotFound: there is no such path, or no such table.
        UserError: nothing there is known, or two files claim one table; the sentence says what is looked for.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist: check the path.")
    given = schemas or {}
    tables = given if any(schema.time for schema in given.values()) else {**DEFAULT_SCHEMAS, **given}
    if table is not None:
        return (_named(path, tables, table),)
    movielens = find_movielens(path) if os.access(path, os.R_OK) else {}
    if movielens:
        return tuple(Found(table, file, "movielens") for table, file in movielens.items())
    if path.is_dir():
        return _in_folder(path, tables)
    require_readable(path)
    return (_by_name(path, tables),)


def _named(path: Path, tables: Mapping[str, TableSchema], table: str) -> Found:
    if table not in tables:
        raise NotFound(f"table {table!r} is not declared. {closest(table, tables)}")
    if path.is_dir():
        raise UserError(f"{path} is a folder, whose files are known by their names: name the one of table {table!r}.")
    require_readable(path)
    return Found(table, path, _format(path))


def _by_name(file: Path, tables: Mapping[str, TableSchema]) -> Found:
    named = [name for name in tables if name.lower() == _stem(file)]
    events = named or [name for name, schema in tables.items() if schema.time]
    if len(events) > 1:
        raise UserError(
            f"{file} is called like none of the tables {', '.join(tables)}: say which it is with --table NAME, or "
            "rename it."
        )
    others = () if named else tuple(name for name in tables if name != events[0])
    return Found(events[0], file, _format(file), others)


def _in_folder(folder: Path, tables: Mapping[str, TableSchema]) -> tuple[Found, ...]:
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"{folder} may not be read by this user: change its permissions (chmod u+rx).")
    files = sorted(file for file in folder.iterdir() if file.is_file() and _suffix(file) in _SUFFIXES)
    found = []
    for table in tables:
        matching = [file for file in files if _stem(file) == table.lower()]
        if len(matching) > 1:
            names = " and ".join(file.name for file in matching)
            raise UserError(f"{folder} has {names} for the one table {table!r}: keep one of them.")
        found += [Found(table, file, _SUFFIXES[_suffix(file)]) for file in matching]
    if not found:
        have = ", ".join(sorted(file.name for file in folder.iterdir())[:8]) or "nothing"
        raise UserError(
            f"{folder} has none of {', '.join(tables)} as .csv, .tsv, .jsonl or .parquet, and is not MovieLens-100K; "
            f"it has {have}: name a file, or rename one to {next(iter(tables))}.csv."
        )
    return tuple(found)


def _bare(file: Path) -> Path:
    return file.with_suffix("") if file.suffix == ".gz" else file


def _suffix(file: Path) -> str:
    return _bare(file).suffix.lower()


def _stem(file: Path) -> str:
    return _bare(file).stem.lower()


def _format(file: Path) -> Format:
    """Return the format that the name tells, else the one that the first bytes do."""
    named = _SUFFIXES.get(_suffix(file))
    if named:
        return named
    with open_bytes(file) as stream:
        start = stream.read(64)
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) else "csv"


def open_source(
    connection: duckdb.DuckDBPyConnection,
    found: Found,
    folder: Path,
    config: ValidationConfig,
    schema: TableSchema | None,
) -> Opened:
    """Check the file and return it as rows; text is staged in *folder*.

    Args:
        connection: the engine that will read it.
        found: the file.
        folder: for staged files.
        config: delimiter, line bound and how times are written.
        schema: what its rows must look like; None: the data set's own, else `DEFAULT_SCHEMAS`.

    Raises:
        UserError: the file is broken; one sentence says where and what to do.
    """
    file = found.file
    require_readable(file)
    if found.format == "movielens":
        opened = with_natural_key(open_movielens(file, folder, config.max_line_bytes, schema))
        check_columns(file, list(opened.columns), opened.schema)
        return opened
    declared = schema or DEFAULT_SCHEMAS[found.table]
    target = folder / f"{found.table}.parquet"
    if found.format == "parquet":
        sql, columns = open_parquet(connection, file)
        digest = digest_of(file)
    elif found.format == "jsonl":
        digest = probe_text(file, config.max_line_bytes)
        sql, names = stage_objects(connection, file, target)
        columns = dict.fromkeys(names, "VARCHAR")
    else:
        digest = probe_text(file, config.max_line_bytes)
        delimiter = "\t" if found.format == "tsv" else config.delimiter
        names = read_header(file, delimiter, config.max_line_bytes)
        check_columns(file, names, declared, found.others)
        sql = stage_rows(file, names, target, Dialect(delimiter))
        columns = dict.fromkeys(names, "VARCHAR")
    check_columns(file, list(columns), declared, found.others)
    nested = found.format == "jsonl"
    return with_natural_key(Opened(found.table, file, digest, sql, columns, declared, config.timestamps, nested))
