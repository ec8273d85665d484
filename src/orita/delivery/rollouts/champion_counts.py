"""What the champion did, by bin: in this period, or before, once nobody has it any more.

Legend: B bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST_BEFORE", "ChampionCounts"]

LEAST_BEFORE = 100
"""Users of the champion without whom there is no 'before' to compare with."""

Counts = npt.NDArray[np.integer[Any]]


class ChampionCounts:
    """Counts of the champion's users that a challenger is compared with.

    A period that has just begun has too few to be the champion's 'before' by itself: those of the periods before it are
    added until there are `LEAST_BEFORE`.

    Args:
        bins: how many.

    Attributes:
        counts_B: of this period while somebody has the champion, then of before.
        beside: whether somebody has it at the same time.
    """

    def __init__(self, bins: int) -> None:
        self.counts_B = self._before_B = np.zeros(bins, np.int64)
        self.beside = True

    def begin(self, *, beside: bool) -> None:
        """Begin a period; *beside*: somebody has the champion in it."""
        if self.beside:
            few = self.counts_B.sum() < LEAST_BEFORE
            self._before_B = self._before_B + self.counts_B if few else self.counts_B
            self.counts_B = np.zeros_like(self._before_B) if beside else self._before_B
        self.beside = beside

    def take(self, new_B: Counts) -> None:
        """Count new users of the champion, while somebody has it."""
        if self.beside:
            self.counts_B += new_B
