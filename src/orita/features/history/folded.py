"""Aggregates as slots: what each row's events make, in the slots that `slots.finish` reads.

Legend: E events in order, Q rows, S slots.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from orita.features.batch import Booleans, EventBatch, Floats, Integers
from orita.features.declarations import MICROS_PER_DAY, Aggregate, EventColumn, Residual
from orita.features.history.stretch import Seen
from orita.features.kernel.folding import Sight, folds_of
from orita.features.kernel.grouping import codes_of_integers
from orita.features.slots import slots_of

__all__ = ["Residuals", "fold"]

Residuals = Mapping[Residual, Floats]
"""Of each residual its value of every event, [N], NaN where it is missing."""

Array = npt.NDArray[np.generic]


def fold(aggregate: Aggregate, batch: EventBatch, residuals: Residuals, seen: Seen) -> Floats:
    """Return what each row's events make, [Q, S]; of a value and what says when it was, only the value."""
    columns = _columns(aggregate, batch, residuals, seen)
    if aggregate.time_to_live:
        columns = (*columns, folds_of(seen.sight).edge(seen.time_E, seen.sight, last=True))
    return np.array(columns, np.float64).T


def _columns(aggregate: Aggregate, batch: EventBatch, residuals: Residuals, seen: Seen) -> tuple[Array, ...]:
    match aggregate.function:
        case "count":
            return (folds_of(seen.sight).count(seen.sight),)
        case "first_time" | "last_time":
            return (folds_of(seen.sight).edge(seen.time_E, seen.sight, last=aggregate.function == "last_time"),)
        case "distinct_days":
            return (_distinct(seen.time_E // MICROS_PER_DAY, seen.sight),)
        case "distinct" | "approx_distinct":
            return (_told_apart(aggregate, batch, seen),)
        case "ratio":
            return _ratio(aggregate, batch, seen)
        case "sum" if "high" in slots_of(aggregate):
            return folds_of(seen.sight).words(_whole(aggregate, batch, seen), seen.sight)
        case _:
            value_E, known_E, sight = _present(_values(aggregate, batch, residuals, seen), seen.sight)
            if aggregate.function in ("decayed_sum", "decayed_mean"):
                time_E = seen.time_E if known_E is None else seen.time_E[known_E]
                return _decayed(aggregate, value_E.astype(np.float64), time_E, sight)
            return _of_values(aggregate, value_E, sight)


def _of_values(aggregate: Aggregate, value_E: Array, sight: Sight) -> tuple[Array, ...]:
    match aggregate.function:
        case "sum":
            return (folds_of(sight).total(value_E, sight),)
        case "mean":
            return folds_of(sight).count(sight), folds_of(sight).total(value_E, sight)
        case "var" | "std":
            return folds_of(sight).moments(value_E.astype(np.float64), sight)
        case "min":
            return (-folds_of(sight).maximum(-value_E.astype(np.float64), sight),)
        case "max":
            return (folds_of(sight).maximum(value_E.astype(np.float64), sight),)
        case "first" | "last":
            return (folds_of(sight).edge(value_E, sight, last=aggregate.function == "last"),)
        case _:
            return (folds_of(sight).quantile(value_E.astype(np.float64), aggregate.parameter, sight),)


def _decayed(aggregate: Aggregate, value_E: Floats, time_E: Integers, sight: Sight) -> tuple[Array, ...]:
    half, latest_Q = aggregate.parameter, folds_of(sight).edge(time_E, sight, last=True)
    sum_Q = folds_of(sight).decayed(value_E, time_E, half, sight)
    if aggregate.function == "decayed_sum":
        return sum_Q, latest_Q
    return folds_of(sight).decayed(np.ones(len(time_E)), time_E, half, sight), sum_Q, latest_Q


def _values(aggregate: Aggregate, batch: EventBatch, residuals: Residuals, seen: Seen) -> Array:
    value = aggregate.value
    assert value is not None
    if isinstance(value, Residual):
        return residuals[value][seen.event_E]
    return seen.gather(value.column.name, batch.values[value.column.name])


def _present(value_E: Array, sight: Sight) -> tuple[Array, Booleans | None, Sight]:
    """Return the values that are not missing, which these are (None: all), and the same sight among these."""
    if value_E.dtype.kind != "f" or (known_E := ~np.isnan(value_E.astype(np.float64, copy=False))).all():
        return value_E, None, sight
    return value_E[known_E], known_E, sight.among(known_E)


def _whole(aggregate: Aggregate, batch: EventBatch, seen: Seen) -> Integers:
    """Return whole numbers as they are, 0 where they are missing: float64 would round large ones."""
    assert isinstance(aggregate.value, EventColumn)
    name = aggregate.value.column.name
    value_N = batch.values[name]
    if value_N.dtype.kind == "i":
        return seen.gather(name, value_N).astype(np.int64, copy=False)
    whole_N = np.asarray(pc.fill_null(batch.table[name], 0).to_numpy()) if name in batch.table.column_names else value_N
    return np.nan_to_num(whole_N[seen.event_E]).astype(np.int64)


def _ratio(aggregate: Aggregate, batch: EventBatch, seen: Seen) -> tuple[Array, ...]:
    def total(column: EventColumn) -> Floats:
        value_E = seen.gather(column.column.name, batch.values[column.column.name])
        return folds_of(seen.sight).total(np.nan_to_num(value_E) if value_E.dtype.kind == "f" else value_E, seen.sight)

    assert isinstance(aggregate.value, EventColumn)
    per = aggregate.denominator
    return total(aggregate.value), folds_of(seen.sight).count(seen.sight) if per is None else total(per)


def _told_apart(aggregate: Aggregate, batch: EventBatch, seen: Seen) -> Integers:
    assert isinstance(aggregate.value, EventColumn)
    name = aggregate.value.column.name
    known_E = batch.known[name][seen.event_E]
    sight = seen.sight if known_E.all() else seen.sight.among(known_E)
    different_Q = _distinct(batch.distinct[name][seen.event_E[known_E]], sight)
    cap = int(aggregate.parameter) if aggregate.function == "distinct" else None
    return different_Q if cap is None else np.minimum(different_Q, cap)


def _distinct(value_E: Integers, sight: Sight) -> Integers:
    codes = codes_of_integers(value_E)
    return folds_of(sight).distinct(codes.code_N, codes.groups, sight)
