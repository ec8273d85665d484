"""Rows that an ingest brought, held against what the project declares of their table in ``quality.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from orita.core.errors import NotFound, closest
from orita.events.lake import Lake, Snapshot
from orita.pipelines.workspace import Workspace

__all__ = ["declared_quality"]

_FILE = "quality.yaml"


def declared_quality(workspace: Workspace, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the check of what is new in each table, by the rules that are declared; nothing where none are.

    What one ingest brings is no batch like those of history: it may be a day or a year. So envelopes are left to
    ``orita quality check``.

    Args:
        workspace: names the project's folder.
        tables: as an ingest reports them: the version that each has since, None where nothing came.

    Raises:
        UserError: the file of declarations cannot be read, or names a table that is not there.
    """
    if workspace.folder is None or not (workspace.folder / _FILE).exists():
        return {}
    # Here, as they bring SciPy's distributions, for which a run without declarations need not wait.
    from orita.monitoring.expectations.check import check
    from orita.monitoring.expectations.files import read_declarations

    declared = read_declarations(workspace.folder / _FILE)
    lake, found = Lake(workspace.home), {}
    for name, told in tables.items():
        if name in declared and told["version"] is not None:
            rows = _new_rows(lake, name, told["version"])
            checked = check(
                rows, declared[name], at=workspace.clock.now(), keys=lambda key_of: _keys(lake, key_of), source=name
            )
            found[name] = checked.to_dict()
    return found


def _new_rows(lake: Lake, table: str, version: int) -> pa.Table:
    """Return the rows in files that *version* of a table has and the one before it has not."""
    after = lake.snapshot(table, version)
    before = lake.snapshot(table, version - 1).files if version else ()
    return _read(after, tuple(file for file in after.files if file not in before))


def _keys(lake: Lake, key_of: str) -> pa.Array:
    table, _, column = key_of.partition(".")
    snapshot = lake.snapshot(table)
    if column not in snapshot.schema.names:
        raise NotFound(
            f"key_of is {key_of!r}, and {table} has no such column. {closest(column, snapshot.schema.names)}"
        )
    return _read(snapshot, snapshot.files, [column])[column].combine_chunks()


def _read(snapshot: Snapshot, files: tuple[str, ...], columns: list[str] | None = None) -> pa.Table:
    if not files:
        return snapshot.schema.empty_table().select(columns or snapshot.schema.names)
    return ds.dataset(list(files), schema=snapshot.schema, format="parquet").to_table(columns=columns)
