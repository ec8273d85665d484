"""Do users do less with the challenger? A rate of outcomes by shown item, at every look, over all steps together.

Legend: D nulls.

Two questions share one test (`orita.stats.sequential.rate_comparison`): is the rate below the champion's (harm), and is
a loss beyond a step's margin excluded (the way up)? Batches multiply: each compares users of the same time, whom dice
gave to either version, so evidence of a step at 1 % and of one at 25 % goes together though shares and rates moved.

What counts as one. A user counts once a step. The items of one answer depend on each other, as a user clicks a lot or
hardly at all: their number is divided by the design effect (Kish 1965), the variance of the rate by users divided by
the one it would have if items were independent, as learned from all users of earlier batches. A batch waits until both
arms have some items, and the first one teaches: it is no evidence.
"""

from __future__ import annotations

import math

from orita.delivery.rollouts.checks import MetricCheck
from orita.delivery.rollouts.findings import CheckFinding, Says
from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.stats.sequential.rate_comparison import RateComparison

__all__ = ["MetricTest", "design_effect", "margin"]

_LEAST_SHOWN = 50.0
_LEAST_USERS, _LEAST_OUTCOMES = 100.0, 10.0
_MIXING = 2.5
"""What mixing alternatives costs, in the logarithm of evidence."""


def margin(check: MetricCheck, share: float) -> float:
    """Return the relative loss that must be excluded before a step of *share* percent is left; 1 or more: none."""
    return check.most_loss * max(1.0, 25.0 / share)


def design_effect(counts: MetricCounts) -> float:
    """Return how many items of these users tell as much as one independent item would; 1 at least.

    The variance of a ratio of sums over users, by linearisation, against that of as many independent items.
    """
    rate = counts.rate
    if not 0 < rate < 1:
        return 1.0
    by_users = counts.squares - 2 * rate * counts.products + rate**2 * counts.shown_squares
    return max(by_users / (counts.shown * rate * (1 - rate)), 1.0)


class MetricTest:
    """The metric of one challenger against the champion.

    Args:
        check: as declared.
        champion, version: whose rates.
        shares: of the steps, in percent; their margins are tested.
        level: of "it is worse", over all looks.
        leave_level: of "the margin is excluded", for each step.
        takes_back: whether a loss is harm that the rollout is rolled back for.
    """

    def __init__(
        self,
        check: MetricCheck,
        champion: str,
        version: str,
        *,
        shares: tuple[float, ...],
        level: float,
        leave_level: float,
        takes_back: bool,
    ) -> None:
        self._check, self._champion, self.version = check, champion, version
        self._level, self._leave_level, self._takes_back = level, leave_level, takes_back
        margins = sorted({margin(check, share) for share in shares} - {0.0}, reverse=True)
        self._margins = [each for each in margins if each < 1]
        self._test = RateComparison.start([1.0, *(1 - each for each in self._margins)], kind="ratio")
        self._waiting: dict[tuple[int, bool], tuple[MetricCounts, MetricCounts]] = {}
        self._control = self._treated = MetricCounts()
        self._pairs = self._pairs_before = 0.0
        self._weighed = (0.0, 0.0)
        self._harm: str | None = None

    def take(self, batch: MetricBatch) -> None:
        """Count users whose outcomes are known now."""
        key = batch.stage, batch.fresh
        nobody = MetricCounts()
        control, treated = self._waiting.pop(key, (nobody, nobody))
        control += batch.counts.get(self._champion, nobody)
        treated += batch.counts.get(self.version, nobody)
        known = self._control + self._treated
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
        first = not self._control.users
        self._test = self._test.updated(
            control.shown / effect, control.outcomes / effect, treated.shown / effect, treated.outcomes / effect
        )
        self._control += control
        self._treated += treated
        both = control.shown + treated.shown
        self._weighed = (
            self._weighed[0] + control.outcomes * treated.shown / both,
            self._weighed[1] + treated.outcomes * control.shown / both,
        )
        if not first:
            self._pairs += 1 / (1 / control.shown + 1 / treated.shown) / effect
        if self._harm is None and self._p_worse <= self._level:
            self._harm = self._told()

    def excluded(self, share: float) -> bool:
        """Whether a loss beyond the margin of a step of *share* percent is excluded."""
        wanted = margin(self._check, share)
        return wanted >= 1 or self._p_loss(wanted) <= self._leave_level

    def enter(self) -> None:
        """Begin another step."""
        self._pairs_before = self._pairs

    def progress(self, share: float) -> float:
        """Return what there is of the traffic that a version without loss needs, for a step: 1 or more is enough."""
        return self._part(share, self._pairs)

    def progress_in_step(self, share: float) -> float:
        """Return what of `progress` came in the present step."""
        return self._part(share, self._pairs - self._pairs_before)

    @property
    def effect(self) -> float:
        """The design effect of items, as known so far."""
        return design_effect(self._control + self._treated)

    def _part(self, share: float, pairs: float) -> float:
        wanted = margin(self._check, share)
        rate = (self._control + self._treated).rate
        if wanted >= 1:
            return 1.0
        if not 0 < rate < 1:
            return 0.0
        growth = rate * wanted**2 / (2 * (1 - rate))  # of the log of evidence, by pair of items, if rates are equal
        return pairs * growth / (math.log(1 / self._leave_level) + _MIXING)

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        says: Says = "harm" if self._harm and self._takes_back else "fine" if self._treated.users else "waiting"
        evidence = {
            "metric": self._check.name,
            "users": self._treated.users,
            "shown": self._treated.shown,
            "outcomes": self._treated.outcomes,
            "champion_users": self._control.users,
            "champion_shown": self._control.shown,
            "champion_outcomes": self._control.outcomes,
            "ratio": None if math.isnan(self._ratio) else self._ratio,
            "design_effect": self.effect,
            "p_worse": self._p_worse,
            "p_better": float(self._test.p_above[0]),
            "p_loss": {f"{each:g}": self._p_loss(each) for each in self._margins},
            "level": self._level,
        }
        why = self._harm or self._told()
        return CheckFinding(check="metric", version=self.version, says=says, why=why, evidence=evidence)

    @property
    def _p_worse(self) -> float:
        return float(self._test.p_below[0])

    def _p_loss(self, wanted: float) -> float:
        return float(self._test.p_above[1 + self._margins.index(wanted)])

    @property
    def _ratio(self) -> float:
        """Challenger ÷ champion, within batches (Mantel and Haenszel): shares and rates that move do not bias it."""
        control, treated = self._weighed
        return treated / control if control else math.nan

    def _told(self) -> str:
        if math.isnan(self._ratio):
            return f"{self._check.name}: too few users of {self.version} and of the champion are counted yet"
        return (
            f"{self._check.name}: {self.version} has {100 * (self._ratio - 1):+.1f} % against the champion, by "
            f"{self._treated.users:,.0f} and {self._control.users:,.0f} users (p of a loss {self._p_worse:.2g})"
        )
