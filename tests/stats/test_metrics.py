"""Figures of merit equal their definitions, written out the slow way."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.stats.card_precision import card_precision_at_k
from orita.stats.curves import roc_curve
from orita.stats.delong import delong_difference
from orita.stats.metrics import (
    accuracy,
    auc,
    average_precision,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    log_loss,
    mean_average_precision,
    mrr,
    ndcg_at_k,
    precision_at_k,
    rank_groups,
    recall_at_k,
)
from orita.stats.placements import cell_auc_influence

Row = tuple[int, float, int]
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8).map(lambda n: n / 8), st.integers(0, 4)), max_size=60)


def arrays(rows: list[Row]) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return labels, scores and groups of *rows*."""
    return (
        np.array([r[0] for r in rows], np.float32),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64),
    )


def lists(rows: list[Row]) -> list[list[int]]:
    """Return each group's labels from the best score to the worst, ties in row order."""
    groups = sorted({g for _, _, g in rows})
    return [[y for y, _, _ in sorted((r for r in rows if r[2] == g), key=lambda r: -r[1])] for g in groups]


def mean(values: list[float]) -> float:
    """Return the mean, NaN of nothing."""
    return sum(values) / len(values) if values else math.nan


@given(ROWS)
def test_auc_is_the_share_of_pairs_in_order(rows: list[Row]) -> None:
    """AUC counts pairs of a positive and a negative, a tie as half; without a pair it is NaN."""
    pairs = [(a, b) for y, a, _ in rows if y for z, b, _ in rows if not z]
    expected = mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert auc(*arrays(rows)[:2]) == pytest.approx(expected, nan_ok=True)


@given(ROWS, st.integers(1, 6))
def test_ranked_figures_follow_their_definitions(rows: list[Row], k: int) -> None:
    """precision, recall, nDCG, MAP and MRR equal the loops that define them, for any groups and ties."""
    ranking = rank_groups(*arrays(rows))
    ranked = lists(rows)
    clicked = [labels for labels in ranked if sum(labels)]

    def dcg(labels: list[int]) -> float:
        return sum(y / math.log2(rank + 1) for rank, y in enumerate(labels[:k], start=1))

    def average_precision(labels: list[int]) -> float:
        return mean([sum(labels[:rank]) / rank for rank, y in enumerate(labels, start=1) if y])

    expected = {
        "precision": mean([sum(labels[:k]) / k for labels in ranked if len(labels) >= k]),
        "recall": mean([sum(labels[:k]) / sum(labels) for labels in clicked]),
        "ndcg": mean([dcg(labels) / dcg(sorted(labels, reverse=True)) for labels in clicked]),
        "map": mean([average_precision(labels) for labels in clicked]),
        "mrr": mean([1 / (labels.index(1) + 1) for labels in clicked]),
    }
    found = {
        "precision": precision_at_k(ranking, k),
        "recall": recall_at_k(ranking, k),
        "ndcg": ndcg_at_k(ranking, k),
        "map": mean_average_precision(ranking),
        "mrr": mrr(ranking),
    }
    assert found == pytest.approx(expected, nan_ok=True)


@given(ROWS)
def test_groups_may_carry_any_name(rows: list[Row]) -> None:
    """Text ids and their order make no difference: groups are only told apart."""
    y_N, scores_N, groups_N = arrays(rows)
    names_N = np.array([f"user-{9 - g}" for g in groups_N.tolist()], object)
    by_number, by_name = rank_groups(y_N, scores_N, groups_N), rank_groups(y_N, scores_N, names_N)
    assert ndcg_at_k(by_number) == pytest.approx(ndcg_at_k(by_name), nan_ok=True)


@given(ROWS)
def test_log_loss_brier_score_and_accuracy_are_means_over_rows(rows: list[Row]) -> None:
    """Log loss is finite for scores of 0 and 1, and all three figures are NaN of no rows."""
    y_N, scores_N, _ = arrays(rows)
    losses = [-math.log(min(max(s if y else 1 - s, 1e-7), 1 - 1e-7)) for y, s, _ in rows]
    assert log_loss(y_N, scores_N) == pytest.approx(mean(losses), nan_ok=True, rel=1e-6)
    assert accuracy(y_N, scores_N) == pytest.approx(mean([float((s >= 0.5) == y) for y, s, _ in rows]), nan_ok=True)
    assert brier_score(y_N, scores_N) == pytest.approx(mean([(s - y) ** 2 for y, s, _ in rows]), nan_ok=True)


@given(ROWS, st.integers(1, 25))
def test_calibration_bins_hold_every_row_once(rows: list[Row], bins: int) -> None:
    """Bins are as even as can be, their means add up to the whole, and the error is their weighted gap."""
    y_N, scores_N, _ = arrays(rows)
    found = calibration_bins(y_N, scores_N, bins)
    sizes = [b.rows for b in found]
    assert sum(sizes) == len(rows)
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert sum(b.rows * b.positive_rate for b in found) == pytest.approx(float(y_N.sum()))
    assert sum(b.rows * b.mean_score for b in found) == pytest.approx(float(scores_N.sum()), rel=1e-5)
    gap = mean([abs(b.mean_score - b.positive_rate) for b in found for _ in range(b.rows)])
    assert expected_calibration_error(y_N, scores_N, bins) == pytest.approx(gap, nan_ok=True)


def test_a_calibrated_score_has_no_calibration_error() -> None:
    """Scores that are the true probabilities are near 0, scores twice as large are not."""
    random = np.random.default_rng(0)
    p_N = random.random(100_000) * 0.5
    y_N = random.random(100_000) < p_N
    assert expected_calibration_error(y_N, p_N) < 0.01
    assert expected_calibration_error(y_N, 2 * p_N) == pytest.approx(0.25, abs=0.01)


def test_a_missing_score_is_no_best_score() -> None:
    """Of scores with a NaN every figure is NaN, and lists and curves are refused: a model that fails does not win."""
    y_N, scores_N = np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, math.nan])
    found = [figure(y_N, scores_N) for figure in (auc, average_precision, log_loss, brier_score, accuracy)]
    found += [expected_calibration_error(y_N, scores_N), card_precision_at_k(y_N, scores_N, y_N, y_N, 1)]
    difference = delong_difference(y_N, np.arange(4.0), scores_N)
    found += [difference.value, difference.low, difference.high, difference.p_value]
    assert np.isnan(found).all()
    for refused in (lambda: rank_groups(y_N, scores_N, y_N), lambda: roc_curve(y_N, scores_N)):
        with pytest.raises(UserError, match="1 of 4 scores are NaN"):
            refused()


def test_a_missing_score_spoils_its_own_cell_alone() -> None:
    """The AUC and the influences of another cell of rows are what they were."""
    y_N, scores_N = np.tile([0.0, 1.0, 1.0], 2), np.array([0.1, 0.2, 0.05, 0.3, math.nan, 0.4])
    cell_N = np.repeat([0, 1], 3)
    auc_L, influence_N = cell_auc_influence(y_N, np.argsort(scores_N), scores_N, cell_N, 2)
    assert auc_L[0] == 0.5
    assert np.isnan(auc_L[1])
    assert np.isnan(influence_N).tolist() == [False] * 3 + [True] * 3
