"""Exploration of a first page: in a share of them two neighbours near the top change places, and the log says so.

Only positions that no rule holds are explored: a position that a rule pins stays, what the user has seen stays behind
what is new, and a position stays where moving its item would break a cap. Which positions those are follows from the
order alone, before any draw, so the probabilities that are logged are exact.

Legend: C candidates, K of them in the order of the feed, P of those on the page, M positions of the page that may move,
W windows of a cap, V values of an attribute.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from orita.delivery.bandits.swaps import ShownOrder, SwapExploration
from orita.serving.feed.config import FeedConfig
from orita.serving.feed.items import Items
from orita.serving.feed.rules import CapRule, PinRule

__all__ = ["Explored", "Exploring"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.intp]
Rows = npt.NDArray[np.intp]

_HALF = math.log(0.5)


@dataclass(frozen=True, slots=True)
class Explored:
    """The order of a feed as its first page is shown.

    Attributes:
        place_K: which candidates are shown in which order.
        propensity_P: of each item of the page at its place, given the items above it; None: nothing is explored.
        placement_P: of each item of the page at its place, whatever is above it; None likewise.
    """

    place_K: Places
    propensity_P: Floats | None = None
    placement_P: Floats | None = None


class Exploring:
    """Shows first pages as they are explored.

    Args:
        config: how much is explored, and which rules hold.
        rng: draws; one a server, as its threads share it.
    """

    def __init__(self, config: FeedConfig, rng: np.random.Generator) -> None:
        asked = config.exploration
        self._swaps = SwapExploration(share=asked.share, positions=asked.positions, pairs=asked.pairs)
        self._rng = rng
        self._caps = [rule for rule in config.rules if isinstance(rule, CapRule)]
        pinned = {rule.position - 1 for rule in config.rules if isinstance(rule, PinRule)}
        self._free = tuple(
            tuple(p for p in range(depth) if p not in pinned) for depth in range(asked.positions + 1)
        )  # by how many positions there are to explore

    def shown(self, items: Items, row_C: Rows, seen_C: Flags, place_K: Places, limit: int) -> Explored:
        """Return the order as it is shown.

        Args:
            items: what is known of the candidates.
            row_C: the candidates.
            seen_C: which of them the user has seen, and come last therefore.
            place_K: the order by rules and scores.
            limit: most items of the page.
        """
        if not self._swaps.share:
            return Explored(place_K)
        length = min(limit, len(place_K))
        free = self._free[min(self._swaps.positions, length)]
        if free and seen_C[place_K[free[-1]]]:  # it comes last: otherwise none is
            seen_M = seen_C[place_K[: free[-1] + 1]]
            free = tuple(p for p in free if not seen_M[p]) or free
        if self._caps:
            free = self._uncapped(items, row_C[place_K], free)
        drawn = self._swaps.shown(len(free), self._rng)
        if drawn.log_propensity > _HALF:  # as the share is below half, this is the order that nothing was swapped in
            return Explored(place_K, *_unswapped(self._swaps, length, free))
        moved_M = np.array(free, np.intp)
        place_K = place_K.copy()
        place_K[moved_M] = place_K[moved_M[drawn.order_N]]
        return Explored(place_K, *_probabilities(self._swaps, length, free, drawn))

    def _uncapped(self, items: Items, row_K: Rows, free: tuple[int, ...]) -> tuple[int, ...]:
        """Return the positions, from the top, among which every pair that may be drawn keeps the caps."""
        caps = [_CapCheck(items, row_K, rule, len(self._free)) for rule in self._caps]
        kept: list[int] = []
        for position in free:
            partners = kept if self._swaps.pairs == "any" else kept[-1:]
            if all(cap.keeps(partner, position) for partner in partners for cap in caps):
                kept.append(position)
        return tuple(kept)


class _CapCheck:
    """Whether a swap near the top keeps a cap, or breaks it no more than the order does."""

    def __init__(self, items: Items, row_K: Rows, rule: CapRule, depth: int) -> None:
        self._window, self._most = rule.window, rule.most
        near_K = row_K[: depth + rule.window]
        self._flag_KV = items.attributes[rule.attribute].flags(near_K)
        upto_KV = np.cumsum(self._flag_KV, axis=0)
        ends_W = np.minimum(np.arange(len(near_K)) + rule.window, len(near_K)) - 1
        self._count_WV = upto_KV[ends_W] - upto_KV + self._flag_KV

    def keeps(self, first: int, second: int) -> bool:
        """Tell whether the items of two positions, *first* above *second*, may change places."""
        more_V = self._flag_KV[second] - self._flag_KV[first]
        with_first = slice(max(0, first - self._window + 1), min(first, second - self._window) + 1)
        with_second = slice(max(first + 1, second - self._window + 1), second + 1)
        return all(
            bool((counts_WV + change_V <= np.maximum(counts_WV, self._most)).all())
            for counts_WV, change_V in ((self._count_WV[with_first], more_V), (self._count_WV[with_second], -more_V))
        )


@lru_cache(maxsize=4096)
def _unswapped(swaps: SwapExploration, length: int, free: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Return the probabilities of most pages, made once for a length and the positions that may move."""
    found = _probabilities(swaps, length, free, swaps.propensities(np.arange(len(free))))
    for values_P in found:
        values_P.flags.writeable = False
    return found


def _probabilities(
    swaps: SwapExploration, length: int, free: tuple[int, ...], drawn: ShownOrder
) -> tuple[Floats, Floats]:
    """Return ``propensity_P`` and ``placement_P``: 1 where nothing moves."""
    moved_M = np.array(free, np.intp)
    propensity_P, placement_P = np.ones(length, np.float32), np.ones(length, np.float32)
    propensity_P[moved_M] = np.exp(drawn.log_propensities_N)
    placement_P[moved_M] = _placements(swaps, len(free))[drawn.order_N, np.arange(len(free))]
    return propensity_P, placement_P


@lru_cache(maxsize=256)
def _placements(swaps: SwapExploration, count: int) -> npt.NDArray[np.float64]:
    return swaps.placements(count)
