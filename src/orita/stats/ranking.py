"""How good are lists? Figures of rows ranked within groups (users); undefined figures are NaN.

Legend: N rows, G groups, K best rows of a group, I items.

A group is ordered by score, highest first, and ties by the order of the rows. Which groups count is stated with each
figure. A figure comes as one value a group (``…_by_group``), so that groups can be resampled, and as their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.core.errors import UserError

__all__ = [
    "Grouped",
    "Ranking",
    "average_precision_by_group",
    "coverage_at_k",
    "mean_average_precision",
    "mrr",
    "ndcg_at_k",
    "ndcg_by_group",
    "novelty_at_k",
    "novelty_by_group",
    "precision_at_k",
    "precision_by_group",
    "rank_groups",
    "recall_at_k",
    "recall_by_group",
    "reciprocal_rank_by_group",
    "self_information",
]

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows sorted by group and, within a group, by score from the highest.

    Attributes:
        positive_N: whether the row is a positive.
        group_N: 0 … G−1.
        rank_N: 1 for the best row of its group.
        rows_G, positives_G: sizes of the groups.
        order_N: where each row stood before sorting.
    """

    positive_N: npt.NDArray[np.bool_]
    group_N: npt.NDArray[np.int64]
    rank_N: npt.NDArray[np.int64]
    rows_G: npt.NDArray[np.int64]
    positives_G: npt.NDArray[np.int64]
    order_N: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grouped:
    """One value a group; groups outside ``counted_G`` have none, whatever stands there."""

    values_G: npt.NDArray[np.float64]
    counted_G: npt.NDArray[np.bool_]

    @property
    def mean(self) -> float:
        """Mean over the groups that count, NaN without one."""
        return float(self.values_G[self.counted_G].mean()) if self.counted_G.any() else float("nan")


def rank_groups(y_N: npt.NDArray[Any], scores_N: Floats, groups_N: npt.NDArray[Any]) -> Ranking:
    """Sort rows once for all ranked figures; *groups_N* holds ids of any sortable kind, groups follow their order.

    Raises:
        UserError: a score is NaN: it has no rank.
    """
    if missing := int(np.isnan(scores_N).sum()):
        raise UserError(f"{missing} of {len(scores_N)} scores are NaN; a list needs a score of every row.")
    _, group_N = np.unique(groups_N, return_inverse=True)
    by_score_N = np.argsort(-np.asarray(scores_N), kind="stable")
    order_N = by_score_N[np.argsort(group_N[by_score_N], kind="stable")]
    group_N = group_N[order_N].astype(np.int64)
    positive_N = np.asarray(y_N)[order_N] > 0
    rows_G = np.bincount(group_N)
    starts_G = np.cumsum(rows_G) - rows_G
    rank_N = np.arange(1, len(group_N) + 1) - starts_G[group_N]
    positives_G = np.bincount(group_N[positive_N], minlength=len(rows_G))
    return Ranking(positive_N, group_N, rank_N, rows_G, positives_G, order_N)


def precision_by_group(ranking: Ranking, k: int = 10) -> Grouped:
    """Return positives among the *k* best rows ÷ *k*, of groups with at least *k* rows."""
    return Grouped(_sum(ranking, ranking.rank_N <= k) / k, ranking.rows_G >= k)


def precision_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with at least *k* rows of positives among the *k* best rows ÷ *k*."""
    return precision_by_group(ranking, k).mean


def recall_by_group(ranking: Ranking, k: int = 10) -> Grouped:
    """Return positives among the *k* best rows ÷ all positives, of groups with a positive."""
    return _of_positives(ranking, _sum(ranking, ranking.rank_N <= k))


def recall_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with a positive of positives among the *k* best rows ÷ all positives."""
    return recall_by_group(ranking, k).mean


def ndcg_by_group(ranking: Ranking, k: int = 10) -> Grouped:
    """Return DCG@k ÷ the best DCG@k of groups with a positive; gain 1, discount log2(1 + rank).

    Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002).
    """
    dcg_G = _sum(ranking, ranking.rank_N <= k, lambda rank_K: 1 / np.log2(1 + rank_K))
    ideal = np.concatenate(([1.0], np.cumsum(1 / np.log2(1 + np.arange(1, k + 1)))))
    return Grouped(dcg_G / ideal[np.minimum(ranking.positives_G, k)], ranking.positives_G > 0)


def ndcg_at_k(ranking: Ranking, k: int = 10) -> float:
    """Return the mean over groups with a positive of DCG@k ÷ the best DCG@k (`ndcg_by_group`)."""
    return ndcg_by_group(ranking, k).mean


def average_precision_by_group(ranking: Ranking) -> Grouped:
    """Return the mean precision at the ranks of the positives, of groups with a positive."""
    running_N = np.cumsum(ranking.positive_N)
    before_G = np.cumsum(ranking.positives_G) - ranking.positives_G
    hits_N = running_N - before_G[ranking.group_N]
    precision_P = (hits_N / ranking.rank_N)[ranking.positive_N]
    sum_G = np.bincount(ranking.group_N[ranking.positive_N], precision_P, minlength=len(ranking.rows_G))
    return _of_positives(ranking, sum_G.astype(np.float64))


def mean_average_precision(ranking: Ranking) -> float:
    """Return the mean over groups with a positive of the mean precision at the ranks of its positives."""
    return average_precision_by_group(ranking).mean


def reciprocal_rank_by_group(ranking: Ranking) -> Grouped:
    """Return 1 ÷ the rank of the first positive, of groups with a positive."""
    first_G = np.full(len(ranking.rows_G), np.inf)
    np.minimum.at(first_G, ranking.group_N[ranking.positive_N], ranking.rank_N[ranking.positive_N])
    return Grouped(1 / first_G, ranking.positives_G > 0)


def mrr(ranking: Ranking) -> float:
    """Return the mean over groups with a positive of 1 ÷ the rank of its first positive."""
    return reciprocal_rank_by_group(ranking).mean


def self_information(counts_I: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return −log2 of each item's share of all rows, in bits; one row is added to every item, so none is infinite.

    Args:
        counts_I: rows of each item of the catalogue where popularity is known from (training rows), ≥ 0.
    """
    grown_I = np.asarray(counts_I, np.float64) + 1
    information_I: npt.NDArray[np.float64] = -np.log2(grown_I / grown_I.sum())
    return information_I


def novelty_by_group(ranking: Ranking, information_N: npt.NDArray[np.float64], k: int = 10) -> Grouped:
    """Return the mean self-information of the items of the *k* best rows (all rows of a shorter group), in bits.

    Args:
        ranking: the sorted rows.
        information_N: `self_information` of each row's item, in the order that the rows had before sorting.
        k: how many rows of a group count.

    Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems" (2010), surprisal; Vargas and
    Castells, "Rank and relevance in novelty and diversity metrics for recommender systems" (2011).
    """
    best_N = ranking.rank_N <= k
    told_N = information_N[ranking.order_N]
    sum_G = np.bincount(ranking.group_N[best_N], told_N[best_N], minlength=len(ranking.rows_G))
    return Grouped(sum_G / np.clip(ranking.rows_G, 1, k), ranking.rows_G > 0)


def novelty_at_k(ranking: Ranking, information_N: npt.NDArray[np.float64], k: int = 10) -> float:
    """Return the mean over groups of the mean self-information of their *k* best items (`novelty_by_group`)."""
    return novelty_by_group(ranking, information_N, k).mean


def coverage_at_k(ranking: Ranking, items_N: npt.NDArray[Any], catalogue: int, k: int = 10) -> float:
    """Return the share of *catalogue* items that are among the *k* best rows of at least one group.

    Args:
        ranking: the sorted rows.
        items_N: item of each row, in the order that the rows had before sorting.
        catalogue: how many items there are to recommend, at least as many as occur in *items_N*.
        k: how many rows of a group count.

    Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy: evaluating recommender systems by coverage and serendipity"
    (2010), catalogue coverage.
    """
    shown = items_N[ranking.order_N[ranking.rank_N <= k]]
    return len(np.unique(shown)) / catalogue if catalogue else float("nan")


def _of_positives(ranking: Ranking, sums_G: npt.NDArray[np.float64]) -> Grouped:
    return Grouped(sums_G / np.maximum(ranking.positives_G, 1), ranking.positives_G > 0)


def _sum(
    ranking: Ranking,
    within_N: npt.NDArray[np.bool_],
    gain: Callable[[npt.NDArray[np.int64]], npt.NDArray[np.float64]] | None = None,
) -> npt.NDArray[np.float64]:
    chosen_N = within_N & ranking.positive_N
    weights = gain(ranking.rank_N[chosen_N]) if gain else None
    sums_G = np.bincount(ranking.group_N[chosen_N], weights, minlength=len(ranking.rows_G))
    return sums_G.astype(np.float64)
