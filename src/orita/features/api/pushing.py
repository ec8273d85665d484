"""A file of events into the log: all of it judged first, then appended a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from orita.core.errors import UserError
from orita.core.progress import SILENT, Progress
from orita.events.arriving import arrived
from orita.events.schema import TableSchema
from orita.features.api.feature_store import FeatureStore
from orita.features.api.row_files import read_rows
from orita.features.api.undecided_ids import of_one_type, suggested_types

__all__ = ["PushedFile", "push_file"]


@dataclass(frozen=True, slots=True)
class PushedFile:
    """What was pushed.

    Attributes:
        rows: how many events.
        left_out: columns of the file that the source does not declare.
        offsets: by partition of the log, the offset after the last of them.
    """

    rows: int
    left_out: tuple[str, ...]
    offsets: Mapping[int, int]


def push_file(
    store: FeatureStore, file: Path, source: str | None = None, *, chunk_rows: int = 20_000, progress: Progress = SILENT
) -> PushedFile:
    """Append the events of *file* to the log of *store*; a file that is pushed again counts once.

    Args:
        store: whose log.
        file: CSV, JSON lines or Parquet; columns that the source does not declare are left out.
        source: its name, by default that of the system.
        chunk_rows: so many are appended, and durable, at a time.
        progress: where to draw progress.

    Raises:
        UserError: a row is not sound, and nothing was taken; the sentence names row, column and value.
        NotFound: the system reads no such source.
    """
    schema = store.source(source).schema
    left_out: dict[str, None] = {}
    types, suggested = store.id_types(schema), dict[str, pa.DataType]()
    with progress.bar(f"Judge {file.name}") as bar:
        total = 0
        for table in read_rows(file, schema.columns, chunk_rows):
            left_out |= dict.fromkeys(name for name in table.column_names if name not in schema.names)
            judged = _judged(store, schema, table, types, file, total)
            for name, kind in suggested_types(schema, judged, types).items():
                suggested[name] = kind if suggested.get(name, kind) == kind else pa.string()
            total += len(table)
            bar.advance(len(table))
    rows = 0
    offsets: dict[int, int] = {}
    with progress.bar(f"Push {file.name}", total=total) as bar:
        for table in _declared(schema, file, chunk_rows):
            spans = store.push_features(table, source, id_types=of_one_type(suggested, store.alike))
            offsets |= {partition: span.next for partition, span in spans.items()}
            rows += len(table)
            bar.advance(len(table))
    return PushedFile(rows, tuple(left_out), offsets)


def _declared(schema: TableSchema, file: Path, chunk_rows: int) -> Iterator[pa.Table]:
    for table in read_rows(file, schema.columns, chunk_rows):
        yield table.select([name for name in table.column_names if name in schema.names])


def _judged(
    store: FeatureStore, schema: TableSchema, table: pa.Table, types: Mapping[str, pa.DataType], file: Path, before: int
) -> pa.Table:
    """Return rows, typed, all of which are sound; *before* rows of the file came before them."""
    found = arrived(schema, table, types, store.validation, store.now())
    if found.faults:
        fault = found.faults[0]
        raise UserError(
            f"{file} row {before + fault.row + 1}: {fault.column} is {fault.value!r}; allowed is {fault.allowed}. "
            "Nothing was taken: mend the row and push the file again, or bring it in by 'orita ingest', which sets "
            "such rows apart."
        )
    return found.table
