"""Profiles of rows: what is exact equals what the rows say, however they are cut, merged, sliced and segmented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from orita.core.errors import NotFound, UserError
from orita.monitoring.profiles.bins import Bins, CategoryBins, NumberBins
from orita.monitoring.profiles.profiler import Key, Slicing, profile_rows, rolled_up
from orita.monitoring.profiles.reference import bins_of, reference_profile
from orita.monitoring.profiles.table import TableProfile, merged
from orita.stats.psi import bin_counts, psi_of_counts

_NUMBER = st.one_of(
    st.none(), st.floats(-50, 50, width=32), st.sampled_from([float("nan"), float("inf"), -float("inf"), 0.0, -0.0])
)
_TEXT = st.one_of(st.none(), st.sampled_from(["a", "b", "ünseen", "", "c" * 300]))
_ROWS = st.lists(st.tuples(_NUMBER, _TEXT), max_size=120)
_BINS: dict[str, Bins] = {"x": NumberBins((-1.0, 0.0, 2.5)), "t": CategoryBins(("a", "b", ""))}


def _table(rows: list[tuple[float | None, str | None]]) -> pa.Table:
    return pa.table(
        {"x": pa.array([x for x, _ in rows], pa.float64()), "t": pa.array([t for _, t in rows], pa.string())}
    )


def _exact(profile: TableProfile) -> dict[str, object]:
    """Return everything of a profile that is no estimate."""
    found: dict[str, object] = {"rows": profile.rows}
    for name, column in profile.columns.items():
        found[name] = (
            (column.rows, column.nulls, column.nans, column.infinite),
            (column.moments.count, column.moments.minimum, column.moments.maximum, column.quantiles.count),
            (column.lengths.count, column.lengths.minimum, column.lengths.maximum),
            tuple((item.value, item.low, item.high) for item in column.frequent.top(1_000)),
            None if column.binned is None else column.binned.cells.tolist(),
            round(column.distinct.estimate()),
        )
    return found


@given(_ROWS, st.lists(st.integers(0, 120), max_size=4))
@example([(0.0, None), (-0.0, None)], [1])
@settings(max_examples=30, deadline=None)
def test_parts_merge_to_the_whole(rows: list[tuple[float | None, str | None]], cuts: list[int]) -> None:
    """Cut anywhere and merged in either order and grouping, what is exact is as of all rows at once."""
    table = _table(rows)
    whole = profile_rows(table.to_batches(), bins=_BINS).whole()
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    parts = [profile_rows(table.slice(a, b - a).to_batches(), bins=_BINS).whole() for a, b in pairwise(edges)]
    assert _exact(merged(parts)) == _exact(whole)
    assert _exact(merged(parts[::-1])) == _exact(whole)
    assert _exact(merged([merged(parts[:2]), merged(parts[2:])])) == _exact(whole)


@given(_ROWS)
@settings(max_examples=30, deadline=None)
def test_counts_are_those_of_the_rows(rows: list[tuple[float | None, str | None]]) -> None:
    """Nulls, NaN, infinities, bounds and bins, by a second way of counting."""
    profile = profile_rows(_table(rows).to_batches(), bins=_BINS).whole()
    if not rows:
        assert profile.rows == 0
        return
    numbers = [x for x, _ in rows if x is not None]
    x, t = profile.columns["x"], profile.columns["t"]
    assert x.nulls == len(rows) - len(numbers)
    assert x.nans == sum(value != value for value in numbers)
    assert x.infinite == sum(abs(value) == float("inf") for value in numbers)
    finite = [value for value in numbers if abs(value) < float("inf")]
    assert x.moments.count == len(finite)
    assert x.moments.minimum == min(finite, default=float("inf"))
    assert x.binned is not None
    floats = np.array([np.nan if value is None else value for value, _ in rows])
    assert x.binned.cells[:-1].tolist() == bin_counts(floats, np.array([-1.0, 0.0, 2.5])).tolist()
    assert t.binned is not None
    texts = [text for _, text in rows]
    expected = [texts.count(None), *(texts.count(each) for each in ("a", "b", ""))]
    assert t.binned.cells.tolist() == [*expected, len(rows) - sum(expected)]


def _slot(seconds: int) -> datetime:
    return datetime(2024, 11, 15, tzinfo=UTC) + timedelta(seconds=seconds)


def _timed(rows: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "at": pa.array([_slot(int(s)) for s in rng.integers(0, 86_400, rows)], pa.timestamp("us", "UTC")),
            "x": rng.normal(size=rows),
            "device": pa.array(rng.choice(["mobile", "desktop"], rows)).dictionary_encode(),
        }
    )


def test_slices_and_segments_hold_their_rows_and_roll_up() -> None:
    """Each hour and device has its rows; a day of them, and all devices, are what the rows say."""
    table = _timed(5_000)
    slicing = Slicing(by="device", time="at", every=timedelta(hours=1))
    profiler = profile_rows(table.to_batches(700), slicing=slicing)
    assert len(profiler.parts) == 48
    frame = table.to_pylist()
    key = Key(int(_slot(3_600).timestamp() * 1e6), "mobile")
    assert key.at == _slot(3_600)
    mine = [row["x"] for row in frame if row["device"] == "mobile" and row["at"].hour == 1]
    assert profiler.parts[key].rows == len(mine)
    assert profiler.parts[key].columns["x"].moments.mean == pytest.approx(np.mean(mine))
    days = rolled_up(profiler.parts, every=timedelta(days=1), segments=False)
    (day,) = days.values()
    assert day.rows == 5_000
    assert day.columns["x"].moments.variance == pytest.approx(np.var(table["x"].to_numpy(), ddof=1))
    assert {k.segment for k in rolled_up(profiler.parts)} == {"mobile", "desktop"}


def test_weeks_begin_on_mondays() -> None:
    """Of rows, and of days that are rolled up."""
    at = [datetime(2024, 11, day, 23, tzinfo=UTC) for day in (10, 11, 17, 18)]
    table = pa.table({"at": pa.array(at), "x": [1.0, 2.0, 3.0, 4.0]})
    mondays = {datetime(2024, 11, day, tzinfo=UTC): rows for day, rows in ((4, 1), (11, 2), (18, 1))}
    weeks = profile_rows(table.to_batches(), slicing=Slicing(time="at", every=timedelta(days=7))).parts
    assert {key.at: part.rows for key, part in weeks.items()} == mondays
    days = profile_rows(table.to_batches(), slicing=Slicing(time="at", every=timedelta(days=1))).parts
    assert {key.at: part.rows for key, part in rolled_up(days, every=timedelta(days=7)).items()} == mondays


def test_rows_without_time_or_segment_have_a_place() -> None:
    """They are not lost: their slice, or segment, is none."""
    at = pa.array([None, _slot(0)], pa.timestamp("us", "UTC"))
    table = pa.table({"at": at, "by": pa.array(["a", None]), "x": [1.0, 2.0]})
    parts = profile_rows(table.to_batches(), slicing=Slicing("by", "at", timedelta(hours=1))).parts
    assert {(key.at, key.segment): part.rows for key, part in parts.items()} == {(None, "a"): 1, (_slot(0), None): 1}


def test_types_of_all_kinds_are_profiled() -> None:
    """Flags, dates, decimals, lists, structs and nothing at all: what cannot be measured is at least counted."""
    table = pa.table(
        {
            "flag": [True, False, None],
            "day": pa.array([0, 1, None], pa.date32()),
            "price": pa.array([1, 2, 3]).cast(pa.decimal128(22, 2)),
            "tags": [["a"], [], None],
            "features": pa.array([{"age": 1.0}, {"age": None}, None], pa.struct([("age", pa.float32())])),
            "void": pa.nulls(3),
            "id": pa.array([2**53, 2**53 + 2, 2**60], pa.int64()),
        }
    )
    columns = profile_rows(table.to_batches()).whole().columns
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        **{"flag": "text", "day": "time", "price": "number", "tags": "other"},
        **{"features.age": "number", "void": "nothing", "id": "number"},
    }
    assert [columns[name].nulls for name in ("flag", "tags", "features.age", "void")] == [1, 1, 2, 3]
    assert columns["day"].moments.maximum == 86_400e6
    days = {item.value for item in columns["day"].frequent.top()}
    assert days == {"1970-01-01 00:00:00.000000", "1970-01-02 00:00:00.000000"}
    assert round(columns["id"].distinct.estimate()) == 3


def test_a_column_that_comes_later_is_absent_before() -> None:
    """Rows without the column are told apart from rows where it was null."""
    first, second = pa.table({"x": [1.0]}), pa.table({"x": [2.0, 3.0], "y": [None, 1.0]})
    whole = profile_rows([*first.to_batches(), *second.to_batches()]).whole()
    assert (whole.absent("y"), whole.columns["y"].nulls, whole.absent("x"), whole.absent("z")) == (1, 1, 0, 3)


def test_a_column_that_turns_to_text_is_refused() -> None:
    """The sentence names the column and what it held."""
    batches = [*pa.table({"x": [1.0]}).to_batches(), *pa.table({"x": ["one"]}).to_batches()]
    with pytest.raises(UserError, match=r"'x' holds text \(string\) where it held number \(double\)"):
        profile_rows(batches)


def test_a_column_of_nothing_but_nulls_turns_into_anything() -> None:
    """It had no kind yet."""
    batches = [*pa.table({"x": pa.nulls(2)}).to_batches(), *pa.table({"x": ["one"]}).to_batches()]
    column = profile_rows(batches).whole().columns["x"]
    assert (column.kind, column.rows, column.nulls) == ("text", 3, 2)


@pytest.mark.parametrize(
    ("slicing", "sentence"),
    [
        ({"by": "devise"}, r"no column 'devise' to profile\. .*device"),
        ({"time": "x", "every": timedelta(hours=1)}, "'x' holds double, not times"),
        ({"by": "x"}, "more than 10,000 segments of 'x'"),
    ],
)
def test_bad_slicing_is_told(slicing: dict[str, object], sentence: str) -> None:
    """Which column, what is wrong, what to do."""
    with pytest.raises((UserError, NotFound), match=sentence):
        profile_rows(_timed(10_500).to_batches(), slicing=Slicing(**slicing))  # type: ignore[arg-type]


def test_slices_need_times_and_a_length() -> None:
    """A slice of nothing, and slices without a column of times, are refused at once."""
    with pytest.raises(UserError, match="give a slice of a second or more"):
        Slicing(time="at", every=timedelta(0))
    with pytest.raises(UserError, match="slices of time need the column of times"):
        Slicing(every=timedelta(hours=1))


def test_profiles_counted_in_other_bins_are_not_merged() -> None:
    """Their cells do not mean the same."""
    table = _timed(50)
    one = profile_rows(table.to_batches(), bins={"x": NumberBins((0.0,))}).whole()
    two = profile_rows(table.to_batches(), bins={"x": NumberBins((1.0,))}).whole()
    with pytest.raises(UserError, match="bins of different references"):
        one.merge(two)
    with pytest.raises(UserError, match="in one profile and not in the other"):
        two.merge(profile_rows(table.to_batches()).whole())


def test_bins_of_a_reference_hold_like_shares_of_it() -> None:
    """Twenty bins of about 5 %, each category one, few numbers one each; every row of the reference has a bin."""
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "x": rng.exponential(size=40_000),
            "few": rng.integers(0, 3, 40_000),
            "text": rng.choice(["a", "b", "c"], 40_000),
            "skewed": np.where(rng.random(40_000) < 0.4, 0.0, rng.random(40_000)),
            "tags": pa.array([["a"]] * 40_000),
        }
    )
    reference = reference_profile(lambda: table.to_batches(9_000))
    binned = {name: column.binned for name, column in reference.columns.items()}
    assert binned["tags"] is None
    for counts in binned.values():
        assert counts is None or (counts.counts_B.sum() == 40_000 and counts.counts_B.min() > 0 and not counts.unseen)
    assert binned["x"] is not None
    assert len(binned["x"].bins) == 20
    assert np.abs(binned["x"].counts_B / 40_000 - 0.05).max() < 0.015
    assert binned["few"] is not None
    assert binned["few"].bins == NumberBins((0.0, 1.0))
    assert binned["skewed"] is not None
    assert binned["skewed"].counts_B[0] > 15_000


def test_ks_and_psi_of_bins_are_those_of_rows() -> None:
    """Counts of a stream in the reference's bins give the index that the rows give, and KS at the edges."""
    rng = np.random.default_rng(7)
    before, after = rng.normal(size=20_000), rng.normal(0.2, 1.1, 30_000)
    before[:900], after[:200] = np.nan, np.nan
    reference = reference_profile(lambda: pa.table({"x": before}).to_batches(3_000)).columns["x"].binned
    assert reference is not None
    recent = profile_rows(pa.table({"x": after}).to_batches(3_000), bins={"x": reference.bins}).whole()
    counted = recent.columns["x"].binned
    assert counted is not None
    assert isinstance(counted.bins, NumberBins)
    edges = np.array(counted.bins.edges)
    assert reference.cells[:-1].tolist() == bin_counts(before, edges).tolist()
    assert counted.cells[:-1].tolist() == bin_counts(after, edges).tolist()
    by_rows = psi_of_counts(bin_counts(before, edges), bin_counts(after, edges))
    assert psi_of_counts(reference.cells, counted.cells) == pytest.approx(by_rows, rel=1e-12)
    shares = [counts.counts_B.cumsum() / counts.counts_B.sum() for counts in (reference, counted)]
    at_edges = np.abs(shares[0] - shares[1]).max()
    exact = ks_2samp(before[~np.isnan(before)], after[~np.isnan(after)]).statistic
    assert exact - 0.01 < at_edges <= exact + 1e-12


def test_one_bin_is_refused() -> None:
    """Nothing can be compared in it."""
    with pytest.raises(UserError, match="2 bins or more"):
        bins_of(TableProfile(), 1)


def test_correlations_are_kept_of_numbers() -> None:
    """Of the table's numbers, over batches, with a column that joins later."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=3_000)
    y = 0.5 * x + rng.normal(size=3_000)
    first = pa.table({"x": x[:1_000], "t": ["a"] * 1_000})
    second = pa.table({"x": x[1_000:], "y": y[1_000:], "t": ["a"] * 2_000})
    together = profile_rows([*first.to_batches(400), *second.to_batches(400)]).whole().together
    assert together is not None
    assert together.names == ("x", "y")
    assert together.correlations()[0, 1] == pytest.approx(np.corrcoef(x[1_000:], y[1_000:])[0, 1], abs=1e-12)


def test_room_does_not_grow_with_rows() -> None:
    """What a profile takes as bytes after 60 batches of new values is what it took after 20, to a quarter."""
    rng = np.random.default_rng(0)
    profile, sizes = TableProfile(), []
    for turn in range(60):
        values = rng.normal(size=4_000)
        profile.update(pa.record_batch({"x": values, "t": pa.array([f"{turn} {v:.6f}" for v in values])}))
        sizes.append(
            sum(
                len(c.quantiles.to_bytes()) + len(c.distinct.to_bytes()) + len(c.frequent.to_bytes())
                for c in profile.columns.values()
            )
        )
    assert sizes[-1] < 1.25 * sizes[19]
