"""Rates of outcomes by shown item, of a challenger and the champion: tested at every look, over all steps together.

Legend: D nulls.

Batches multiply (`orita.stats.sequential.rate_comparison`): each compares users of the same time, whom dice gave to
either version, so evidence of a step at 1 % and of one at 25 % goes together though shares and rates moved.

What counts as one. A user counts once a step. The items of one answer depend on each other, as a user clicks a lot or
hardly at all: their number is divided by the design effect (Kish 1965), the variance of the rate by users divided by
the one it would have if items were independent, as learned from all users of earlier batches. A batch waits until both
arms have some items, and the first one teaches: it is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.stats.sequential.rate_comparison import RateComparison

__all__ = ["RatesOfUsers", "design_effect"]

_LEAST_SHOWN = 50.0
_LEAST_USERS, _LEAST_OUTCOMES = 100.0, 10.0


def design_effect(counts: MetricCounts) -> float:
    """Return how many items of these users tell as much as one independent item would; 1 at least.

    The variance of a ratio of sums over users, by linearisation, against that of as many independent items.
    """
    rate = counts.rate
    if not 0 < rate < 1:
        return 1.0
    by_users = counts.squares - 2 * rate * counts.products + rate**2 * counts.shown_squares
    return max(by_users / (counts.shown * rate * (1 - rate)), 1.0)


class RatesOfUsers:
    """The rates of one challenger and the champion.

    Args:
        champion, version: whose.
        nulls: challenger ÷ champion, those that are tested.
        lower: whether a challenger below the first null is worse, or one above it.

    Attributes:
        control, treated: all users so far that are evidence, or taught.
        pairs: independent items that are evidence, as many as both arms of one size would have.
    """

    def __init__(self, champion: str, version: str, nulls: Sequence[float], *, lower: bool = True) -> None:
        self._champion, self._version, self._lower = champion, version, lower
        self._test = RateComparison.start(nulls, kind="ratio")
        self._waiting: dict[tuple[int, bool], tuple[MetricCounts, MetricCounts]] = {}
        self.control = self.treated = MetricCounts()
        self.pairs = 0.0
        self._weighed = (0.0, 0.0)

    def take(self, batch: MetricBatch) -> None:
        """Count users whose outcomes are known now."""
        key = batch.stage, batch.fresh
        nobody = MetricCounts()
        control, treated = self._waiting.pop(key, (nobody, nobody))
        control += batch.counts.get(self._champion, nobody)
        treated += batch.counts.get(self._version, nobody)
        known = self.control + self.treated
        if not known.users:
            both = control + treated
            enough = both.users >= _LEAST_USERS and _LEAST_OUTCOMES <= both.outcomes <= both.shown - _LEAST_OUTCOMES
        else:
            enough = True
        if not enough or min(control.shown, treated.shown) < _LEAST_SHOWN:
            self._waiting[key] = control, treated
            return
        self._learn(control, treated, design_effect(known if known.users else control + treated))

    def _learn(self, control: MetricCounts, treated: MetricCounts, effect: float) -> None:
        first = not self.control.users
        self._test = self._test.updated(
            control.shown / effect, control.outcomes / effect, treated.shown / effect, treated.outcomes / effect
        )
        self.control += control
        self.treated += treated
        both = control.shown + treated.shown
        self._weighed = (
            self._weighed[0] + control.outcomes * treated.shown / both,
            self._weighed[1] + treated.outcomes * control.shown / both,
        )
        if not first:
            self.pairs += 1 / (1 / control.shown + 1 / treated.shown) / effect

    @property
    def waits(self) -> bool:
        """Whether too few users have come for any evidence."""
        return not self.treated.users

    @property
    def p_worse(self) -> float:
        """The p-value, valid at all looks, of "it is not beyond the first null"."""
        return float((self._test.p_below if self._lower else self._test.p_above)[0])

    def p_above(self, null: int) -> float:
        """Return that of "the ratio is not above the null of this place"."""
        return float(self._test.p_above[null])

    @property
    def effect(self) -> float:
        """The design effect of items, as known so far."""
        return design_effect(self.control + self.treated)

    @property
    def ratio(self) -> float:
        """Challenger ÷ champion, within batches (Mantel and Haenszel): shares and rates that move do not bias it."""
        control, treated = self._weighed
        return treated / control if control else math.nan
