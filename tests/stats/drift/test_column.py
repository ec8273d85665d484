"""The test of a column: p-values hold at any size, every kind of change is seen, one wild value moves nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, fisher_exact, hypergeom

from orita.core.errors import UserError
from orita.stats.drift.cells import Cells, category_cells, value_cells
from orita.stats.drift.column import column_test
from orita.stats.drift.components import ORDERED, Kinds, margin_p
from orita.stats.drift.null import relabelled_p

Draw = Callable[[np.random.Generator, int], np.ndarray]

_UNCHANGED: dict[str, tuple[Draw, bool]] = {
    "normal": (lambda rng, n: rng.normal(size=n), True),
    "heavy, some missing": (
        lambda rng, n: np.where(rng.random(n) < 0.05, np.nan, np.exp(3 * rng.normal(size=n))),
        True,
    ),
    "counts": (lambda rng, n: rng.poisson(1.5, n).astype(float), True),
    "two categories": (lambda rng, n: (rng.random(n) < 0.1).astype(float), False),
    "300 categories": (lambda rng, n: np.floor(300 * rng.random(n) ** 2), False),
}


def _cells(before: np.ndarray, now: np.ndarray, ordered: bool) -> Cells:
    return value_cells(before, now) if ordered else category_cells(before, now)


@pytest.mark.parametrize("world", _UNCHANGED)
@pytest.mark.parametrize(("n", "m"), [(50, 50), (400, 60)])
def test_unchanged_columns_hold_the_level(world: str, n: int, m: int) -> None:
    """On unchanged data a p-value is at most 0.05 in 5 % of columns, and for continuous ones in not much less."""
    draw, ordered = _UNCHANGED[world]
    rng, rounds = np.random.default_rng(n + m), 150
    p_values = [column_test(_cells(draw(rng, n), draw(rng, m), ordered), draws=1000).p_value for _ in range(rounds)]
    alarms = sum(p <= 0.05 for p in p_values)
    assert alarms <= binom.ppf(1 - 1e-5, rounds, 0.05)
    if ordered:
        assert sum(p <= 0.5 for p in p_values) >= binom.ppf(1e-5, rounds, 0.45)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda x, rng: x + 0.3, "location"),
        (lambda x, rng: x * 1.3, "scale"),
        (lambda x, rng: np.where(rng.random(len(x)) < 0.1, np.nan, x), "missing"),
        (lambda x, rng: np.where(rng.random(len(x)) < 0.05, 0.123, x), "spike"),
        (lambda x, rng: np.where(rng.random(len(x)) < 0.02, x + 100, x), "extremes"),
    ],
    ids=["mean", "spread", "missing", "default fill", "some rows far out"],
)
def test_each_kind_of_change_is_found_and_named(
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray], kind: str
) -> None:
    """A change is found beyond doubt and said to be of the kind that it is."""
    rng = np.random.default_rng(3)
    result = column_test(value_cells(rng.normal(size=3000), change(rng.normal(size=3000), rng)))
    assert result.p_value < 1e-4
    assert result.change == kind


def test_new_and_vanished_categories_are_found() -> None:
    """Thirty new rare categories in 2 % of the rows are drift though none of them is remarkable alone."""
    rng = np.random.default_rng(4)
    before, now = rng.integers(0, 20, (2, 2000)).astype(float)
    now[:40] = 100 + np.arange(40) % 30
    for first, second in ((before, now), (now, before)):
        result = column_test(category_cells(first, second))
        assert result.p_value < 1e-4
        assert result.change == "new"


def test_text_categories_count_as_numbers_do() -> None:
    """Categories may be text; the outcome is that of any other labels."""
    codes = np.random.default_rng(1).integers(0, 4, (2, 100))
    by_text = column_test(category_cells(*codes.astype(str)))
    assert by_text == column_test(category_cells(*codes.astype(float)))


def test_one_outlier_neither_alarms_nor_hides() -> None:
    """A single value of 1e6 leaves an unchanged column unremarkable and a shift of one σ as sure as before."""
    rng = np.random.default_rng(5)
    before, now = rng.normal(size=(2, 500))
    now[0] = 1e6
    assert column_test(value_cells(before, now)).p_value > 0.01
    assert column_test(value_cells(before, now + 1)).p_value < 1e-6


def test_a_small_shift_of_many_rows_is_found() -> None:
    """+ 0.05 σ at 20,000 rows is found nearly always at the level 0.01."""
    rng = np.random.default_rng(6)
    found = [
        column_test(value_cells(rng.normal(size=20_000), rng.normal(0.05, 1, 20_000)), draws=1000).p_value <= 0.01
        for _ in range(25)
    ]
    assert sum(found) >= binom.ppf(1e-5, 25, 0.9)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    ("before", "now"),
    [([], []), ([1, 2, 3], []), ([0], [5]), ([7, 7, 7], [7, 7]), ([np.nan] * 3, [np.nan] * 2)],
    ids=["empty", "one empty", "one row each", "constant", "all missing"],
)
def test_what_cannot_be_compared_is_not_drift(before: list[float], now: list[float], ordered: bool) -> None:
    """Empty, constant and wholly missing samples have the p-value 1."""
    assert column_test(_cells(np.array(before, float), np.array(now, float), ordered)).p_value == 1.0


@pytest.mark.parametrize("ordered", [True, False])
def test_a_changed_constant_and_all_missing_are_drift(ordered: bool) -> None:
    """A constant that became another, and a column that went missing, are found."""
    ones = np.ones(40)
    for now in (ones * 2, ones * np.nan):
        assert column_test(_cells(ones, now, ordered)).p_value < 1e-6


def test_infinite_values_are_values() -> None:
    """Infinities are the largest values, whose share may change."""
    rng = np.random.default_rng(8)
    before, now = rng.normal(size=(2, 300))
    now[:60] = np.inf
    assert column_test(value_cells(before, now)).p_value < 1e-4


def test_repeated_rows_are_worth_fewer() -> None:
    """A design effect of 4 gives the p-value of a quarter of the rows."""
    few = column_test(Cells(np.array([30, 70]), np.array([50, 50])))
    many = column_test(Cells(np.array([120, 280]), np.array([200, 200]), design_effect=4))
    assert many.p_value == few.p_value
    assert column_test(Cells(np.array([120, 280]), np.array([200, 200]))).p_value < few.p_value / 10


def test_two_categories_agree_with_fisher() -> None:
    """Where there is nothing but two shares, the p-value is near Fisher's exact one."""
    result = column_test(Cells(np.array([10, 40]), np.array([23, 27]), ordered=False))
    exact = fisher_exact([[10, 40], [23, 27]]).pvalue
    assert exact / 2 < result.p_value < exact * 2


@given(
    st.integers(1, 60).flatmap(lambda t: st.tuples(st.just(t), st.integers(0, t))),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_the_quick_margin_is_near_the_exact_one(cell: tuple[int, int], n: int, m: int) -> None:
    """Over 2 × 2 tables the corrected likelihood ratio is within a factor of 3 of the exact tail, down to 1e-6."""
    t, x = cell
    rows = n + m + t
    current = m
    if not max(0, t - (rows - current)) <= x <= min(t, current) or t * current / rows < 1:
        return
    null = hypergeom(rows, t, current)
    exact = min(1.0, 2 * min(float(null.cdf(x)), float(null.sf(x - 1))))
    if exact < 1e-6:
        return
    quick = float(margin_p(np.array([float(x)]), float(t), float(current), float(rows))[0])
    assert exact / 3 <= quick <= exact * 3 + 0.3 * (exact > 0.3)


def test_the_null_is_the_same_as_relabelling_rows() -> None:
    """Relabelling counts and relabelling rows give the same distribution of the statistic."""
    rng = np.random.default_rng(9)
    total_C = np.array([3, 20, 7, 40])
    rows = np.repeat(np.arange(4), total_C)
    by_rows = [np.bincount(rng.permutation(rows)[:30], minlength=4)[0] for _ in range(4000)]
    p_value = relabelled_p(2.0, lambda x_RC: x_RC[:, 0], total_C, 30, draws=4000, tail=False).p_value
    assert p_value == pytest.approx(np.mean(np.array(by_rows) >= 2), abs=0.12)


def test_the_fitted_tail_agrees_with_many_draws() -> None:
    """A p-value beyond 2,000 draws is within a factor of 5 of the one that 60,000 draws count."""
    before, now = np.random.default_rng(2).normal([[0.0], [0.36]], 1, (2, 300))
    cells = value_cells(before, now)
    quick, sure = column_test(cells, draws=2000), column_test(cells, draws=60_000)
    assert quick.fitted and not sure.fitted
    assert sure.p_value / 5 < quick.p_value < sure.p_value * 5


def test_scores_are_orthonormal_and_kinds_are_in_order() -> None:
    """The moments of a change are standardised under the null, and come in the order of `ORDERED`."""
    total_C = np.random.default_rng(1).integers(1, 50, 30).astype(float)
    kinds = Kinds.of(total_C, 0.0, 100.0, ordered=True)
    gram = (kinds.scores_KC * total_C) @ kinds.scores_KC.T / total_C.sum()
    assert gram == pytest.approx(np.eye(4), abs=1e-9)
    assert kinds.scores_KC @ total_C == pytest.approx(np.zeros(4), abs=1e-9)
    assert kinds.p_values(total_C[None] / 2, np.zeros(1)).shape == (1, len(ORDERED))


def test_bad_counts_are_named() -> None:
    """Cells of different lengths, negative counts and a design effect below 1 are refused."""
    with pytest.raises(UserError, match="2 cells and the current sample 3"):
        Cells(np.zeros(2, int), np.zeros(3, int))
    with pytest.raises(UserError, match="negative count"):
        Cells(np.array([1, -1]), np.array([1, 1]))
    with pytest.raises(UserError, match=r"design_effect is 0\.5"):
        Cells(np.array([1]), np.array([1]), design_effect=0.5)
