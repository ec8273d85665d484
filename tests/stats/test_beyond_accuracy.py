"""Coverage and novelty say what lists hold, not how good they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.stats.ranking import coverage_at_k, novelty_at_k, rank_groups, self_information

Row = tuple[float, int, int]
ROWS = st.lists(
    st.tuples(st.integers(0, 8).map(lambda n: n / 8), st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=50
)


@given(ROWS, st.integers(1, 6))
def test_coverage_and_novelty_follow_their_definitions(rows: list[Row], k: int) -> None:
    """Coverage is the share of items on some list, novelty the mean over lists of the mean surprisal of their items."""
    scores_N, groups_N, items_N = (np.array(column) for column in zip(*rows, strict=True))
    information_I = self_information(np.arange(10))
    ranking = rank_groups(np.zeros(len(rows)), scores_N, groups_N)
    lists = [
        [item for _, group, item in sorted(rows, key=lambda row: -row[0]) if group == wanted][:k]
        for wanted in sorted(set(groups_N.tolist()))
    ]
    assert coverage_at_k(ranking, items_N, 10, k) == len({item for items in lists for item in items}) / 10
    expected = np.mean([np.mean([information_I[item] for item in items]) for items in lists])
    assert novelty_at_k(ranking, information_I[items_N], k) == pytest.approx(expected)


def test_self_information_is_in_bits_and_never_infinite() -> None:
    """An item of a share p tells −log2 p bits, one row added to each item; unseen items tell most."""
    found = self_information(np.array([0, 1, 5]))
    assert found.tolist() == pytest.approx([-math.log2(1 / 9), -math.log2(2 / 9), -math.log2(6 / 9)])
