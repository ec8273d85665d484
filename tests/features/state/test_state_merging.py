"""Partial states can be merged: in any pieces, and in any order."""

from __future__ import annotations

from itertools import pairwise
from math import nan

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features.state.keeping import PAID, USER, plan_with

from orita.features.declarations import Aggregate
from orita.features.slots import empty_of, finish
from orita.features.state.fields import fields_of
from orita.features.state.lifting import id_words, lifted
from orita.features.state.merging import merged

Floats = npt.NDArray[np.float64]

KEPT = {
    "count": PAID.count(),
    "sum": PAID.sum("amount"),
    "whole": PAID.sum("units"),
    "mean": PAID.mean("amount"),
    "ratio": PAID.ratio("amount", "units"),
    "share": PAID.ratio("amount"),
    "min": PAID.min("amount"),
    "max": PAID.max("amount"),
    "var": PAID.var("amount"),
    "first": PAID.first("amount"),
    "last": PAID.last("amount").ttl("1h"),
    "first_time": PAID.first_time(),
    "last_time": PAID.last_time(),
    "faded": PAID.decayed_sum("amount", "5m"),
    "faded_mean": PAID.decayed_mean("amount", "5m").ttl("1h"),
}
PLAN = plan_with(**{
    name: aggregate.by(USER).age() if name.endswith("_time") else aggregate.by(USER)
    for name, aggregate in KEPT.items()
})  # fmt: skip

values = st.one_of(st.just(nan), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)))
events = st.lists(st.tuples(st.integers(0, 5), values, st.integers(-(2**40), 2**40)), min_size=1, max_size=12)


def partials(aggregate: Aggregate, drawn: list[tuple[int, float, int]]) -> list[Floats]:
    """Return each event as a partial state; times tie, so that ids decide."""
    time_N = np.array([t * 60e6 for t, _, _ in drawn])
    amount_N, units_N = (np.array([event[i] for event in drawn], np.float64) for i in (1, 2))
    ids = id_words(np.array([f"id{i * 7 % 13:02}".encode() for i in range(len(drawn))], "S40"))
    high_N = np.floor(units_N / 2**32)
    told = {
        ("number", "amount"): (amount_N,),
        ("number", "units"): (units_N,),
        ("integer", "units"): (high_N, units_N - high_N * 2**32),
    }
    columns = {field: told[field] for field in fields_of(aggregate, PLAN)}
    return lifted(aggregate, PLAN, time_N, ids, columns)


def whole(aggregate: Aggregate, parts: list[Floats]) -> Floats:
    """Return the slots of all parts together, [S]."""
    return np.array([slot_C[0] for slot_C in merged(aggregate, parts, np.zeros(1, np.int64))])


@pytest.mark.parametrize("name", KEPT)
@settings(max_examples=30, deadline=None)
@given(drawn=events, cuts=st.lists(st.integers(0, 12), max_size=4), seed=st.integers(0, 99))
def test_pieces_in_any_order_merge_into_the_whole(
    name: str, drawn: list[tuple[int, float, int]], cuts: list[int], seed: int
) -> None:
    """Split-then-merge equals whole: exactly but for sums of floats, which agree within 1e-12 of what was added."""
    aggregate = KEPT[name].by(USER)
    parts = partials(aggregate, drawn)
    expected = whole(aggregate, parts)
    order = np.random.default_rng(seed).permutation(len(drawn))
    bounds = sorted({0, len(drawn), *(cut for cut in cuts if cut < len(drawn))})
    pieces = [whole(aggregate, [part[order[low:high]] for part in parts]) for low, high in pairwise(bounds)]
    pieces.append(np.array(empty_of(aggregate)))
    together = whole(aggregate, [np.array(slot) for slot in zip(*pieces, strict=True)])
    at = 3_600_000_000
    found, wanted = (finish(aggregate, slots[None, :], at) for slots in (together, expected))
    size = sum(abs(x) for _, x, _ in drawn if x == x) + sum(x * x for _, x, _ in drawn if x == x)
    slack = 0.0 if name in EXACT else 1e-12 * max(size, 1.0) * (1 / 1e-3 if name == "ratio" else 1)
    np.testing.assert_allclose(found, wanted, rtol=0 if slack == 0 else 1e-11, atol=slack)


EXACT = ("count", "whole", "min", "max", "first", "last", "first_time", "last_time")


def test_integers_are_summed_exactly_beyond_what_a_float_holds() -> None:
    """Sums of integers over 2^53 lose no digit, merged one by one."""
    aggregate = PAID.sum("units").by(USER)
    state = np.array(empty_of(aggregate))
    total = 0
    for value in [2**62, 1, -(2**61), 2**62 + 1, 3, -5] * 3:
        high, low = divmod(value, 2**32)
        pair = [np.array([old, new], np.float64) for old, new in zip(state, (high, low), strict=True)]
        state = whole(aggregate, pair)
        total += value
        assert int(state[0]) * 2**32 + int(state[1]) == total


def test_a_variance_of_far_values_keeps_its_digits() -> None:
    """Merging variances is stable: values near 1e9 with a spread of 1 are told apart."""
    aggregate = PAID.var("amount").by(USER)
    drawn = [(i, 1e9 + i % 3, 0) for i in range(6)]
    state = np.array(empty_of(aggregate))
    for event in drawn:
        pair = zip(state, whole(aggregate, partials(aggregate, [event])), strict=True)
        state = whole(aggregate, [np.array(slot) for slot in pair])
    assert finish(aggregate, state[None, :], 0)[0] == pytest.approx(np.var([x for _, x, _ in drawn], ddof=1), rel=1e-6)


def test_an_event_without_a_value_adds_nothing() -> None:
    """An event whose value is missing leaves a state as it was, except where events themselves count."""
    for name in ("sum", "whole", "mean", "min", "max", "var", "first", "faded"):
        aggregate = KEPT[name].by(USER)
        some = whole(aggregate, partials(aggregate, [(1, 5.0, 7)]))
        nothing = whole(aggregate, partials(aggregate, [(2, nan, 0)]))
        if name == "whole":
            nothing = np.array(empty_of(aggregate))
        both = whole(aggregate, [np.array(slot) for slot in zip(nothing, some, strict=True)])
        np.testing.assert_array_equal(finish(aggregate, both[None, :], 9), finish(aggregate, some[None, :], 9), name)
