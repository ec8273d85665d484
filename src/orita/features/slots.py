"""The numbers that an aggregate is kept as, and what a value is made of them: one meaning for every engine.

An aggregate of a key is a row of float64 slots. Engines differ in how they come to the slots (`history` folds arrays,
`stream` merges batches); `finish` turns slots into the value as of a time, for all of them.

Legend: N rows, S slots.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita.features.declarations import Aggregate, EventColumn

__all__ = ["empty_of", "finish", "is_first_slot", "slots_of"]

Floats = npt.NDArray[np.float64]

ID_SLOTS = ("id0", "id1", "id2", "id3", "id4")
"""The first 40 bytes of an event id, as they are: what orders events of one instant."""

_SLOTS: dict[str, tuple[str, ...]] = {
    "count": ("n",),
    "sum": ("sum",),
    "mean": ("n", "sum"),
    "ratio": ("sum", "per"),
    "min": ("value",),
    "max": ("value",),
    "var": ("n", "mean", "squares"),
    "std": ("n", "mean", "squares"),
    "first": ("value", "time", *ID_SLOTS),
    "last": ("value", "time", *ID_SLOTS),
    "first_time": ("time",),
    "last_time": ("time",),
    "distinct_days": ("distinct",),
    "distinct": ("distinct",),
    "approx_distinct": ("distinct",),
    "quantile": ("value",),
    "decayed_sum": ("sum", "time"),
    "decayed_mean": ("n", "sum", "time"),
}
_ZERO = frozenset(("n", "sum", "per", "high", "low", "squares", "distinct"))
_WORD = float(1 << 32)


def slots_of(aggregate: Aggregate) -> tuple[str, ...]:
    """Return the names of an aggregate's slots.

    ``n`` counts the values, ``sum`` adds them, ``per`` is a denominator, ``squares`` adds squared deviations from
    ``mean``; an exact sum of integers is ``high`` · 2³² + ``low``; ``time`` is the time of ``value``, or that to which
    decayed sums have faded; ``seen``, where there is a time to live, is the time of the latest event.
    """
    names = ("high", "low") if _is_integer_sum(aggregate) else _SLOTS[aggregate.function]
    return (*names, "seen") if aggregate.time_to_live else names


def empty_of(aggregate: Aggregate) -> tuple[float, ...]:
    """Return the slots of an aggregate that has seen no event."""
    return tuple(0.0 if name in _ZERO else np.nan for name in slots_of(aggregate))


def is_first_slot(aggregate: Aggregate) -> bool:
    """Return whether the value of an aggregate is its first slot as it stands, at any time."""
    sums = ("mean", "decayed_mean", "ratio", "var", "std", "decayed_sum")
    return not (aggregate.time_to_live or aggregate.function in sums or _is_integer_sum(aggregate))


def finish(aggregate: Aggregate, state_NS: Floats, at: int | npt.NDArray[np.int64]) -> Floats:
    """Return the value of an aggregate, [N], NaN where it is missing.

    Args:
        aggregate: which.
        state_NS: its slots, a row a key, as `slots_of` names them.
        at: the time as of which, microseconds since the Unix epoch: one for all, or [N].
    """
    if is_first_slot(aggregate):
        return state_NS[:, 0]
    value_N = _finished(aggregate, state_NS, at)
    if not aggregate.time_to_live:
        return value_N
    fresh_N = at - state_NS[:, -1] < aggregate.time_to_live
    return np.where(fresh_N, value_N, np.nan)


def _finished(aggregate: Aggregate, s: Floats, at: int | npt.NDArray[np.int64]) -> Floats:
    match aggregate.function:
        case "sum" if _is_integer_sum(aggregate):
            return np.asarray(s[:, 0] * _WORD + s[:, 1])
        case "mean" if aggregate.prior is not None:
            prior = aggregate.prior
            return np.asarray((s[:, 1] + prior.mean * prior.weight) / (s[:, 0] + prior.weight))
        case "ratio" if aggregate.prior is not None:
            prior = aggregate.prior
            per_N = s[:, 1] + prior.weight
            return _quotient(s[:, 0] + prior.mean * prior.weight, per_N, per_N != 0)
        case "mean" | "decayed_mean":
            return _quotient(s[:, 1], s[:, 0], s[:, 0] > 0)
        case "ratio":
            return _quotient(s[:, 0], s[:, 1], s[:, 1] != 0)
        case "var" | "std":
            spread_N = _quotient(s[:, 2], s[:, 0] - aggregate.parameter, s[:, 0] > aggregate.parameter)
            return np.sqrt(spread_N) if aggregate.function == "std" else spread_N
        case "decayed_sum":
            faded_N = s[:, 0] * np.power(0.5, (at - s[:, 1]) / aggregate.parameter)
            return np.where(np.isnan(s[:, 1]), 0.0, faded_N)
        case _:
            return s[:, 0]


def _is_integer_sum(aggregate: Aggregate) -> bool:
    value = aggregate.value
    return aggregate.function == "sum" and isinstance(value, EventColumn) and value.column.type == "int"


def _quotient(over_N: Floats, under_N: Floats, where_N: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(np.divide(over_N, under_N, out=np.full(len(over_N), np.nan), where=where_N))
