"""Who is new to a model: rows cut by what training saw of their user and of their item.

Legend: N rows, L parts.

The parts hold every row once, from what training knew best to what it knew not at all. They say what the training rows
held, not what features tell: an id that came after training has a history by now, and features as of a row's own time
know it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from orita.models.evaluation.parts import Parting
from orita.models.examples import Examples

__all__ = ["COLD_START", "cold_start_parting"]

COLD_START = "cold start"
"""What the parting, and so each of its slices, is called."""

_LABELS = ("warm", "few rows", "cold user", "cold item", "both cold")
_FEW = 5


def cold_start_parting(rows: Examples, train: Examples) -> Parting:
    """Cut *rows* by what *train* held of their ids.

    ``both cold``: neither user nor item is in the training rows; ``cold user`` and ``cold item``: only the other one
    is; ``few rows``: both are, one of them at most 5 times; ``warm``: both are more often than that.
    """
    users_N, items_N = _times_seen(rows.users_N, train.users_N), _times_seen(rows.items_N, train.items_N)
    few_N = np.minimum(users_N, items_N) <= _FEW
    parts = np.select([(users_N == 0) & (items_N == 0), users_N == 0, items_N == 0, few_N], [4, 2, 3, 1], default=0)
    return Parting(COLD_START, _LABELS, parts.astype(np.int32))


def _times_seen(ids_N: npt.NDArray[Any], seen_K: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return how often each id is among those that were seen."""
    known_V, count_V = np.unique(seen_K, return_counts=True)
    if len(known_V) == 0:
        return np.zeros(len(ids_N), np.int64)
    place_N = np.minimum(np.searchsorted(known_V, ids_N), len(known_V) - 1)
    return np.where(known_V[place_N] == ids_N, count_V[place_N], 0)
