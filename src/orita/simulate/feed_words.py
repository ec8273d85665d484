"""Figures of a simulated feed in words: for the terminal and for the page."""

from __future__ import annotations

import math

from orita.report.page import Mood
from orita.simulate.figures import Figures, Metric
from orita.stats.experiments.comparison import Comparison
from orita.stats.intervals import Interval

__all__ = ["LEAST_USERS", "figure_text", "known", "lift_text", "too_few", "verdict"]

LEAST_USERS = 50
"""Of fewer users in an arm nothing is said: the intervals rest on means of many users being normal."""


def figure_text(metric: Metric, value: float) -> str:
    """Return a value of *metric* as people read it."""
    if metric.share:
        return f"{value:.1%}"
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def known(lift: Interval) -> bool:
    """Return whether a gain and both ends of its interval are finite."""
    return all(map(math.isfinite, (lift.value, lift.low, lift.high)))


def lift_text(lift: Interval) -> str:
    """Return a relative gain with its interval, in percent."""
    return f"{lift.value:+.1%} ({lift.low:+.1%} to {lift.high:+.1%})" if known(lift) else "not known"


def verdict(found: Comparison) -> tuple[str, Mood]:
    """Return what the interval of a comparison says, in words and as a mood; of few users it says nothing."""
    if min(found.n_control, found.n_treatment) < LEAST_USERS:
        return "too few to say", "quiet"
    if found.lift.low > 0:
        return "higher", "good"
    return ("lower", "bad") if found.lift.high < 0 else ("undecided", "quiet")


def too_few(figures: Figures) -> str | None:
    """Return a warning where an arm has too few users to say anything of it, None where all have enough."""
    if min(figures.users) >= LEAST_USERS:
        return None
    users = ", ".join(f"{users:,} with {name}" for name, users in zip(figures.arms, figures.users, strict=True))
    return f"Too few users to say anything: {users}; {LEAST_USERS} with each are needed. Let more take part: --users."
