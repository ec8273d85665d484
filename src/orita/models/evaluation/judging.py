"""How good is a model, and for whom?

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from orita.models.config import ModelSection
from orita.models.evaluation.cold_start import COLD_START, cold_start_parting
from orita.models.evaluation.figures import METRICS, Figures, check, figure, figures, intervals
from orita.models.evaluation.parts import Parting, partings
from orita.models.evaluation.scored_rows import Catalogue, ScoredRows, Scores
from orita.models.examples import Examples
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext
from orita.stats.metrics import CalibrationBin, calibration_bins
from orita.stats.resampled_figures import Auc, Lift
from orita.stats.resampling import LEAST_CLUSTERS, Statistic

__all__ = ["Evaluation", "Slice", "evaluate"]

LIFT = "lift_over_popularity"
SURE_IN_SLICES = ("auc", "log_loss")
"""Figures that have intervals in the slices of cold start."""

Sure = Callable[[Mapping[str, Statistic], int], dict[str, tuple[float, float]]]
"""From what figures would be with other users, and their number, to the interval of each."""

_LEAST_OF_A_KIND = 5


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
            empty without training rows of both kinds to take it from.
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
    scored = ScoredRows(scores_N, rows, Catalogue.of(rows.items_N, train))
    values = figures(scored, metrics)
    lift = _lift(scored, train) if train is not None and len(np.unique(train.y_N > 0)) == 2 else None
    sure = partial(intervals, resamples=resamples, confidence=confidence, seed=seed)
    return Evaluation(
        rows=len(rows),
        positives=scored.positives,
        metrics=values,
        intervals=sure({**_statistics(scored, values), **_of_lift(lift)}, scored.users),
        slices=[part for cut in cuts for part in _slices(cut, scored, metrics, sure)],
        calibration=calibration_bins(rows.y_N, scores_N),
        over_popularity={} if lift is None else _defined({"auc": lift.theirs.value, "lift": lift.value}),
    )


def _slices(cut: Parting, scored: ScoredRows, metrics: Sequence[str], sure: Sure) -> Iterator[Slice]:
    for part, label in enumerate(cut.labels):
        within_K = np.flatnonzero(cut.part_N == part)
        if len(within_K):
            yield _slice(cut.name, label, scored.take(within_K), metrics, sure)
        else:
            yield Slice(cut.name, label, 0, 0, 0.0, dict.fromkeys(metrics))


def _slice(name: str, value: str, scored: ScoredRows, metrics: Sequence[str], sure: Sure) -> Slice:
    mean, values = float(scored.scores_N.mean(dtype=np.float64)), figures(scored, metrics)
    ends: dict[str, tuple[float, float]] = {}
    rarer = min(scored.positives, len(scored) - scored.positives)
    if name == COLD_START and scored.users >= LEAST_CLUSTERS and rarer >= _LEAST_OF_A_KIND:
        told = {metric: values[metric] for metric in SURE_IN_SLICES if metric in values}
        ends = sure(_statistics(scored, told), scored.users)
    return Slice(name, value, len(scored), scored.positives, mean, values, ends)


def _statistics(scored: ScoredRows, values: Figures) -> dict[str, Statistic]:
    """Return what each of the figures would be with other users, where that can be said."""
    found: dict[str, Statistic] = {}
    for name, value in values.items():
        statistic = figure(name).statistic
        if value is not None and statistic is not None:
            found[name] = statistic(scored)
    return found


def _lift(scored: ScoredRows, train: Examples) -> Lift:
    baseline = Popularity(ModelSection())
    baseline.fit(train, scored.rows, FitContext())
    theirs = Auc.of(scored.y_N, baseline.score(scored.rows), scored.user_N)
    return Lift(Auc.of(scored.y_N, scored.scores_N, scored.user_N), theirs)


def _of_lift(lift: Lift | None) -> dict[str, Statistic]:
    return {} if lift is None or math.isnan(lift.value) else {LIFT: lift}


def _defined(found: dict[str, float]) -> Figures:
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
