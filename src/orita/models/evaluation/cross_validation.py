"""How good is a kind of model on rows it has not seen? Folds, shuffled or in the order of time.

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError, closest
from orita.core.progress import SILENT, Progress
from orita.models.config import MetricName, is_metric
from orita.models.evaluation.figures import check, figure
from orita.models.evaluation.scored_rows import Catalogue, ScoredRows
from orita.models.examples import Examples
from orita.models.learnable import check_can_learn
from orita.models.ranker import FitContext, Ranker

__all__ = ["CrossValidation", "Fold", "cross_validate", "shuffled_folds", "time_folds"]

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Fold:
    """Rows that one model learned from, stopped on and was judged on."""

    train_rows: int
    val_rows: int
    test_rows: int
    score: float


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """The outcome.

    Attributes:
        mean_score, std_score: of the scores; the deviation is that of the folds themselves (÷ k).
        scores: the figure of each fold.
        metric: which figure.
        order: ``shuffled`` or ``time``.
        folds: how many rows each fold had.
    """

    mean_score: float
    std_score: float
    scores: list[float]
    metric: str
    order: str
    folds: list[Fold]

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome as plain JSON values."""
        return asdict(self)


def shuffled_folds(rows: int, folds: int = 5, *, seed: int = 42) -> Iterator[tuple[Rows, Rows]]:
    """Yield (training rows, test rows) *folds* times; every row is tested once.

    Raises:
        UserError: fewer than two folds, or fewer rows than folds.
    """
    _check_folds(folds, rows)
    parts = np.array_split(np.random.default_rng(seed).permutation(rows), folds)
    for i, test in enumerate(parts):
        yield np.sort(np.concatenate([*parts[:i], *parts[i + 1 :]])), np.sort(test)


def time_folds(
    time_N: npt.NDArray[np.int64], folds: int = 5, *, gap: timedelta = timedelta(0)
) -> Iterator[tuple[Rows, Rows]]:
    """Yield (training rows, test rows) *folds* times: trained on all that is more than *gap* older than what is tested.

    The rows, by time, are cut into ``folds + 1`` blocks of about equal size, and never between rows of one time; the
    first is only learned from. Rows within the gap before a test block are in neither part of that fold.

    Args:
        time_N: microseconds, in any order.
        folds: at least 2.
        gap: at least 0: how long labels take to arrive, or features to forget.

    Raises:
        UserError: fewer than two folds, or a fold has no rows to learn from or to test on.
    """
    _check_folds(folds, len(time_N))
    if gap < timedelta(0):
        raise UserError(f"gap is {gap}, it must be at least 0.")
    sorted_N = np.sort(time_N)
    starts = sorted_N[[len(sorted_N) * block // (folds + 1) for block in range(1, folds + 1)]]
    for start, end in zip(starts, [*starts[1:], sorted_N[-1] + 1], strict=True):
        train = np.flatnonzero(time_N < start - gap // timedelta(microseconds=1))
        test = np.flatnonzero((time_N >= start) & (time_N < end))
        if len(train) == 0 or len(test) == 0:
            raise UserError(
                f"a fold has {len(train)} rows to learn from and {len(test)} to test on; take fewer than {folds} folds "
                f"or a gap shorter than {gap}."
            )
        yield train, test


def cross_validate(
    build: Callable[[], Ranker],
    rows: Examples,
    *,
    folds: int = 5,
    order: Literal["shuffled", "time"] | None = None,
    gap: timedelta = timedelta(0),
    metric: str = "auc",
    val_share: float = 0.1,
    seed: int = 42,
    progress: Progress = SILENT,
) -> CrossValidation:
    """Train and judge a fresh model on every fold.

    Args:
        build: returns an untrained model.
        rows: labelled rows.
        folds: k, at least 2.
        order: ``shuffled`` or ``time`` (`time_folds`); None: by time if the rows have different times.
        gap: of ``time``.
        metric: a figure of `orita.models.config.MetricName`, those at 10 with any k.
        val_share: share of a fold's training rows kept apart for early stopping: drawn, or the latest; in (0, 1).
        seed: of the folds, the draw and the models.
        progress: where to draw progress.

    Raises:
        UserError: an argument is out of bounds, or a fold does not define the figure: its rows are too few.
    """
    if not 0 < val_share < 1:
        raise UserError(f"val_share is {val_share}, it must be between 0 and 1.")
    if not is_metric(metric):
        raise UserError(f"metric is {metric!r}, which is no figure. {closest(metric, get_args(MetricName))}")
    order = order or ("time" if len(np.unique(rows.time_N[:1_000_000])) > 1 else "shuffled")
    if order == "shuffled" and gap:
        raise UserError(f"gap is {gap}, which only folds in the order of time have; leave it out, or take that order.")
    parts = time_folds(rows.time_N, folds, gap=gap) if order == "time" else shuffled_folds(len(rows), folds, seed=seed)
    random = np.random.default_rng(seed)
    done: list[Fold] = []
    for number, (train, test) in enumerate(parts, start=1):
        ranked = train[np.argsort(rows.time_N[train], kind="stable")] if order == "time" else random.permutation(train)
        kept = len(ranked) - max(1, round(len(ranked) * val_share))
        fit, val, judged = rows.take(ranked[:kept]), rows.take(ranked[kept:]), rows.take(test)
        model = build()
        try:
            check_can_learn(model.type, fit, val)
        except UserError as error:
            raise UserError(f"fold {number} of {folds}: {error}") from None
        model.fit(fit, val, FitContext(progress, None, seed, f"Fold {number} of {folds}"))
        done.append(Fold(len(fit), len(val), len(judged), _score(model, judged, fit, metric, number)))
    scores = [fold.score for fold in done]
    return CrossValidation(float(np.mean(scores)), float(np.std(scores)), scores, metric, order, done)


def _score(model: Ranker, rows: Examples, train: Examples, metric: str, number: int) -> float:
    scores_N = model.score(rows)
    check(scores_N, rows, (metric,))
    value = figure(metric).value(ScoredRows(scores_N, rows, Catalogue.of(rows.items_N, train)))
    if not math.isfinite(value):
        raise UserError(f"fold {number} has {len(rows)} rows, which do not define {metric}; use fewer folds.")
    return value


def _check_folds(folds: int, rows: int) -> None:
    if folds < 2 or rows < folds + 1:
        raise UserError(f"folds is {folds} for {rows} rows; it must be at least 2, and less than the rows.")
