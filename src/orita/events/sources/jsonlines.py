"""Rows of JSON lines: each line an object; a line that is none is a row for the quarantine.

Lines are staged as text first, so that one broken line costs one row and not the file.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from orita.core.errors import UserError
from orita.core.sql import literal, quoted
from orita.events.sources.delimited import Dialect, stage_rows
from orita.events.sources.opened import FAULT, NESTED, ROW, TEXT
from orita.events.sources.probe import open_bytes

__all__ = ["stage_objects"]

# JSON forbids this character inside a text, so that no sound line is ever parted by it.
_NEVER = "\x1f"
_LINE = "line"


def stage_objects(connection: duckdb.DuckDBPyConnection, file: Path, target: Path) -> tuple[str, list[str]]:
    """Write the objects of *file* to the Parquet file *target*, every value as text.

    Returns:
        SQL that reads it, and the names of all keys that occur, in the order of their first letters. It has
        `NESTED` beside them: text alone does not tell the object ``{}`` from the text ``"{}"``.

    Raises:
        UserError: the file holds one JSON array and not lines, or no line is an object.
    """
    _refuse_array(file)
    lines = target.with_name(f"{target.stem}-lines.parquet")
    relation = stage_rows(file, [_LINE], lines, Dialect(_NEVER, quoted=False), header=False)
    # CASE keeps its order where AND does not: a line that is no JSON is never looked into.
    sound = f"CASE WHEN json_valid({_LINE}) THEN json_type({_LINE}) = 'OBJECT' ELSE false END"
    keys = f"SELECT DISTINCT unnest(CASE WHEN {sound} THEN json_keys({_LINE}) END) FROM {relation}"
    names = sorted(row[0] for row in connection.execute(keys).fetchall())
    if not names:
        raise UserError(f'{file} has no line that is a JSON object: write one object a line, such as {{"user_id": 1}}.')
    shape = "{" + ", ".join(f'"{name}": "VARCHAR"' for name in map(_escaped, names)) + "}"
    values = f"CASE WHEN {sound} THEN json_transform({_LINE}, {literal(shape)}) END"
    columns = ", ".join(f"value[{literal(name)}] AS {quoted(name)}" for name in names)
    connection.execute(
        f"COPY (SELECT {ROW}, CASE WHEN value IS NULL THEN 'json' END AS {FAULT}, "
        f"CASE WHEN value IS NULL THEN coalesce({TEXT}, {_LINE}) END AS {TEXT}, "
        f"{_nested(names)} AS {NESTED}, {columns} "
        f"FROM (SELECT *, {values} AS value FROM {relation})) "
        f"TO {literal(str(target))} (FORMAT parquet, COMPRESSION lz4, ROW_GROUP_SIZE 65536)"
    )
    lines.unlink()
    return f"read_parquet({literal(str(target))})", names


def _nested(names: list[str]) -> str:
    """Return SQL of the names of a line's keys that hold an object or a list; null where none can."""
    pointers = {name: "/" + name.replace("~", "~0").replace("/", "~1") for name in names}
    kinds = ", ".join(
        f"CASE WHEN json_type({_LINE}, {literal(pointer)}) IN ('OBJECT', 'ARRAY') THEN {literal(name)} END"
        for name, pointer in pointers.items()
    )
    # Most lines have one brace and no bracket, and need no second look.
    may = f"contains({_LINE}, '[') OR contains(substr(ltrim({_LINE}, chr(65279) || chr(9) || ' '), 2), '{{')"
    return f"CASE WHEN value IS NOT NULL AND ({may}) THEN list_filter([{kinds}], lambda name: name IS NOT NULL) END"


def _escaped(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def _refuse_array(file: Path) -> None:
    with open_bytes(file) as stream:
        start = stream.read(4096).decode("utf-8", errors="ignore").lstrip("\ufeff \t\r\n")
    if start.startswith("["):
        raise UserError(
            f"{file} is one JSON array, expected JSON lines (one object a line): convert it, for example "
            f"jq -c '.[]' {file.name} > rows.jsonl"
        )
