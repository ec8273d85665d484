"""Which rows came into a table since a version: what commits added, and not what they only wrote anew."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from orita.core.errors import NotFound
from orita.events.lake.address import data_file
from orita.events.lake.commits import actions_of, commit_file
from orita.events.lake.snapshot import Snapshot
from orita.events.lake.tables import Lake

__all__ = ["rows_of", "rows_since"]


def rows_of(snapshot: Snapshot, files: tuple[str, ...] | None = None, columns: list[str] | None = None) -> pa.Table:
    """Return the rows of a snapshot, or of some files of its table in its schema."""
    files = snapshot.files if files is None else files
    if not files:
        return snapshot.schema.empty_table().select(columns or snapshot.schema.names)
    return ds.dataset(list(files), schema=snapshot.schema, format="parquet").to_table(columns=columns)


def rows_since(lake: Lake, table: str, since: int | None, key: str | None) -> pa.Table:
    """Return the rows that came after version *since*, in the order in which they came.

    Rows that a compaction, or a commit with wider types, wrote anew did not come. Where the log or the files do not
    reach back to *since*, all rows are returned.

    Args:
        lake: whose table.
        table: its name.
        since: the version of which all rows are known; None: none is.
        key: the unique column, by which rows of a rewritten table are told apart; None: then all of them came.

    Raises:
        NotFound: there is no such table.
    """
    newest = lake.snapshot(table)
    added = None if since is None else _added(lake.home.table(table), since, newest.version)
    if added is None:
        return rows_of(newest)
    if not all(Path(file).exists() for _, files in added for file in files):
        return rows_of(newest)
    parts = []
    for version, files in added:
        if version is None:
            parts.append(rows_of(newest, files))
            continue
        try:
            parts.append(_rewritten(lake, table, version, key))
        except NotFound:  # vacuumed
            return rows_of(newest)
    return pa.concat_tables([rows_of(newest, ()), *parts], promote_options="permissive").select(newest.schema.names)


def _rewritten(lake: Lake, table: str, version: int, key: str | None) -> pa.Table:
    """Return the rows of a version, those with a key that the version before had left out."""
    rows = rows_of(lake.snapshot(table, version))
    if key is None:
        return rows
    known = rows_of(lake.snapshot(table, version - 1), columns=[key])[key].cast(rows.schema.field(key).type)
    return rows.filter(pc.invert(pc.is_in(rows[key], value_set=known.combine_chunks())))


def _added(folder: Path, since: int, newest: int) -> list[tuple[int | None, tuple[str, ...]]] | None:
    """Return what came, commit by commit: files, or a version that holds them among rows that were there before."""
    found: list[tuple[int | None, tuple[str, ...]]] = []
    for version in range(since + 1, newest + 1):
        if not commit_file(folder, version).exists():
            return None
        changes = [a for action in actions_of(folder, version) for a in action.items() if a[0] in ("add", "remove")]
        real = [(kind, told) for kind, told in changes if told.get("dataChange", True)]
        files = tuple(data_file(folder, told["path"]) for kind, told in real if kind == "add")
        rewritten = any(kind == "remove" for kind, _ in real)
        if files:
            found.append((version, ()) if rewritten else (None, files))
    return found
