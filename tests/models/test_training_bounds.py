"""The bounds of training rows: what was there is inside, what never was is out, and both survive the package."""

from __future__ import annotations

import json

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


def test_one_row_in_a_thousand_is_outside() -> None:
    """Of the rows that the bounds are of, and of others drawn alike."""
    for seed in (0, 1):
        outside_NF = BOUNDS.outside(rows(seed=seed))
        assert outside_NF is not None
        assert outside_NF.any(axis=1).mean() == pytest.approx(1 - QUANTILE, abs=6e-4)


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
        assert (again.limit, again.rows) == (bounds.limit, bounds.rows)
        for field in ("least_F", "greatest_F", "missing_F"):
            np.testing.assert_array_equal(getattr(again, field), getattr(bounds, field))


def test_a_row_at_the_limit_is_within() -> None:
    """Also where its value is so far from the median that adding up loses it."""
    x_NF = np.full((30, 4), 2.0**52, np.float32)
    x_NF[0, :2] = 0.0, -0.5
    x_NF[1, :2] = -0.5, 0.0
    assert TrainingBounds.of(SCHEMA, x_NF).outside(x_NF) is None


def test_a_tail_that_reaches_beyond_float32_is_finite() -> None:
    """A feature whose tail is narrow raises the limit of all; what that comes to for another can be kept as JSON."""
    x_NF = rows(10_000)
    x_NF[:, 0] = 0.3
    x_NF[:150, 0], x_NF[:30, 0] = np.nextafter(np.float32(0.3), np.float32(1)), 5.0
    x_NF[:, 2] = np.where(x_NF[:, 2] > 0, 1e38, -1e38)
    schema = FeatureSchema(
        tuple(FeatureColumn(name, "item", "number" if name != "seen" else "count") for name in KINDS)
    )
    bounds = TrainingBounds.of(schema, x_NF)
    assert np.isfinite(bounds.greatest_F).all() and np.isfinite(bounds.least_F).all()
    again = TrainingBounds.from_dict(json.loads(canonical_json(bounds.to_dict())), schema)
    assert again.outside(x_NF) is None
    assert again.outside(np.array([[0.3, np.inf, -np.inf, 0]], np.float32))[0].tolist() == [False, True, True, False]  # type: ignore[index]


@given(arrays(np.float32, (30, 4), elements=st.floats(allow_infinity=False, width=32)))
def test_any_rows_have_bounds(x_NF: npt.NDArray[np.float32]) -> None:
    """Whatever was trained on, nearly all of it is inside: of 30 rows at most the farthest is not."""
    bounds = TrainingBounds.of(SCHEMA, x_NF)
    outside_NF = TrainingBounds.from_dict(json.loads(canonical_json(bounds.to_dict())), SCHEMA).outside(x_NF)
    assert outside_NF is None or outside_NF.any(axis=1).sum() <= 1


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
