"""What has to be excluded before a step is left: gross errors, gross slowness, and answers that are missing.

Legend: B bins.

That no harm is proven says little where few users came: a step at 1 % of a quiet system has one of them in a period,
and the tests of harm (`orita.delivery.rollouts.guards`) go period by period. So what is counted here adds up over the
periods of a step, and the step may be left once gross harm is *excluded*, as it is for the metric. Each step asks anew:
what breaks under more users breaks after they came. Limits are gross, so that few users are enough, and wider where
fewer of them are at stake (`wide`); what is smaller is for the tests of harm, which take back. For errors and latency a
user counts once a period, and again in the next: few who return for long are taken for more than they are. For missing
answers each counts once, as who gets which version is drawn once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from orita.delivery.rollouts.checks import ErrorCheck, LatencyCheck
from orita.delivery.rollouts.guards import LATENCY_EDGES_E, LATENCY_STRENGTH, failures, latencies
from orita.delivery.rollouts.looks import SPLIT_SETTLES, Look
from orita.stats.sequential.quantile_sequences import quantile_sequence
from orita.stats.sequential.rate_comparison import RateComparison

__all__ = ["AnswersExcluded", "ErrorsExcluded", "Excluding", "Lack", "LatencyExcluded", "wide"]

_FULL_SHARE = 25.0
_FAILED = 0.02
_SLOWER = 0.1
"""Of the champion's median: bins are 2 % wide, so that less could not be excluded by any number of users."""
_LOST = 0.5


def wide(share: float) -> float:
    """Return how many times as wide limits are at a step of *share* percent: 5 at 1 %, 2.2 at 5 %, 1 from 25 % on."""
    return max(1.0, math.sqrt(_FULL_SHARE / share))


class Lack(NamedTuple):
    """What keeps a step from being left: *what* is not excluded, or is even *proven*, which no more users will mend."""

    what: str
    proven: bool


class Excluding(Protocol):
    """What is excluded of one challenger's harm, by users of the present step."""

    def enter(self) -> None:
        """Begin another step."""
        ...

    def take(self, look: Look) -> None:
        """Count the users of a look."""
        ...

    def lacks(self, share: float) -> Lack | None:
        """Return what is not excluded before a step of *share* percent is left; None: nothing."""
        ...


class ErrorsExcluded:
    """Whether a challenger does not fail much more often than the champion.

    Args:
        check: as declared.
        champion, version: whose errors.
        shares: of the steps that are left, in percent.
        level: of each exclusion, over all looks of a step.
    """

    def __init__(
        self, check: ErrorCheck, champion: str, version: str, *, shares: tuple[float, ...], level: float
    ) -> None:
        self._check, self._champion, self._version, self._level = check, champion, version, level
        self._limits = sorted({self._limit(share) for share in shares})
        self.enter()

    def enter(self) -> None:
        """Begin another step."""
        self._test = RateComparison.start(self._limits)
        self._waiting = (0, 0, 0, 0)  # users of either version and their failures that have nobody beside them yet
        self._users = self._failed = 0

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

    def lacks(self, share: float) -> Lack | None:
        """Return what is not excluded before a step of *share* percent is left; None: nothing."""
        limit = self._limit(share)
        at = self._limits.index(limit)
        if self._test.p_below[at] <= self._level:
            return None
        what = (
            f"that {self._version} fails for {100 * limit:.2g} % more users than the champion: it failed for "
            f"{self._failed:,} of {self._users:,} in this step"
        )
        return Lack(what, bool(self._test.p_above[at] <= self._level))

    def _limit(self, share: float) -> float:
        return min(max(self._check.most_more, _FAILED) * wide(share), 0.99)


class LatencyExcluded:
    """Whether a challenger's median latency is not much above the champion's.

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

    def lacks(self, share: float) -> Lack | None:
        """Return what is not excluded before a step of *share* percent is left; None: nothing."""
        control, treated = (
            quantile_sequence(counts_B, LATENCY_EDGES_E, 0.5, strength=LATENCY_STRENGTH, level=self._level / 2)
            for counts_B in (self._control_B, self._treated_B)
        )
        limit = max(self._most_more_ms, _SLOWER * control.low) * wide(share)
        if treated.high - control.low <= limit:
            return None
        what = (
            f"that the median latency of {self._version} is {limit:.3g} ms above the champion's: "
            f"{self._treated_B.sum():,} users of it came in this step"
        )
        return Lack(what, treated.low - control.high > limit)


class AnswersExcluded:
    """Whether a challenger answers most of the users whom the dice gave it; each user counts once in a step.

    The evidence is the likelihood ratio of "no answer is missing" to "half of them are", of users of both versions. Of
    those who had the champion in an earlier step, the dice give the version as many as its share has grown by.

    Args:
        champion, version: beside which it runs, and the challenger.
        level: over all looks of a step.
    """

    def __init__(self, champion: str, version: str, *, level: float) -> None:
        self._champion, self._version, self._level = champion, version, level
        self._share = 0.0
        self.enter()

    def enter(self) -> None:
        """Begin another step."""
        self._before = self._share
        self._log_e, self._answered, self._expected = 0.0, 0, 0.0

    def take(self, look: Look) -> None:
        """Count the users of a look."""
        self._share, other = (look.stage.shares.get(each, 0.0) for each in (self._version, self._champion))
        if other <= 0 or look.at - look.stage.since < SPLIT_SETTLES:
            return
        self._count(look.newcomers, self._share, other)
        self._count(look.returned, self._share - self._before, other)

    def _count(self, users: Mapping[str, int], mine: float, other: float) -> None:
        """Count *users* by version, of whom the version had *mine* percent and the champion *other*."""
        if mine <= 0:
            return
        share = mine / (mine + other)
        lost = share * (1 - _LOST) / (1 - share * _LOST)  # of both versions' users, were so many missing
        n, beside = users.get(self._version, 0), users.get(self._champion, 0)
        self._log_e += n * math.log(share / lost) + beside * math.log((1 - share) / (1 - lost))
        self._answered, self._expected = self._answered + n, self._expected + beside * mine / other

    def lacks(self, share: float) -> Lack | None:
        """Return what is not excluded before a step of *share* percent is left; None: nothing."""
        enough = -math.log(self._level)
        if self._log_e >= enough:
            return None
        what = (
            f"that half of the users of {self._version} get no answer: it answered {self._answered:,} in this step, "
            f"where {self._expected:,.0f} were to be expected beside those of the champion"
        )
        return Lack(what, self._log_e <= -enough)
