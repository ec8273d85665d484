"""What has to be excluded before a step is left: gross errors, gross slowness, and answers that are missing.

Legend: B bins.

That no harm is proven says little where few users came: a step at 1 % of a quiet system has one of them in a period,
and the tests of harm (`orita.delivery.rollouts.guards`) go period by period. So what is counted here adds up over
periods, and the way up is open once gross harm is *excluded*, as it is for the metric. Limits are gross, so that few
users are enough, and wider where fewer of them are at stake (`wide`); what is smaller is for the tests of harm, which
take back. A user counts once a period, and again in the next: few who return for long are taken for more than they are.
"""

from __future__ import annotations

import math
from typing import Protocol

from orita.delivery.rollouts.checks import ErrorCheck, LatencyCheck
from orita.delivery.rollouts.guards import LATENCY_EDGES_E, LATENCY_STRENGTH, failures, latencies
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look
from orita.stats.sequential.quantile_sequences import quantile_sequence
from orita.stats.sequential.rate_comparison import RateComparison

__all__ = ["AnswersExcluded", "ErrorsExcluded", "Excluding", "LatencyExcluded", "wide"]

_FULL_SHARE = 25.0
_FAILED = 0.02
_SLOWER = 0.1
"""Of the champion's median: bins are 2 % wide, so that less could not be excluded by any number of users."""
_LOST, _MOST_LOST = 0.25, 0.5


def wide(share: float) -> float:
    """Return how many times as wide limits are at a step of *share* percent: 5 at 1 %, 2.2 at 5 %, 1 from 25 % on."""
    return max(1.0, math.sqrt(_FULL_SHARE / share))


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
    """Whether a challenger does not fail much more often than the champion; users of all steps count.

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
        self._waiting = (0, 0, 0, 0)  # users of either version and their failures that have nobody beside them yet
        self._users = self._failed = 0

    def enter(self) -> None:
        """Begin another step: those of before count as well."""

    def take(self, look: Look) -> None:
        """Count the users of a look; those of one version wait for some of the other."""
        n, failed = failures(look.guards.get(self._version))
        self._users, self._failed = self._users + n, self._failed + failed
        beside, beside_failed = failures(look.guards.get(self._champion))
        waiting = self._waiting
        self._waiting = waiting[0] + beside, waiting[1] + beside_failed, waiting[2] + n, waiting[3] + failed
        if self._waiting[0] and self._waiting[2]:
            self._test = self._test.updated(*self._waiting)
            self._waiting = (0, 0, 0, 0)

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        limit = self._limit(share)
        if self._test.p_below[self._limits.index(limit)] <= self._level:
            return ""
        return (
            f"that {self._version} fails for {100 * limit:.2g} % more users than the champion: it failed for "
            f"{self._failed:,} of {self._users:,} so far"
        )

    def _limit(self, share: float) -> float:
        return min(max(self._check.most_more, _FAILED) * wide(share), 0.99)


class LatencyExcluded:
    """Whether a challenger's median latency is not much above the champion's; users of the present step count.

    A tail takes a hundred times as many users to exclude; the tests of harm look at it.

    Args:
        checks: as declared, one or more: the one that allows least says what is much, a tenth of the champion's median
            at least.
        champion, version: whose latencies.
        level: over all looks of a step.
    """

    def __init__(self, checks: tuple[LatencyCheck, ...], champion: str, version: str, *, level: float) -> None:
        self._champion, self._version, self._level = champion, version, level
        self._most_more_ms = min(check.most_more_ms for check in checks)
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
        control, treated = (
            quantile_sequence(counts_B, LATENCY_EDGES_E, 0.5, strength=LATENCY_STRENGTH, level=self._level / 2)
            for counts_B in (self._control_B, self._treated_B)
        )
        limit = max(self._most_more_ms, _SLOWER * control.low) * wide(share)
        if treated.high - control.low <= limit:
            return ""
        return (
            f"that the median latency of {self._version} is {limit:.3g} ms above the champion's: "
            f"{self._treated_B.sum():,} users of it came in this step"
        )


class AnswersExcluded:
    """Whether a challenger answers most of the users whom the dice gave it; users of the present step count.

    The evidence is the likelihood ratio of "no answer is missing" to "so many are", of users of both versions.

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
        share, missing = mine / (mine + other), _missing(mine)
        lost = share * (1 - missing) / (1 - share * missing)  # of both versions' users, were so many missing
        n, beside = (failures(look.guards.get(each))[0] for each in (self._version, self._champion))
        self._log_e += n * math.log(share / lost) + beside * math.log((1 - share) / (1 - lost))
        self._answered, self._expected = self._answered + n, self._expected + beside * mine / other

    def lacks(self, share: float) -> str:
        """Say what cannot be excluded yet before a step of *share* percent is left; empty: nothing."""
        if self._log_e >= -math.log(self._level):
            return ""
        return (
            f"that {100 * _missing(share):.3g} % of the users of {self._version} get no answer: it answered "
            f"{self._answered:,} in this step, where {self._expected:,.0f} were to be expected beside those of the "
            "champion"
        )


def _missing(share: float) -> float:
    return min(_LOST * wide(share), _MOST_LOST)
