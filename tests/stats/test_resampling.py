"""Resampled figures are the figures of rows repeated as often as their user was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from orita.stats import ranking
from orita.stats.metrics import auc, average_precision, expected_calibration_error, log_loss, row_log_loss
from orita.stats.resampled_figures import Auc, AveragePrecision, Lift, calibration_error
from orita.stats.resampling import Draws, RowMean, Statistic, group_mean, percentiles, resample

USERS = 30


def sample(seed: int, rows: int = 600) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Return labels, tied scores and users."""
    random = np.random.default_rng(seed)
    users_N = np.sort(np.concatenate([np.arange(USERS), random.integers(0, USERS, rows - USERS)]))
    p_N = np.round(random.random(rows), 2)
    return (random.random(rows) < p_N).astype(np.float32), p_N.astype(np.float32), users_N


def test_every_statistic_equals_the_figure_on_repeated_rows() -> None:
    """AUC, average precision, lift, log loss and a ranked figure, each on the very rows that a resample repeats."""
    y_N, scores_N, users_N = sample(1)
    popular_N = scores_N + np.random.default_rng(9).normal(size=len(y_N))
    ranked = ranking.rank_groups(y_N, scores_N, users_N)
    ours = Auc.of(y_N, scores_N, users_N)
    statistics: dict[str, Statistic] = {
        "auc": ours,
        "average_precision": AveragePrecision.of(y_N, scores_N, users_N),
        "lift": Lift(ours, Auc.of(y_N, popular_N, users_N)),
        "log_loss": RowMean.of(row_log_loss(y_N, scores_N), users_N, USERS),
        "ndcg": group_mean(ranking.ndcg_by_group(ranked, 3)),
    }
    found = resample(statistics, Draws(USERS, 7), 20)
    ndcg = ranking.ndcg_by_group(ranked, 3)
    drawn = np.random.default_rng(7)
    for r in range(20):
        times_U = np.bincount(drawn.integers(USERS, size=USERS), minlength=USERS)
        rows = np.repeat(np.arange(len(y_N)), times_U[users_N])
        y_K, scores_K = y_N[rows], scores_N[rows]
        lift = (auc(y_K, scores_K) - 0.5) / (auc(y_K, popular_N[rows]) - 0.5)
        assert found["auc"][r] == pytest.approx(auc(y_K, scores_K))
        assert found["average_precision"][r] == pytest.approx(average_precision(y_K, scores_K))
        assert found["lift"][r] == pytest.approx(lift)
        assert found["log_loss"][r] == pytest.approx(log_loss(y_K, scores_K))
        assert found["ndcg"][r] == pytest.approx(np.average(ndcg.values_G, weights=times_U * ndcg.counted_G))


def test_a_calibration_error_scatters_around_itself() -> None:
    """Its resamples have the figure near their middle, though noise can only add to absolute gaps."""
    y_N, scores_N, users_N = sample(2, 3000)
    statistic = calibration_error(y_N, scores_N, users_N)
    assert statistic.value == pytest.approx(expected_calibration_error(y_N, scores_N))
    values_R = resample({"error": statistic}, Draws(USERS, 0), 200)["error"]
    assert values_R.mean() == pytest.approx(statistic.value, abs=3 * values_R.std() / np.sqrt(200))


def test_many_bins_cost_nothing_that_matters() -> None:
    """With more rows than bins, average precision on resamples is within 1e-3 of the exact one."""
    y_N, scores_N, users_N = sample(3, 30_000)
    scores_N = scores_N + np.random.default_rng(1).random(len(scores_N)).astype(np.float32) / 100
    found = resample({"ap": AveragePrecision.of(y_N, scores_N, users_N)}, Draws(USERS, 5), 5)["ap"]
    drawn = np.random.default_rng(5)
    for value in found:
        times_U = np.bincount(drawn.integers(USERS, size=USERS), minlength=USERS)
        rows = np.repeat(np.arange(len(y_N)), times_U[users_N])
        assert value == pytest.approx(average_precision(y_N[rows], scores_N[rows]), abs=1e-3)


def test_resamples_without_a_value_do_not_count() -> None:
    """Percentiles leave NaN out, and of nothing but NaN there are none."""
    assert percentiles(np.array([1.0, np.nan, 3.0]), 0.5) == (1.5, 2.5)
    assert all(np.isnan(percentiles(np.array([np.nan]), 0.5)))
