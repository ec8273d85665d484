"""Orders of explored pages: read back from what was logged, made from a candidate's scores, and weighed exactly."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import isotonic_regression
from tests.delivery.ope.made_pages import made_pages

from orita.delivery.bandits import SwapExploration
from orita.delivery.ope.candidate_orders import _falling, candidate_order, falls
from orita.delivery.ope.log_evaluation import evaluate_pages
from orita.delivery.ope.order_chances import OrderChances, orders_of
from orita.delivery.ope.pages import LoggedPages, swaps_of


@pytest.mark.parametrize("pairs", ["adjacent", "any"])
@pytest.mark.parametrize("positions", [2, 3, 4])
def test_chances_are_those_of_the_exploration(pairs: Any, positions: int) -> None:
    """Of every order of four items, possible or not, each position's chance is what `SwapExploration` says."""
    exploration = SwapExploration(share=0.3, positions=positions, pairs=pairs)
    orders_EK = orders_of(np.arange(positions), pairs == "any", 4)
    shown_NK = np.array(list(permutations(range(4))))
    each_N = np.full(len(shown_NK), 0.3 / (len(orders_EK) - 1))
    chances = OrderChances.of(orders_EK, each_N, shown_NK)
    wanted_NK = np.exp(np.stack([exploration.propensities(order).log_propensities_N for order in shown_NK]))
    np.testing.assert_allclose(chances.conditional(), wanted_NK, atol=1e-12)
    np.testing.assert_allclose(chances.marginal(), exploration.placements(4)[shown_NK, np.arange(4)], atol=1e-12)


def test_what_may_come_is_expected_given_what_was_shown() -> None:
    """With neighbours of three exchanged: at the top the mean over two items, below a swap the one that is left."""
    chances = OrderChances.of(orders_of(np.arange(3), False, 3), np.array([0.1, 0.1]), np.array([[0, 1, 2], [1, 0, 2]]))
    value_NRK = np.tile(np.array([1.0, 10.0, 100.0])[None, :, None], (2, 1, 3))
    top, second = 0.9 * 1 + 0.1 * 10, (0.8 * 10 + 0.1 * 100) / 0.9
    np.testing.assert_allclose(chances.expected(value_NRK), [[top, second, 100], [top, 1, 100]])


@pytest.mark.parametrize("pairs", ["adjacent", "any"])
@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.49])
def test_exploration_is_read_back_from_the_log(pairs: str, width: int, share: float) -> None:
    """Which two items changed places, how likely each pair was, and whether any two could, for every order shown."""
    exploration = SwapExploration(share=share, positions=width, pairs=pairs)  # type: ignore[arg-type]
    orders_EK = orders_of(np.arange(width), pairs == "any", width)
    told = [exploration.propensities(order) for order in orders_EK]
    count = len(orders_EK)
    nothing_NK = np.zeros((count, width), np.float32)
    pages = LoggedPages(
        np.arange(count, dtype=np.uint64),
        np.arange(count, dtype=np.uint64),
        np.full(count, width),
        nothing_NK,
        nothing_NK,
        nothing_NK,
        np.exp(np.stack([each.log_propensities_N for each in told])).astype(np.float32),
        exploration.placements(width)[orders_EK, np.arange(width)].astype(np.float32),
    )
    swaps = swaps_of(pages)
    assert swaps.read_N.all()
    np.testing.assert_array_equal(swaps.rank_NK, orders_EK)
    np.testing.assert_allclose(swaps.each_N, share / (count - 1), rtol=2e-4)
    assert swaps.any_N.tolist() == [pairs == "any" and width > 2] * count


def test_a_candidate_that_says_the_same_orders_the_same() -> None:
    """Whatever order rules made of the scores, and with what a score may differ between two runs."""
    rng = np.random.default_rng(2)
    score_NK = rng.random((500, 8))
    there_NK = np.arange(8) < rng.integers(1, 9, 500)[:, None]
    held_NK = rng.random((500, 8)) < 0.2
    again_NK = score_NK + rng.uniform(-1e-6, 1e-6, score_NK.shape)
    rank_NK = candidate_order(score_NK, again_NK, there_NK, held_NK)
    np.testing.assert_array_equal(rank_NK, np.tile(np.arange(8), (500, 1)))


def test_where_scores_explain_the_order_a_candidate_s_do_too() -> None:
    """Pages that stood by score are ordered by the candidate's score; held positions stay, equals as they were."""
    rng = np.random.default_rng(3)
    score_NK = -np.sort(-rng.random((300, 6)), axis=1)
    candidate_NK = np.round(rng.random((300, 6)), 1) + 0.05
    everywhere_NK = np.ones((300, 6), np.bool_)
    rank_NK = candidate_order(score_NK, candidate_NK, everywhere_NK, ~everywhere_NK)
    np.testing.assert_array_equal(rank_NK, np.argsort(-candidate_NK, axis=1, kind="stable"))
    held_NK = np.zeros((300, 6), np.bool_)
    held_NK[:, 1] = True
    rank_NK = candidate_order(score_NK, candidate_NK, everywhere_NK, held_NK)
    assert (rank_NK[:, 1] == 1).all()
    others_NK = np.delete(rank_NK, 1, axis=1)
    assert (np.diff(np.take_along_axis(candidate_NK, others_NK, axis=1), axis=1) <= 0).all()


def test_a_rule_s_factor_is_carried_over() -> None:
    """An item that a rule brought above a better one stays there, unless the candidate sets it further apart."""
    score_NK, there_NK = np.array([[0.5, 0.6, 0.1]] * 3), np.ones((3, 3), np.bool_)
    candidate_NK = np.array([[0.25, 0.3, 0.05], [0.55, 0.55, 0.1], [0.3, 0.6, 0.1]])
    rank_NK = candidate_order(score_NK, candidate_NK, there_NK, ~there_NK)
    assert rank_NK.tolist() == [[0, 1, 2], [0, 1, 2], [1, 0, 2]]
    assert falls(score_NK, there_NK).tolist() == [False] * 3
    assert falls(score_NK, np.array([[True, False, True]] * 3)).all()


def test_the_closest_falling_sequence_is_that_of_isotonic_regression() -> None:
    """As SciPy has it, over the positions that count."""
    rng = np.random.default_rng(4)
    value_NK = rng.normal(size=(50, 7))
    free_NK = rng.random((50, 7)) < 0.7
    found_NK = _falling(value_NK, free_NK)
    for value_K, free_K, found_K in zip(value_NK, free_NK, found_NK, strict=True):
        if free_K.any():
            wanted = isotonic_regression(value_K[free_K], increasing=False).x
            np.testing.assert_allclose(found_K[free_K], wanted, atol=1e-12)


def test_pages_whose_probabilities_are_not_of_swaps_are_left_out() -> None:
    """A page logged by something else is counted, never weighed by a guess."""
    pages = made_pages(200, seed=5).pages
    pages.propensity_NK[:20, 1] *= np.float32(0.9)
    found = evaluate_pages(pages)
    assert found is not None
    assert (found.unread, found.pages) == (20, 180)
    pages.propensity_NK[:] = 0.5
    assert evaluate_pages(pages) is None


@pytest.mark.parametrize("pairs", ["adjacent", "any"])
def test_estimates_are_not_biased(pairs: str) -> None:
    """Mean error of 40 logs of 250 pages within 4 of its Monte Carlo standard errors, by estimators without bias."""
    errors: dict[str, list[float]] = {}
    for run in range(40):
        world = made_pages(250, pairs=pairs, differs=0.4, seed=1000 + run)
        found = evaluate_pages(world.pages)
        assert found is not None
        for each in found.evaluation.estimates:
            errors.setdefault(each.estimator, []).append(each.value - world.candidate)
    for name in ("slate_ips", "independent_ips", "reward_interaction_ips", "cascade_dr"):
        found_errors = np.array(errors[name])
        assert abs(found_errors.mean()) <= 4 * found_errors.std() / np.sqrt(len(found_errors)), name
    assert np.std(errors["cascade_dr"]) < np.std(errors["slate_ips"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 300 logs 95 % intervals hold the candidate's value in 91 to 99 % (Monte Carlo error 1.3 points)."""
    held: dict[str, int] = {}
    runs = 300
    for run in range(runs):
        world = made_pages(1500, share=0.4, differs=0.4, seed=5000 + run)
        found = evaluate_pages(world.pages)
        assert found is not None and found.evaluation.diagnostics.verdict.enough
        for each in found.evaluation.estimates:
            held[each.estimator] = held.get(each.estimator, 0) + (each.low < world.candidate < each.high)
    assert len(held) == 7
    for name, count in held.items():
        assert 0.91 <= count / runs <= 0.99, (name, count / runs)
