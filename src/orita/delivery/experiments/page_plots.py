"""The plots of the report.

Legend: D days, K variants, P looks.
"""

from __future__ import annotations

import math
from datetime import datetime

import numpy as np
from scipy.stats import norm

from orita.delivery.experiments.results import Course, DayCheck, ExperimentReport, MetricResult
from orita.report import Band, Line, Plot, curve_plot, interval_plot
from orita.report.plots import Role

__all__ = ["course_plot", "day_plot", "effects_plot", "exposures_plot", "shares_plot"]

_ROLES: tuple[Role, ...] = ("now", "second", "before")  # of treatments, in their order; the control is soft
_ASIDE = 0.2  # days between the bars of one look, so that none hides another
_BARS = 40  # more intervals side by side cannot be told apart


def effects_plot(report: ExperimentReport) -> list[Plot]:
    """Return all effects as shares of the control's value; none where there are none yet."""
    values: list[tuple[str, float, float, float]] = []
    several = len(report.sample_ratio.counts) > 2
    for metric in report.metrics:
        for effect in metric.effects:
            ends = effect.estimate, effect.low, effect.high
            if effect.control and all(map(math.isfinite, ends)):
                name = f"{metric.name}, {effect.variant}" if several else metric.name
                value, low, high = (100 * end / abs(effect.control) for end in ends)
                values.append((name, value, low, high))
    if not values:
        return []
    svg = interval_plot(
        values,
        title="Effects",
        description="; ".join(
            f"{name}: {value:+.1f} % ({low:+.1f} to {high:+.1f})" for name, value, low, high in values
        ),
        x="difference, % of the control's value",
        at=0.0,
    )
    return [
        Plot("Effects against the control", svg, "The control's value is taken as known: exact intervals are below.")
    ]


def course_plot(metric: MetricResult) -> Plot | None:
    """Return the effects of a metric with their intervals over time; None before there is a second look."""
    lines: list[Line] = []
    for number, effect in enumerate(metric.effects):
        looks = [look for look in effect.course if math.isfinite(look.low) and math.isfinite(look.high)]
        if len(looks) < 2:
            continue
        shown = looks if len(looks) <= _BARS else [looks[i] for i in np.linspace(0, len(looks) - 1, _BARS).astype(int)]
        begin = effect.course[0].at
        aside = _ASIDE * (number - (len(metric.effects) - 1) / 2)
        days = [_days(begin, look.at) + aside for look in shown]
        band = Band([look.low for look in shown], [look.high for look in shown])
        role = _ROLES[number % len(_ROLES)]
        lines.append(Line(days, [look.estimate for look in shown], effect.variant, role, points=True, band=band))
    if not lines:
        return None
    ends = [line.x_P[0] for line in lines] + [line.x_P[-1] for line in lines]
    guides = [Line((min(ends), max(ends)), (0.0, 0.0), role="soft", dashed=True)]
    if metric.margin is not None:
        worst = -metric.margin if metric.direction == "up" else metric.margin
        guides.append(Line((min(ends), max(ends)), (worst, worst), role="soft", dashed=True))
    last = "; ".join(f"{effect.variant} {_told(effect.course[-1])}" for effect in metric.effects)
    svg = curve_plot(
        [*guides, *lines],
        title=f"{metric.name} over time",
        description=f"Effect on {metric.name} by day, at last {last}.",
        x="days since the first look",
        y="effect",
    )
    margin = " The other dashed line is the margin." if metric.margin is not None else ""
    return Plot(f"{metric.name} ({metric.role})", svg, f"At last {last}.{margin}")


def exposures_plot(report: ExperimentReport) -> Plot:
    """Return new units by day and variant."""
    ratio = report.sample_ratio
    days = list(range(1, len(ratio.days) + 1))
    lines = [
        Line(days, counts, name, _role(report, name), points=len(days) == 1) for name, counts in ratio.by_day.items()
    ]
    total = ", ".join(f"{name} {count:,}" for name, count in ratio.counts.items())
    svg = curve_plot(
        lines,
        title="New units by day",
        description=f"Units exposed for the first time on each day; in all {total}.",
        x="day of the experiment",
        y="new units",
        y_range=(0.0, max(1.0, 1.1 * max(max(counts) for counts in ratio.by_day.values()))),
    )
    return Plot("New units by day", svg, f"In all {total}.")


def shares_plot(report: ExperimentReport) -> list[Plot]:
    """Return the share of each treatment among all units so far, beside the declared one."""
    ratio = report.sample_ratio
    total_D = np.cumsum(np.sum(list(ratio.by_day.values()), axis=0))
    total = max(sum(ratio.expected.values()), 1e-9)
    there = total_D > 0
    if there.sum() < 2:
        return []
    days = (np.flatnonzero(there) + 1).tolist()
    lines: list[Line] = []
    for name, counts in ratio.by_day.items():
        if name == report.control:
            continue
        declared = 100 * ratio.expected[name] / total
        shares = (100 * np.cumsum(counts)[there] / total_D[there]).tolist()
        lines.append(Line((days[0], days[-1]), (declared, declared), role="soft", dashed=True))
        lines.append(Line(days, shares, name, _role(report, name)))
    svg = curve_plot(
        lines,
        title="Shares of units",
        description="Share of each treatment among all units so far, by day; dashed: as declared.",
        x="day of the experiment",
        y="% of all units so far",
    )
    return [Plot("Shares of units so far", svg, "Dashed: as declared.")]


def day_plot(check: DayCheck, metric: str) -> Plot:
    """Return the effect by day since exposure, or by weekday, with 95 % intervals of each day alone."""
    reach = float(norm.isf(0.025))
    values = [
        (label, effect, effect - reach * error, effect + reach * error)
        for label, effect, error in zip(check.labels, check.effects, check.errors, strict=True)
    ]
    if check.trend is not None:
        slope, low, high = check.trend
        said = f"It changes by {slope:+.3g} a day ({low:+.3g} … {high:+.3g}, p = {check.p_value:.2g})"
        said += (
            ": it may wear off or grow; a hint to look, not an effect." if check.p_value <= 0.05 else ": no trend seen."
        )
    else:
        said = f"One effect on all days: p = {check.p_value:.2g}"
        said += "; it differs: run whole weeks, and look at what differs." if check.p_value <= 0.05 else "."
    svg = interval_plot(
        values,
        title=f"Effect by {check.by}, {check.variant}",
        description="; ".join(f"{label}: {value:+.3g}" for label, value, _, _ in values),
        x=f"effect on {metric} of a day",
        at=0.0,
    )
    return Plot(f"By {check.by}: {check.variant}", svg, f"{said} Bars are 95 % of each day alone, one look.")


def _role(report: ExperimentReport, variant: str) -> Role:
    """Return the colour of a variant, the same in every plot."""
    treatments = [name for name in report.sample_ratio.counts if name != report.control]
    return "soft" if variant == report.control else _ROLES[treatments.index(variant) % len(_ROLES)]


def _days(begin: datetime, at: datetime) -> float:
    return (at - begin).total_seconds() / 86_400


def _told(look: Course) -> str:
    return f"{look.estimate:+.3g} ({look.low:+.3g} … {look.high:+.3g})"
