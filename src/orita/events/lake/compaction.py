"""Many small files become few large ones, the rows of a month in the order of time; no row changes.

Which months are rewritten: those with two files or more that are small. The rows are counted and summed up before and
after; if they differ, the table is put back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties

from orita.core.errors import OritaError
from orita.core.sql import quoted
from orita.events.engine import one_row
from orita.events.lake.months import MONTH
from orita.events.lake.snapshot import Snapshot

__all__ = ["Compacted", "compact_files", "refuse_changed_rows"]

_FILE_BYTES = 128 * 1024 * 1024
_SMALL_BYTES = _FILE_BYTES // 2


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did.

    Attributes:
        version: the version that holds the rows now; that of before where nothing was to do.
        files_before, files_after: data files of the table.
        rows: how many rows it has.
    """

    version: int
    files_before: int
    files_after: int
    rows: int


def compact_files(opened: DeltaTable, time: str | None, commit: CommitProperties) -> bool:
    """Rewrite what is in small files, in one commit; tell whether there was anything.

    Args:
        opened: the table.
        time: the column that the rows of a month are put in order of.
        commit: properties of the commit.
    """
    actions = pa.table(opened.get_add_actions(flatten=True))
    if not actions.num_rows:
        return False
    by_month = MONTH in opened.metadata().partition_columns
    months = actions[f"partition.{MONTH}"].to_pylist() if by_month else [None] * actions.num_rows
    small = _crowded(zip(months, actions["size_bytes"].to_pylist(), strict=True))
    if not small:
        return False
    options = {
        "target_size": _FILE_BYTES,
        "commit_properties": commit,
        "partition_filters": [(MONTH, "in", small)] if by_month else None,
        "writer_properties": WriterProperties(compression="ZSTD", compression_level=3),
    }
    if time is None:
        opened.optimize.compact(**options)
    else:
        opened.optimize.z_order([time], **options)
    return True


def refuse_changed_rows(before: Snapshot, after: Snapshot) -> None:
    """Compare the rows of the files that only one of two snapshots has.

    Raises:
        OritaError: they differ.
    """
    shared = set(before.files) & set(after.files)
    sums = [_sum_of_rows(snapshot, [f for f in snapshot.files if f not in shared]) for snapshot in (before, after)]
    if sums[0] != sums[1]:
        raise OritaError(
            f"compaction of table {before.name!r} changed rows ({sums[0]} before, {sums[1]} after): it was undone, the "
            "table is as it was; report this with the versions of deltalake and duckdb."
        )


def _crowded(files: Iterable[tuple[str | None, int]]) -> list[str | None]:
    """Return the months that have two small files or more."""
    small: dict[str | None, int] = defaultdict(int)
    for month, size in files:
        small[month] += size < _SMALL_BYTES
    return sorted((month for month, count in small.items() if count > 1), key=str)


def _sum_of_rows(snapshot: Snapshot, files: list[str]) -> tuple[int, int]:
    """Return how many rows *files* hold, and the sum of their hashes."""
    import duckdb

    part = Snapshot(snapshot.name, snapshot.version, tuple(files), 0, snapshot.schema)
    columns = ", ".join(quoted(name) for name in snapshot.schema.names)
    # A file that lacks a column has null there, as a rewritten one says outright.
    empty = Snapshot(snapshot.name, snapshot.version, (), 0, snapshot.schema).sql
    with duckdb.connect() as connection:
        rows = f"(SELECT {columns} FROM {empty} UNION ALL BY NAME SELECT * FROM {part.sql})"
        count, total = one_row(connection, f"SELECT count(*), coalesce(sum(hash({columns})), 0) FROM {rows}")
    return int(count), int(total)
