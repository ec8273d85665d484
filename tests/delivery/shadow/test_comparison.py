"""What two rankings of one request have in common."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from orita.delivery.shadow.comparison import MEASURES, compared


def drawn(lengths: list[int], *, ties: bool = False) -> list[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Return scores of requests of these lengths."""
    rng = np.random.default_rng(7)
    scores = [rng.random(length, np.float32) for length in lengths]
    return [np.round(each * 4) / np.float32(4) for each in scores] if ties else scores


def test_the_same_scores_rank_the_same() -> None:
    """Equal scores have correlations and overlaps of 1 and no shift."""
    scores = drawn([2, 6, 11, 40, 40])
    found = compared(scores, scores)
    for name in ("tau", "rho", "top1", "rbo"):
        assert found[name] == pytest.approx(np.ones(5))
    assert found["overlap10"][2:] == pytest.approx(np.ones(3))
    for name in ("mean_shift", "mean_absolute_shift", "largest_shift"):
        assert (found[name] == 0).all()


def test_reversed_scores_are_the_other_way_round() -> None:
    """Correlations are −1, and the first k of N share max(0, 2 k − N) items."""
    scores = drawn([8, 15, 40])
    found = compared(scores, [1 - each for each in scores])
    assert found["tau"] == pytest.approx([-1, -1, -1])
    assert found["rho"] == pytest.approx([-1, -1, -1])
    assert found["top1"].tolist() == [0, 0, 0]
    assert found["overlap5"] == pytest.approx([2 / 5, 0, 0])
    assert np.isnan(found["overlap10"][0])
    assert found["overlap10"][1:] == pytest.approx([5 / 10, 0])


@pytest.mark.parametrize("ties", [False, True])
def test_correlations_are_those_of_scipy(ties: bool) -> None:
    """One by one, with ties and without, in short and long requests."""
    lengths = [3, 3, 20, 57, 57, 300]
    a, b = drawn(lengths, ties=ties), drawn([*reversed(lengths)], ties=ties)[::-1]
    found = compared(a, b)
    assert found["tau"] == pytest.approx([kendalltau(x, y).statistic for x, y in zip(a, b, strict=True)], abs=1e-9)
    assert found["rho"] == pytest.approx([spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)], abs=1e-9)


def test_rank_biased_overlap_is_its_sum() -> None:
    """By hand: the sum of equation 32 of Webber, Moffat and Zobel for two rankings of the same items."""
    a, b = drawn([9])[0], drawn([4, 9])[1]
    first, second = np.argsort(-a, kind="stable"), np.argsort(-b, kind="stable")
    shared = [len(set(first[:d]) & set(second[:d])) for d in range(1, 10)]
    expected = 0.1 / 0.9 * sum(x / d * 0.9**d for d, x in enumerate(shared, start=1)) + shared[-1] / 9 * 0.9**9
    assert compared([a], [b])["rbo"] == pytest.approx([expected])


def test_what_says_nothing_is_missing() -> None:
    """One item, five of five, and scores that are all the same."""
    one, five, flat = np.ones(1, np.float32), drawn([5])[0], np.full(5, 0.5, np.float32)
    found = compared([one, five, flat], [one, five, five])
    assert all(np.isnan(found[name][0]) for name in MEASURES if "shift" not in name)
    assert np.isnan(found["overlap5"][1:]).all()
    assert np.isnan(found["tau"][2]) and np.isnan(found["rho"][2])
    assert found["top1"][1] == 1.0


def test_shifts_are_of_the_candidate() -> None:
    """The candidate's score less the champion's."""
    a, b = np.array([0.1, 0.5, 0.9], np.float32), np.array([0.2, 0.2, 0.9], np.float32)
    found = compared([a], [b])
    assert found["mean_shift"] == pytest.approx([-0.2 / 3], abs=1e-6)
    assert found["mean_absolute_shift"] == pytest.approx([0.4 / 3], abs=1e-6)
    assert found["largest_shift"] == pytest.approx([0.3], abs=1e-6)
