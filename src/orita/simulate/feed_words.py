"""Figures of a simulated feed in words: for the terminal and for the page."""

from __future__ import annotations

import math

from orita.report.page import Mood
from orita.simulate.figures import Metric
from orita.stats.experiments.comparison import Comparison
from orita.stats.intervals import Interval

__all__ = ["figure_text", "known", "lift_text", "verdict"]


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
    """Return what the interval of a comparison says, in words and as a mood."""
    if found.lift.low > 0:
        return "higher", "good"
    return ("lower", "bad") if found.lift.high < 0 else ("undecided", "quiet")
