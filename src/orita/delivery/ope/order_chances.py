"""Chances of the orders that swaps can make of a ranked page, and what each says of an order that was shown.

A policy that explores by swaps shows one of few orders: the ranked one, or that with one pair swapped. So every
probability is a sum over them, exact whatever the pairs are.

Legend: N pages, K positions, E orders; ranks are from 0 and are the policy's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["OrderChances", "groups_of", "orders_of"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.intp]


def groups_of(movable_NK: Flags, any_N: Flags) -> list[tuple[Ranks, Ranks]]:
    """Return pages by what could be swapped in them: ``orders_EK`` that may be shown, and which pages."""
    packed = np.packbits(np.hstack([movable_NK, any_N[:, None]]), axis=1)
    _, first, group_N = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    rows = np.split(np.argsort(group_N.ravel(), kind="stable"), np.cumsum(np.bincount(group_N.ravel()))[:-1])
    return [
        (orders_of(np.flatnonzero(movable_NK[at]), bool(any_N[at]), movable_NK.shape[1]), pages)
        for at, pages in zip(first.tolist(), rows, strict=True)
    ]


def orders_of(movable: Ranks, any_pair: bool, positions: int) -> Ranks:
    """Return ``orders_EK``: the ranks shown, first without a swap, then with each pair that may be swapped."""
    places = movable.tolist()
    pairs = list(combinations(places, 2)) if any_pair else list(pairwise(places))
    orders_EK = np.tile(np.arange(positions), (len(pairs) + 1, 1))
    for number, (first, second) in enumerate(pairs, start=1):
        orders_EK[number, [first, second]] = second, first
    return orders_EK


@dataclass(frozen=True, slots=True)
class OrderChances:
    """What a policy's orders say of the orders that were shown.

    Attributes:
        orders_EK: ranks shown, as `orders_of` has them.
        chance_NE: probability of each order.
        same_NEK: whether an order has what was shown at a position.
        before_NEK: whether it has what was shown at all positions above.
    """

    orders_EK: Ranks
    chance_NE: Floats
    same_NEK: Flags
    before_NEK: Flags

    @classmethod
    def of(cls, orders_EK: Ranks, each_N: Floats, shown_NK: Ranks) -> OrderChances:
        """Return the chances of pages that show *shown_NK*, each swap being as likely as *each_N* says."""
        swaps = len(orders_EK) - 1
        chance_NE = np.repeat(each_N[:, None], swaps + 1, axis=1)
        chance_NE[:, 0] = 1 - each_N * swaps
        same_NEK = shown_NK[:, None, :] == orders_EK
        before_NEK = np.ones_like(same_NEK)
        np.logical_and.accumulate(same_NEK[:, :, :-1], axis=2, out=before_NEK[:, :, 1:])
        return cls(orders_EK, chance_NE, same_NEK, before_NEK)

    def only(self, possible_NE: Flags) -> OrderChances:
        """Return the chances where swaps that are not *possible_NE* are not made: the ranked order is shown instead."""
        chance_NE = np.where(possible_NE, self.chance_NE, 0.0)
        chance_NE[:, 0] = 1 - chance_NE[:, 1:].sum(axis=1)
        return replace(self, chance_NE=chance_NE)

    def conditional(self) -> Floats:
        """Return ``chance_NK`` of the item shown at each position given those above; 0 below what cannot be."""
        so_far_NK = np.einsum("ne,nek->nk", self.chance_NE, self.before_NEK)
        with_it_NK = np.einsum("ne,nek->nk", self.chance_NE, self.before_NEK & self.same_NEK)
        return _ratio(with_it_NK, so_far_NK)

    def marginal(self) -> Floats:
        """Return ``chance_NK`` of the item shown at each position, whatever is above it."""
        found_NK: Floats = np.einsum("ne,nek->nk", self.chance_NE, self.same_NEK)
        return found_NK

    def expected(self, value_NRK: Floats) -> Floats:
        """Return ``value_NK``: the mean over what may come at a position, given what was shown above it.

        Args:
            value_NRK: of the item of a rank (axis 1) at a position (axis 2).
        """
        places = np.arange(self.orders_EK.shape[1])
        value_NEK = value_NRK[:, self.orders_EK, places]
        weight_NEK = self.chance_NE[:, :, None] * self.before_NEK
        total_NK = weight_NEK.sum(axis=1)
        return _ratio((weight_NEK * value_NEK).sum(axis=1), total_NK)


def _ratio(above_NK: Floats, below_NK: Floats) -> Floats:
    return np.asarray(np.divide(above_NK, below_NK, out=np.zeros_like(above_NK), where=below_NK > 0))
