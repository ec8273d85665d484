"""What the trials of a search say together."""

from __future__ import annotations

import numpy as np
import pytest

from orita.models.search.trials import Trial, best_of, luck_of


def trials(parts_TK: list[list[float]]) -> list[Trial]:
    """Return complete trials with these figures in the parts of the rows."""
    return [
        Trial(n, {}, "linear", "complete", sum(parts) / len(parts), parts=tuple(parts))
        for n, parts in enumerate(parts_TK, 1)
    ]


def test_the_best_is_the_earliest_of_equals_and_the_right_way_up() -> None:
    """Which way is better is obeyed; trials without a value do not count."""
    found = [*trials([[0.5, 0.5], [0.7, 0.7], [0.7, 0.7]]), Trial(4, {}, "linear", "pruned")]
    best, least = best_of(found, larger_is_better=True), best_of(found, larger_is_better=False)
    assert best is not None and least is not None and (best.number, least.number) == (2, 1)
    assert best_of(found[3:], larger_is_better=True) is None


def test_luck_by_hand() -> None:
    """Chosen on the other part, each part reads less than the best does there."""
    parts = [[0.9, 0.5], [0.6, 0.85], [0.7, 0.7]]
    # the best mean is 0.725 (trial 2); chosen on part 2, trial 2 reads 0.6; chosen on part 1, trial 1 reads 0.5
    assert luck_of(trials(parts), larger_is_better=True) == pytest.approx(0.725 - 0.55)
    assert luck_of(trials([[-a, -b] for a, b in parts]), larger_is_better=False) == pytest.approx(0.725 - 0.55)
    assert luck_of(trials([[0.9, 0.8], [0.5, 0.5]]), larger_is_better=True) == 0.0
    assert luck_of([], larger_is_better=True) is None


def test_luck_of_equal_models_is_what_the_best_has_above_them() -> None:
    """Where all trials are worth the same, the estimate takes the gain of the best away, on average."""
    random = np.random.default_rng(0)
    left = []
    for _ in range(200):
        found = trials(random.normal(0.7, 0.01, (30, 2)).tolist())
        best, luck = best_of(found, larger_is_better=True), luck_of(found, larger_is_better=True)
        assert best is not None and best.value is not None and luck is not None
        left.append(best.value - luck)
    assert np.mean(left) == pytest.approx(0.7, abs=0.0015)
