"""One event as a partial state: what an aggregate's slots are after that event alone.

Legend: N events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from orita.features.batch import ID_BYTES
from orita.features.declarations import Aggregate
from orita.features.plan import Plan
from orita.features.slots import slots_of
from orita.features.state.fields import Columns, fields_of

__all__ = ["id_words", "lifted"]

Floats = npt.NDArray[np.float64]

_WORDS = ID_BYTES // 8


def lifted(aggregate: Aggregate, plan: Plan, time_N: Floats, words: Sequence[Floats], columns: Columns) -> list[Floats]:
    """Return the slots of each event, [N] each, as `slots_of` names them.

    Args:
        aggregate: one whose slots can be merged.
        plan: its plan.
        time_N: event times.
        words: the ids as `id_words` has them; may be empty but for first and last.
        columns: what aggregates read of the events.
    """
    value_N, *below = [part for field in fields_of(aggregate, plan) for part in columns[field]] or [time_N]
    known_N = ~np.isnan(value_N)
    ones_N = np.ones(len(time_N))
    seen = [time_N] if aggregate.time_to_live else []
    match aggregate.function:
        case "count":
            made = [ones_N]
        case "first_time" | "last_time":
            made = [time_N]
        case "min" | "max":
            made = [value_N]
        case "sum":
            made = [np.where(known_N, part, 0.0) for part in (value_N, *below)]
        case "mean":
            made = [known_N.astype(np.float64), np.where(known_N, value_N, 0.0)]
        case "ratio":
            per_N = np.where(np.isnan(below[0]), 0.0, below[0]) if below else ones_N
            made = [np.where(known_N, value_N, 0.0), per_N]
        case "var" | "std":
            made = [known_N.astype(np.float64), value_N, np.zeros(len(time_N))]
        case "first" | "last":
            made = [value_N, np.where(known_N, time_N, np.nan), *words]
        case "decayed_sum":
            made = [np.where(known_N, value_N, 0.0), np.where(known_N, time_N, np.nan)]
        case "decayed_mean":
            made = [known_N.astype(np.float64), np.where(known_N, value_N, 0.0), np.where(known_N, time_N, np.nan)]
        case _:
            raise AssertionError(f"{aggregate.function} is not kept in slots alone.")
    assert len(made) + len(seen) == len(slots_of(aggregate))
    return [*made, *seen]


def id_words(id_N: npt.NDArray[np.bytes_]) -> list[Floats]:
    """Return the 40 bytes of each id in pieces of 8, as they are in memory, [N] each."""
    whole_NB = np.ascontiguousarray(id_N).view(np.float64).reshape(len(id_N), _WORDS)
    return [np.ascontiguousarray(whole_NB[:, i]) for i in range(_WORDS)]
