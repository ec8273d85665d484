"""Does a version answer as many users as the dice gave it? One that hangs, or kills its worker, leaves nothing else.

An answer that comes too late is no answer, and is not logged; neither is that of a worker that died. So a version whose
every answer takes longer than callers wait has no errors and no latency: it is its share of users that is missing. Each
period is a test of its own, in which every user counts once, among users of the champion and of the version in the same
seconds; so a version that hangs in its second week is found as well. Who comes back may be the version's doing, which
is why a little is not enough. Evidence is the mean of likelihood ratios of "half, three quarters, all of its users are
missing" to "none is", a non-negative martingale where none is missing (Ville 1939); it grows where more than a quarter
is.
"""

from __future__ import annotations

import math

import numpy as np

from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look

__all__ = ["MissingAnswers"]

_LOST = np.array([0.5, 0.75, 1.0])


class MissingAnswers:
    """Whether a challenger answers fewer users than it was given.

    Args:
        champion, version: beside which it runs, and the challenger.
        level: over all looks and periods.
    """

    def __init__(self, champion: str, version: str, level: float) -> None:
        self._champion, self._version, self._level = champion, version, level
        self._period = -1
        self._begin()
        self._harm: str | None = None

    def _begin(self) -> None:
        self._n = 0
        self._answered = 0
        self._expected = 0.0
        self._log_e_L = np.zeros(len(_LOST))

    def take(self, look: Look) -> None:
        """Count the new users of a look."""
        if look.period != self._period:
            self._period = look.period
            self._begin()
        shares = look.stage.shares
        mine, other = shares.get(self._version, 0.0), shares.get(self._champion, 0.0)
        if mine <= 0 or other <= 0 or look.at - look.stage.since < SPLIT_SETTLES:
            return
        counts = [
            len(look.guards[each].failed_U) if each in look.guards else 0 for each in (self._version, self._champion)
        ]
        share = mine / (mine + other)
        left_L = share * (1 - _LOST) / (share * (1 - _LOST) + 1 - share)  # of both versions' users, were so many lost
        with np.errstate(divide="ignore"):  # log 0: who lost all answers nobody
            ours_L = np.log(left_L / share)
        self._log_e_L += counts[1] * np.log((1 - left_L) / (1 - share)) + (counts[0] * ours_L if counts[0] else 0.0)
        self._n, self._answered = self._n + sum(counts), self._answered + counts[0]
        self._expected += counts[1] * mine / other
        if self._harm is None and self._log_e >= -math.log(period_level(self._level, look.period)):
            self._harm = (
                f"{self._version} answered {self._answered:,} users where {self._expected:,.0f} were to be expected "
                f"beside those of {self._champion} (p {math.exp(-self._log_e):.1g}): its answers come too late, or not "
                "at all"
            )

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        why = self._harm or f"{self._version} answered {self._answered:,} users"
        evidence = {
            "users": self._answered,
            "expected": round(self._expected, 1),
            "log_e": round(self._log_e, 2),
        }
        says: Says = "harm" if self._harm else "fine" if self._n > 0 else "waiting"
        return CheckFinding(check="answers", version=self._version, says=says, why=why, evidence=evidence)

    @property
    def _log_e(self) -> float:
        return float(np.logaddexp.reduce(self._log_e_L) - math.log(len(_LOST)))
