"""The bounds of training rows: what was there is inside, what never was is out, and both survive the package."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from orita.core.errors import UserError
from orita.features.schema import FeatureColumn, FeatureSchema, Kind
from orita.models.package.strict_json import canonical_json
from orita.models.training_bounds import QUANTILE, TrainingBounds

KINDS: dict[str, Kind] = {"rate": "number", "seen": "count", "weekend": "flag", "topic": "category"}
Floats = npt.NDArray[np.float64]
SCHEMA = FeatureSchema(tuple(FeatureColumn(name, "item", kind) for name, kind in KINDS.items()))


def rows(count: int = 20_000, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return rows of one feature of each kind; the rate of one in ten is missing."""
    random = np.random.default_rng(seed)
    columns = (
        np.where(random.random(count) < 0.1, np.nan, random.normal(0.3, 0.05, count)),
        random.lognormal(3, 1, count).round(),
        random.random(count) < 0.3,
        random.integers(0, 6, count),
    )
    return np.column_stack(columns).astype(np.float32)


BOUNDS = TrainingBounds.of(SCHEMA, rows())


def outside(**values: float) -> list[str]:
    """Return which features of an ordinary row are outside once it has these *values*."""
    ordinary = {"rate": 0.3, "seen": 20.0, "weekend": 1.0, "topic": 3.0}
    found_NF = BOUNDS.outside(np.array([list({**ordinary, **values}.values())], np.float32))
    return [] if found_NF is None else [name for name, out in zip(SCHEMA.names, found_NF[0], strict=True) if out]


def test_at_most_one_row_in_a_thousand_is_outside() -> None:
    """Of the rows that the bounds are of, and of others drawn alike."""
    for seed in (0, 1):
        outside_NF = BOUNDS.outside(rows(seed=seed))
        assert outside_NF is None or outside_NF.any(axis=1).mean() <= 1 - QUANTILE


def narrow(random: np.random.Generator, count: int) -> Floats:
    """Return what decays: one in a hundred is not almost 0."""
    return np.where(random.random(count) < 0.01, random.random(count), 1e-11 * random.random(count) ** 4)


FAMILIES: dict[str, tuple[Kind, Callable[[np.random.Generator, int], Floats]]] = {
    "narrow": ("number", narrow),
    "rate": ("number", lambda random, count: random.beta(2, 6, count)),
    "full": ("number", lambda random, count: np.minimum(1, random.beta(1, 2, count) * 1.3)),
    "lognormal": ("number", lambda random, count: random.lognormal(2, 1, count)),
    "heavy": ("count", lambda random, count: np.floor(random.pareto(2.5, count) * 10)),
    "rare": ("count", lambda random, count: random.poisson(0.01, count).astype(np.float64)),
    "zeros": ("number", lambda random, count: np.where(random.random(count) < 0.7, 0, random.exponential(9, count))),
    "age": ("number", lambda random, count: random.uniform(0, 400, count)),
    "constant": ("number", lambda _, count: np.full(count, 7)),
}
OF_FAMILIES = FeatureSchema(tuple(FeatureColumn(name, "item", kind) for name, (kind, _) in FAMILIES.items()))


def drawn(seed: int, count: int) -> npt.NDArray[np.float32]:
    """Return rows of all families, independent of each other."""
    random = np.random.default_rng(seed)
    return np.column_stack([draw(random, count) for _, draw in FAMILIES.values()]).astype(np.float32)


@pytest.mark.parametrize("count", [2_000, 20_000, 100_000])
def test_one_level_is_shared_whatever_the_tails(count: int) -> None:
    """Of new rows at most one in a thousand is outside, in the mean of ten trainings, with tails of all kinds."""
    shares = []
    for seed in range(10):
        bounds = TrainingBounds.of(OF_FAMILIES, drawn(seed, count))
        outside_NF = bounds.outside(drawn(100 + seed, 100_000))
        shares.append(0.0 if outside_NF is None else float(outside_NF.any(axis=1).mean()))
    assert np.mean(shares) <= 1 - QUANTILE


def test_bounds_are_near_the_training_rows() -> None:
    """No farther than the farthest are apart, of counts by a factor of ten; a rate that ends at 1 has no margin."""
    x_NF = drawn(0, 20_000)
    bounds = TrainingBounds.of(OF_FAMILIES, x_NF)
    least_F, greatest_F = x_NF.min(axis=0), x_NF.max(axis=0)
    apart_F = (greatest_F - least_F) * [10 if kind == "count" else 1 for kind, _ in FAMILIES.values()]
    assert (bounds.least_F >= least_F - apart_F).all()
    assert (bounds.greatest_F <= greatest_F + apart_F).all()
    found = dict(zip(bounds.names, zip(bounds.least_F.tolist(), bounds.greatest_F.tolist(), strict=True), strict=True))
    assert found["full"][1] == 1
    assert found["constant"] == (7, 7)
    assert found["zeros"][0] == found["heavy"][0] == 0
    assert -15 < found["age"][0] < 0
    assert 400 < found["age"][1] < 415


def test_a_narrow_tail_widens_nobody_elses_bounds() -> None:
    """Those of the others are the same as with any other feature in its place."""
    x_NF = drawn(0, 20_000)
    other_NF = x_NF.copy()
    other_NF[:, 0] = np.random.default_rng(5).uniform(0, 1, len(x_NF))
    with_narrow, without = (TrainingBounds.of(OF_FAMILIES, each_NF) for each_NF in (x_NF, other_NF))
    np.testing.assert_array_equal(with_narrow.least_F[1:], without.least_F[1:])
    np.testing.assert_array_equal(with_narrow.greatest_F[1:], without.greatest_F[1:])


def test_a_broken_row_makes_no_bound() -> None:
    """One value of another unit among 20,000 is outside, and the bounds are those of the other rows."""
    x_NF = rows()
    x_NF[3, 0], x_NF[4, 1] = 1e9, 1e30
    bounds = TrainingBounds.of(SCHEMA, x_NF)
    np.testing.assert_allclose(bounds.greatest_F, BOUNDS.greatest_F, rtol=0.2)
    outside_NF = bounds.outside(x_NF)
    assert outside_NF is not None
    assert np.flatnonzero(outside_NF.any(axis=1)).tolist() == [3, 4]


def test_bounds_that_shared_a_limit_are_as_they_were_made() -> None:
    """Packages that were written with them load, and are checked by them."""
    content = {
        "quantile": 0.999,
        "limit": 2.5,
        "rows": 100,
        "bounds": {"rate": [0, 1], "seen": [0, 3e38], "weekend": [0, 1], "topic": None},
        "missing": ["topic"],
    }
    bounds = TrainingBounds.from_dict(content, SCHEMA)
    assert bounds.outside(np.array([[1, 1e38, 0, np.nan]], np.float32)) is None
    assert bounds.outside(np.array([[2, 1, 0, 3]], np.float32)).tolist() == [[True, False, False, True]]  # type: ignore[union-attr]


def test_each_feature_has_its_own_bounds() -> None:
    """A count may be far beyond the median, a rate may not; a flag and a category have the values that they had."""
    assert outside() == []
    assert outside(seen=300) == []
    assert outside(rate=np.nan) == []
    assert outside(rate=0.9) == ["rate"]
    assert outside(seen=100_000, rate=-0.5) == ["rate", "seen"]
    assert outside(weekend=2) == ["weekend"]
    assert outside(topic=6) == ["topic"]
    assert outside(topic=-1) == ["topic"]
    assert outside(rate=np.inf) == ["rate"]


def test_what_was_never_missing_may_not_be() -> None:
    """Nor may be there what was always missing; a feature that was constant stays so."""
    assert outside(seen=np.nan, weekend=np.nan) == ["seen", "weekend"]
    x_NF = rows()
    x_NF[:, 0], x_NF[:, 1] = np.nan, 7
    bounds = TrainingBounds.of(SCHEMA, x_NF)
    assert bounds.outside(np.array([[np.nan, 7, 0, 0]], np.float32)) is None
    assert bounds.outside(np.array([[0.3, 8, 0, 0]], np.float32))[0].tolist() == [True, True, False, False]  # type: ignore[index]


def test_an_infinite_value_moves_no_bound() -> None:
    """It is beyond them, and what else was there is not."""
    x_NF = rows()
    x_NF[0, 1] = np.inf
    bounds = TrainingBounds.of(SCHEMA, x_NF)
    np.testing.assert_allclose(bounds.greatest_F, BOUNDS.greatest_F, rtol=1e-2)
    outside_NF = bounds.outside(x_NF[:1])
    assert outside_NF is not None
    assert outside_NF[0, 1]
    assert not bounds.missing_F[1]


def test_a_package_can_keep_them() -> None:
    """The JSON of packages holds them, and gives them back to the bit, those of features without bounds too."""
    x_NF = rows()
    x_NF[:, 0] = np.nan
    for bounds in (BOUNDS, TrainingBounds.of(SCHEMA, x_NF)):
        again = TrainingBounds.from_dict(json.loads(canonical_json(bounds.to_dict())), SCHEMA)
        assert again.names == bounds.names
        assert again.rows == bounds.rows
        for field in ("least_F", "greatest_F", "missing_F"):
            np.testing.assert_array_equal(getattr(again, field), getattr(bounds, field))


def test_the_farthest_of_few_rows_are_within() -> None:
    """Also where its value is so far from the median that adding up loses it."""
    x_NF = np.full((30, 4), 2.0**52, np.float32)
    x_NF[0, :2] = 0.0, -0.5
    x_NF[1, :2] = -0.5, 0.0
    assert TrainingBounds.of(SCHEMA, x_NF).outside(x_NF) is None


def test_a_tail_that_reaches_beyond_float32_is_finite() -> None:
    """Where a margin ends beyond what float32 holds, any finite value is within; the package can keep it as JSON."""
    x_NF = rows(10_000)
    x_NF[:, 0] = np.random.default_rng(0).uniform(-1, 1, len(x_NF)) * 3.2e38
    x_NF[:, 1] = np.random.default_rng(1).pareto(0.5, len(x_NF)) * 1e29
    schema = FeatureSchema(tuple(FeatureColumn(name, "item", kind) for name, kind in KINDS.items()))
    bounds = TrainingBounds.of(schema, x_NF)
    assert np.isfinite(bounds.greatest_F).all() and np.isfinite(bounds.least_F).all()
    again = TrainingBounds.from_dict(json.loads(canonical_json(bounds.to_dict())), schema)
    beyond = again.outside(np.array([[-np.inf, np.inf, 0, 0]], np.float32))
    assert beyond is not None
    assert beyond[0].tolist() == [True, True, False, False]


@given(arrays(np.float32, (30, 4), elements=st.floats(allow_infinity=False, width=32)))
def test_any_rows_have_bounds(x_NF: npt.NDArray[np.float32]) -> None:
    """Whatever was trained on, all of a few rows are inside."""
    bounds = TrainingBounds.of(SCHEMA, x_NF)
    outside_NF = TrainingBounds.from_dict(json.loads(canonical_json(bounds.to_dict())), SCHEMA).outside(x_NF)
    assert outside_NF is None


def test_many_rows_are_sampled() -> None:
    """Of more rows than are looked at the bounds are nearly the same, and the same each time."""
    many_NF = rows(250_000)
    bounds = TrainingBounds.of(SCHEMA, many_NF)
    assert bounds.rows == 200_000
    assert bounds.to_dict() == TrainingBounds.of(SCHEMA, many_NF).to_dict()
    np.testing.assert_allclose(bounds.greatest_F, BOUNDS.greatest_F, rtol=0.3)


def test_what_has_no_bounds_is_refused() -> None:
    """No rows, and the bounds of another schema."""
    with pytest.raises(UserError, match="0 rows"):
        TrainingBounds.of(SCHEMA, rows(0))
    other = FeatureSchema((*SCHEMA.columns, FeatureColumn("more", "user")))
    for content in (BOUNDS.to_dict(), {}, {"bounds": 3, "missing": [], "limit": 1, "rows": 1}):
        with pytest.raises(UserError, match="not of its schema"):
            TrainingBounds.from_dict(content, other)
