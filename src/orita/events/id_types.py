"""Of which type ids are: what tables and logs have decided, by the name of the column in whichever of them it is.

A column of ids has one type in all tables of a home and all streams of its log: '12' and 12 are one user.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa

from orita.events.lake import Lake
from orita.events.log.log import Batch, EventLog

__all__ = ["id_types_in", "logged_id_types", "stored_id_types"]


def stored_id_types(lake: Lake, names: Collection[str], *, first: str = "") -> dict[str, pa.DataType]:
    """Return the types, int64 or string, of the columns *names* that tables of *lake* have, *first* one table's."""
    tables = sorted(lake.tables(), key=lambda table: table != first)
    return _found((lake.snapshot(table).schema for table in tables), names)


def logged_id_types(log: EventLog, names: Collection[str]) -> dict[str, pa.DataType]:
    """Return the types, int64 or string, of the columns *names* of which a stream of *log* ever had ids."""
    return _found((log.schema(stream) for stream in log.streams()), names)


def id_types_in(batches: Iterable[Batch], names: Collection[str]) -> dict[str, pa.DataType]:
    """Return the types, int64 or string, of the columns *names* of which *batches* of a log have ids."""
    return _found((batch.rows.schema for batch in batches), names)


def _found(schemas: Iterable[pa.Schema], names: Collection[str]) -> dict[str, pa.DataType]:
    found: dict[str, pa.DataType] = {}
    missing = set(names)
    for schema in schemas:
        for name in missing & set(schema.names):
            kind = schema.field(name).type
            if not pa.types.is_null(kind):
                found[name] = pa.int64() if pa.types.is_integer(kind) else pa.string()
        missing -= set(found)
        if not missing:
            break
    return found
