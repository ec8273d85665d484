"""Pages of a prediction log that were explored by swaps: what was shown, how it was ranked, what else could have been.

How a page was ranked, which positions could move, and how likely each swap was, are all in the two probabilities that
the log keeps: an item that stands elsewhere than it was ranked had a chance below a half of standing there, because
exploration takes less than half of the pages (`orita.delivery.bandits.SwapExploration`).

Legend: N pages, K positions of the longest page; a shorter one has chances of 1 and rewards of 0 where it has no item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["LoggedPages", "Swaps", "swaps_of"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Ranks = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LoggedPages:
    """Pages as they were shown, a column a position.

    Attributes:
        request_N: uint64, a digest of each page's request.
        unit_N: uint64, a digest of who saw it.
        length_N: items of each page.
        reward_NK: what the item at a position earned.
        score_NK: what the logging model said of it.
        candidate_NK: what the candidate says of it.
        propensity_NK: logged probability of the item at its position, given the items above it.
        placement_NK: the same, whatever is above it.
    """

    request_N: npt.NDArray[np.uint64]
    unit_N: npt.NDArray[np.uint64]
    length_N: npt.NDArray[np.int64]
    reward_NK: Singles
    score_NK: Singles
    candidate_NK: Singles
    propensity_NK: Singles
    placement_NK: Singles

    def __len__(self) -> int:
        return len(self.length_N)

    def there(self) -> Flags:
        """Return ``there_NK``: where a page has an item."""
        return np.asarray(np.arange(self.reward_NK.shape[1]) < self.length_N[:, None])

    def take(self, chosen: npt.NDArray[np.generic] | slice) -> Self:
        """Return the *chosen* pages."""
        return type(self)(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Return the pages of all *parts*, the shorter ones filled up; at least one part."""
        width = max(part.reward_NK.shape[1] for part in parts)
        filling = {"propensity_NK": 1.0, "placement_NK": 1.0}
        columns = []
        for name in cls.__slots__:
            values = [getattr(part, name) for part in parts]
            if values[0].ndim == 2:
                fill = filling.get(name, 0.0)
                values = [
                    np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=fill)
                    if each.shape[1] < width
                    else each
                    for each in values
                ]
            columns.append(np.concatenate(values))
        return cls(*columns)


@dataclass(frozen=True, slots=True)
class Swaps:
    """How pages were explored.

    Attributes:
        rank_NK: from 0, how the item shown at each position was ranked.
        movable_NK: positions that could change places with another.
        each_N: probability of each pair that could.
        any_N: whether any two of them could, or neighbours alone.
        read_N: whether the log's probabilities have this form; what is said of other pages means nothing.
    """

    rank_NK: Ranks
    movable_NK: Flags
    each_N: Floats
    any_N: Flags
    read_N: Flags


def swaps_of(pages: LoggedPages) -> Swaps:
    """Return how *pages* were explored, as their logged probabilities tell."""
    placement_NK = pages.placement_NK.astype(np.float64)
    width = placement_NK.shape[1]
    movable_NK = pages.placement_NK < 1
    moved_NK = placement_NK < 0.5
    moved_N = moved_NK.sum(axis=1)
    rows = np.arange(len(pages))
    first_N, second_N = moved_NK.argmax(axis=1), width - 1 - moved_NK[:, ::-1].argmax(axis=1)
    swapped_N = moved_N == 2
    rank_NK = np.tile(np.arange(width), (len(pages), 1))
    rank_NK[rows[swapped_N], first_N[swapped_N]] = second_N[swapped_N]
    rank_NK[rows[swapped_N], second_N[swapped_N]] = first_N[swapped_N]
    each_N, any_N = _pairs(pages, movable_NK, moved_NK)
    count_N = movable_NK.sum(axis=1)
    read_N = ((moved_N == 0) | swapped_N) & (count_N >= 2) & (each_N > 0)
    return Swaps(rank_NK, movable_NK, each_N, any_N, read_N)


def _pairs(pages: LoggedPages, movable_NK: Flags, moved_NK: Flags) -> tuple[Floats, Flags]:
    """Return the probability of each pair that could be swapped, and whether any two could.

    An item leaves its place with the chances of all pairs that its place is in: of neighbours those are one at either
    end and two between, of any two items all others.
    """
    rows = np.arange(len(pages))
    left_NK = np.where(movable_NK, 1 - pages.placement_NK.astype(np.float64), 0.0)
    others_N = movable_NK.sum(axis=1) - 1
    top_N = movable_NK.argmax(axis=1)
    second_N = (movable_NK & (np.arange(movable_NK.shape[1]) > top_N[:, None])).argmax(axis=1)
    swapped_N = moved_NK.any(axis=1)
    swap_N = 1 - left_NK[rows, moved_NK.argmax(axis=1)]
    stayed_N = left_NK[rows, (movable_NK & ~moved_NK).argmax(axis=1)]
    any_N = np.where(
        swapped_N,
        np.rint(stayed_N / np.maximum(swap_N, 1e-12)) == others_N,
        left_NK[rows, second_N] < 1.5 * left_NK[rows, top_N],
    ) & (others_N >= 2)
    top_pairs_N = np.where(any_N, np.maximum(others_N, 1), 1)
    each_N = np.where(swapped_N, swap_N, (1 - pages.propensity_NK[rows, top_N].astype(np.float64)) / top_pairs_N)
    return each_N, any_N
