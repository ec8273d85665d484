"""The drawings of an evaluation report: how scores rank, how true they are as probabilities, what they rest on.

Legend: N rows, B bins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.models.evaluation.importance import Importance
from orita.models.evaluation.scored_rows import Scores
from orita.models.examples import Examples
from orita.report import Band, Line, Plot, bar_plot, curve_plot, interval_plot
from orita.stats.clusters import clustered_rate
from orita.stats.curves import Curve, gain_curve, precision_recall_curve, roc_curve, thinned

__all__ = ["Scored", "calibration_plot", "curve_plots", "importance_plot", "score_plot"]

_BINS = 15
_TAIL = 0.025
_LEAST_TAKEN = 20  # fewer rows than these have no precision to speak of
_DIAGONAL = Line([0, 1], [0, 1], role="soft", dashed=True)
_shares_plot = partial(curve_plot, x_range=(0.0, 1.0), y_range=(0.0, 1.02))


@dataclass(frozen=True, slots=True)
class Scored:
    """A model by name, and its scores."""

    name: str
    scores_N: Scores


def curve_plots(models: Sequence[Scored], rows: Examples) -> list[Plot]:
    """Return the ROC, precision-recall and gain curves of the models (the first is the one judged)."""
    return [_roc_plot(models, rows), _precision_recall_plot(models, rows), _gain_plot(models, rows)]


def _roc_plot(models: Sequence[Scored], rows: Examples) -> Plot:
    svg = _shares_plot(
        [_DIAGONAL, *_lines(models, lambda s: roc_curve(rows.y_N, s.scores_N))],
        title="ROC curve",
        description="Share of positives found against share of negatives taken for positives, at every threshold.",
        x="share of negatives taken in",
        y="share of positives found",
    )
    return Plot("ROC curve", svg, "Dashed: a score that knows nothing.")


def _precision_recall_plot(models: Sequence[Scored], rows: Examples) -> Plot:
    def curve(scored: Scored) -> Curve:
        return precision_recall_curve(rows.y_N, scored.scores_N, least_rows=_LEAST_TAKEN)

    rate = float((rows.y_N > 0).mean())
    svg = _shares_plot(
        [Line([0, 1], [rate, rate], role="soft", dashed=True), *_lines(models, curve, steps=True)],
        title="Precision-recall curve",
        description="Share of positives among the rows taken in against share of positives found, at every threshold.",
        x="recall",
        y="precision",
    )
    return Plot("Precision and recall", svg, f"Dashed: the share of positives among all rows, {rate:.1%}.")


def _gain_plot(models: Sequence[Scored], rows: Examples) -> Plot:
    rate = float((rows.y_N > 0).mean())
    perfect = Line([0, rate, 1], [0, 1, 1], role="before", label="perfect")
    svg = _shares_plot(
        [_DIAGONAL, perfect, *_lines(models, lambda s: gain_curve(rows.y_N, s.scores_N))],
        title="Gain curve",
        description="Share of positives found against share of rows taken in, from the highest score.",
        x="share of rows taken in, highest scores first",
        y="share of positives found",
    )
    lift = _lift_of_best(rows.y_N, models[0].scores_N, max(1, len(rows) // 10))
    return Plot(
        "Gain", svg, f"The tenth of rows with the highest scores holds {lift:.2f} times its share of positives."
    )


def calibration_plot(models: Sequence[Scored], rows: Examples) -> Plot:
    """Return the reliability diagram: observed rates with 95 % intervals (users as clusters) over promised ones."""
    user_N = np.unique(rows.users_N, return_inverse=True)[1]
    lines, top = [], 0.0
    for scored, role in zip(models, ("now", "second"), strict=False):
        promised, rates = _reliability(rows.y_N, scored.scores_N, user_N)
        # A bin of one user has no interval: no bar is drawn through its point.
        ends = [(r.value, r.value) if np.isnan(r.low) else (r.low, r.high) for r in rates]
        top = max(top, *promised, *(high for _, high in ends))
        band = Band(*zip(*ends, strict=True)) if role == "now" else None
        values = [r.value for r in rates]
        lines.append(Line(promised, values, scored.name, role, points=True, band=band))  # type: ignore[arg-type]
    top = min(1.0, top * 1.05)
    svg = curve_plot(
        [Line([0, top], [0, top], role="soft", dashed=True), *reversed(lines)],
        title="Calibration",
        description=f"Observed share of positives over the mean score, {_BINS} bins with the same number of rows.",
        x="mean score of the bin",
        y="observed share of positives",
        x_range=(0.0, top),
        y_range=(0.0, top),
    )
    return Plot("Calibration", svg, "On the dashed line, scores are what came. Bars: 95 % intervals.")


def score_plot(rows: Examples, scores_N: Scores) -> Plot:
    """Return the histograms of the scores of positives and of negatives."""
    low, high = float(scores_N.min()), float(scores_N.max())
    edges_B = np.linspace(low, high if high > low else low + 1e-6, 41)
    positive_N = rows.y_N > 0
    shares = [_shares(scores_N[kept], edges_B) for kept in (~positive_N, positive_N)]
    svg = bar_plot(
        edges_B.tolist(),
        [("negatives", "before", shares[0]), ("positives", "now", shares[1])],
        title="Scores",
        description="Distribution of the scores of negatives and of positives, each adding up to 100 %.",
        x="score",
        y="share of rows (%)",
    )
    return Plot("Scores", svg, "The further apart, the better the scores tell positives from negatives.")


def importance_plot(importances: Sequence[Importance], most: int = 20) -> Plot:
    """Return the drop of the figure that each feature's shuffling causes, the largest on top."""
    svg = interval_plot(
        [(i.name, i.drop, i.low, i.high) for i in importances[:most]],
        title="Importance of features",
        description="How much worse the model is when the values of a feature are shuffled between rows.",
        x="AUC lost when shuffled" if importances[0].metric == "auc" else "log loss added when shuffled",
        at=0.0,
    )
    left = len(importances) - most
    return Plot("Importance of features", svg, f"{left} features of less importance are not shown." if left > 0 else "")


def _lines(models: Sequence[Scored], curve: Callable[[Scored], Curve], *, steps: bool = False) -> list[Line]:
    """Return a line a model, the one judged last, so that it is drawn on top."""
    found = []
    for number, scored in enumerate(models):
        drawn = thinned(curve(scored))
        role: Any = "second" if number else "now"
        found.append(Line(drawn.x_T.tolist(), drawn.y_T.tolist(), scored.name, role, steps=steps))
    return found[::-1]


def _reliability(
    y_N: npt.NDArray[Any], scores_N: Scores, user_N: npt.NDArray[np.int64]
) -> tuple[list[float], list[Any]]:
    promised, rates = [], []
    for rows in np.array_split(np.argsort(scores_N, kind="stable"), min(_BINS, len(scores_N))):
        promised.append(float(scores_N[rows].mean(dtype=np.float64)))
        rates.append(clustered_rate((y_N[rows] > 0).astype(np.float64), user_N[rows], tail=_TAIL))
    return promised, rates


def _shares(scores_K: Scores, edges_B: npt.NDArray[np.float64]) -> list[float]:
    counts_B = np.histogram(scores_K, edges_B)[0]
    shares: list[float] = (100 * counts_B / max(len(scores_K), 1)).tolist()
    return shares


def _lift_of_best(y_N: npt.NDArray[Any], scores_N: Scores, best: int) -> float:
    positive_N = y_N > 0
    chosen = np.argsort(-scores_N, kind="stable")[:best]
    rate = float(positive_N.mean())
    return float(positive_N[chosen].mean()) / rate if rate else float("nan")
