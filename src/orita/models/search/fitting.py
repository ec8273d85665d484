"""One trial: a model is trained on training rows and judged on validation rows. Test rows are not known here.

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError
from orita.models.calibration import fit_calibration
from orita.models.evaluation import cross_validate, evaluate
from orita.models.evaluation.figures import figure
from orita.models.evaluation.scored_rows import Catalogue, ScoredRows
from orita.models.examples import Examples
from orita.models.learnable import check_can_learn
from orita.models.own_rankers import checked_report
from orita.models.ranker import FitContext, FitReport, Ranker

__all__ = ["Found", "Judging", "fit_trial", "needs_training_rows"]


@dataclass(frozen=True, slots=True)
class Judging:
    """How trials are judged.

    Attributes:
        metric: the figure that decides.
        others: figures to keep beside it.
        folds: of time-ordered cross-validation; None: on validation rows.
        calibration: what the package will have; here it is fitted on one half of the users and judged on the other.
        resamples, confidence, seed: of the interval.
    """

    metric: str
    others: Sequence[str] = ()
    folds: int | None = None
    calibration: str = "none"
    resamples: int = 200
    confidence: float = 0.95
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial came to: the figure, its interval, the figure in each part of the rows, and how the fit went."""

    value: float
    interval: tuple[float, float] | None
    parts: tuple[float, ...]
    figures: Mapping[str, float] = field(default_factory=dict)
    fit: FitReport = field(default_factory=FitReport)


def fit_trial(
    build: Callable[[], Ranker], train: Examples, val: Examples, judging: Judging, context: FitContext
) -> Found:
    """Train a fresh model and judge it.

    Args:
        build: returns an untrained model.
        train, val: rows; with folds both are learned from and judged on, in the order of time.
        judging: by what.
        context: progress, checkpoints, seed, and who is told of epochs; with folds, of those of the first one.

    Raises:
        UserError: the rows do not define the figure.
    """
    if judging.folds is None:
        return _on_validation(build(), train, val, judging, context)
    return _by_folds(build, train, val, judging, context, judging.folds)


def needs_training_rows(metric: str) -> bool:
    """Tell whether a figure compares with what training rows hold."""
    return metric.startswith(("coverage_at", "novelty_at"))


def _on_validation(ranker: Ranker, train: Examples, val: Examples, judging: Judging, context: FitContext) -> Found:
    check_can_learn(ranker.type, train, val)
    fit = checked_report(ranker, ranker.fit(train, val, context))
    half_N = np.unique(val.users_N, return_inverse=True)[1] % 2
    scores_N = _calibrated(judging.calibration, ranker.score(val), val, half_N)
    metrics = tuple(dict.fromkeys((judging.metric, *judging.others)))
    judged = evaluate(
        scores_N,
        val,
        metrics=metrics,
        slices=(),
        train=train if any(map(needs_training_rows, metrics)) else None,
        resamples=judging.resamples,
        confidence=judging.confidence,
        seed=judging.seed,
    )
    value = judged.metrics[judging.metric]
    if value is None:
        raise UserError(f"the {len(val)} validation rows do not define {judging.metric}; choose another search.metric.")
    return Found(
        value=value,
        interval=judged.intervals.get(judging.metric),
        parts=_halves(judging.metric, scores_N, train, val, half_N),
        figures={name: found for name, found in judged.metrics.items() if found is not None},
        fit=fit,
    )


def _calibrated(
    method: str, scores_N: npt.NDArray[np.float32], val: Examples, half_N: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """Return scores calibrated by what the other half of the users says: fitted on all, it would judge itself."""
    if method == "none":
        return scores_N
    calibrated_N = np.empty_like(scores_N)
    for half in (0, 1):
        here_N = half_N == half
        learned = fit_calibration(method, val.y_N[~here_N], scores_N[~here_N])
        calibrated_N[here_N] = learned.apply(scores_N[here_N])
    return calibrated_N


def _halves(
    metric: str, scores_N: npt.NDArray[np.float32], train: Examples, val: Examples, half_N: npt.NDArray[np.intp]
) -> tuple[float, ...]:
    """Return the figure on each half of the users; nothing where one of them does not define it."""
    found = []
    for half in (0, 1):
        within = np.flatnonzero(half_N == half)
        if len(within) == 0:
            return ()
        rows = val.take(within)
        catalogue = Catalogue.of(rows.items_N, train if needs_training_rows(metric) else None)
        found.append(float(figure(metric).value(ScoredRows(scores_N[within], rows, catalogue))))
    return tuple(found) if all(map(math.isfinite, found)) else ()


def _by_folds(
    build: Callable[[], Ranker], train: Examples, val: Examples, judging: Judging, context: FitContext, folds: int
) -> Found:
    models: list[_Watched] = []

    def watched() -> Ranker:
        within = None if context.checkpoints is None else context.checkpoints / f"fold-{len(models) + 1}"
        models.append(_Watched(build(), replace(context, checkpoints=within), first=not models))
        return models[-1]

    crossed = cross_validate(
        watched,
        train.and_then(val),
        folds=folds,
        order="time",
        metric=judging.metric,
        seed=context.seed,
        progress=context.progress,
    )
    return Found(
        value=crossed.mean_score,
        interval=None,
        parts=tuple(crossed.scores),
        figures={judging.metric: crossed.mean_score, "deviation_of_folds": crossed.std_score},
        fit=models[0].report,
    )


class _Watched:
    """A model of one fold, fitted with the checkpoints and hooks of the trial; only the first fold tells figures.

    Those of a later fold would stand beside those of the first fold of other trials, which had fewer rows.
    """

    def __init__(self, ranker: Ranker, context: FitContext, *, first: bool) -> None:
        self._ranker, self._context, self._first = ranker, context, first
        self.report = FitReport()

    @property
    def type(self) -> str:
        """The model's type."""
        return self._ranker.type

    def fit(self, train: Examples, val: Examples, context: FitContext) -> FitReport:
        """Learn as the trial says."""
        within = replace(context, checkpoints=self._context.checkpoints, on_epoch=self._tell)
        self.report = checked_report(self._ranker, self._ranker.fit(train, val, within))
        return self.report

    def score(self, rows: Examples) -> npt.NDArray[np.float32]:
        """Return click probabilities."""
        return self._ranker.score(rows)

    def export(self, folder: Path) -> None:
        """Write the model down."""
        self._ranker.export(folder)

    def _tell(self, epoch: int, figures: Mapping[str, float]) -> None:
        if self._context.on_epoch is not None:
            self._context.on_epoch(epoch, figures if self._first else {})
