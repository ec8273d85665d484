"""When distributions of two versions are compared, and how far what was seen may be from what is.

Looks are taken when the users that came have grown by a quarter; the k-th has 1 / k(k+1) of the level, so that all
together have it once. At each, a distribution lies within √(log(2 / δ) / 2n) of what was seen of n users but for a
chance of δ (Dvoretzky, Kiefer and Wolfowitz, with Massart's constant).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["FIRST", "GrowingLooks"]

FIRST = 40
"""Users of each version at the first look."""

_GROWTH = 1.25


class GrowingLooks:
    """The looks of one period.

    Args:
        level: chance that any of them errs.
    """

    def __init__(self, level: float) -> None:
        self._level, self._looks, self._next = level, 0, float(FIRST)

    def due(self, came: float) -> bool:
        """Whether there is a look at so many users of the version that has fewer."""
        return came >= self._next

    def radius(self, came: float, users: Iterable[int], tests: int = 1) -> float:
        """Take a look; return by how much a distance between both distributions may be too large.

        Args:
            came: users of the version that has fewer.
            users: those of each version that are compared.
            tests: distances that share the level.
        """
        self._looks += 1
        self._next = max(self._next, came) * _GROWTH
        error = self._level / (self._looks * (self._looks + 1)) / 2 / tests
        return sum(math.sqrt(math.log(2 / error) / (2 * size)) for size in users)
