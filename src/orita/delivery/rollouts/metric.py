"""Do users do less with the challenger? A rate of outcomes by shown item, at every look, over all steps together.

Two questions share one test (`orita.delivery.rollouts.rates_of_users`): is the rate below the champion's (harm), and is
a loss beyond a step's margin excluded (the way up)?
"""

from __future__ import annotations

import math

from orita.delivery.rollouts.checks import MetricCheck
from orita.delivery.rollouts.findings import CheckFinding, Says
from orita.delivery.rollouts.looks import MetricBatch
from orita.delivery.rollouts.rates_of_users import RatesOfUsers

__all__ = ["MetricTest", "margin"]

_MIXING = 2.5
"""What mixing alternatives costs, in the logarithm of evidence."""


def margin(check: MetricCheck, share: float) -> float:
    """Return the relative loss that must be excluded before a step of *share* percent is left; 1 or more: none."""
    return check.most_loss * max(1.0, 25.0 / share)


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
        self._rates = RatesOfUsers(champion, version, [1.0, *(1 - each for each in self._margins)])
        self._pairs_before = 0.0
        self._harm: str | None = None

    def take(self, batch: MetricBatch) -> None:
        """Count users whose outcomes are known now."""
        self._rates.take(batch)
        if self._takes_back and self._harm is None and self._rates.p_worse <= self._level:
            self._harm = self._told()

    def excluded(self, share: float) -> bool:
        """Whether a loss beyond the margin of a step of *share* percent is excluded."""
        wanted = margin(self._check, share)
        return wanted >= 1 or self._p_loss(wanted) <= self._leave_level

    def enter(self) -> None:
        """Begin another step."""
        self._pairs_before = self._rates.pairs

    def progress(self, share: float) -> float:
        """Return what there is of the traffic that a version without loss needs, for a step: 1 or more is enough."""
        return self._part(share, self._rates.pairs)

    def progress_in_step(self, share: float) -> float:
        """Return what of `progress` came in the present step."""
        return self._part(share, self._rates.pairs - self._pairs_before)

    @property
    def effect(self) -> float:
        """The design effect of items, as known so far."""
        return self._rates.effect

    def _part(self, share: float, pairs: float) -> float:
        wanted = margin(self._check, share)
        rate = (self._rates.control + self._rates.treated).rate
        if wanted >= 1:
            return 1.0
        if not 0 < rate < 1:
            return 0.0
        growth = rate * wanted**2 / (2 * (1 - rate))  # of the log of evidence, by pair of items, if rates are equal
        return pairs * growth / (math.log(1 / self._leave_level) + _MIXING)

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        control, treated, ratio = self._rates.control, self._rates.treated, self._rates.ratio
        says: Says = "harm" if self._harm else "fine" if treated.users else "waiting"
        evidence = {
            "metric": self._check.name,
            "users": treated.users,
            "shown": treated.shown,
            "outcomes": treated.outcomes,
            "champion_users": control.users,
            "champion_shown": control.shown,
            "champion_outcomes": control.outcomes,
            "ratio": None if math.isnan(ratio) else ratio,
            "design_effect": self.effect,
            "p_worse": self._rates.p_worse,
            "p_better": self._rates.p_above(0),
            "p_loss": {f"{each:g}": self._p_loss(each) for each in self._margins},
            "level": self._level,
        }
        why = self._harm or self._told()
        return CheckFinding(check="metric", version=self.version, says=says, why=why, evidence=evidence)

    def _p_loss(self, wanted: float) -> float:
        return self._rates.p_above(1 + self._margins.index(wanted))

    def _told(self) -> str:
        ratio = self._rates.ratio
        if math.isnan(ratio):
            return f"{self._check.name}: too few users of {self.version} and of the champion are counted yet"
        return (
            f"{self._check.name}: {self.version} has {100 * (ratio - 1):+.1f} % against the champion, by "
            f"{self._rates.treated.users:,.0f} and {self._rates.control.users:,.0f} users "
            f"(p of a loss {self._rates.p_worse:.2g})"
        )
