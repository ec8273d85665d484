"""Who ranks: the contract of a policy, and those that need no server: popularity, chance, and the truth itself.

Legend: P pages, C candidates, N rows, I items, D days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from orita.events.world import Impressions, Reactions
from orita.events.world.arrays import Bools, Integers, Reals
from orita.simulate.life import Life, Pages

__all__ = ["ItemRates", "Oracle", "Policy", "Popularity", "Random", "Ranked"]

_SMOOTHING = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class Ranked:
    """What a policy answered.

    Attributes:
        items_PC: the candidates of each page, the best first.
        request_ids: by which name feedback joins each answer; None: the policy gives none.
        failed_P: pages that got no answer; their items are in no order. None: all were answered.
    """

    items_PC: Integers
    request_ids: Sequence[str] | None = None
    failed_P: Bools | None = None


class Policy(Protocol):
    """Ranks the candidates of pages."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates of *pages*, the best first."""
        ...


class ItemRates:
    """How often each item is clicked where it is shown, as known by the end of the last hour.

    (clicks + s · r) ÷ (shown + s): r is the click rate of all items, and s smooths where little is known; the same
    form as the ranker ``popularity``.

    Args:
        shown_I, clicks_I: what was counted before.

    Attributes:
        rate_I: the rate of each item.
    """

    def __init__(self, shown_I: Reals, clicks_I: Reals) -> None:
        self._shown_I, self._clicks_I = shown_I.astype(np.float64), clicks_I.astype(np.float64)
        self.rate_I = self._rates()

    def learn(self, shown: Impressions, reactions: Reactions) -> None:
        """Count what was shown and clicked."""
        items = len(self._shown_I)
        self._shown_I += np.bincount(shown.items_N, minlength=items)
        self._clicks_I += np.bincount(shown.items_N, reactions.click, minlength=items)
        self.rate_I = self._rates()

    def _rates(self) -> Reals:
        usual = float(self._clicks_I.sum() / max(self._shown_I.sum(), 1.0))
        rates_I: Reals = (self._clicks_I + _SMOOTHING * usual) / (self._shown_I + _SMOOTHING)
        return rates_I


@dataclass(frozen=True, slots=True)
class Popularity:
    """The items that are clicked most often where they are shown, the same for everybody."""

    rates: ItemRates
    name: str = "popularity"

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates by their click rate."""
        return Ranked(_ordered(pages.candidates_PC, self.rates.rate_I[pages.candidates_PC]))


@dataclass(frozen=True, slots=True)
class Random:
    """Any order is as likely."""

    name: str = "random"

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates in random order."""
        return Ranked(rng.permuted(pages.candidates_PC, axis=1))


@dataclass(frozen=True, slots=True)
class Oracle:
    """The world's own click probability, tiredness included, which nobody can know: the most that a page can get."""

    life: Life
    name: str = "oracle"

    def rank(self, rng: np.random.Generator, pages: Pages, /) -> Ranked:
        """Return the candidates by their true click probability."""
        return Ranked(_ordered(pages.candidates_PC, self.life.appeal(pages).astype(np.float64)))


def _ordered(items_PC: Integers, score_PC: Reals) -> Integers:
    ordered_PC: Integers = np.take_along_axis(items_PC, np.argsort(-score_PC, axis=1, kind="stable"), axis=1)
    return ordered_PC
