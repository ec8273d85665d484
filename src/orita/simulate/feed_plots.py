"""The plots of a simulated feed: what is gained, and every figure day by day, with what happened marked.

Legend: D days.
"""

from __future__ import annotations

from collections.abc import Sequence

from orita.report import Band, Line, Plot, curve_plot, interval_plot
from orita.report.plots import Role
from orita.simulate.feed_plan import FeedSimulation
from orita.simulate.feed_words import known
from orita.simulate.figures import METRICS, RETENTION, Figures, Metric
from orita.stats.intervals import Interval

__all__ = ["daily_plots", "gain_plot"]

_ROLES: tuple[Role, ...] = ("now", "second", "before")


def gain_plot(figures: Figures, arm: int) -> Plot:
    """Return the gain of one policy by metric, with intervals."""
    gains = [(m.name, found.lift) for m in (*METRICS, RETENTION) if (found := figures.compared[arm].get(m.key))]
    values = [(name, 100 * lift.value, 100 * lift.low, 100 * lift.high) for name, lift in gains if known(lift)]
    title = f"{figures.arms[arm]} against {figures.arms[1]}"
    description = "The lift of each metric with its interval; right of the line more, left of it less."
    return Plot(title, interval_plot(values, title=title, description=description, x="lift, %", at=0.0))


def daily_plots(found: FeedSimulation) -> list[Plot]:
    """Return a plot a metric, and one of who left for good."""
    plots = [_daily(found, metric) for metric in (*METRICS, RETENTION)]
    gone = tuple(tuple(Interval(100 * v, 100 * v, 100 * v) for v in days) for days in found.figures.left)
    left = _curves(found, "users who left for good", gone, "%", bands=False)
    return [*(plot for plot in plots if plot is not None), left]


def _daily(found: FeedSimulation, metric: Metric) -> Plot | None:
    scale = 100.0 if metric.share else 1.0
    by_arm = [
        [None if day is None else Interval(scale * day.value, scale * day.low, scale * day.high) for day in days]
        for days in found.figures.daily[metric.key]
    ]
    if not any(day is not None for days in by_arm for day in days):
        return None
    return _curves(found, metric.name, by_arm, "%" if metric.share else "", bands=True)


def _curves(
    found: FeedSimulation, name: str, by_arm: Sequence[Sequence[Interval | None]], unit: str, *, bands: bool
) -> Plot:
    known_days = [day for days in by_arm for day in days if day is not None]
    low, high = min(day.low for day in known_days), max(day.high for day in known_days)
    low, high = (0.0 if low < high / 2 else low - 0.1 * (high - low)), high + 0.1 * (high - low) or 1.0
    marks = [
        Line((happening.day, happening.day), (low, high), role="soft", dashed=True)
        for happening in found.plan.scenario.happenings
    ]
    lines = [_line(days, found.figures.arms[arm], _ROLES[arm], bands=bands) for arm, days in enumerate(by_arm)]
    title = name[:1].upper() + name[1:]
    svg = curve_plot(
        [*marks, *lines[::-1]],
        title=title,
        description=f"{title} by day and policy.",
        x="day",
        y=unit,
        x_range=(0.5, found.plan.days + 0.5),
        y_range=(low, high),
    )
    return Plot(title, svg)


def _line(days: Sequence[Interval | None], name: str, role: Role, *, bands: bool) -> Line:
    there = [(number, day) for number, day in enumerate(days, 1) if day is not None]
    band = Band([day.low for _, day in there], [day.high for _, day in there]) if bands else None
    return Line([number for number, _ in there], [day.value for _, day in there], name, role, band=band)
