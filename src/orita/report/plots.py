"""The plots of reports: curves, bars, and values with their intervals. Each returns SVG text for a `Plot`.

Legend: P points, B bins, K values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from orita.report.svg import BEFORE, CARD, INK, NOW, SECOND, SOFT, draw_svg

__all__ = ["Band", "Line", "bar_plot", "curve_plot", "interval_plot"]

Role = Literal["now", "second", "before", "soft"]
_COLOURS = MappingProxyType({"now": NOW, "second": SECOND, "before": BEFORE, "soft": SOFT})
_LONGEST_LABEL = 34


@dataclass(frozen=True, slots=True)
class Band:
    """Low and high of each point of a line, drawn as bars through the points."""

    low_P: Sequence[float]
    high_P: Sequence[float]


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, or with *steps* in steps; without a label it is a guide and not in the legend."""

    x_P: Sequence[float]
    y_P: Sequence[float]
    label: str = ""
    role: Role = "now"
    dashed: bool = False
    steps: bool = False
    points: bool = False
    band: Band | None = None


def curve_plot(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x: str,
    y: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> str:
    """Return lines over one pair of axes.

    Args:
        lines: what to draw, the last on top.
        title, description: for those who do not see it.
        x, y: names of the axes, with units.
        x_range, y_range: ends of the axes; None: as the points need.
    """

    def draw(axes: Any) -> None:
        for line in lines:
            _draw_line(axes, line)
        axes.set(xlabel=x, ylabel=y)
        if x_range is not None:
            axes.set_xlim(*x_range)
        if y_range is not None:
            axes.set_ylim(*y_range)
        _legend(axes, [line.label for line in lines])

    return draw_svg(draw, title=title, description=description)


def bar_plot(
    edges_B: Sequence[float],
    series: Sequence[tuple[str, Role, Sequence[float]]],
    *,
    title: str,
    description: str,
    x: str,
    y: str,
) -> str:
    """Return histograms over the same bins: the first filled, the others as outlines.

    Args:
        edges_B: B + 1 edges of the bins, rising.
        series: label, role and B heights of each.
        title, description: for those who do not see it.
        x, y: names of the axes, with units.
    """

    def draw(axes: Any) -> None:
        for number, (label, role, heights_B) in enumerate(series):
            options = {"fill": True, "alpha": 0.85} if number == 0 else {"fill": False, "linewidth": 1.6}
            axes.stairs(list(heights_B), list(edges_B), color=_COLOURS[role], label=label, **options)
        axes.set(xlabel=x, ylabel=y, xlim=(edges_B[0], edges_B[-1]))
        _legend(axes, [label for label, _, _ in series])

    return draw_svg(draw, title=title, description=description)


def interval_plot(
    values: Sequence[tuple[str, float, float, float]],
    *,
    title: str,
    description: str,
    x: str,
    at: float | None = None,
) -> str:
    """Return one row a value: its name, a dot, and a bar from low to high.

    Args:
        values: name, value, low and high of each, the first on top.
        title, description: for those who do not see it.
        x: name of the axis, with units.
        at: where to draw a line across all rows, such as 0.
    """
    names = [_shortened(name) for name, _, _, _ in values]

    def draw(axes: Any) -> None:
        places = list(range(len(values)))
        if at is not None:
            axes.axvline(at, color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.hlines(places, [v[2] for v in values], [v[3] for v in values], color=NOW, alpha=0.45, linewidth=4)
        axes.plot([v[1] for v in values], places, "o", color=NOW, markersize=4.5, markeredgecolor=CARD)
        axes.set_yticks(places, names, color=INK)
        axes.set(xlabel=x, ylim=(len(values) - 0.5, -0.5))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    return draw_svg(draw, title=title, description=description, width=5.2, height=0.7 + 0.235 * max(len(values), 3))


def _draw_line(axes: Any, line: Line) -> None:
    colour = _COLOURS[line.role]
    style = {
        "color": colour,
        "linestyle": (0, (4, 3)) if line.dashed else "-",
        "linewidth": 1.8 if line.label else 0.9,
        "drawstyle": "steps-pre" if line.steps else "default",
        "marker": "o" if line.points else None,
        "markersize": 3.5,
        "label": line.label or None,
    }
    if line.band is not None:
        axes.vlines(line.x_P, line.band.low_P, line.band.high_P, color=colour, alpha=0.4, linewidth=2.4)
    axes.plot(line.x_P, line.y_P, **style)


def _legend(axes: Any, labels: Sequence[str]) -> None:
    if len([label for label in labels if label]) > 1:
        axes.legend(loc="best", fontsize=8.5, handlelength=1.4)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + "…"
