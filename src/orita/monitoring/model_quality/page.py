"""Model quality as one HTML page: figures of each version, over time with their intervals, and by segment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

from orita.monitoring.model_quality.slices import ModelQuality, Part
from orita.monitoring.model_quality.told import joined_sentence, table_of
from orita.report import (
    Band,
    Block,
    Column,
    Line,
    Page,
    Plot,
    Section,
    Table,
    Tile,
    Tiles,
    curve_plot,
    interval_plot,
    write_page,
)
from orita.stats.intervals import Interval

__all__ = ["write_quality_page"]

_OVER_TIME: tuple[tuple[str, str, Callable[[Part], Interval | None], Callable[[Part], Interval | None]], ...] = (
    ("AUC", "AUC", lambda p: p.figures.auc, lambda p: p.estimated.auc if p.estimated else None),
    ("Log loss", "nats", lambda p: p.figures.log_loss, lambda p: p.estimated.log_loss if p.estimated else None),
    ("CTR", "clicks a row", lambda p: p.figures.ctr, lambda p: p.estimated.ctr if p.estimated else None),
    ("Calibration error", "|mean score − CTR|", lambda p: p.figures.calibration_error, lambda p: None),
    ("NDCG@10", "NDCG", lambda p: p.figures.ndcg, lambda p: None),
)


_NAMES = ("model", "segment", "from (UTC)")
_FEW = 20


def write_quality_page(path: Path, system: str, found: ModelQuality) -> None:
    """Write *found* as a page.

    Raises:
        MissingExtra: the libraries that draw and fill in the page are not installed.
    """
    wholes = found.of(segments=False, slices=False)
    sections = [Section(f"Model {part.model_version}", list(_blocks(found, part))) for part in wholes]
    note = (
        "Figures are those of rows with an answer. Ranges hold the truth in 95 of 100 cases; rows of one user count "
        "together. What is expected before labels are there follows from the scores alone: it does not see that clicks "
        "became rarer or likelier at the same score."
    )
    write_page(path, Page(f"Quality of {system}", sections, lines=[joined_sentence(found), note]))


def _blocks(found: ModelQuality, whole: Part) -> Iterator[Block]:
    yield Tiles(list(_tiles(whole)))
    slices = [p for p in found.of(segments=False, slices=True) if p.model_version == whole.model_version]
    for title, unit, measured, expected in _OVER_TIME:
        plot = _over_time(title, unit, slices, measured, expected)
        if plot is not None:
            yield plot
    if whole.figures.reliability:
        yield _reliability(whole)
    segments = [p for p in found.of(segments=True, slices=False) if p.model_version == whole.model_version]
    yield from _by_segment(found.by, segments)
    rows = [part for part in found.parts if part.model_version == whole.model_version]
    heads, lines = table_of(rows)
    columns = [Column(name, number=name not in _NAMES) for name in heads]
    yield Table("All parts", columns, lines, folded=len(rows) > _FEW)


def _tiles(whole: Part) -> Iterator[Tile]:
    figures = whole.figures
    yield Tile(f"{figures.rows:,}", "answered rows", f"{figures.users:,} users")
    for name, value in (("AUC", figures.auc), ("CTR", figures.ctr), ("log loss", figures.log_loss)):
        if value is not None:
            yield Tile(f"{value.value:.3f}", name, f"{value.low:.3f} to {value.high:.3f}")
    if figures.calibration_error is not None:
        chance = figures.calibration_error_by_chance
        yield Tile(f"{figures.calibration_error.value:.3f}", "calibration error", f"{chance:.3f} by chance alone")


def _over_time(
    title: str,
    unit: str,
    slices: list[Part],
    measured: Callable[[Part], Interval | None],
    expected: Callable[[Part], Interval | None],
) -> Plot | None:
    first = slices[0].start if slices else None
    if first is None:
        return None
    lines = []
    for label, role, figure in (("expected", "second", expected), ("measured", "now", measured)):
        points = [(part, value) for part in slices if (value := figure(part)) is not None]
        if points:
            days = [(part.start - first).total_seconds() / 86400 for part, _ in points if part.start is not None]
            known = [value for _, value in points]
            band = Band([_end(v.low, v) for v in known], [_end(v.high, v) for v in known])
            lines.append(
                Line(days, [v.value for v in known], label, role, dashed=label == "expected", points=True, band=band)  # type: ignore[arg-type]
            )
    if not lines:
        return None
    told = f"{title} by slice of time, with 95 % ranges; days since {first:%Y-%m-%d %H:%M} UTC."
    return Plot(f"{title} over time", curve_plot(lines, title=title, description=told, x="days", y=unit), told)


def _reliability(whole: Part) -> Plot:
    bins = whole.figures.reliability
    promised, came = [b.mean_score for b in bins], [b.ctr for b in bins]
    most = max(*promised, *(_end(v.high, v) for v in came))
    band = Band([_end(v.low, v) for v in came], [_end(v.high, v) for v in came])
    told = "Clicks that came against clicks promised, in ten equally filled bins of score; the line is a perfect model."
    svg = curve_plot(
        [
            Line([0, most], [0, most], role="soft", dashed=True),
            Line(promised, [v.value for v in came], points=True, band=band),
        ],
        title="Reliability",
        description=told,
        x="mean score",
        y="CTR",
    )
    return Plot("Reliability", svg, told)


def _by_segment(by: str | None, segments: list[Part]) -> Iterator[Plot]:
    for title, _, figure, _ in _OVER_TIME[:3:2]:
        rows = [
            (part.segment or "", value.value, _end(value.low, value), _end(value.high, value))
            for part in segments
            if (value := figure(part)) is not None
        ]
        if rows:
            told = f"{title} of each {by}, with 95 % intervals."
            yield Plot(f"{title} by {by}", interval_plot(rows, title=title, description=told, x=title), told)


def _end(end: float, value: Interval) -> float:
    return value.value if math.isnan(end) else end
