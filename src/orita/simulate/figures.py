"""What a simulation found: business figures of each policy with intervals, by day and in all, and what one gains.

Users are the units: they were assigned, and what one of them does at different times hangs together. Rates are ratios
of users' sums by the delta method (`orita.stats.experiments.means`).

Legend: D days, U users who take part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from orita.events.world.arrays import Bools, Integers, Reals
from orita.simulate.panel import Panel
from orita.simulate.tally import Tally
from orita.stats.experiments.comparison import Comparison
from orita.stats.experiments.means import compare_proportions, compare_ratios
from orita.stats.intervals import Interval
from orita.stats.sequential.moments import Moments
from orita.stats.sequential.ratio_moments import RatioMoments

__all__ = ["METRICS", "RETENTION", "Figures", "Metric", "figures_of"]

_DAY = 86_400_000_000
_WEEK = 7
_NORMAL = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Metric:
    """A ratio of sums: its key, its name, what is divided by what, and whether it is a share."""

    key: str
    name: str
    numerator: str
    denominator: str
    share: bool = False


METRICS = (
    Metric("ctr", "click-through rate", "clicks", "shown", share=True),
    Metric("engagement", "engagement rate (like or share)", "engaged", "shown", share=True),
    Metric("session_pages", "pages a session", "pages", "sessions"),
    Metric("session_seconds", "seconds a session", "seconds", "sessions"),
    Metric("sessions_a_day", "sessions a user and day", "sessions", "user_days"),
)
RETENTION = Metric("retention", "7-day retention", "came_back", "users", share=True)
"""Of the users who came before the last seven days, the share that came in them."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures.

    Attributes:
        arms: names of the policies; the second is what the others are compared with.
        users: of each policy.
        totals: by policy, what was counted in all.
        compared: by policy but the second, and by metric, the comparison with the second; without retention where the
            days are too few for it.
        daily: by metric and policy, the value of each day with its interval; None where nobody came.
        left: by policy, the share of users who left for good, day by day.
    """

    arms: tuple[str, ...]
    users: tuple[int, ...]
    totals: tuple[dict[str, float], ...]
    compared: dict[int, dict[str, Comparison]]
    daily: dict[str, tuple[tuple[Interval | None, ...], ...]]
    left: tuple[tuple[float, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON values."""
        return {
            "arms": [
                {"policy": name, "users": users, "totals": totals, "left": left}
                for name, users, totals, left in zip(self.arms, self.users, self.totals, self.left, strict=True)
            ],
            "compared_with": self.arms[1],
            "figures": [
                {"policy": self.arms[arm], **{key: found.to_dict() for key, found in each.items()}}
                for arm, each in self.compared.items()
            ],
            "daily": {
                key: {
                    name: [None if day is None else asdict(day) for day in days]
                    for name, days in zip(self.arms, by_arm, strict=True)
                }
                for key, by_arm in self.daily.items()
            },
        }


def figures_of(tally: Tally, panel: Panel, arms: Sequence[str], *, start: int) -> Figures:
    """Return the figures of a simulation that began at *start* (microseconds since the Unix epoch)."""
    members = [panel.arm_U == arm for arm in range(len(arms))]
    began_U = np.maximum(panel.from_U - start, 0) // _DAY
    counts = tally.counts | {"user_days": (np.arange(tally.days)[:, None] >= began_U).astype(np.float64)}
    daily = {
        metric.key: tuple(
            tuple(_ratio(counts[metric.numerator][day, of], counts[metric.denominator][day, of])
                  for day in range(tally.days)) for of in members
        )
        for metric in METRICS
    }  # fmt: skip
    daily[RETENTION.key] = tuple(tuple(_retention(tally, of, day) for day in range(tally.days)) for of in members)
    return Figures(
        arms=tuple(arms),
        users=tuple(int(of.sum()) for of in members),
        totals=tuple({name: float(values[:, of].sum()) for name, values in tally.counts.items()} for of in members),
        compared={arm: _compared(tally, counts, members[1], members[arm]) for arm in range(len(arms)) if arm != 1},
        daily=daily,
        left=tuple(_left(tally, of, began_U) for of in members),
    )


def _compared(tally: Tally, counts: dict[str, Reals], control: Bools, treatment: Bools) -> dict[str, Comparison]:
    sums = {name: values.sum(axis=0) for name, values in counts.items()}
    found = {
        metric.key: compare_ratios(*(
            (sums[metric.numerator][of], sums[metric.denominator][of]) for of in (control, treatment)
        ))
        for metric in METRICS
        if all(sums[metric.denominator][of].sum() > 0 and of.sum() > 1 for of in (control, treatment))
    }  # fmt: skip
    a, b = (_came_back(tally, of, tally.days - 1) for of in (control, treatment))
    if min(a[1], b[1]) > 1:
        found[RETENTION.key] = compare_proportions(*a, *b)
    return found


def _came_back(tally: Tally, of: Bools, day: int) -> tuple[int, int]:
    """Return how many of the users who had come a week before the end of *day* came since, and how many had come."""
    sessions_DU = tally.counts["sessions"][:, of]
    since = day + 1 - _WEEK
    had_U = sessions_DU[: max(since, 0)].any(axis=0)
    came_U = sessions_DU[max(since, 0) : day + 1].any(axis=0)
    return int((had_U & came_U).sum()), int(had_U.sum())


def _retention(tally: Tally, of: Bools, day: int) -> Interval | None:
    came, had = _came_back(tally, of, day)
    return _interval(Moments.of_counts(had, came), most=1.0) if had > 1 else None


def _ratio(numerator_U: Reals, denominator_U: Reals) -> Interval | None:
    sums = RatioMoments.of(numerator_U, denominator_U)
    return _interval(sums.moments) if sums.x > 0 and sums.n > 1 else None


def _interval(moments: Moments, most: float = np.inf) -> Interval:
    reach = _NORMAL * moments.error
    return Interval(moments.mean, max(moments.mean - reach, 0.0), min(moments.mean + reach, most))


def _left(tally: Tally, of: Bools, began_U: Integers) -> tuple[float, ...]:
    """Return the share of those who were there by each day that had left by its end."""
    left_U, there_U = tally.left_U[of], began_U[of]
    gone_D = np.bincount(left_U[left_U >= 0], minlength=tally.days).cumsum()
    there_D = np.bincount(there_U, minlength=tally.days)[: tally.days].cumsum()
    return tuple((gone_D / np.maximum(there_D, 1)).tolist())
