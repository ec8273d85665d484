"""One score of several heads, by declared weights.

Legend: N rows, H heads.

A weight says what one unit of a head is worth: one click, one like, one second. What a row is worth is V = Σ w · value,
where a value is the calibrated output times the head's cap. The score is V brought to [0, 1] by its least and its
greatest possible value: Σ |w| · cap · p ÷ Σ |w| · cap, with 1 − p in the place of p where the weight is negative. So it
orders rows as V does, and with one head of positive weight it is that head's calibrated output.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.models.objectives.heads import Head

__all__ = ["check_objective", "weigh"]

_LARGEST = 1e9


def check_objective(weights: Mapping[str, float], heads: Sequence[Head], where: str = "the objective") -> None:
    """Refuse weights that make no score of *heads*; *where* is what the sentence calls them.

    Raises:
        NotFound: there is no head of that name; the sentence lists those that exist.
        UserError: a weight is no finite number between −1e9 and 1e9, all are 0, or times their caps they are beyond
            what a number can hold.
    """
    names = [head.name for head in heads]
    for name, weight in weights.items():
        if name not in names:
            raise NotFound(f"{where} weighs {name!r}, which is no head of the model. {closest(str(name), names)}")
        if type(weight) not in (int, float) or not math.isfinite(weight) or abs(weight) > _LARGEST:
            raise UserError(f"{where} gives {name!r} the weight {weight!r}, allowed is a number from -1e9 to 1e9.")
    if not any(weights.values()):
        raise UserError(f"{where} is {dict(weights)}: give at least one of {', '.join(names)} a weight other than 0.")
    total = _greatest(heads, weights)
    if not sys.float_info.min <= total < math.inf:
        raise UserError(f"{where} and the caps of its heads make {total:g} of the greatest worth; take other weights.")


def weigh(
    heads: Sequence[Head], weights: Mapping[str, float], p_NH: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return ``scores_N`` in [0, 1]: what rows are worth by *weights*, which were checked.

    Args:
        heads: the heads, in the order of the columns.
        weights: what one unit of a head is worth; a head that is not named has the weight 0.
        p_NH: outputs of the heads, in [0, 1], not calibrated.
    """
    parts = [(column, head, weights.get(head.name, 0.0)) for column, head in enumerate(heads)]
    total = _greatest(heads, weights)
    scores_N = np.zeros(len(p_NH))
    for column, head, weight in parts:
        if weight:
            share_N = head.calibration.apply(p_NH[:, column])
            scores_N += abs(weight) * head.cap / total * (share_N if weight > 0 else 1 - share_N)
    return np.clip(scores_N, 0, 1).astype(np.float32)


def _greatest(heads: Sequence[Head], weights: Mapping[str, float]) -> float:
    """Return Σ |w| · cap, how far apart the least and the greatest possible worth of a row are."""
    return sum(abs(weights.get(head.name, 0.0)) * head.cap for head in heads)
