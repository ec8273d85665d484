"""Rows that repeat users: whole users change sides, so p-values hold however unevenly users ask."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from orita.stats.drift.cells import counted_rows, row_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.repeats import Repeats


def _p(before: np.ndarray, now: np.ndarray, users: tuple[np.ndarray, np.ndarray], ordered: bool = True) -> float:
    rows = row_cells(before, now, ordered=ordered)
    repeats = Repeats.of(*rows, *users)
    return column_test(counted_rows(*rows, ordered=ordered), repeats=repeats, draws=600).p_value


def _visits(rng: np.random.Generator, sizes: tuple[int, int], apart: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the users of two samples, of whom a few ask often; *apart*: each sample has users of its own."""
    often = rng.lognormal(0, 1.2, 60)
    first, second = (rng.choice(60, n, p=often / often.sum()) for n in sizes)
    return first, second + 60 * apart


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("sizes", "apart"), [((200, 200), False), ((200, 200), True), ((400, 100), False)])
def test_unchanged_users_hold_the_level(sizes: tuple[int, int], apart: bool, ordered: bool) -> None:
    """Features that repeat with the user are at most 0.05 in 5 % of unchanged columns; rows as such are far more."""
    rng, rounds = np.random.default_rng(sizes[0] + apart), 40
    held = plain = 0
    for _ in range(rounds):
        users = _visits(rng, sizes, apart)
        worth = rng.normal(size=120) if ordered else rng.integers(0, 8, 120).astype(float)
        before, now = (worth[each] for each in users)
        held += _p(before, now, users, ordered) <= 0.05
        rows = row_cells(before, now, ordered=ordered)
        plain += column_test(counted_rows(*rows, ordered=ordered), draws=400).p_value <= 0.05
    assert held <= binom.ppf(1 - 1e-4, rounds, 0.05)
    assert plain > 15 or not apart


def test_a_change_of_users_who_stay_is_found() -> None:
    """A shift of 0.3 σ of the same 60 users is found where as many rows of other users would leave it open."""
    rng = np.random.default_rng(5)
    users = _visits(rng, (400, 400), apart=False)
    worth = rng.normal(size=60)
    assert _p(worth[users[0]], worth[users[1]] + 0.3, users) < 0.005


def test_relabelling_keeps_all_rows_and_expects_the_share_of_the_sample() -> None:
    """Counts of relabellings lie between none and all, and are on average those of the smaller sample's length."""
    rng = np.random.default_rng(6)
    users = _visits(rng, (600, 200), apart=False)
    cells = rng.integers(0, 4, 600), rng.integers(0, 4, 200)
    for first, second, share in ((0, 1, 0.25), (1, 0, 0.75)):
        repeats = Repeats.of(cells[first], cells[second], users[first], users[second])
        assert repeats is not None and repeats.stretches == 4
        counts = repeats.draw(rng, 500)
        assert counts.min() >= 0 and (counts <= repeats.total_C).all()
        assert counts.mean(axis=0) / repeats.total_C == pytest.approx(share, abs=0.03)


def test_rows_of_different_users_are_no_repeats() -> None:
    """Where no user has two rows, and where a sample is empty, there is nothing to keep together."""
    some, ids = np.ones(5, np.int64), np.arange(5)
    assert Repeats.of(some, some, ids, ids + 5) is None
    assert Repeats.of(some[:0], some, ids[:0], ids) is None
    assert Repeats.of(some, some, ids, ids) is not None
