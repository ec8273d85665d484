"""Sketches that are fed by arrays: what they say is what DataSketches says of the same values, within its bounds."""

from __future__ import annotations

import datasketches
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import kurtosis, skew

from orita.monitoring.profiles.comoments import CoMoments
from orita.monitoring.profiles.distinct import DistinctSketch
from orita.monitoring.profiles.frequent import FrequentSketch
from orita.monitoring.profiles.moments import Moments
from orita.monitoring.profiles.quantiles import QuantileSketch

_CHUNK = 8_192
_SHARES = np.arange(1, 100) / 100
_numbers = st.floats(-1e6, 1e6, allow_nan=False, width=32)


def _hll_of_each(values: list[float] | list[str]) -> bytes:
    """Return the registers of a sketch that was given a value after the other."""
    sketch, union = datasketches.hll_sketch(12, datasketches.HLL_8), datasketches.hll_union(12)
    for value in values:
        sketch.update(value)
    union.update(sketch)
    return bytes(union.get_result(datasketches.HLL_8).serialize_compact())[-4096:]


def _quantiles_of(values: np.ndarray, chunk: int = _CHUNK, seed: int = 0) -> QuantileSketch:
    sketch, rng = QuantileSketch(), np.random.default_rng(seed)
    for start in range(0, len(values), chunk):
        sketch.add_sorted(np.sort(values[start : start + chunk]), rng)
    return sketch


@pytest.mark.parametrize("many", [50_000, 3_000])
def test_distinct_numbers_have_the_registers_of_datasketches(many: int) -> None:
    """Adding only what can change the sketch leaves every register as adding each value does."""
    values = np.random.default_rng(1).normal(size=many)
    sketch = DistinctSketch()
    for start in range(0, many, _CHUNK):
        sketch.add_numbers(values[start : start + _CHUNK])
    assert sketch.to_bytes()[-4096:] == _hll_of_each(values.tolist())


def test_distinct_texts_have_the_registers_of_datasketches() -> None:
    """Texts of any length, also those of whole blocks of the hash, of more than it takes, and beyond ASCII."""
    texts = [("käse-" if i % 7 == 0 else "user ") + f"{i:0{1 + i % 90}d}" for i in range(20_000)]
    texts += [f"{i:016d}" for i in range(5_000)] + [f"{i:032d}" for i in range(5_000)]
    sketch = DistinctSketch()
    sketch.add_texts(pa.array(texts).slice(0, 11_111))
    sketch.add_texts(pa.array(texts).slice(11_111))
    assert sketch.to_bytes()[-4096:] == _hll_of_each(texts)


def test_the_number_of_distinct_values_is_close() -> None:
    """Over thirty streams the mean is within 1 %, and no estimate is off by five standard errors."""
    errors = []
    for seed in range(30):
        sketch = DistinctSketch()
        sketch.add_numbers(np.random.default_rng(seed).normal(size=40_000))
        errors.append(sketch.estimate() / 40_000 - 1)
    assert abs(np.mean(errors)) < 0.01
    assert max(np.abs(errors)) < 5 * 0.0163


def test_few_distinct_values_are_counted() -> None:
    """A hundred values, an integer and its float being one and both zeros one, are a hundred."""
    sketch = DistinctSketch()
    sketch.add_numbers(np.concatenate([np.arange(100.0), np.arange(100.0), [-0.0]]))
    assert round(sketch.estimate()) == 100


def test_the_empty_text_is_a_value() -> None:
    """As any other, among few and among many."""
    for many in (1, 2_000):
        sketch = DistinctSketch()
        sketch.add_texts(pa.array(["", *(f"{i}" for i in range(many))]))
        assert sketch.estimate() == pytest.approx(many + 1, rel=0.05 if many > 1 else 1e-6)


@given(st.lists(st.integers(0, 5_000), max_size=600), st.lists(st.integers(0, 5_000), max_size=600))
@settings(max_examples=30, deadline=None)
def test_distinct_sketches_merge_to_that_of_all(first: list[int], second: list[int]) -> None:
    """Merged in either order they estimate what one sketch of all values does, also after a way through bytes."""
    sketches = []
    for values in (first, second, first + second):
        sketch = DistinctSketch()
        sketch.add_numbers(np.array(values, dtype=np.float64))
        sketches.append(sketch)
    one, two, whole = sketches
    other = DistinctSketch.from_bytes(two.to_bytes())
    other.merge(one)
    one.merge(two)
    assert one.estimate() == other.estimate() == pytest.approx(whole.estimate(), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("shape", ["normal", "heavy", "ascending", "ties"])
def test_quantiles_are_within_the_bound(shape: str) -> None:
    """The rank of every hundredth is off by less than 1.5 %, also where values come in order or are few."""
    rng = np.random.default_rng(3)
    values = {
        "normal": rng.normal(size=300_001),
        "heavy": rng.standard_cauchy(size=300_001),
        "ascending": np.arange(300_001.0),
        "ties": rng.integers(0, 40, 300_001).astype(np.float64),
    }[shape]
    sketch = _quantiles_of(values)
    assert sketch.count == len(values)
    at = np.quantile(values, _SHARES, method="inverted_cdf")
    true = np.searchsorted(np.sort(values), at, side="right") / len(values)
    assert np.abs(np.array(sketch.ranks(at.tolist())) - true).max() < 0.015


@pytest.mark.parametrize(
    "size", [0, 1, 255, 256, 511, 512, 513, 853, 854, 855, 1_000, 1_023, 1_024, 2_047, 4_095, 70_001]
)
def test_every_value_is_counted_once(size: int) -> None:
    """A run of any length leaves count, minimum and maximum exact."""
    sketch = _quantiles_of(np.arange(float(size)), chunk=max(size, 1))
    assert sketch.count == size
    if size:
        low, high = sketch.quantiles([0.0, 1.0])
        assert (low, high) == (0.0, size - 1.0)


def test_quantiles_merge_and_travel() -> None:
    """Twenty sketches, through bytes and merged in two orders, stay within the bound."""
    values = np.random.default_rng(5).exponential(size=200_000)
    parts = [_quantiles_of(part, seed=i) for i, part in enumerate(np.array_split(values, 20))]
    at = np.quantile(values, _SHARES).tolist()
    for order in (parts, parts[::-1]):
        whole = QuantileSketch()
        for part in order:
            whole.merge(QuantileSketch.from_bytes(part.to_bytes()))
        assert whole.count == len(values)
        assert np.abs(np.array(whole.ranks(at)) - _SHARES).max() < 0.015


@given(
    arrays(np.float64, st.integers(0, 60), elements=_numbers), arrays(np.float64, st.integers(0, 60), elements=_numbers)
)
@settings(max_examples=80, deadline=None)
def test_moments_of_two_parts_are_those_of_the_whole(first: np.ndarray, second: np.ndarray) -> None:
    """Count and bounds exactly, the rest to rounding, in either order."""
    whole, parts = Moments.of(np.concatenate([first, second])), Moments.of(first).merged(Moments.of(second))
    turned = Moments.of(second).merged(Moments.of(first))
    assert (parts.count, parts.minimum, parts.maximum) == (whole.count, whole.minimum, whole.maximum)
    scale = max(abs(whole.minimum), abs(whole.maximum), 1.0) if whole.count else 1.0
    for power, name in ((1, "mean"), (2, "m2"), (3, "m3"), (4, "m4")):
        bound = 1e-12 * scale**power * max(whole.count, 1)
        for found in (parts, turned):
            assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-9, abs=bound, nan_ok=True)


def test_moments_hold_far_from_zero() -> None:
    """A deviation of 1 at 1e9 is found in parts, where sums of squares would have lost it."""
    values = np.random.default_rng(0).normal(1e9, 1.0, 100_000)
    found = Moments()
    for part in np.array_split(values, 37):
        found = found.merged(Moments.of(part))
    assert found.deviation == pytest.approx(np.std(values, ddof=1), rel=1e-7)
    assert found.skewness == pytest.approx(skew(values), abs=1e-5)
    assert found.kurtosis == pytest.approx(kurtosis(values), abs=1e-5)


def test_moments_may_be_weighted() -> None:
    """A value that counts three times is as three values."""
    values, counts = np.array([1.0, 4.0, 9.0]), np.array([3, 1, 2])
    assert Moments.of(values, counts) == Moments.of(np.repeat(values, counts))


def test_correlations_of_parts_are_those_of_rows() -> None:
    """Over the rows that have both values, with holes in some columns, one of them in one part only."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(5, 4_001)) + 1e6
    x[1] = 0.6 * x[0] + 0.8 * x[1]
    x[3, rng.random(4_001) < 0.3] = np.nan
    x[4, :2_000] = np.nan
    x[2, 5] = np.inf
    names = ("a", "b", "c", "d", "e")
    parts = [CoMoments.of(names, part) for part in np.array_split(x, 7, axis=1)]
    found = CoMoments.of(names[:4], x[:4, :0])
    for part in parts:
        found = found.merged(part)
    for i in range(5):
        for j in range(5):
            both = np.isfinite(x[i]) & np.isfinite(x[j])
            assert found.n_CC[i, j] == both.sum()
            assert found.correlations()[i, j] == pytest.approx(np.corrcoef(x[i, both], x[j, both])[0, 1], abs=1e-9)


def test_a_constant_has_no_correlation() -> None:
    """Not 0, and no warning: there is nothing to say."""
    found = CoMoments.of(("a", "b"), np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]]))
    assert np.isnan(found.correlations()[0, 1])


def test_few_values_are_counted_exactly() -> None:
    """Up to some hundred values counts are exact and complete, also merged and through bytes."""
    first, second = FrequentSketch(), FrequentSketch()
    first.add(["a", "b"], np.array([5, 2]), least=1)
    second.add(["b", "c"], np.array([4, 1]), least=1)
    first.merge(FrequentSketch.from_bytes(second.to_bytes(), second.left_out))
    assert [(item.value, item.low, item.high) for item in first.top()] == [("b", 6, 6), ("a", 5, 5), ("c", 1, 1)]
    assert first.complete


def test_frequent_values_are_never_lost_among_many() -> None:
    """Of 200,000 rows of a hundred thousand values, those of 1 % are found, and their bounds hold."""
    rng = np.random.default_rng(4)
    values = np.where(rng.random(200_000) < 0.05, rng.integers(0, 4, 200_000), rng.integers(10, 100_000, 200_000))
    sketch = FrequentSketch()
    for part in np.array_split(values, 10):
        different, counts = np.unique(part, return_counts=True)
        least = sketch.least(len(different), len(part))
        often = counts >= least
        sketch.add([str(value) for value in different[often]], counts[often], least=least)
    found = {item.value: item for item in sketch.top(20)}
    for value in range(4):
        true = int((values == value).sum())
        assert found[str(value)].low <= true <= found[str(value)].high
        assert found[str(value)].high - found[str(value)].low <= 0.005 * len(values)
    assert not sketch.complete


def test_a_long_text_is_kept_short() -> None:
    """Two long texts that begin alike stay two, in bounded room."""
    sketch = FrequentSketch()
    sketch.add(["x" * 9_000, "x" * 9_001], np.array([2, 1]), least=1)
    assert [item.low for item in sketch.top()] == [2, 1]
    assert len(sketch.to_bytes()) < 1_000
