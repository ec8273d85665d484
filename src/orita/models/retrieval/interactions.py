"""What retrieval learns from: who took what, when, and how much that says.

Legend: N interactions, H items of a history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.examples import Examples, Ids

__all__ = ["History", "Interactions", "positives"]


@dataclass(frozen=True, slots=True)
class Interactions:
    """Interactions that all speak for their item, columnar; what was shown and not taken is not among them.

    Attributes:
        users_N: user ids, int64, or object array of str.
        items_N: item ids, likewise.
        time_N: int64 microseconds since the Unix epoch.
        weight_N: float32, above 0: how much an interaction says about its user's taste, 1 where nothing else is known.
            That it took place counts the same whatever its weight: a bad film that was watched was watched.

    Raises:
        UserError: the lengths disagree, or a weight is not a number above 0.
    """

    users_N: Ids
    items_N: Ids
    time_N: npt.NDArray[np.int64]
    weight_N: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        lengths = {len(a) for a in (self.users_N, self.items_N, self.time_N, self.weight_N)}
        if len(lengths) != 1:
            raise UserError(f"interactions were given columns of {sorted(lengths)} rows; all must have as many.")
        _check_weights(self.weight_N)

    def __len__(self) -> int:
        return len(self.users_N)

    def take(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> Interactions:
        """Return the given rows, in the given order."""
        return Interactions(self.users_N[rows], self.items_N[rows], self.time_N[rows], self.weight_N[rows])


@dataclass(frozen=True, slots=True)
class History:
    """Items of somebody who may be unknown: a newcomer, a session under way.

    Attributes:
        items: item ids; those that the model does not know are passed over.
        weights: one number above 0 an item, as in `Interactions`; None: 1 each.
    """

    items: Ids | Sequence[int | str]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.items):
            raise UserError(f"a history has {len(self.items)} items and {len(self.weights)} weights; give one each.")
        _check_weights(np.asarray(self.weights, np.float32))


def positives(rows: Examples) -> Interactions:
    """Return the rows with label 1, each with weight 1."""
    taken = rows.take(np.flatnonzero(rows.y_N > 0))
    return Interactions(taken.users_N, taken.items_N, taken.time_N, np.ones(len(taken), np.float32))


def _check_weights(weight_N: npt.NDArray[np.float32]) -> None:
    wrong_N = ~(np.isfinite(weight_N) & (weight_N > 0))
    if wrong_N.any():
        at = int(np.argmax(wrong_N))
        raise UserError(f"weight {at} has the value {weight_N[at]}, allowed are numbers above 0; leave such rows out.")
