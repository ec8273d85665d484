"""How good is a model, and for whom?

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.progress import SILENT
from orita.models.config import ModelSection
from orita.models.evaluation.cold_start import COLD_START, cold_start_parting
from orita.models.evaluation.figures import METRICS, Catalogue, Figures, Judged, Scores, check, figure, intervals
from orita.models.evaluation.parts import partings
from orita.models.examples import Examples
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext
from orita.stats.metrics import CalibrationBin, calibration_bins
from orita.stats.resampled_figures import Auc, Lift
from orita.stats.resampling import Statistic

__all__ = ["Evaluation", "Slice", "evaluate"]

LIFT = "lift_over_popularity"
SURE_IN_SLICES = ("auc", "log_loss")
"""Figures that have intervals in the slices of cold start."""

_LEAST_USERS, _LEAST_OF_A_KIND = 10, 5


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the rows: the feature, its value, how many rows, and the figures there.

    Slices of cold start have intervals too, of AUC and log loss, where the rows are of at least ten users and hold five
    positives and five negatives.
    """

    name: str
    value: str
    rows: int
    positives: int
    mean_score: float
    metrics: Figures
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of one model on one set of rows; a figure that is undefined there is None.

    Attributes:
        rows, positives: how many.
        metrics: by name.
        intervals: low and high of each figure that has an interval, users resampled; with training rows also of
            ``lift_over_popularity``.
        slices: figures of parts of the rows.
        calibration: bins of equal size by score: rows, mean score, positive rate.
        over_popularity: ``auc`` of the popularity baseline and ``lift``, the model's AUC − 0.5 over the baseline's;
            empty without training rows to take it from.
    """

    rows: int
    positives: int
    metrics: Figures
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    calibration: list[CalibrationBin] = field(default_factory=list)
    over_popularity: Figures = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON values."""
        return asdict(self)


def evaluate(
    scores_N: Scores,
    rows: Examples,
    *,
    metrics: Sequence[str] = METRICS,
    slices: Sequence[str] | None = None,
    train: Examples | None = None,
    resamples: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Evaluation:
    """Judge scores against the labels of *rows*.

    Args:
        scores_N: click probabilities, in the order of *rows*.
        rows: labelled rows; ranked figures take a user's rows as one list.
        metrics: names of `orita.models.config.MetricName`, those at 10 with any k.
        slices: names of features to part the rows by, numbers into quarters; None: all of them.
        train: the training rows: with them come the slices of known and unknown users and items, those of cold start
            (`cold_start_parting`), novelty, and the popularity baseline.
        resamples, confidence, seed: of the bootstrap intervals.

    Raises:
        UserError: the lengths disagree, a score is not a probability, there are no rows, or a name is unknown.
    """
    check(scores_N, rows, metrics)
    cuts = partings(rows, slices, train) + ([] if train is None else [cold_start_parting(rows, train)])
    catalogue = Catalogue.of(rows.items_N, train)
    judged = Judged(scores_N, rows, catalogue)
    values = judged.figures(metrics)
    statistics = _statistics(judged, values)
    lift = _lift(judged, rows, train) if train is not None and len(train) else None
    if lift is not None and not math.isnan(lift.value):
        statistics[LIFT] = lift
    sure = partial(intervals, resamples=resamples, confidence=confidence, seed=seed)
    return Evaluation(
        rows=len(rows),
        positives=judged.positives,
        metrics=values,
        intervals=sure(statistics, judged.users),
        slices=[
            _slice(cut.name, label, np.flatnonzero(cut.part_N == part), scores_N, rows, catalogue, metrics, sure)
            for cut in cuts
            for part, label in enumerate(cut.labels)
        ],
        calibration=calibration_bins(rows.y_N, scores_N),
        over_popularity={} if lift is None else _defined({"auc": lift.theirs.value, "lift": lift.value}),
    )


def _slice(
    name: str,
    value: str,
    within_K: npt.NDArray[np.intp],
    scores_N: Scores,
    rows: Examples,
    catalogue: Catalogue,
    metrics: Sequence[str],
    sure: Callable[[dict[str, Statistic], int], dict[str, tuple[float, float]]],
) -> Slice:
    if len(within_K) == 0:
        return Slice(name, value, 0, 0, 0.0, dict.fromkeys(metrics))
    judged = Judged(scores_N[within_K], rows.take(within_K), catalogue.take(within_K))
    mean, figures = float(judged.scores_N.mean(dtype=np.float64)), judged.figures(metrics)
    ends: dict[str, tuple[float, float]] = {}
    rarer = min(judged.positives, len(within_K) - judged.positives)
    if name == COLD_START and judged.users >= _LEAST_USERS and rarer >= _LEAST_OF_A_KIND:
        told = {metric: figures[metric] for metric in SURE_IN_SLICES if metric in figures}
        ends = sure(_statistics(judged, told), judged.users)
    return Slice(name, value, len(within_K), judged.positives, mean, figures, ends)


def _statistics(judged: Judged, values: Figures) -> dict[str, Statistic]:
    """Return what each of the figures would be with other users, where that can be said."""
    found: dict[str, Statistic] = {}
    for name, value in values.items():
        statistic = figure(name).statistic
        if value is not None and statistic is not None:
            found[name] = statistic(judged)
    return found


def _lift(judged: Judged, rows: Examples, train: Examples) -> Lift:
    baseline = Popularity(ModelSection())
    baseline.fit(train, train.take(slice(0, 0)), FitContext(SILENT))
    theirs = Auc.of(rows.y_N, baseline.score(rows), judged.user_N)
    return Lift(Auc.of(judged.y_N, judged.scores_N, judged.user_N), theirs)


def _defined(found: dict[str, float]) -> Figures:
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
