"""The tables of an evaluation report: figures with their intervals, slices, worst slices, top errors, differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from orita.models.evaluation.comparison import Comparison
from orita.models.evaluation.figures import figure
from orita.models.evaluation.judging import LIFT, Evaluation
from orita.models.evaluation.top_errors import TopError
from orita.models.evaluation.worst_slices import WorstSlices
from orita.report import Cell, Column, Table, Text, Tile, Tiles

__all__ = ["difference_table", "error_table", "figure_table", "headline", "signed", "slice_table", "worst_table"]

_HEADLINE = ("auc", "average_precision", "log_loss", "calibration_error")
_RANKED = ("ndcg_at_", "precision_at_", "recall_at_")
_IN_SLICES = ("auc", "average_precision", "log_loss", "calibration_error")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def headline(evaluation: Evaluation) -> Tiles:
    """Return the figures to see first, with their intervals."""
    ranked = next((name for start in _RANKED for name in evaluation.metrics if name.startswith(start)), None)
    names = [name for name in (*_HEADLINE, ranked) if name and evaluation.metrics.get(name) is not None]
    tiles = [Tile(number(evaluation.metrics[name]), figure(name).title, _interval(evaluation, name)) for name in names]
    lift = evaluation.over_popularity.get("lift")
    if lift is not None:
        tiles.append(Tile(f"{lift:.2f} ×", "lift over popularity", _interval(evaluation, LIFT)))
    tiles.append(Tile(f"{evaluation.rows:,}", "rows", f"{evaluation.positives / evaluation.rows:.1%} positive"))
    return Tiles(tiles)


def figure_table(evaluation: Evaluation, confidence: float) -> Table:
    """Return every figure, with its interval and what it means."""
    rows = []
    for name, value in evaluation.metrics.items():
        about = figure(name)
        better = {True: "higher", False: "lower", None: ""}[about.larger_is_better]
        rows.append([about.title, number(value), _interval(evaluation, name) or "–", better, about.meaning])
    columns = [
        Column("figure", number=False),
        Column("value"),
        Column(f"{confidence:.0%} interval"),
        Column("better", number=False),
        Column("meaning", number=False),
    ]
    return Table("All figures", columns, rows, folded=True)


def slice_table(evaluation: Evaluation) -> Table:
    """Return the figures of every slice that holds rows."""
    shown = [name for name in _IN_SLICES if name in evaluation.metrics] or list(evaluation.metrics)[:4]
    held = [part for part in evaluation.slices if part.rows]
    rows = [
        [
            part.name if position == 0 or held[position - 1].name != part.name else "",
            part.value,
            f"{part.rows:,}",
            f"{part.positives / part.rows:.1%}",
            f"{part.mean_score:.1%}",
            *(number(part.metrics[name]) for name in shown),
        ]
        for position, part in enumerate(held)
    ]
    columns = [
        Column("feature", number=False),
        Column("value", number=False),
        *(Column(name) for name in ("rows", "positive", "mean score")),
        *(Column(figure(name).title) for name in shown),
    ]
    return Table(f"All {len(held)} slices", columns, rows, folded=True)


def worst_table(worst: WorstSlices) -> Table | Text:
    """Return the slices that a search found, or the sentence that it found none."""
    rows: list[list[str | Cell]] = [
        [
            found.text,
            f"{found.rows:,}",
            f"{found.positives / found.rows:.1%}",
            number(found.value),
            f"{found.difference:.4f}",
            Cell(f"{found.effect:.2f}", mood="bad" if found.effect >= 0.2 else "warn"),
            chance(found.adjusted_p),
        ]
        for found in worst.slices
    ]
    measure = {"auc": "AUC", "log_loss": "log loss", "surprise": "surprise"}[worst.measure]
    title = {"auc": "AUC within the slice", "surprise": "surprise, the log loss beyond what scores promise"}
    columns = [
        Column("rows where", number=False),
        *(Column(name) for name in ("rows", "positive", measure, "worse by", "effect", "p")),
    ]
    caption = f"By {title.get(worst.measure, measure)}: {worst.overall:.4f} on all rows, {worst.tested:,} slices tested"
    return Table(caption, columns, rows) if rows else Text(f"{caption}, none is surely worse.")


def error_table(caption: str, errors: Sequence[TopError], features: Sequence[str]) -> Table:
    """Return single rows with the values of *features*."""
    rows = [
        [
            error.user,
            error.item,
            f"{_EPOCH + timedelta(microseconds=error.time):%Y-%m-%d %H:%M}",
            f"{error.score:.4f}",
            f"{error.loss:.2f}",
            *("–" if math.isnan(error.features[name]) else f"{error.features[name]:.4g}" for name in features),
        ]
        for error in errors
    ]
    columns = [
        *(Column(name, number=False) for name in ("user", "item", "time (UTC)")),
        *(Column(name) for name in ("score", "loss", *features)),
    ]
    return Table(caption, columns, rows)


def difference_table(comparison: Comparison, name: str, other: str) -> Table:
    """Return the figures of both models, and their differences."""
    auc = (comparison.a, comparison.b, comparison.delta, comparison.low, comparison.high)
    pairs = {"auc": auc} | {
        key: (found.a, found.b, found.delta, found.low, found.high) for key, found in comparison.metrics.items()
    }
    rows: list[list[str | Cell]] = []
    for key, (a, b, delta, low, high) in pairs.items():
        about = figure(key)
        surely = not comparison.too_few and low is not None and high is not None and (low > 0 or high < 0)
        verdict: str | Cell = ""
        if surely and about.larger_is_better is not None:
            gain = (delta > 0) == about.larger_is_better
            verdict = Cell("better" if gain else "worse", mood="good" if gain else "bad")
        interval = "–" if low is None or high is None else f"{signed(low)} to {signed(high)}"
        rows.append([about.title, number(a), number(b), signed(delta), interval, verdict])
    columns = [
        Column("figure", number=False),
        Column(name),
        Column(other),
        Column("difference"),
        Column(f"{comparison.confidence:.0%} interval"),
        Column("surely", number=False),
    ]
    return Table("Both models on the same rows", columns, rows)


def number(value: float | None) -> str:
    """Return a figure with four digits, – for one that is not defined."""
    return "–" if value is None else f"{value:.4f}"


def signed(value: float) -> str:
    """Return a difference with its sign and four digits."""
    return f"{value:+.4f}".replace("-", "−")


def chance(p: float) -> str:
    """Return a p-value."""
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def _interval(evaluation: Evaluation, name: str) -> str:
    if name not in evaluation.intervals:
        return ""
    low, high = evaluation.intervals[name]
    return f"{low:.4f} – {high:.4f}"
