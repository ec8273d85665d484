"""Which variant a number in [0, 1) means: portions of the unit interval, and changes that move as few as they can.

    split = Split.of({"challenger": 5, "champion": 95})
    split.variant(fraction("ranking", user_id))
    wider = split.reweighted({"challenger": 25, "champion": 75})      # the first 5 % stay where they are

No function of the weights alone can leave everybody else in place when one of three or more variants grows, so a split
keeps its portions in order and `reweighted` gives out only what others release. Keep the new value, not the weights.

Legend: N units.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import accumulate

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from orita.core.errors import UserError, closest

__all__ = ["POINTS", "Split", "points_of"]

POINTS = 1_000_000
"""Parts of the whole: a weight is a percentage with up to four decimals."""


class Split(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Who gets which variant.

    Attributes:
        portions: a variant and its weight in percent, in the order in which they lie in [0, 1); a variant may have
            several. They sum to 100.

    Raises:
        UserError: a weight is not in 0 … 100 with up to four decimals, or the weights do not sum to 100.
    """

    portions: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        sizes = [(variant, points_of(f"the weight of {variant!r}", weight)) for variant, weight in self.portions]
        if not all(variant for variant, _ in self.portions):
            raise UserError("a variant of the split has no name: give each one, such as 'control'.")
        if (total := sum(size for _, size in sizes)) != POINTS:
            raise UserError(
                f"the weights sum to {total * 100 / POINTS:g}, not to 100: they are percentages and must add up; "
                "give the rest to the variant that everybody else gets."
            )

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Split:
        """Return the split whose variants lie one after the other, in the order given.

        Args:
            weights: percent by variant.

        Raises:
            UserError: as for the class.
        """
        return cls(tuple(weights.items()))

    @property
    def weights(self) -> dict[str, float]:
        """Percent by variant, in the order of their first portion."""
        return {variant: points * 100 / POINTS for variant, points in self._points().items()}

    def variant(self, fraction: float) -> str:
        """Return the variant of a *fraction* in [0, 1)."""
        ends, names = self._ends_and_names
        return names[bisect_right(ends, fraction)]

    def variants(self, fractions_N: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
        """Return the variant of each fraction, as `variant` does."""
        ends, told = self._ends_and_names
        names: npt.NDArray[np.str_] = np.array(told)
        return names[np.searchsorted(np.array(ends), fractions_N, side="right")]

    def reweighted(self, weights: Mapping[str, float]) -> Split:
        """Return a split with other *weights* that moves only who must move.

        A variant that grows keeps all it has and takes what others release; one that shrinks keeps part of what it has,
        one that does neither keeps everything. So the share that moves is the sum of what grows, which is the least.
        Two variants always get the same split for the same weights, whatever was between.

        Args:
            weights: percent by variant, of all of them, in the same order; the last is the one that everybody else
                gets. A variant that is new may be added, one that goes is given 0.

        Raises:
            UserError: a variant has no new weight, or as for the class.
        """
        if missing := [variant for variant in self.weights if variant not in weights]:
            raise UserError(
                f"the variant {missing[0]!r} has no new weight. {closest(missing[0], weights)} Give all of them, 0 too."
            )
        target = Split.of(weights)._points()
        owned, last = self._points(), next(reversed(target))
        surplus = {variant: size - target[variant] for variant, size in owned.items() if size > target[variant]}
        pieces = [(variant, points_of("a weight", weight)) for variant, weight in self.portions]
        pieces = _released(pieces, {variant: size for variant, size in surplus.items() if variant == last})
        pieces = _released(pieces[::-1], {variant: size for variant, size in surplus.items() if variant != last})[::-1]
        wanted = {variant: size - owned.get(variant, 0) for variant, size in target.items()}
        return Split(tuple((variant, size * 100 / POINTS) for variant, size in _joined(_filled(pieces, wanted))))

    @cached_property
    def _ends_and_names(self) -> tuple[tuple[float, ...], tuple[str, ...]]:
        """Where the portions that are not empty end in [0, 1], and whose they are."""
        filled = [(variant, size) for variant, weight in self.portions if (size := points_of("a weight", weight))]
        ends = accumulate(size for _, size in filled)
        return tuple(end / POINTS for end in ends), tuple(variant for variant, _ in filled)

    def _points(self) -> dict[str, int]:
        owned: dict[str, int] = {}
        for variant, weight in self.portions:
            owned[variant] = owned.get(variant, 0) + points_of("a weight", weight)
        return owned


def points_of(what: str, percent: float) -> int:
    """Return *percent* in parts of a million.

    Raises:
        UserError: it is not in 0 … 100 or has more than four decimals; *what* says whose it is.
    """
    scaled = percent * (POINTS / 100) if 0 <= percent <= 100 else -1.0
    if scaled < 0 or abs(scaled - round(scaled)) > 1e-6:
        raise UserError(f"{what} is {percent!r}: allowed is a percentage from 0 to 100 with up to four decimals.")
    return round(scaled)


def _released(pieces: Iterable[tuple[str, int]], surplus: dict[str, int]) -> list[tuple[str, int]]:
    """Return *pieces* with the first points of each variant in *surplus* given back: pieces of nobody, ''."""
    left, out = dict(surplus), []
    for variant, size in pieces:
        given = min(size, left.get(variant, 0))
        left[variant] = left.get(variant, 0) - given
        out += [("", given), (variant, size - given)]
    return [piece for piece in out if piece[1]]


def _filled(pieces: Iterable[tuple[str, int]], wanted: dict[str, int]) -> list[tuple[str, int]]:
    """Return *pieces* with those of nobody given to who wants some, in the order of *wanted*."""
    growing = [(variant, size) for variant, size in wanted.items() if size > 0][::-1]
    out: list[tuple[str, int]] = []
    for owner, size in pieces:
        left = size
        while not owner and left:
            variant, wants = growing.pop()
            taken = min(left, wants)
            out.append((variant, taken))
            left -= taken
            if wants > taken:
                growing.append((variant, wants - taken))
        out += [(owner, left)] if left else []
    return out


def _joined(pieces: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    out: list[tuple[str, int]] = []
    for variant, size in pieces:
        if out and out[-1][0] == variant:
            out[-1] = (variant, out[-1][1] + size)
        else:
            out.append((variant, size))
    return out
