"""What weights give up for what, on rows whose trade-off is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.models.clicks import SCHEMA

from orita.models.examples import Examples
from orita.models.objectives import Head, brought, judge_heads, trade_offs, tradeoff
from orita.models.objectives.tradeoff import pareto

CLICK, LIKE = Head("click"), Head("like")


def lists(users: int, likes: bool = True) -> tuple[Examples, np.ndarray]:
    """Return rows of which two heads know all: each user has 12 rows to click, or to like, and 12 for neither."""
    kinds_N = np.tile(np.repeat([0, 1, 2], 12), users)
    count = len(kinds_N)
    y_N, like_N = (kinds_N == 0).astype(np.float32), (kinds_N == 1).astype(np.float32)
    ids_N, x_NF = np.repeat(np.arange(users), 36), np.zeros((count, len(SCHEMA)), np.float32)
    outcomes = {"like": like_N} if likes else {}
    rows = Examples(SCHEMA, ids_N, ids_N, x_NF, y_N, np.arange(count), outcomes=outcomes)
    return rows, np.column_stack([y_N, like_N]).astype(np.float32)


def test_a_trade_off_is_known_where_outcomes_exclude_each_other() -> None:
    """Where no row is both clicked and liked, the ends of the curve bring all of one and nothing of the other."""
    rows, p_N2 = lists(20)
    (curve,) = trade_offs((CLICK, LIKE), p_N2, p_N2[:, 1], rows, {"like": 1.0})
    assert (curve.a, curve.b, curve.rows, curve.users) == ("click", "like", 720, 20)
    first, last, declared = curve.points[0], curve.points[-2], curve.points[-1]
    assert (first.a, first.b) == pytest.approx((1, 0))
    assert (last.a, last.b) == pytest.approx((0, 1))
    assert (declared.a, declared.b, declared.declared, declared.best) == pytest.approx((0, 1, True, True))
    assert (curve.random_a, curve.random_b) == pytest.approx((1 / 3, 1 / 3))
    assert len(curve.points) == 22
    a_P, b_P = (np.array([getattr(p, name) for p in curve.points[:-1]]) for name in ("a", "b"))
    assert np.all(np.diff(a_P) <= 1e-12) and np.all(np.diff(b_P) >= -1e-12)
    assert brought((CLICK, LIKE), p_N2[:, 0], rows) == pytest.approx({"click": 1.0, "like": 0.0})


def test_a_declared_objective_that_is_surpassed_is_told() -> None:
    """A score that knows nothing brings what random order does, and is not among the best points of the curve."""
    rows, p_N2 = lists(300)
    rows = replace(rows, outcomes={"like": rows.y_N})
    p_N2[:, 1] = p_N2[:, 0]
    noise_N = np.random.default_rng(0).random(len(rows)).astype(np.float32)
    (curve,) = trade_offs((CLICK, LIKE), p_N2, noise_N, rows, {"click": 1.0})
    declared = curve.points[-1]
    assert not declared.best
    assert 0 < curve.error_a < 0.02
    assert declared.a == pytest.approx(curve.random_a, abs=4 * curve.error_a)


def test_pareto_points_are_those_that_nothing_surpasses() -> None:
    """A point is best unless another is as good in both and better in one; equal points are both best."""
    at_S2 = np.array([[0, 3], [1, 2], [1, 1], [2, 2], [2, 2], [3, 0]], float)
    assert pareto(at_S2).tolist() == [True, False, False, True, True, True]


def test_rows_that_say_one_outcome_have_no_trade_off() -> None:
    """Without a second outcome, or with single rows a user, there is no curve and no error."""
    rows, p_N2 = lists(3, likes=False)
    assert trade_offs((CLICK, LIKE), p_N2, p_N2[:, 0], rows, {"click": 1.0}) == []
    rows, p_N2 = lists(3)
    alone = replace(rows, users_N=np.arange(len(rows)))
    assert trade_offs((CLICK, LIKE), p_N2, p_N2[:, 0], alone, {"click": 1.0}) == []
    assert judge_heads((CLICK, LIKE), p_N2, replace(rows, outcomes={}))[1].rows == 0


def test_a_user_with_too_many_rows_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a user with more rows than are looked at is drawn, the rows of others fill their place."""
    monkeypatch.setattr(tradeoff, "MOST_ROWS", 360)
    rows, p_NH = lists(30)
    crowded = replace(rows, users_N=np.where(rows.users_N < 15, 0, rows.users_N))
    for seed in range(10):
        (curve,) = trade_offs([CLICK, LIKE], p_NH, p_NH[:, 0], crowded, {"click": 1.0}, seed=seed)
        assert (curve.rows, curve.users) == (360, 10)
