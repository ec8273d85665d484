"""Rows that ask for features of the past: typed like the events that they are to be matched with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.errors import UserError, closest
from orita.events.lake import Snapshot
from orita.features.api.arriving import as_table, typed
from orita.features.plan import Plan

__all__ = ["asked_rows"]


def asked_rows(
    plan: Plan, snapshots: Mapping[str, Snapshot], rows: pa.Table | Iterable[Mapping[str, object]]
) -> pa.Table:
    """Return *rows* with keys of the type that the events have, and times in UTC; other columns stay as they are.

    An id that the events cannot have, such as a text among numbers, becomes null: it has no events.

    Raises:
        UserError: the time column or a key is missing, or a row has no time.
    """
    source = plan.system.source
    given = as_table(rows)
    needed = dict.fromkeys([source.schema.time or "", *(c for entity in plan.entities for c in entity.columns)])
    for name in needed:
        if name not in given.column_names:
            raise UserError(f"rows that ask for features need the column {name!r}. {closest(name, given.column_names)}")
    stored = snapshots[source.name].schema
    columns = {name: given[name] for name in given.column_names}
    for column in source.schema.columns:
        if column.name in columns:
            kind = stored.field(column.name).type if column.type == "id" and column.name in stored.names else None
            columns[column.name] = typed(columns[column.name], column, kind)
    missing_N = np.asarray(pc.is_null(columns[source.schema.time or ""]).to_numpy())
    if missing_N.any():
        raise UserError(
            f"row {int(np.flatnonzero(missing_N)[0])} has no {source.schema.time!r}, or one that is no time: features "
            "are as of a time, such as 2024-11-15T10:30:00Z."
        )
    return pa.table(columns)
