"""Swaps: every order that is shown has its exact probability."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orita.core.errors import UserError
from orita.delivery.bandits import SwapExploration

PAIRS = st.sampled_from(["adjacent", "any"])


@given(st.integers(0, 7), st.integers(2, 9), st.just(0.0) | st.floats(1e-9, 0.99), PAIRS)
def test_probabilities_of_all_orders_add_up(
    length: int, positions: int, share: float, pairs: Literal["adjacent", "any"]
) -> None:
    """Over all permutations of a short list they add up to 1, positions to the order; placements are their sums."""
    exploration = SwapExploration(share, positions, pairs)
    total, shown_NN = 0.0, np.zeros((length, length))
    for order in itertools.permutations(range(length)) if length < 6 else [tuple(range(length))]:
        told = exploration.propensities(np.array(order, int))
        assert told.log_propensities_N.sum() == pytest.approx(told.log_propensity)
        assert (told.log_propensities_N <= 1e-12).all()
        total += math.exp(told.log_propensity)
        shown_NN[list(order), range(length)] += math.exp(told.log_propensity)
    if length < 6:
        assert total == pytest.approx(1)
        np.testing.assert_allclose(shown_NN, exploration.placements(length), atol=1e-12)


@given(st.integers(2, 5), PAIRS)
def test_conditional_probabilities_are_ratios_of_sums(length: int, pairs: Literal["adjacent", "any"]) -> None:
    """The probability of an item given those above: of all orders that begin so, the share that goes on so."""
    exploration = SwapExploration(0.3, 4, pairs)
    orders = list(itertools.permutations(range(length)))
    chance = {order: math.exp(exploration.propensities(order).log_propensity) for order in orders}
    for order in orders:
        told = exploration.propensities(order).log_propensities_N
        for position in range(length):
            above = sum(p for other, p in chance.items() if other[:position] == order[:position])
            here = sum(p for other, p in chance.items() if other[: position + 1] == order[: position + 1])
            if above > 0:
                assert math.exp(told[position]) == pytest.approx(here / above)


@pytest.mark.parametrize("pairs", ["adjacent", "any"])
def test_orders_are_shown_as_often_as_they_say(pairs: Literal["adjacent", "any"]) -> None:
    """Of 8,000 requests, of which 40 % are explored: chi-square over the orders, p above 1e-4; the rest is fixed."""
    exploration, rng = SwapExploration(0.4, 4, pairs), np.random.default_rng(0)
    shown = [exploration.shown(6, rng) for _ in range(8_000)]
    counts = Counter(tuple(order.order_N.tolist()) for order in shown)
    chances = {tuple(order.order_N.tolist()): math.exp(order.log_propensity) for order in shown}
    assert len(counts) == (4 if pairs == "adjacent" else 7) and sum(chances.values()) == pytest.approx(1)
    expected = [8_000 * chances[order] for order in counts]
    assert stats.chisquare(list(counts.values()), expected).pvalue > 1e-4
    assert all(order[4:] == (4, 5) for order in counts)
    first = shown[0]
    again = exploration.propensities(first.order_N)
    assert again.log_propensity == first.log_propensity
    np.testing.assert_array_equal(again.log_propensities_N, first.log_propensities_N)


def test_one_request_of_a_hundred_is_explored_by_default() -> None:
    """Of 20,000 requests 1 %, within four standard errors; lists of one item never."""
    exploration, rng = SwapExploration(), np.random.default_rng(1)
    swapped = sum(exploration.shown(20, rng).log_propensity < -1 for _ in range(20_000))
    assert abs(swapped - 200) < 4 * math.sqrt(200)
    assert exploration.shown(1, rng).log_propensity == 0 and exploration.shown(0, rng).order_N.size == 0


def test_what_is_wrong_is_named() -> None:
    """Errors name the field and the value."""
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("share 1", {"share": 1}),
        ("share -1", {"share": -1}),
        ("share 1e-12", {"share": 1e-12}),
        ("positions 1", {"positions": 1}),
        ("pairs 'all'", {"pairs": "all"}),
    ]
    for said, asked in wrong:
        with pytest.raises(UserError, match=said):
            SwapExploration(**asked)
    with pytest.raises(UserError, match="order"):
        SwapExploration().propensities([0, 0, 1])
