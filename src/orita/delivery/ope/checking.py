"""Checks of the arrays that evaluation is given: shapes, finite values, probabilities.

Legend: N rows, A actions, K positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = ["checked_probabilities", "checked_values", "unit_codes"]

Floats = npt.NDArray[np.float64]

# Probabilities are logged as float32: sums and ones are off by less than this.
_ROUNDING = 1e-4


def checked_values(name: str, values: npt.ArrayLike, shape: tuple[int, ...] | None = None) -> Floats:
    """Return *values* as finite float64 of *shape*.

    Raises:
        UserError: they are not; the sentence counts those that are not finite.
    """
    array = np.asarray(values, np.float64)
    if shape is not None and array.shape != shape:
        raise UserError(f"{name} has shape {array.shape}, the rewards need {shape}: give one value for each.")
    if bad := int((~np.isfinite(array)).sum()):
        raise UserError(
            f"{bad:,} of {array.size:,} values of {name} are not finite: leave such rows out, or fill them."
        )
    return array


def checked_probabilities(
    name: str, values: npt.ArrayLike, shape: tuple[int, ...], *, above_zero: bool = False, whole_rows: bool = False
) -> Floats:
    """Return *values* as probabilities of *shape*.

    Args:
        name: of the array, for the sentence.
        values: 0 … 1.
        shape: wanted.
        above_zero: whether 0 is refused: an action that was shown had a probability.
        whole_rows: whether each row must add up to 1.

    Raises:
        UserError: they are not such probabilities.
    """
    array = checked_values(name, values, shape)
    wrong = (array < 0) | (array > 1 + _ROUNDING) | (above_zero & (array == 0))
    if wrong.any():
        allowed = "above 0, at most 1" if above_zero else "0 … 1"
        raise UserError(
            f"{int(wrong.sum()):,} of {array.size:,} values of {name} are no probabilities, such as "
            f"{array[wrong][0]:g}: allowed is {allowed}; give the probability with which the action is drawn."
        )
    if whole_rows and (off := np.abs(array.sum(axis=1) - 1) > _ROUNDING).any():
        row = int(np.flatnonzero(off)[0])
        raise UserError(
            f"the probabilities of {name} in row {row} add up to {array[row].sum():.6g}: each row must add up to 1 "
            "over all actions."
        )
    return array


def unit_codes(unit_N: npt.NDArray[Any], rows: int) -> npt.NDArray[np.int64]:
    """Return ids as 0 … G − 1.

    Raises:
        UserError: there is not one id a row.
    """
    units = np.asarray(unit_N)
    if units.shape != (rows,):
        raise UserError(f"unit has shape {units.shape}, the rewards need ({rows},): give one unit for each row.")
    return np.unique(units, return_inverse=True)[1].astype(np.int64)
