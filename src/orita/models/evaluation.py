"""How good is a model, for whom, and is it better than another?

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from orita.core.errors import NotFound, UserError, closest
from orita.core.progress import SILENT
from orita.features.schema import FeatureColumn
from orita.models.config import MetricName, ModelSection
from orita.models.examples import Examples
from orita.models.popularity import Popularity
from orita.models.ranker import FitContext
from orita.stats import metrics as figures
from orita.stats.intervals import Interval, auc_difference_interval, auc_interval, mean_interval

__all__ = ["Comparison", "Evaluation", "Slice", "compare", "evaluate"]

Scores = npt.NDArray[np.float32]
Figures = dict[str, float | None]

METRICS: tuple[MetricName, ...] = get_args(MetricName)


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the rows: the feature, its value, how many rows, and the figures there."""

    name: str
    value: str
    rows: int
    positives: int
    mean_score: float
    metrics: Figures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of one model on one set of rows; a figure that is undefined there is None.

    Attributes:
        rows, positives: how many.
        metrics: by name.
        intervals: low and high of ``auc`` and ``log_loss``, users resampled.
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
    calibration: list[figures.CalibrationBin] = field(default_factory=list)
    over_popularity: Figures = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """AUC of *a* − AUC of *b* on the same rows; *better* says that the whole interval lies above 0."""

    a: float
    b: float
    delta: float
    low: float
    high: float
    better: bool
    rows: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain JSON values."""
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
        metrics: names of `orita.models.config.MetricName`.
        slices: names of category and flag features to part the rows by; None: all of them.
        train: the training rows: with them come the slices of known and unknown users and items, and the popularity
            baseline.
        resamples, confidence, seed: of the bootstrap intervals.

    Raises:
        UserError: the lengths disagree, a score is not a probability, there are no rows, or a name is unknown.
    """
    _check(scores_N, rows, metrics)
    sections = list(_sections(rows, slices, train))
    judged = _Judged(rows.y_N, scores_N, rows.users_N)
    intervals: dict[str, tuple[float, float]] = {}
    if 0 < judged.positives < len(rows):
        options = {"resamples": resamples, "confidence": confidence, "seed": seed}
        found = {"auc": auc_interval(rows.y_N, scores_N, rows.users_N, **options)}  # type: ignore[arg-type]
        loss_N = _losses(rows.y_N, scores_N)
        found["log_loss"] = mean_interval(loss_N, rows.users_N, **options)  # type: ignore[arg-type]
        intervals = {name: (interval.low, interval.high) for name, interval in found.items() if name in metrics}
    return Evaluation(
        rows=len(rows),
        positives=judged.positives,
        metrics=judged.figures(metrics),
        intervals=intervals,
        slices=[_slice(name, value, within_N, scores_N, rows, metrics) for name, value, within_N in sections],
        calibration=figures.calibration_bins(rows.y_N, scores_N),
        over_popularity=_over_popularity(judged, rows, train) if train is not None and len(train) else {},
    )


def compare(
    scores_a_N: Scores,
    scores_b_N: Scores,
    rows: Examples,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the AUC of two models on the same rows, by a paired bootstrap over users.

    Raises:
        UserError: the lengths disagree, or the rows hold only clicks or only non-clicks.
    """
    for scores_N in (scores_a_N, scores_b_N):
        _check(scores_N, rows, ())
    found: Interval = auc_difference_interval(
        rows.y_N, scores_a_N, scores_b_N, rows.users_N, resamples=resamples, confidence=confidence, seed=seed
    )
    a, b = figures.auc(rows.y_N, scores_a_N), figures.auc(rows.y_N, scores_b_N)
    return Comparison(a, b, found.value, found.low, found.high, found.low > 0, len(rows), confidence)


class _Judged:
    """Rows with scores; the ranking is made once, and only where a figure asks for it."""

    def __init__(self, y_N: npt.NDArray[Any], scores_N: Scores, users_N: npt.NDArray[Any]) -> None:
        self.y_N, self.scores_N, self.users_N = y_N, scores_N, users_N
        self.positives = int((y_N > 0).sum())

    @cached_property
    def ranking(self) -> figures.Ranking:
        return figures.rank_groups(self.y_N, self.scores_N, self.users_N)

    def figures(self, names: Sequence[str]) -> Figures:
        values = {name: _METRICS[name](self) for name in names}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


_METRICS: Mapping[str, Callable[[_Judged], float]] = {
    "auc": lambda j: figures.auc(j.y_N, j.scores_N),
    "log_loss": lambda j: figures.log_loss(j.y_N, j.scores_N),
    "accuracy": lambda j: figures.accuracy(j.y_N, j.scores_N),
    "calibration_error": lambda j: figures.expected_calibration_error(j.y_N, j.scores_N),
    "precision_at_10": lambda j: figures.precision_at_k(j.ranking, 10),
    "recall_at_10": lambda j: figures.recall_at_k(j.ranking, 10),
    "ndcg_at_10": lambda j: figures.ndcg_at_k(j.ranking, 10),
    "map": lambda j: figures.mean_average_precision(j.ranking),
    "mrr": lambda j: figures.mrr(j.ranking),
}


def _check(scores_N: Scores, rows: Examples, metrics: Sequence[str]) -> None:
    if len(rows) == 0:
        raise UserError("there are 0 rows to judge on; widen the dates or lower the filters.")
    if len(scores_N) != len(rows):
        raise UserError(f"there are {len(scores_N)} scores for {len(rows)} rows; give one score a row, in their order.")
    outside = int(np.sum(~((scores_N >= 0) & (scores_N <= 1))))
    if outside:
        raise UserError(f"{outside} of {len(scores_N)} scores are not in [0, 1]; scores are click probabilities.")
    for name in metrics:
        if name not in _METRICS:
            raise UserError(f"evaluation.metrics has the value {name!r}. {closest(name, _METRICS)}")


def _sections(
    rows: Examples, names: Sequence[str] | None, train: Examples | None
) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    parted = {c.name: c for c in rows.schema.columns if c.kind in ("category", "flag")}
    for name in parted if names is None else names:
        if name not in parted:
            raise NotFound(
                f"slices name the feature {name!r}, which is no category or flag here. {closest(name, parted)}"
            )
        yield from _values(parted[name], rows)
    if train is not None:
        for name, ids_N, known_N in (("user", rows.users_N, train.users_N), ("item", rows.items_N, train.items_N)):
            found_N = np.isin(ids_N, np.unique(known_N))
            yield name, "known", found_N
            yield name, "unknown", ~found_N


def _values(column: FeatureColumn, rows: Examples) -> Iterator[tuple[str, str, npt.NDArray[np.bool_]]]:
    values_N = rows.x_NF[:, rows.schema.index(column.name)]
    for value in np.unique(values_N[~np.isnan(values_N)]):
        yield column.name, f"{value:g}", values_N == value
    if np.isnan(values_N).any():
        yield column.name, "missing", np.isnan(values_N)


def _slice(
    name: str, value: str, within_N: npt.NDArray[np.bool_], scores_N: Scores, rows: Examples, metrics: Sequence[str]
) -> Slice:
    judged = _Judged(rows.y_N[within_N], scores_N[within_N], rows.users_N[within_N])
    count = int(within_N.sum())
    mean = float(judged.scores_N.mean(dtype=np.float64)) if count else 0.0
    found = judged.figures(metrics) if count else dict.fromkeys(metrics)
    return Slice(name, value, count, judged.positives, mean, found)


def _over_popularity(judged: _Judged, rows: Examples, train: Examples) -> Figures:
    baseline = Popularity(ModelSection())
    baseline.fit(train, train.take(slice(0, 0)), FitContext(SILENT))
    theirs = figures.auc(rows.y_N, baseline.score(rows))
    ours = figures.auc(rows.y_N, judged.scores_N)
    lift = (ours - 0.5) / (theirs - 0.5) if theirs > 0.5 else math.nan
    found = {"auc": theirs, "lift": lift}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _losses(y_N: npt.NDArray[Any], scores_N: Scores) -> npt.NDArray[np.float64]:
    p_N = np.clip(scores_N.astype(np.float64), 1e-7, 1 - 1e-7)
    return -np.log(np.where(y_N > 0, p_N, 1 - p_N))
