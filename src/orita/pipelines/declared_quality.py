"""Rows that came into the lake, held against what the project declares of their table in ``quality.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orita.core.errors import NotFound, closest
from orita.events.lake import Lake
from orita.events.lake.arrivals import rows_of, rows_since
from orita.pipelines.components.artifact import digest_of
from orita.pipelines.quality_record import TableRecord, read_record, write_record
from orita.pipelines.workspace import Workspace

if TYPE_CHECKING:
    from orita.monitoring.expectations.declaration import TableExpectation

__all__ = ["declared_quality"]

_FILE = "quality.yaml"


def declared_quality(workspace: Workspace) -> dict[str, Mapping[str, Any]]:
    """Return the check of what came into each declared table since its last check; nothing where none is declared.

    It does not matter which way rows came: by this run, by an attempt of it that was killed, by ``orita ingest`` or the
    event log. Of a table that was never checked all rows are new; a table of entities is one batch whenever it changed.
    Rows of the last check are checked again where their declaration is another one. An attempt after a killed one is
    told what that one had found.

    Raises:
        UserError: the file of declarations cannot be read, or names a table that is not there.
    """
    if workspace.folder is None or not (workspace.folder / _FILE).exists():
        return {}
    # Here, as they bring SciPy's distributions, for which a run without declarations need not wait.
    import msgspec

    from orita.monitoring.expectations.check import check
    from orita.monitoring.expectations.files import read_declarations

    lake, known = Lake(workspace.home), read_record(workspace)
    token = workspace.attempt.token if workspace.attempt else None
    found = {name: each.checked for name, each in known.items() if token is not None and each.token == token}
    record = dict(known)
    for name, table in read_declarations(workspace.folder / _FILE).items():
        if not lake.exists(name):
            continue
        version, declared = lake.version(name), digest_of(msgspec.to_builtins(table))
        last = record.get(name)
        if last is not None and (last.version, last.declared) == (version, declared):
            continue
        since = _since(last, version, declared)
        rows = _came(workspace, lake, name, since, table)
        if last is not None and last.declared == declared and not rows.num_rows:  # rows were only written anew
            record[name] = replace(last, version=version)
            continue
        checked = check(rows, table, at=workspace.clock.now(), keys=lambda key_of: _keys(lake, key_of), source=name)
        found[name] = checked.to_dict()
        record[name] = TableRecord(since, version, declared, found[name], token)
    if record != known:
        write_record(workspace, record)
    return found


def _since(last: TableRecord | None, version: int, declared: str) -> int | None:
    """Return the version whose rows need no check; None: there is none."""
    if last is None or last.version > version:  # never checked, or the table was made anew
        return None
    return last.version if last.declared == declared else last.since


def _came(workspace: Workspace, lake: Lake, name: str, since: int | None, table: TableExpectation) -> pa.Table:
    schema = workspace.system.tables.get(name)
    if schema is not None and schema.time is None:
        return rows_of(lake.snapshot(name))
    unique = next((column for column, told in table.columns.items() if told.unique), None)
    return rows_since(lake, name, since, schema.key if schema else unique)


def _keys(lake: Lake, key_of: str) -> pa.Array:
    table, _, column = key_of.partition(".")
    snapshot = lake.snapshot(table)
    if column not in snapshot.schema.names:
        raise NotFound(
            f"key_of is {key_of!r}, and {table} has no such column. {closest(column, snapshot.schema.names)}"
        )
    return rows_of(snapshot, columns=[column])[column].combine_chunks()
