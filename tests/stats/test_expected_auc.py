"""The AUC that scores promise is the one that labels drawn from them have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.stats.expected_auc import expected_auc
from orita.stats.metrics import auc


@pytest.mark.parametrize("spread", [0.02, 0.2, 1.0])
def test_it_is_the_auc_of_labels_drawn_from_the_scores(spread: float) -> None:
    """Over many draws of labels, the mean AUC is the expected one, for near and far scores and ties."""
    rng = np.random.default_rng(0)
    scores_N = np.round(1 / (1 + np.exp(1 - spread * rng.standard_normal(4000))), 2)
    drawn = [auc((rng.random(4000) < scores_N).astype(float), scores_N) for _ in range(60)]
    assert expected_auc(scores_N) == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / np.sqrt(60) + 1e-4)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=12))
def test_it_counts_every_pair(scores: list[float]) -> None:
    """It equals the sum over all ordered pairs of different rows."""
    right = total = 0.0
    for i, p in enumerate(scores):
        for j, q in enumerate(scores):
            if i != j:
                total += p * (1 - q)
                right += p * (1 - q) * (1.0 if p > q else 0.5 if p == q else 0.0)
    assert expected_auc(np.array(scores)) == pytest.approx(right / total)


def test_equal_scores_promise_nothing() -> None:
    """Scores that are all the same order no pair."""
    assert expected_auc(np.full(10, 0.3)) == pytest.approx(0.5)
