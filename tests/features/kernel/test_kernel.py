"""The batch kernel against plain Python, on small streams with ties, late events, missing keys and odd times."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.features.declaring.windows import Window
from orita.features.kernel import folds
from orita.features.kernel.compiled import compiled
from orita.features.kernel.folding import Sight, folds_of
from orita.features.kernel.grouping import Codes, codes_of_integers, group, group_sides, time_order
from orita.features.kernel.instants import order_ties, tied
from orita.features.kernel.ranges import Ranges, Timeline, find_late, find_ranges
from orita.features.kernel.spans import find_spans

Event = tuple[int, int, int, float]  # key (−1: missing), time, known, value
Row = tuple[int, int]  # key, time

times = st.integers(-40, 40)
keys = st.integers(-1, 3)
values = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 1e15, -1e15, 3.0])
events_of = st.lists(
    st.tuples(keys, times, st.integers(0, 3).map(lambda n: 0 if n < 2 else n * 7), values), max_size=25
)
rows_of = st.lists(st.tuples(keys, st.integers(-45, 60)), max_size=12)
windows = st.one_of(
    st.builds(Window, delay=st.sampled_from([0, 5]), cap=st.sampled_from([0, 3])),
    st.builds(
        Window,
        st.just("sliding"),
        st.integers(1, 30),
        st.sampled_from([0, 1, 4, 10]),
        st.sampled_from([0, 3]),
        st.sampled_from([0, 2]),
    ),
    st.builds(Window, st.just("tumbling"), st.integers(1, 30), st.just(0), st.sampled_from([0, 3])),
    st.builds(
        Window,
        st.just("session"),
        st.integers(1, 12),
        st.just(0),
        st.sampled_from([0, 3]),
        st.sampled_from([0, 2]),
    ),
)


def seen(events: Sequence[Event], row: Row, window: Window, *, known: bool) -> list[Event]:
    """Return the events that *row* sees, in order of time: the definition, word by word."""
    key, at = row
    now = at - window.delay
    past = [e for e in events if e[0] == key != -1 and e[1] < now and (not known or e[2] <= at)]
    past.sort(key=lambda e: e[1])
    if window.kind == "sliding":
        begin = now - window.width
        begin = math.floor(Fraction(begin, window.hop)) * window.hop if window.hop else begin
        past = [e for e in past if e[1] >= begin]
    elif window.kind == "tumbling":
        past = [e for e in past if e[1] >= math.floor(Fraction(now, window.width)) * window.width]
    elif window.kind == "session":
        open_: list[Event] = []
        after = now
        for event in reversed(past):
            if after - event[1] >= window.width:
                break
            open_.insert(0, event)
            after = event[1]
        past = open_
    return past[-window.cap :] if window.cap else past


def compute(
    events: Sequence[Event],
    rows: Sequence[Row],
    window: Window,
    fold: Callable[[list[Event], np.ndarray, np.ndarray, Sight], np.ndarray],
    *,
    known: bool,
    spans: bool = True,
) -> np.ndarray:
    """Return *fold* of what each row sees, by the kernel: of late rows by spans, or as single events."""
    key = np.array([e[0] for e in events] + [row[0] for row in rows], np.int64)
    codes = codes_of_integers(key, key >= 0)
    told, asked = (Codes(part, codes.groups) for part in np.split(codes.code_N, [len(events)]))
    at_N, at_M = (np.array([each[1] for each in some], np.int64) for some in (events, rows))
    by_event, by_row = group_sides([(told, asked)], time_order(at_N), time_order(at_M))
    arranged = [events[e] for e in by_event.order_M]
    time_E, time_Q = at_N[by_event.order_M], at_M[by_row.order_M]
    known_E = np.array([e[2] for e in arranged], np.int64) if known else None
    timeline = Timeline(time_E, by_event.start_K, time_Q, by_row.start_K, known_E)
    folded = fold(arranged, time_E, time_Q, find_ranges(timeline, window))
    if window.kind == "session" or not spans:
        for late in find_late(timeline, window, at_most=7):
            picked = [arranged[e] for e in late.pick_P]
            folded[late.row_L] = fold(picked, time_E[late.pick_P], time_Q[late.row_L], late.ranges)
    else:
        row_L, pick_P, seen_by = find_spans(timeline, window)
        folded[row_L] = fold([arranged[e] for e in pick_P], time_E[pick_P], time_Q[row_L], seen_by)
    out = np.full(len(rows), np.nan)
    out[by_row.order_M] = folded
    return out


def value_of(events: Sequence[Event]) -> np.ndarray:
    """Return the values as an array."""
    return np.array([e[3] for e in events], np.float64)


def codes_of(values: np.ndarray) -> np.ndarray:
    """Return a small number for each value."""
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def variance(xs: list[float]) -> float:
    """Return the population variance, exactly."""
    exact = [Fraction(x) for x in xs]
    mean = sum(exact) / len(exact)
    return float(sum((x - mean) ** 2 for x in exact) / len(exact))


def moment_variance(events: list[Event], ranges: Sight) -> np.ndarray:
    """Return the population variance by the kernel."""
    found = folds_of(ranges).moments(value_of(events), ranges)
    return np.where(found.n_Q > 0, found.squares_Q / np.maximum(found.n_Q, 1), np.nan)


HALF = 7
FOLDS: dict[str, tuple[Any, Any, float]] = {
    "count": (lambda e, t, q, r: folds_of(r).count(r).astype(np.float64), lambda xs, ages: len(xs), 0),
    "sum": (lambda e, t, q, r: folds_of(r).total(value_of(e), r), lambda xs, ages: math.fsum(xs), 1e-12),
    "maximum": (lambda e, t, q, r: folds_of(r).maximum(value_of(e), r), lambda xs, ages: max(xs, default=math.nan), 0),
    "first": (lambda e, t, q, r: folds_of(r).edge(value_of(e), r, last=False), lambda xs, ages: [*xs, math.nan][0], 0),
    "last": (lambda e, t, q, r: folds_of(r).edge(value_of(e), r, last=True), lambda xs, ages: [math.nan, *xs][-1], 0),
    "variance": (lambda e, t, q, r: moment_variance(e, r), lambda xs, ages: variance(xs) if xs else math.nan, 1e-12),
    "distinct": (
        lambda e, t, q, r: folds_of(r).distinct(codes_of(value_of(e)), 99, r) * 1.0,
        lambda xs, ages: len(set(xs)),
        0,
    ),
    "quantile": (
        lambda e, t, q, r: folds_of(r).quantile(value_of(e), 0.75, r),
        lambda xs, ages: sorted(xs)[math.ceil(0.75 * len(xs)) - 1] if xs else math.nan,
        0,
    ),
    "decayed": (
        lambda e, t, q, r: folds_of(r).decayed(value_of(e), t, HALF, r),
        lambda xs, ages: math.fsum(x * 0.5 ** ((age - ages[-1]) / HALF) for x, age in zip(xs, ages, strict=True)),
        1e-12,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDS)
@settings(deadline=None)  # the first call compiles
@given(events=events_of, rows=rows_of, window=windows, known=st.booleans(), spans=st.booleans())
def test_every_fold_over_every_window_is_the_definition(
    name: str, events: list[Event], rows: list[Row], window: Window, known: bool, spans: bool
) -> None:
    """Whatever the events, rows and window, the kernel gives what the definition gives, event by event."""
    fold, plain, tolerance = FOLDS[name]
    events = [(key, time, time + late, value) for key, time, late, value in events]
    found = compute(events, rows, window, fold, known=known, spans=spans)
    for row, value in zip(rows, found, strict=True):
        past = seen(events, row, window, known=known)
        xs, ages = [e[3] for e in past], [row[1] - e[1] for e in past]
        if row[0] == -1:
            assert math.isnan(value)
            continue
        expected = plain(xs, ages)
        scale = math.fsum(x * x for x in xs) if name == "variance" else math.fsum(map(abs, xs))
        if math.isnan(expected) or not tolerance:
            assert value == expected or (math.isnan(value) and math.isnan(expected))
        else:
            assert abs(value - expected) <= tolerance * scale


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=12), st.data())
def test_sums_of_integers_are_exact_beyond_64_bits(numbers: list[int], data: st.DataObject) -> None:
    """Even where the sum fits no 64-bit integer, it is the exact sum, rounded once."""
    bounds = sorted(data.draw(st.lists(st.integers(0, len(numbers)), min_size=4, max_size=4)))
    ranges = Ranges(np.array([bounds[0], bounds[1]]), np.array([bounds[2], bounds[3]]))
    found = folds.total(np.array(numbers, np.int64), ranges)
    assert found.tolist() == [float(sum(numbers[bounds[0] : bounds[2]])), float(sum(numbers[bounds[1] : bounds[3]]))]


parts_of = st.lists(st.tuples(st.integers(-2, 200_000), st.integers(-2, 200_000) | st.integers(0, 3)), max_size=40)


@settings(deadline=None)
@given(parts_of, parts_of, st.integers(0, 2))
def test_composite_keys_are_told_apart(told: list[tuple[int, int]], asked: list[tuple[int, int]], columns: int) -> None:
    """Events and rows meet exactly when all parts of their keys agree: (1, 11) is not (11, 1)."""
    pairs = told + asked
    coded = []
    for column in range(columns):
        values = np.array([pair[column] for pair in pairs], np.int64)
        codes = codes_of_integers(values, values >= 0)
        coded.append(tuple(Codes(part, codes.groups) for part in np.split(codes.code_N, [len(told)])))
    within_E, within_Q = (np.arange(len(some), dtype=np.int32) for some in (told, asked))
    events, rows = group_sides([(told, asked) for told, asked in coded], within_E, within_Q)
    assert len(events.start_K) == len(rows.start_K)
    met: dict[tuple[int, ...], list[list[int]]] = {}
    for side, some in enumerate((told, asked)):
        for position, pair in enumerate(some):
            if min(pair[:columns], default=0) >= 0:
                met.setdefault(pair[:columns], [[], []])[side].append(position)
    found = [
        [groups.order_M[groups.start_K[k] : groups.start_K[k + 1]].tolist() for groups in (events, rows)]
        for k in range(len(events.start_K) - 1)
    ]
    assert sorted(each for each in found if any(each)) == sorted(met.values())
    alone = group([told for told, _ in coded], within_E)
    spans = pairwise(alone.start_K)
    assert sorted(alone.order_M[a:b].tolist() for a, b in spans if b > a) == sorted(e for e, _ in met.values() if e)


@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(-3, 3), max_size=30))
def test_rows_are_ordered_by_time_and_stay_as_they_are_within_an_instant(times: list[int]) -> None:
    """The order of time is stable, near zero and over the whole range of 64 bits."""
    order = time_order(np.array(times, np.int64)).tolist()
    assert order == sorted(range(len(times)), key=lambda n: times[n])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.binary(max_size=6)), max_size=30))
def test_events_of_one_instant_are_ordered_by_id(events: list[tuple[int, int, bytes]]) -> None:
    """Events of one key and instant stand in the order of their ids' bytes, all others where they were."""
    events = [(key, time, identity.replace(b"\0", b"0")) for key, time, identity in events]
    events.sort(key=lambda event: event[:2])
    time_E = np.array([event[1] for event in events], np.int64)
    start_K = np.searchsorted(np.array([event[0] for event in events], np.int64), np.arange(4))
    order_E = np.arange(len(events), dtype=np.int32)
    tied_T, instant_T = tied(time_E, start_K)
    ids_T = np.array([events[e][2] for e in tied_T], "S40")
    sorted_E = order_ties(order_E, tied_T, instant_T, ids_T)
    assert [events[e] for e in sorted_E] == sorted(events)


def test_a_folder_that_cannot_be_written_costs_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where machine code cannot be kept, functions are compiled anew in each process."""

    def njit(**options: bool) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr("orita.features.kernel.compiled.numba", SimpleNamespace(njit=njit))

    def double(x: int) -> int:
        return 2 * x

    assert compiled(double)(21) == 42
