"""Card precision equals its definition, written out the slow way."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.stats.card_precision import card_precision_at_k

Payment = tuple[int, int, int, int]  # day, card, score in eighths, fraud
PAYMENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 8), st.integers(0, 1)), min_size=1, max_size=40
)


def figure(payments: list[Payment], k: int) -> float:
    """Return the card precision of *payments*."""
    day_N, card_N, score_N, y_N = (np.array([payment[part] for payment in payments]) for part in range(4))
    return card_precision_at_k(y_N, score_N / 8, card_N, day_N, k)


def by_hand(payments: list[Payment], k: int) -> float:
    """Return it with sets and sorted lists."""
    blocked: set[int] = set()
    shares = []
    for day in sorted({d for d, *_ in payments}):
        today = [(card, score, fraud) for d, card, score, fraud in payments if d == day and card not in blocked]
        highest = {card: max(score for c, score, _ in today if c == card) for card, *_ in today}
        looked_at = sorted(highest, key=lambda card: (-highest[card], card))[:k]
        abused = {card for card, _, fraud in today if fraud}
        shares.append(len(abused.intersection(looked_at)) / k)
        blocked |= abused.intersection(looked_at)
    return sum(shares) / len(shares)


@given(PAYMENTS, st.integers(1, 5), st.randoms())
def test_it_is_the_definition_in_any_order_of_rows(payments: list[Payment], k: int, random: Random) -> None:
    """It equals the definition, ties included, however the rows are ordered."""
    expected = by_hand(payments, k)
    random.shuffle(payments)
    assert figure(payments, k) == pytest.approx(expected)


def test_a_found_card_is_blocked_and_a_missed_one_comes_again() -> None:
    """A card that was found does not count on the next day; one that was not among the k best does."""
    first_day = [(0, 1, 8, 1), (0, 2, 1, 1), (0, 3, 4, 0)]
    second_day = [(1, 1, 8, 1), (1, 2, 5, 1), (1, 3, 4, 0)]
    assert figure(first_day, k=2) == 1 / 2
    assert figure(first_day + second_day, k=2) == (1 / 2 + 1 / 2) / 2  # card 1 is gone, card 2 is found now


def test_a_payment_on_another_day_does_not_make_a_card_abused() -> None:
    """The label of a card is that of the day: a fraud tomorrow is no hit today."""
    assert figure([(0, 1, 8, 0), (1, 1, 0, 1), (1, 2, 8, 0)], k=1) == 0


def test_without_payments_it_is_undefined() -> None:
    """No rows have no precision."""
    empty = np.zeros(0)
    assert math.isnan(card_precision_at_k(empty, empty, empty, empty.astype(np.int64)))
