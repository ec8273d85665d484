"""Every figure of an evaluation, by name: how it is computed, how it is resampled, which way is better.

Legend: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

import numpy as np

from orita.core.errors import UserError, closest
from orita.models.config import MetricName, is_metric, metric_at_k
from orita.models.evaluation.scored_rows import ScoredRows, Scores
from orita.models.examples import Examples
from orita.stats import metrics, ranking, resampled_figures
from orita.stats.resampling import Draws, Statistic, group_mean, interval_ends, resample

__all__ = ["METRICS", "Figure", "Figures", "check", "check_both_kinds", "figure", "figures", "intervals"]

Figures = dict[str, float | None]

METRICS: tuple[MetricName, ...] = get_args(MetricName)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        title: what people call it.
        larger_is_better: which way is better; None where it depends on what is wanted.
        value: computes it; NaN where the rows do not define it.
        statistic: what it would be with other users; None where resampling misleads, as for a count of distinct items.
        meaning: one sentence.
        most: the largest value that it can have; none but a lift can be below 0.
    """

    title: str
    larger_is_better: bool | None
    value: Callable[[ScoredRows], float]
    statistic: Callable[[ScoredRows], Statistic] | None
    meaning: str
    most: float = 1.0


def figure(name: str) -> Figure:
    """Return the figure of that name, such as ``auc`` or ``ndcg_at_5``.

    Raises:
        UserError: there is none; the sentence names the closest.
    """
    if not is_metric(name):
        raise UserError(f"evaluation.metrics has the value {name!r}. {closest(name, METRICS)}")
    at_k = metric_at_k(name)
    return _PLAIN[name] if at_k is None else _AT_K[at_k[0]](at_k[1])


def figures(scored: ScoredRows, names: Sequence[str]) -> Figures:
    """Return the named figures of *scored*; one that its rows do not define is None."""
    values = {name: figure(name).value(scored) for name in names}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def check(scores_N: Scores, rows: Examples, names: Sequence[str]) -> None:
    """Refuse what cannot be judged.

    Raises:
        UserError: the lengths disagree, a score is not a probability, there are no rows, or a figure is unknown.
    """
    if len(rows) == 0:
        raise UserError("there are 0 rows to judge on; widen the dates or lower the filters.")
    if len(scores_N) != len(rows):
        raise UserError(f"there are {len(scores_N)} scores for {len(rows)} rows; give one score a row, in their order.")
    outside = int(np.sum(~((scores_N >= 0) & (scores_N <= 1))))
    if outside:
        raise UserError(f"{outside} of {len(scores_N)} scores are not in [0, 1]; scores are click probabilities.")
    for name in names:
        figure(name)


def check_both_kinds(rows: Examples) -> None:
    """Refuse rows that have no AUC.

    Raises:
        UserError: they hold only positives, or only negatives.
    """
    if not 0 < int((rows.y_N > 0).sum()) < len(rows):
        raise UserError(
            f"an AUC needs positives and negatives, the {len(rows)} rows hold only one kind; use more rows."
        )


def intervals(
    statistics: Mapping[str, Statistic], users: int, *, resamples: int, confidence: float, seed: int
) -> dict[str, tuple[float, float]]:
    """Return low and high of each statistic, all over the same resamples of users; none of one that rests on one user.

    No figure but a lift can be below 0: that of a model that ranks worse than chance is.
    """
    values = resample(dict(statistics), Draws(users, seed), resamples)
    found: dict[str, tuple[float, float]] = {}
    for name, of in statistics.items():
        low, high = interval_ends(of.value, values[name], of.clusters, confidence)
        if not math.isnan(low):
            is_lift = isinstance(of, resampled_figures.Lift)
            found[name] = (low, high) if is_lift else (max(low, 0.0), min(high, figure(name).most))
    return found


def _of_list(
    title: str, by_group: Callable[[ranking.Ranking], ranking.Grouped], meaning: str, *, larger: bool | None = True
) -> Figure:
    return Figure(title, larger, lambda j: by_group(j.ranking).mean, lambda j: group_mean(by_group(j.ranking)), meaning)


def _coverage(k: int) -> Figure:
    def value(judged: ScoredRows) -> float:
        return ranking.coverage_at_k(judged.ranking, judged.items_N, judged.catalogue.items, k)

    return Figure(f"coverage@{k}", None, value, None, f"Share of all items that are among the best {k} of some user.")


def _novelty(k: int) -> Figure:
    def grouped(judged: ScoredRows) -> ranking.Grouped:
        information_N = judged.catalogue.information_N
        if information_N is None:
            return ranking.Grouped(np.zeros(judged.users), np.zeros(judged.users, np.bool_))
        return ranking.novelty_by_group(judged.ranking, information_N, k)

    meaning = f"Mean self-information of the best {k} items of a user, in bits: rare items tell more."
    return Figure(f"novelty@{k}", None, lambda j: grouped(j).mean, lambda j: group_mean(grouped(j)), meaning, math.inf)


_PLAIN: Mapping[str, Figure] = MappingProxyType(
    {
        "auc": Figure(
            "AUC",
            True,
            lambda j: metrics.auc(j.y_N, j.scores_N),
            lambda j: resampled_figures.Auc.of(j.y_N, j.scores_N, j.user_N),
            "Chance that a random positive scores above a random negative.",
        ),
        "average_precision": Figure(
            "average precision",
            True,
            lambda j: metrics.average_precision(j.y_N, j.scores_N),
            lambda j: resampled_figures.AveragePrecision.of(j.y_N, j.scores_N, j.user_N),
            "Area under the precision-recall curve, in steps.",
        ),
        "log_loss": Figure(
            "log loss",
            False,
            lambda j: metrics.log_loss(j.y_N, j.scores_N),
            lambda j: j.row_mean(metrics.row_log_loss(j.y_N, j.scores_N)),
            "Mean negative log likelihood of the labels, in nats.",
            math.inf,
        ),
        "brier_score": Figure(
            "Brier score",
            False,
            lambda j: metrics.brier_score(j.y_N, j.scores_N),
            lambda j: j.row_mean((j.scores_N.astype(np.float64) - (j.y_N > 0)) ** 2),
            "Mean squared distance of scores from labels.",
        ),
        "accuracy": Figure(
            "accuracy",
            True,
            lambda j: metrics.accuracy(j.y_N, j.scores_N),
            lambda j: j.row_mean((j.scores_N >= 0.5) == (j.y_N > 0)),
            "Share of rows on whose label a score of 0.5 or more agrees.",
        ),
        "calibration_error": Figure(
            "calibration error",
            False,
            lambda j: metrics.expected_calibration_error(j.y_N, j.scores_N),
            lambda j: resampled_figures.calibration_error(j.y_N, j.scores_N, j.user_N),
            "Mean gap between promised and observed rates over 20 bins of scores; noise alone keeps it above 0.",
        ),
        "map": _of_list("MAP", ranking.average_precision_by_group, "Mean over users of the average precision."),
        "mrr": _of_list("MRR", ranking.reciprocal_rank_by_group, "Mean over users of 1 ÷ rank of the first positive."),
    }
)

_AT_K: Mapping[str, Callable[[int], Figure]] = MappingProxyType(
    {
        "precision": lambda k: _of_list(
            f"precision@{k}",
            lambda r: ranking.precision_by_group(r, k),
            f"Share of positives among the best {k} rows of a user; users with fewer rows do not count.",
        ),
        "recall": lambda k: _of_list(
            f"recall@{k}",
            lambda r: ranking.recall_by_group(r, k),
            f"Share of a user's positives that are among the best {k} rows.",
        ),
        "ndcg": lambda k: _of_list(
            f"nDCG@{k}",
            lambda r: ranking.ndcg_by_group(r, k),
            f"Discounted gain of the best {k} rows of a user, over the best there could be.",
        ),
        "coverage": _coverage,
        "novelty": _novelty,
    }
)
