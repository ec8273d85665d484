"""Are the challenger's scores distributed like the champion's? The distance of Kolmogorov and Smirnov, from counts.

Legend: U users, B bins.

Scores may have any scale, so bins are those of floating-point numbers: of each power of two 32. A distance between
counts is never more than that of the scores. When they are looked at, and how surely: `GrowingLooks`.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.champion_counts import ChampionCounts
from orita.delivery.rollouts.checks import ScoreCheck
from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.growing_looks import GrowingLooks
from orita.delivery.rollouts.looks import GuardCounts

__all__ = ["ScoreGuard", "score_bins"]

BINS = 1 << 14


class ScoreGuard:
    """Whether scores differ more than is allowed.

    Args:
        check: as declared.
        version: the challenger.
        level: over all looks and periods.
    """

    pools = True

    def __init__(self, check: ScoreCheck, version: str, level: float) -> None:
        self._check, self.version, self._level = check, version, level
        self._proven: str | None = None
        self._control = ChampionCounts(BINS)
        self.begin(0, beside=True)

    def begin(self, period: int, *, beside: bool) -> None:
        """Begin a period; without the champion *beside* it scores are compared with those of before."""
        self._period_level = period_level(self._level, period)
        self._control.begin(beside=beside)
        self._treated_B = np.zeros(BINS, np.int64)
        self._looks = GrowingLooks(self._period_level)
        self._distance, self._low = math.nan, 0.0

    def take(self, control: GuardCounts | None, treated: GuardCounts | None) -> None:
        """Count new users of either version."""
        self._control.take(_counts(control))
        self._treated_B += _counts(treated)
        n, m = int(self._treated_B.sum()), int(self._control.counts_B.sum())
        if not self._looks.due(min(n, m)):
            return
        radius = self._looks.radius(min(n, m), (n, m))
        gaps_B = np.abs(np.cumsum(self._treated_B) / n - np.cumsum(self._control.counts_B) / m)
        self._distance = float(gaps_B.max())
        self._low = max(self._distance - radius, 0.0)
        if self._low > self._check.most_distance:
            self._proven = self._told()

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        beyond: Says = "harm" if self._check.action == "roll_back" else "beyond"
        says: Says = beyond if self._proven else "waiting" if math.isnan(self._distance) else "fine"
        evidence = {
            "users": int(self._treated_B.sum()),
            "champion_users": int(self._control.counts_B.sum()),
            "distance": None if math.isnan(self._distance) else self._distance,
            "at_least": self._low,
            "most_distance": self._check.most_distance,
            "level": self._period_level,
        }
        why = self._proven or self._told()
        return CheckFinding(check="scores", version=self.version, says=says, why=why, evidence=evidence)

    def _told(self) -> str:
        seen = "not known yet" if math.isnan(self._distance) else f"{self._distance:.3f}, at least {self._low:.3f}"
        return (
            f"first scores of {self.version} and the champion differ by {seen} (Kolmogorov and Smirnov); "
            f"allowed is {self._check.most_distance:g}"
        )


def score_bins(scores_U: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the bin of each score; greater scores never have a lesser bin."""
    plain_U = np.ascontiguousarray(scores_U, np.float32) + np.float32(0)  # −0 is 0
    bits_U = plain_U.view(np.uint32)
    negative_U = (bits_U >> np.uint32(31)).astype(bool)
    ordered_U = np.where(negative_U, ~bits_U, bits_U | np.uint32(1 << 31))
    return (ordered_U >> np.uint32(18)).astype(np.int64)


def _counts(counts: GuardCounts | None) -> npt.NDArray[np.int64]:
    if counts is None:
        return np.zeros(BINS, np.int64)
    scores_U = counts.score_U[~np.isnan(counts.score_U)]
    return np.bincount(score_bins(scores_U), minlength=BINS).astype(np.int64)
