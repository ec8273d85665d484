"""What has to be excluded before a step is left: errors and slowness beyond a limit, and answers that are missing.

Legend: B bins.

That no harm is proven says little where few users came: a step at 1 % of a quiet system has one of them in a period,
and the tests of harm (`orita.delivery.rollouts.guards`) go period by period. So what is counted here adds up over
periods, and the way up is open once harm is *excluded*, as it is for the metric. Limits are wider where fewer users are
at stake: `widened`. A user counts once a period, and again in the next: few who return for long are taken for more
than they are.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from orita.delivery.rollouts.checks import ErrorCheck, LatencyCheck
from orita.delivery.rollouts.guards import LATENCY_EDGES_E, LATENCY_STRENGTH, failures, latencies
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look
from orita.stats.sequential.quantile_sequences import quantile_difference_sequence
from orita.stats.sequential.rate_comparison import RateComparison

__all__ = ["AnswersExcluded", "ErrorsExcluded", "Excluding", "LatencyExcluded", "widened"]

_MOST_LOST = 0.25
_FULL_SHARE = 25.0


def widened(limit: float, share: float) -> float:
    """Return what must be excluded of a *limit* before a step of *share* percent is left: at 1 % five times as much."""
    return limit * max(1.0, math.sqrt(_FULL_SHARE / share))


class Excluding(Protocol):
    """What is excluded of one challenger's harm."""

    def enter(self) -> None:
        """Begin another step."""
        ...

    def take(self, look: Look) -> None:
        """Count the users of a look."""
        ...

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        ...


class ErrorsExcluded:
    """Whether a challenger fails hardly more often than the champion; users of all steps count.

    Args:
        check: as declared.
        champion, version: whose errors.
        shares: of the steps that are left, in percent.
        level: of each exclusion, over all looks.
    """

    def __init__(
        self, check: ErrorCheck, champion: str, version: str, *, shares: tuple[float, ...], level: float
    ) -> None:
        self._check, self._champion, self._version, self._level = check, champion, version, level
        self._limits = sorted({self._limit(share) for share in shares})
        self._test = RateComparison.start(self._limits)
        self._waiting = np.zeros(4, np.int64)
        self._users = self._failed = 0

    def enter(self) -> None:
        """Begin another step."""

    def take(self, look: Look) -> None:
        """Count the users of a look; those of one version wait for some of the other."""
        n, failed = failures(look.guards.get(self._version))
        self._users, self._failed = self._users + n, self._failed + failed
        self._waiting += (*failures(look.guards.get(self._champion)), n, failed)
        if self._waiting[0] and self._waiting[2]:
            self._test = self._test.updated(*self._waiting.tolist())
            self._waiting[:] = 0

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        limit = self._limit(share)
        if self._test.p_below[self._limits.index(limit)] <= self._level:
            return ""
        return (
            f"that {self._version} fails {100 * limit:.2g} % more often than the champion: it failed for "
            f"{self._failed:,} of {self._users:,} users so far"
        )

    def _limit(self, share: float) -> float:
        return min(max(widened(self._check.most_more, share), 1e-6), 0.99)


class LatencyExcluded:
    """Whether a challenger is hardly slower than the champion at a quantile; users of the present step count.

    Args:
        check: as declared.
        champion, version: whose latencies.
        level: over all looks of a step.
    """

    def __init__(self, check: LatencyCheck, champion: str, version: str, *, level: float) -> None:
        self._check, self._champion, self._version, self._level = check, champion, version, level
        self.enter()

    def enter(self) -> None:
        """Begin another step."""
        self._control_B, self._treated_B = latencies(None), latencies(None)

    def take(self, look: Look) -> None:
        """Count the users of a look."""
        self._control_B += latencies(look.guards.get(self._champion))
        self._treated_B += latencies(look.guards.get(self._version))

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        quantile, limit = self._check.quantile, widened(self._check.most_more_ms, share)
        found = quantile_difference_sequence(
            self._control_B, self._treated_B, LATENCY_EDGES_E, quantile, strength=LATENCY_STRENGTH, level=self._level
        )
        if found.high <= limit:
            return ""
        return (
            f"that p{100 * quantile:g} of {self._version} is {limit:.3g} ms more than the champion's: "
            f"{self._treated_B.sum():,} users of it came in this step"
        )


class AnswersExcluded:
    """Whether a challenger answers most of the users whom the dice gave it; users of the present step count.

    The evidence is the likelihood ratio of "no answer is missing" to "a quarter is", of users of both versions.

    Args:
        champion, version: beside which it runs, and the challenger.
        level: over all looks of a step.
    """

    def __init__(self, champion: str, version: str, *, level: float) -> None:
        self._champion, self._version, self._level = champion, version, level
        self.enter()

    def enter(self) -> None:
        """Begin another step."""
        self._log_e, self._answered, self._expected = 0.0, 0, 0.0

    def take(self, look: Look) -> None:
        """Count the users of a look."""
        mine, other = (look.stage.shares.get(each, 0.0) for each in (self._version, self._champion))
        if mine <= 0 or other <= 0 or look.at - look.stage.since < SPLIT_SETTLES:
            return
        share = mine / (mine + other)
        lost = share * (1 - _MOST_LOST) / (1 - share * _MOST_LOST)  # of both versions' users, were a quarter missing
        n, beside = (failures(look.guards.get(each))[0] for each in (self._version, self._champion))
        self._log_e += n * math.log(share / lost) + beside * math.log((1 - share) / (1 - lost))
        self._answered, self._expected = self._answered + n, self._expected + beside * mine / other

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        if self._log_e >= -math.log(self._level):
            return ""
        return (
            f"that a quarter of the users of {self._version} gets no answer: it answered {self._answered:,} in this "
            f"step, where {self._expected:,.0f} were to be expected beside those of the champion"
        )
