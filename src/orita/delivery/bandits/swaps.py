"""Exploration of a ranked list: in a share of requests two items near the top change places.

Legend: N items, M positions that may be explored, M ≤ N.

A log of orders that never vary says nothing about other orders. Here every request, explored or not, has the exact
probability of the order that was shown, so the log can be weighed. One pair is swapped at most, so users see the
model's order but for two items, in one request of a hundred by default.

Source: Joachims, Swaminathan and Schnabel (2017), Unbiased learning-to-rank with biased feedback, 4 (swap
interventions); Radlinski and Joachims (2006), Minimally invasive randomization (adjacent pairs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.delivery.bandits.belief import FloatArray

__all__ = ["ShownOrder", "SwapExploration"]

_LEAST_SHARE = 1e-9  # less is never seen in a log, and its logarithms lose digits


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """An order as it is shown.

    Attributes:
        order_N: for each position the rank, from 0, of the item shown there: ``items[order_N]`` are the items shown.
        log_propensity: of the whole order, natural logarithm, ≤ 0.
        log_propensities_N: of each position's item given those above; they add up to that of the order.
    """

    order_N: npt.NDArray[np.int64]
    log_propensity: float
    log_propensities_N: FloatArray


class SwapExploration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Swaps one pair of the first positions in a share of requests; all pairs are equally likely.

    >>> exploration = SwapExploration(share=0.5, positions=3)
    >>> shown = exploration.shown(4, np.random.default_rng(3))
    >>> shown.order_N.tolist(), round(math.exp(shown.log_propensity), 6)
    ([1, 0, 2, 3], 0.25)

    Attributes:
        share: of requests: 0, or 1e-9 ≤ share < 1.
        positions: M ≥ 2, how far from the top items are swapped; all of a shorter list.
        pairs: ``adjacent`` swaps neighbours, ``any`` any two positions.
    """

    share: float = 0.01
    positions: int = 10
    pairs: Literal["adjacent", "any"] = "adjacent"

    def __post_init__(self) -> None:
        if self.share != 0 and not _LEAST_SHARE <= self.share < 1:
            raise UserError(
                f"share {self.share}: must be 0, or {_LEAST_SHARE} or more and below 1; "
                "0.01 explores one request of a hundred"
            )
        if self.positions < 2:
            raise UserError(f"positions {self.positions}: must be 2 or more; a share of 0 switches exploration off")
        if self.pairs not in ("adjacent", "any"):
            raise UserError(f"pairs {self.pairs!r}: must be 'adjacent' or 'any'")

    def shown(self, length: int, rng: np.random.Generator) -> ShownOrder:
        """Return the order in which a ranked list of *length* ≥ 0 items is shown; its arrays may be read-only."""
        depth = min(self.positions, length)
        if depth < 2 or rng.random() >= self.share:
            return _unswapped(self, length)
        order_N = np.arange(length)
        first, second = self._pair(int(rng.random() * self._count(depth)), depth)
        order_N[first], order_N[second] = second, first
        return self._told(order_N, (first, second))

    def propensities(self, order_N: npt.ArrayLike) -> ShownOrder:
        """Return an order with the probability that it is shown: −∞ where it never is.

        Args:
            order_N: ranks, from 0, in the order shown: a permutation.
        """
        ranks_N = np.asarray(order_N, np.int64)
        if not np.array_equal(np.sort(ranks_N), np.arange(len(ranks_N))):
            raise UserError(f"order {ranks_N[:20].tolist()}: must have each rank from 0 to {len(ranks_N) - 1} once")
        moved = np.flatnonzero(ranks_N != np.arange(len(ranks_N))).tolist()
        if not moved:
            return self._told(ranks_N, None)
        depth = min(self.positions, len(ranks_N))
        first, second = moved[0], moved[-1]
        near = second - first == 1 or self.pairs == "any"
        if len(moved) == 2 and second < depth and near and self.share:
            return self._told(ranks_N, (first, second))
        return ShownOrder(ranks_N, -math.inf, self._never(ranks_N, depth))

    def placements(self, length: int) -> FloatArray:
        """Return the probability that the item of a rank (row) is shown at a position (column), [N, N]."""
        shown_NN = np.eye(length)
        depth = min(self.positions, length)
        if depth >= 2:
            each = self.share / self._count(depth)
            for number in range(self._count(depth)):
                first, second = self._pair(number, depth)
                shown_NN[[first, second], [first, second]] -= each
                shown_NN[[first, second], [second, first]] += each
        return shown_NN

    def _told(self, order_N: npt.NDArray[np.int64], swapped: tuple[int, int] | None) -> ShownOrder:
        depth = min(self.positions, len(order_N))
        log_N = np.zeros(len(order_N))
        if depth < 2 or not self.share:
            return ShownOrder(order_N, 0.0, log_N)
        each = self.share / self._count(depth)
        # What is possible at each position where all above it is in its place: no swap, or one from there on.
        starts_M = np.ones(depth) if self.pairs == "adjacent" else np.arange(depth - 1.0, -1, -1)
        starts_M[-1] = 0
        possible_M1 = 1 - self.share + each * np.append(np.cumsum(starts_M[::-1])[::-1], 0)
        kept = depth if swapped is None else swapped[0]
        log_N[:kept] = np.log(possible_M1[1 : kept + 1] / possible_M1[:kept])
        if swapped:
            log_N[kept] = math.log(each / possible_M1[kept])  # and then all is determined
        return ShownOrder(order_N, math.log(each) if swapped else math.log1p(-self.share), log_N)

    def _never(self, order_N: npt.NDArray[np.int64], depth: int) -> FloatArray:
        """Return the logarithms of an order that is never shown: −∞ from the first impossible position on."""
        log_N = np.full(len(order_N), -math.inf)
        first = int(np.flatnonzero(order_N != np.arange(len(order_N)))[0])
        second = int(order_N[first])
        swap = second < depth and (self.pairs == "any" or second == first + 1) and self.share > 0
        if not swap:
            log_N[:first] = self._told(np.arange(len(order_N)), None).log_propensities_N[:first]
            return log_N
        expected_N = np.arange(len(order_N))
        expected_N[[first, second]] = second, first
        stop = int(np.flatnonzero(order_N != expected_N)[0])
        log_N[:stop] = self._told(expected_N, (first, second)).log_propensities_N[:stop]
        return log_N

    def _count(self, depth: int) -> int:
        return depth - 1 if self.pairs == "adjacent" else depth * (depth - 1) // 2

    def _pair(self, number: int, depth: int) -> tuple[int, int]:
        """Return the positions of a pair by its number."""
        if self.pairs == "adjacent":
            return number, number + 1
        second = (1 + math.isqrt(1 + 8 * number)) // 2  # pairs in the order (0, 1), (0, 2), (1, 2), (0, 3) …
        return number - second * (second - 1) // 2, second


@lru_cache(maxsize=1024)
def _unswapped(exploration: SwapExploration, length: int) -> ShownOrder:
    """Return the order of most requests, made once for a length."""
    shown = exploration._told(np.arange(length), None)
    shown.order_N.flags.writeable = shown.log_propensities_N.flags.writeable = False
    return shown
