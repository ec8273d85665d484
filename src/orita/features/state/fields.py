"""What aggregates read of an event, as columns of float64: what an exact window keeps of it.

Legend: N events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.batch import EventBatch
from orita.features.declarations import Aggregate, EventColumn, Residual
from orita.features.plan import Plan
from orita.features.slots import slots_of

__all__ = ["FIELD_WIDTHS", "Columns", "Field", "fields_of", "read_field", "split_integers"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Field = tuple[Literal["number", "integer", "identity", "residual"], str]
"""How a column is read, and its name: a number; an integer as two halves; what `count_distinct` tells apart, as the
bits of an int64 and a flag whether it is known; a residual by its name in the plan."""

Columns = Mapping[Field, tuple[Floats, ...]]
"""The columns of each field, [N] each."""

FIELD_WIDTHS = {"number": 1, "integer": 2, "identity": 2, "residual": 1}
_HALF = 32


def fields_of(aggregate: Aggregate, plan: Plan) -> tuple[Field, ...]:
    """Return what *aggregate* reads of an event beside its time and id."""
    match aggregate.value:
        case None:
            return ()
        case Residual() as residual:
            return (("residual", plan.residual(residual)),)
        case EventColumn(column=column) if aggregate.function in ("distinct", "approx_distinct"):
            return (("identity", column.name),)
        case EventColumn(column=column) if slots_of(aggregate)[0] == "high":
            return (("integer", column.name),)
        case EventColumn(column=column):
            below = aggregate.denominator
            return (("number", column.name), *((("number", below.column.name),) if below else ()))


def read_field(field: Field, batch: EventBatch, residuals: Mapping[str, Floats]) -> tuple[Floats, ...]:
    """Return the columns of *field* of every event in *batch*; *residuals* are by their name in the plan."""
    kind, name = field
    match kind:
        case "number":
            return (batch.values[name].astype(np.float64),)
        case "identity":
            return batch.distinct[name].view(np.float64), batch.known[name].astype(np.float64)
        case "integer":
            return split_integers(batch.table[name] if name in batch.table.column_names else pa.nulls(len(batch)))
        case "residual":
            return (residuals[name],)


def split_integers(column: pa.ChunkedArray | pa.Array) -> tuple[Floats, Floats]:
    """Return high and low halves of integers, value = high · 2³² + low, NaN where missing; floats are split alike."""
    if pa.types.is_floating(column.type):
        value_N = np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))
        high_N = np.floor(value_N / (1 << _HALF))
        return high_N, value_N - high_N * (1 << _HALF)
    whole_N = np.asarray(pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False))
    halves = (whole_N >> _HALF).astype(np.float64), (whole_N & ((1 << _HALF) - 1)).astype(np.float64)
    if column.null_count:
        missing_N = np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False))
        for half_N in halves:
            half_N[missing_N] = np.nan
    return halves
