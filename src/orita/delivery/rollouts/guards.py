"""Errors, latencies and scores: is the challenger beyond its limit? Each at every look, exact in small numbers.

Legend: U users, B bins, E limits between bins, P periods.

Each period is a test of its own, in which every user counts once, and has its part of the level: 1/2, 1/6, 1/12 … of
it, so that all periods of the longest rollout together err as rarely as one test (the union bound needs nothing of how
periods depend on each other). A challenger that breaks in the second week is found nearly as quickly as one that was
broken at the start: the level costs its logarithm.

Where nobody has the champion any more, as after a switch, there is nobody to compare with at the same time. Then the
limit is what the champion did before: its error rate at the upper end of its interval, its latencies as they were. What
changes with the hour is taken for the challenger's doing there. Without a before, failures are compared with none.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from orita.delivery.rollouts.champion_counts import LEAST_BEFORE, ChampionCounts
from orita.delivery.rollouts.checks import ErrorCheck, LatencyCheck
from orita.delivery.rollouts.findings import CheckFinding, Says, period_level
from orita.delivery.rollouts.looks import GuardCounts
from orita.stats.sequential.quantile_sequences import counts_by_bin, growing_edges, quantile_difference_sequence
from orita.stats.sequential.rate_comparison import RateComparison
from orita.stats.sequential.rates import RateTest, rate_interval, rate_strength

__all__ = ["LATENCY_EDGES_E", "LATENCY_STRENGTH", "ErrorGuard", "Guard", "LatencyGuard", "failures", "latencies"]

LATENCY_EDGES_E = growing_edges(0.1, 120_000.0)
LATENCY_STRENGTH = rate_strength(400)
_ERROR_STRENGTH = rate_strength(400)

Counts = npt.NDArray[np.int64]


class Guard(Protocol):
    """What is looked at period by period, for one challenger.

    Attributes:
        version: the challenger.
        pools: whether it compares what came in the period as a whole, so that both versions' users must come from the
            same times (`orita.delivery.rollouts.thinning`).
    """

    version: str
    pools: bool

    def begin(self, period: int, *, beside: bool) -> None:
        """Begin a period; *beside*: somebody has the champion at the same time."""
        ...

    def take(self, control: GuardCounts | None, treated: GuardCounts | None) -> None:
        """Count new users of either version."""
        ...

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        ...


class ErrorGuard:
    """Whether a challenger fails more often than the champion, by more than is allowed.

    Args:
        check: as declared.
        version: the challenger.
        level: over all looks and periods.
    """

    pools = False

    def __init__(self, check: ErrorCheck, version: str, level: float) -> None:
        self._check, self.version, self._level = check, version, level
        self._harm: str | None = None
        self._control = ChampionCounts(2)  # who got a model's answer, who did not
        self.begin(0, beside=True)

    def begin(self, period: int, *, beside: bool) -> None:
        """Begin a period; *beside*: somebody has the champion at the same time."""
        self._period_level = period_level(self._level, period)
        self._alone: RateTest | None = None
        self._waiting = np.zeros(4, np.int64)  # users of either arm and their failures that have nobody beside them yet
        self._n = self._failed = 0
        n, failed = self._of_champion
        self._control.begin(beside=beside)
        limit = min(max(self._check.most_more, 1e-6), 1 - 1e-9)
        known = (failed + 0.5) / (n + 1) if n else None
        self._test = RateComparison.start([min(self._check.most_more, limit)], expected_rate=known)
        if not beside:
            half, before = self._period_level / 2, 0.0
            n, failed = self._of_champion
            if n >= LEAST_BEFORE:
                before = rate_interval(n, failed, strength=_ERROR_STRENGTH, level=half).high
            self._alone = RateTest(min(before + limit, 1 - 1e-9), _ERROR_STRENGTH, half, "greater")

    def take(self, control: GuardCounts | None, treated: GuardCounts | None) -> None:
        """Count new users of either version."""
        control_n, control_failed = failures(control)
        n, failed = failures(treated)
        self._control.take(np.array([control_n - control_failed, control_failed]))
        self._n += n
        self._failed += failed
        if self._control.beside:
            self._waiting += (control_n, control_failed, n, failed)
            if self._waiting[0] and self._waiting[2]:
                self._test = self._test.updated(*self._waiting.tolist())
                self._waiting[:] = 0
        elif self._alone is not None:
            self._alone = self._alone.updated(n, failed)
        if self._harm is None and self._p_value <= self._threshold:
            self._harm = self._told()

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        says: Says = "harm" if self._harm else "fine" if self._n else "waiting"
        champion_n, champion_failed = self._of_champion
        evidence = {
            "users": self._n,
            "failed": self._failed,
            "champion_users": champion_n,
            "champion_failed": champion_failed,
            "most_more": self._check.most_more,
            "p_value": self._p_value,
            "level": self._threshold,
        }
        why = self._harm or self._told()
        return CheckFinding(check="errors", version=self.version, says=says, why=why, evidence=evidence)

    @property
    def _p_value(self) -> float:
        if self._control.beside:
            return float(self._test.p_above[0])
        return 1.0 if self._alone is None else self._alone.p_value

    @property
    def _threshold(self) -> float:
        return self._period_level if self._control.beside else self._period_level / 2

    @property
    def _of_champion(self) -> tuple[int, int]:
        """Its users in this period, or before, and those of them whom something stood in for."""
        return int(self._control.counts_B.sum()), int(self._control.counts_B[1])

    def _told(self) -> str:
        n, failed = self._of_champion
        when = "" if self._control.beside else " before"
        return (
            f"{self.version} failed for {self._failed:,} of {self._n:,} users, "
            f"the champion{when} for {failed:,} of {n:,}; allowed are {100 * self._check.most_more:g} % more"
        )


class LatencyGuard:
    """Whether a challenger is slower than the champion, by more than is allowed, at a quantile.

    Args:
        check: as declared.
        version: the challenger.
        level: over all looks and periods.
        name: of the check in findings.
    """

    pools = True

    def __init__(self, check: LatencyCheck, version: str, level: float, name: str = "latency") -> None:
        self._check, self.version, self._level, self._name = check, version, level, name
        self._harm: str | None = None
        self._control = ChampionCounts(len(LATENCY_EDGES_E) + 1)
        self.begin(0, beside=True)

    def begin(self, period: int, *, beside: bool) -> None:
        """Begin a period; *beside*: somebody has the champion at the same time."""
        self._period_level = period_level(self._level, period)
        self._control.begin(beside=beside)
        self._treated_B = self._none()
        self._difference = math.nan
        self._low = -math.inf

    def take(self, control: GuardCounts | None, treated: GuardCounts | None) -> None:
        """Count new users of either version."""
        self._control.take(latencies(control))
        new_B = latencies(treated)
        self._treated_B += new_B
        if not new_B.any() or not self._control.counts_B.any():
            return
        quantile, most = self._check.quantile, self._check.most_more_ms
        self._difference = _limit_at(self._treated_B, quantile) - _limit_at(self._control.counts_B, quantile)
        self._low = -math.inf
        if not self._difference > most:
            return  # what is not seen cannot be proven
        self._low = quantile_difference_sequence(
            self._control.counts_B,
            self._treated_B,
            LATENCY_EDGES_E,
            quantile,
            strength=LATENCY_STRENGTH,
            level=self._period_level,
        ).low
        if self._harm is None and self._low > most:
            self._harm = self._told()

    @property
    def finding(self) -> CheckFinding:
        """What it says now."""
        users, control = int(self._treated_B.sum()), int(self._control.counts_B.sum())
        says: Says = "harm" if self._harm else "fine" if users and control else "waiting"
        evidence = {
            "users": users,
            "champion_users": control,
            "quantile": self._check.quantile,
            "more_ms": None if math.isnan(self._difference) else self._difference,
            "at_least_more_ms": self._low if math.isfinite(self._low) else None,
            "most_more_ms": self._check.most_more_ms,
            "level": self._period_level,
        }
        why = self._harm or self._told()
        return CheckFinding(check=self._name, version=self.version, says=says, why=why, evidence=evidence)

    def _told(self) -> str:
        when = "" if self._control.beside else " before"
        proven = f", at least {self._low:.1f} ms" if math.isfinite(self._low) else ""
        slower = "not known" if math.isnan(self._difference) else f"{self._difference:+.1f} ms"
        return (
            f"p{100 * self._check.quantile:g} of {self.version} against the champion's{when}: {slower}{proven}; "
            f"allowed are {self._check.most_more_ms:g} ms more"
        )

    def _none(self) -> Counts:
        return np.zeros(len(LATENCY_EDGES_E) + 1, np.int64)


def failures(counts: GuardCounts | None) -> tuple[int, int]:
    """Return how many users there are, and for how many something stood in for the model."""
    return (0, 0) if counts is None else (len(counts.failed_U), int(counts.failed_U.sum()))


def _limit_at(counts_B: Counts, quantile: float) -> float:
    """Return the upper limit of the bin in which a quantile lies."""
    place = int(np.searchsorted(np.cumsum(counts_B), quantile * counts_B.sum()))
    return float(LATENCY_EDGES_E[place]) if place < len(LATENCY_EDGES_E) else math.inf


def latencies(counts: GuardCounts | None) -> Counts:
    """Return how many users there are by bin of latency."""
    if counts is None:
        return np.zeros(len(LATENCY_EDGES_E) + 1, np.int64)
    return counts_by_bin(counts.latency_ms_U, LATENCY_EDGES_E)
