"""What a source is once it is opened: rows that the engine can read, each with its number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orita.core.errors import UserError, closest
from orita.core.sql import literal, quoted
from orita.events.config import Timestamps
from orita.events.schema import TableSchema

__all__ = ["FAULT", "NESTED", "ROW", "TEXT", "Opened", "check_columns", "with_natural_key"]

ROW, FAULT, TEXT = "_row", "_fault", "_text"
"""Columns beside the source's own: the row's number from 1; for a row that could not be read, the rule it breaks
and its text."""

NESTED = "_nested"
"""A further column of a source of objects: names of the columns whose value is an object or a list, else null."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One file, ready to be judged.

    Attributes:
        table: the lake table it belongs to.
        file: where it is.
        digest: SHA-256 of its content, after decompression, in hexadecimal.
        sql: stands behind FROM in DuckDB; has `ROW`, `FAULT`, `TEXT` and *columns*.
        columns: the source's own columns with their DuckDB types.
        schema: what the rows must look like.
        timestamps: how times are written that are not of a time type.
        nested: whether *sql* also has `NESTED`, as a value of its columns may have been an object or a list.
        came: SQL of when each row came, in microseconds since the Unix epoch; empty: all come now.
    """

    table: str
    file: Path
    digest: str
    sql: str
    columns: Mapping[str, str]
    schema: TableSchema
    timestamps: Timestamps = "iso"
    nested: bool = False
    came: str = ""

    @property
    def declared(self) -> tuple[str, ...]:
        """Declared columns that the source has, in the table's order."""
        return tuple(name for name in self.schema.names if name in self.columns)

    @property
    def undeclared(self) -> tuple[str, ...]:
        """Columns of the source that the schema does not declare, in the source's order."""
        return tuple(name for name in self.columns if name not in self.schema.names)


def check_columns(file: Path, found: list[str], schema: TableSchema, others: Sequence[str] = ()) -> None:
    """Check the names of a source's columns; *others* are the tables that its name does not rule out.

    Raises:
        UserError: a name comes twice, or a required column is missing; the sentence lists what was found.
    """
    lowered = [name.lower() for name in found]
    twice = next((name for name in found if lowered.count(name.lower()) > 1), None)
    if twice is not None:
        raise UserError(f"{file} has the column {twice!r} more than once: give each column its own name.")
    derived = {schema.key} if schema.natural_key else set()
    required = [column.name for column in schema.columns if schema.requires(column) and column.name not in derived]
    missing = next((name for name in required if name not in found), None)
    if missing is not None:
        near = closest(missing, found)
        hint = f" {near}" if near.startswith("Did") else ""
        if others:
            hint += f" If it is one of {', '.join(others)}, name the file so, or say it with --table NAME."
        raise UserError(
            f"{file} has no column {missing!r}, which table {schema.name!r} requires; it has {', '.join(found)}.{hint}"
        )


def with_natural_key(opened: Opened) -> Opened:
    """Return the source with its key derived from the schema's natural key, where it has no own."""
    schema = opened.schema
    if schema.key in opened.columns or not schema.natural_key:
        return opened
    parts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in schema.natural_key)
    text = f"concat_ws(chr(31), {literal(schema.name)}, {parts})"
    sql = f"(SELECT *, {_uuid5(text)} AS {quoted(schema.key)} FROM {opened.sql})"
    return replace(opened, sql=sql, columns={schema.key: "VARCHAR", **opened.columns})


_URL_NAMESPACE = r"\x6b\xa7\xb8\x11\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8"


def _uuid5(text: str) -> str:
    """Return SQL for the UUID version 5 (RFC 9562) of a text in the URL namespace."""
    digest = f"sha1('{_URL_NAMESPACE}'::BLOB || encode({text}))"
    variant = f"translate(substr({digest}, 17, 1), '0123456789abcdef', '89ab89ab89ab89ab')"
    return (
        f"substr({digest}, 1, 8) || '-' || substr({digest}, 9, 4) || '-5' || substr({digest}, 14, 3) || "
        f"'-' || {variant} || substr({digest}, 18, 3) || '-' || substr({digest}, 21, 12)"
    )
