"""Mean values by shown item, of a challenger and the champion: tested at every look, over all steps together.

Values of users have heavy tails, so the test is asymptotic and waits for some hundred users of each version in a step:
`orita.stats.sequential.ratio_scores`. Strata are the users of one stage whom the rollout saw for the first time, and
those who had the champion before; a user counts once in a step.
"""

from __future__ import annotations

import math

from orita.delivery.rollouts.looks import MetricBatch, MetricCounts
from orita.stats.sequential.ratio_moments import RatioMoments
from orita.stats.sequential.ratio_scores import Score, score_of, worse_log_e

__all__ = ["MeansOfUsers"]

_Stratum = tuple[MetricCounts, MetricCounts]


class MeansOfUsers:
    """The means of one challenger and the champion.

    Args:
        champion, version: whose.
        null: challenger ÷ champion, that is tested.
        lower: whether a challenger below the null is looked for, or one above it.

    Attributes:
        control, treated: all users so far.
    """

    def __init__(self, champion: str, version: str, null: float, *, lower: bool) -> None:
        self._champion, self._version, self._null, self._lower = champion, version, null, lower
        self.control = self.treated = MetricCounts()
        self._stage = -1
        self._open: dict[bool, _Stratum] = {}
        self._done, self._weighed_done = Score(), (0.0, 0.0)
        self._scale = math.nan
        self._highest = 0.0

    def take(self, batch: MetricBatch) -> None:
        """Count users whose outcomes are known now; stages come one after another."""
        if batch.stage != self._stage:
            self._done, self._weighed_done = self._score, self._weighed
            self._stage, self._open = batch.stage, {}
        nobody = MetricCounts()
        new = batch.counts.get(self._champion, nobody), batch.counts.get(self._version, nobody)
        control, treated = self._open.get(batch.fresh, (nobody, nobody))
        self._open[batch.fresh] = control + new[0], treated + new[1]
        self.control += new[0]
        self.treated += new[1]
        total = self._score
        if total.information and math.isnan(self._scale):
            both = self.control + self.treated
            self._scale = both.rate
        if total.information:
            self._highest = max(self._highest, worse_log_e(total, self._scale, lower=self._lower))

    @property
    def p_worse(self) -> float:
        """The p-value, valid at all looks, of "it is not beyond the null"."""
        return math.exp(-self._highest)

    @property
    def waits(self) -> bool:
        """Whether too few users have come for any evidence."""
        return math.isnan(self._scale)

    @property
    def ratio(self) -> float:
        """Challenger ÷ champion, within strata (Mantel and Haenszel): shares and means that move do not bias it."""
        control, treated = self._weighed
        return treated / control if control else math.nan

    @property
    def _score(self) -> Score:
        found = self._done
        for control, treated in self._open.values():
            found += score_of(_moments(control), _moments(treated), self._null)
        return found

    @property
    def _weighed(self) -> tuple[float, float]:
        of_control, of_treated = self._weighed_done
        for control, treated in self._open.values():
            if both := control.shown + treated.shown:
                of_control += control.outcomes * treated.shown / both
                of_treated += treated.outcomes * control.shown / both
        return of_control, of_treated


def _moments(counts: MetricCounts) -> RatioMoments:
    return RatioMoments(
        counts.users, counts.outcomes, counts.shown, counts.squares, counts.products, counts.shown_squares
    )
