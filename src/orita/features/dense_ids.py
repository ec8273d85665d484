"""Rows of ids that are numbers close to one another, as users and items often have: a step each, not a search.

Legend: V ids that are known, N ids asked for.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["DenseIds"]

Integers = npt.NDArray[np.int64]

_SPARSE = 4  # so many times as long as there are ids the table may be
_LEAST = np.iinfo(np.int64).min


class DenseIds:
    """Knows the row of each id; made by `of`."""

    def __init__(self, before: int, row_T: Integers) -> None:
        self._before = before
        self._row_T = row_T

    @classmethod
    def of(cls, id_V: Integers, row_V: Integers) -> DenseIds | None:
        """Return what knows that *id_V* have the rows *row_V*, all above 0; None where ids lie too far apart."""
        if not len(id_V):
            return None
        lowest, highest = int(id_V.min()), int(id_V.max())
        if highest - lowest >= _SPARSE * len(id_V) or lowest == _LEAST:
            return None
        before = lowest - 1
        row_T = np.zeros(highest - before + 2, np.int64)
        row_T[id_V - before] = row_V
        return cls(before, row_T)

    def rows(self, id_N: Integers) -> Integers:
        """Return the rows of ids, 0 of those that are not known."""
        # The table begins and ends with a zero, which is where all numbers beyond are cut off to; a difference that
        # overflows wraps around, and two different ids never become one by that.
        return self._row_T.take(id_N - self._before, mode="clip")

    def row(self, number: int) -> int:
        """Return the row of one id, 0 where it is not known."""
        at = number - self._before
        return int(self._row_T[at]) if 0 <= at < len(self._row_T) else 0
