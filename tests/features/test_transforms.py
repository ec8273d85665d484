"""Transforms mean the same in NumPy and in SQL, and say at once what they cannot be made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita import INTERACTION, Column, Entity, Source, system
from orita.core.errors import UserError
from orita.features.declarations import Derived, Expression
from orita.features.declaring.kinds import value_of
from orita.features.expressions import Reads, evaluators
from orita.features.registry.written import read_expression, written_expression
from orita.features.transforms import Derivable, Transform
from orita.features.transforms.arithmetic import Arithmetic
from orita.features.transforms.bucket import Bucket
from orita.features.transforms.calendar import Calendar
from orita.features.transforms.clip import Clip
from orita.features.transforms.cross import Cross
from orita.features.transforms.equals import Equals
from orita.features.transforms.impute import Impute, Missing
from orita.features.transforms.logarithm import Log
from orita.features.transforms.scale import Scale

Floats = npt.NDArray[np.float64]

HOUR = 3_600_000_000
DAY = 24 * HOUR
SHOWN = Source("interactions", INTERACTION)
USER = Entity(
    "user",
    "user_id",
    "users",
    [
        Column("group", "category", choices=("a", "b", "c")),
        Column("age", "float"),
        Column("visits", "int"),
        Column("born", "time"),
        Column("bio", "str"),
        Column("tags", "list", choices=("x", "y")),
    ],
)
ITEM = Entity("item", "item_id", "items", [Column("topic", "category", choices=("x", "y"))])

COUNT = SHOWN.count().by(USER)
SPENT = SHOWN.sum("dwell_time").by(USER)

odd = st.sampled_from([
    math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.1, 5e-324, 1e308, -1e308, float(HOUR), float(-DAY), 10.0,
    HOUR * 1e5 - 1, -HOUR * 1e5 - 1, 3.0, 2.0**53, -(2.0**53), 1 - 2.0**-53, -1 + 2.0**-53,
])  # fmt: skip
numbers = odd | st.floats() | st.integers(-(2**53), 2**53).map(float)
finite = st.floats(-1e300, 1e300)
constants = st.none() | finite
transforms: st.SearchStrategy[Transform] = st.one_of(
    st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"])),
    st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"]), left=finite),
    st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/"]), right=finite),
    st.builds(Bucket, st.lists(finite, min_size=1, max_size=5, unique=True).map(lambda edges: tuple(sorted(edges)))),
    st.builds(Bucket, st.just((-1.0, 0.0, 0.1, 10.0))),
    st.builds(Calendar, st.sampled_from(["hour", "weekday"])),
    st.builds(lambda bounds: Clip(*sorted(bounds)), st.tuples(finite, finite)),
    st.builds(Clip, low=finite),
    st.builds(Clip, high=finite),
    st.builds(Cross, st.integers(2, 1_000_000)),
    st.builds(Equals, st.sampled_from([0.0, 1.0, 3.0])),
    st.builds(Impute, finite),
    st.builds(Log, st.none() | st.floats(5e-324, 1e300)),
    st.builds(Missing),
    st.builds(Scale, finite, finite.filter(bool)),
)


def by_sql(transform: Transform, columns: list[Floats]) -> tuple[Floats, Floats]:
    """Return what SQL makes of columns, NaN for null, and where it gave a NaN, which it never should."""
    names = [f"c{i}" for i in range(len(columns))]
    table = pa.table(
        {name: pa.array(value_N, mask=np.isnan(value_N)) for name, value_N in zip(names, columns, strict=True)}
    )
    made = duckdb.from_arrow(table).project(f"{transform.sql(*names)} AS made").to_arrow_table()["made"]
    assert made.type == pa.float64()
    null_N = np.asarray(made.is_null().to_numpy())
    raw_N = np.asarray(made.fill_null(0.0).to_numpy())
    return np.where(null_N, np.nan, raw_N), raw_N


@settings(max_examples=150, deadline=None)
@given(transforms, st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_numpy_and_sql_agree(transform: Transform, rows: list[tuple[float, float]]) -> None:
    """Every transform gives the same values in NumPy and DuckDB, missing where missing, whatever the numbers."""
    constants = isinstance(transform, Arithmetic) and (transform.left is not None or transform.right is not None)
    pair = isinstance(transform, Cross) or (isinstance(transform, Arithmetic) and not constants)
    columns = [np.array([row[i] for row in rows]) for i in range(2 if pair else 1)]
    before = [value_N.copy() for value_N in columns]
    made_N = transform.apply(*columns)
    told_N, raw_N = by_sql(transform, columns)
    assert made_N.dtype == np.float64 and made_N.shape == (len(rows),)
    assert not np.isnan(raw_N).any(), "SQL gave NaN where it owes null"
    tolerance = 4e-16 if isinstance(transform, Log) else 0
    np.testing.assert_allclose(made_N, told_N, rtol=tolerance, atol=0, equal_nan=True)
    for value_N, same_N in zip(columns, before, strict=True):
        np.testing.assert_array_equal(value_N, same_N)


@settings(max_examples=60, deadline=None)
@given(transforms, st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
def test_what_is_declared_is_what_comes_out(transform: Transform, rows: list[tuple[float, float]]) -> None:
    """Categories are whole numbers below their cardinality, flags are 0 or 1 and never missing."""
    columns = [np.array([row[i] for row in rows]) for i in range(2)]
    whole = isinstance(transform, Cross)
    made_N = transform.apply(*(np.trunc(c) for c in columns)) if whole else transform.apply(*columns)
    known_N = made_N[~np.isnan(made_N)]
    match transform.kind:
        case "category":
            assert np.isin(known_N, np.arange(transform.cardinality)).all() and transform.cardinality > 1
        case "flag":
            assert len(known_N) == len(made_N) and np.isin(known_N, (0, 1)).all()
        case _:
            assert transform.cardinality == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(-(10**15), 10**15), st.sampled_from(["hour", "weekday"]))
def test_the_calendar_is_that_of_utc(micros: int, part: Any) -> None:
    """Hours and weekdays of times before and after 1970 are those of the calendar, to the microsecond."""
    expected = micros // HOUR % 24 if part == "hour" else (micros // DAY + 3) % 7
    assert Calendar(part).apply(np.array([float(micros)]))[0] == expected


@pytest.mark.parametrize(
    ("made", "values", "expected"),
    [
        (COUNT.log(), [0, math.e - 1, -1, -2], [0, 1, math.nan, math.nan]),
        (COUNT.log(floor=1), [0, math.e, -5, math.nan], [0, 1, 0, math.nan]),
        (COUNT.bucket(0, 1, 10), [-1, 0, 0.5, 1, 9.9, 10, math.nan], [0, 1, 1, 2, 2, 3, math.nan]),
        (SPENT.clip(0, 9), [-1, 5, math.inf, math.nan], [0, 5, 9, math.nan]),
        (SPENT.clip(high=9), [-math.inf, 10], [-math.inf, 9]),
        (SPENT.min_max(100, 300), [100, 300, 0], [0, 1, -0.5]),
        (SPENT.standardise(mean=10, std=2), [10, 14, math.nan], [0, 2, math.nan]),
        (SPENT.impute(-1), [3, math.nan], [3, -1]),
        (SPENT.is_missing(), [3, math.nan], [0, 1]),
        (USER["group"].equals("b"), [0, 1, math.nan], [0, 1, 0]),
        (USER["visits"].equals(3), [3, 1, math.nan], [1, 0, 0]),
        (USER["born"].hour(), [-1, 0, 90 * 60e6], [23, 0, 1]),
        (SHOWN.last_time().by(USER).weekday(), [-1, 0, DAY, 4 * DAY], [2, 3, 4, 0]),
        (1 - SPENT, [3, math.nan], [-2, math.nan]),
        (SPENT - 1, [3], [2]),
        (2 / SPENT, [4, 0, -0.0, math.inf], [0.5, math.nan, math.nan, 0]),
        (SPENT / 2, [4], [2]),
        (2 * SPENT, [4], [8]),
        (SPENT * 2, [4], [8]),
        (SPENT + 1, [4], [5]),
        (1 + SPENT, [4], [5]),
        (SPENT / 0, [4, 0], [math.nan, math.nan]),
    ],
)
def test_methods_make_what_they_say(made: Derived, values: list[float], expected: list[float]) -> None:
    """Each method of an expression has the meaning that its sentence states."""
    np.testing.assert_allclose(made.transform.apply(np.array(values, float)), expected, rtol=1e-15, equal_nan=True)


@pytest.mark.parametrize(("operator", "expected"), [("+", 8), ("-", 4), ("*", 12), ("/", 3)])
def test_two_values_keep_their_sides(operator: Any, expected: float) -> None:
    """The left value stays left, also where both are values of the row, and one value serves many rows."""
    made = {"+": SPENT + COUNT, "-": SPENT - COUNT, "*": SPENT * COUNT, "/": SPENT / COUNT}[operator]
    assert made.inputs == (SPENT, COUNT)
    assert made.transform.apply(np.array([6.0, 6.0]), np.array([2.0])).tolist() == [expected, expected]


def test_a_cross_spreads_and_never_moves() -> None:
    """The hash is pinned, since models and state outlive a release, and small codes spread evenly over the buckets."""
    pinned = Cross(1000).apply(np.array([0, 1, 2, -7, 2.0**53]), np.array([0, 2, 1, 5, 3.0]))
    assert pinned.tolist() == [268, 676, 210, 718, 725]
    left, right = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(200), np.arange(100)))
    filled = np.bincount(Cross(1000).apply(left, right).astype(int), minlength=1000)
    chi = float(((filled - 20) ** 2 / 20).sum())
    assert 850 < chi < 1150  # 999 degrees of freedom, standard deviation 45
    assert Cross(1000).apply(np.array([1.0]), np.array([2.0])) != Cross(1000).apply(np.array([2.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: COUNT.log(floor=0), "finite floor above 0"),
        (COUNT.bucket, "one edge or more"),
        (lambda: COUNT.bucket(1, 1), "greater than the one before"),
        (lambda: COUNT.bucket(0, math.inf), "finite"),
        (COUNT.clip, "one finite bound"),
        (lambda: COUNT.clip(2, 1), "low ≤ high"),
        (lambda: COUNT.min_max(1, 1), "the second above the first"),
        (lambda: COUNT.min_max(-1.7e308, 1.7e308), "two finite numbers"),
        (lambda: COUNT.standardise(mean=0, std=0), "std above 0"),
        (lambda: COUNT.impute(math.nan), "finite number"),
        (USER["group"].log, r"log\(\) takes a number, not attribute 'user_group' .*one_hot"),
        (lambda: USER["born"] - 1, r"- takes a number, not attribute 'user_born' .*age\(\)"),
        (lambda: SHOWN.last_time() / 2, r"/ takes a number, not the time last_time\(\)"),
        (lambda: USER["tags"].impute(0), "type 'list'"),
        (USER["bio"].is_missing, "takes a value of the row, not attribute 'user_bio' of type 'str'"),
        (USER["tags"].is_missing, "takes a value of the row"),
        (USER["age"].hour, "takes a time"),
        (SHOWN.context.timestamp.hour, "takes a time"),
        (lambda: USER["group"].cross(buckets=10), "name one at least"),
        (lambda: USER["group"].cross(ITEM["topic"], buckets=1), "2 to 1000000"),
        (lambda: USER["group"].cross(USER["age"], buckets=10), "a category, a flag or a whole number"),
        (lambda: USER["group"].equals("d"), "cannot be 'd'. Known: a, b, c"),
        (lambda: USER["visits"].equals("3"), "a whole number, not '3'"),
        (lambda: USER["visits"].equals(True), "a whole number, not True"),
        (lambda: USER["age"].one_hot(3), r"one_hot\(\) takes a category"),
        (USER["group"].one_hot, "one value or more"),
        (lambda: USER["group"].one_hot("a", "a"), "each once"),
        (lambda: COUNT.bucket(1, 2).one_hot(3), "It is 0 to 2"),
        (lambda: SHOWN.context.request_id.one_hot(1), "takes texts"),
        (lambda: USER["bio"].one_hot("a"), "takes a category"),
        (lambda: SPENT + math.inf, "finite numbers"),
        (lambda: SPENT + True, "not bool True"),
        (lambda: SPENT.bucket("1"), "not str '1'"),  # type: ignore[arg-type]
        (lambda: SPENT + "1", "not str '1'"),  # type: ignore[operator]
        (lambda: SPENT / SHOWN.click, "not EventColumn"),  # type: ignore[operator]
        (lambda: SPENT / COUNT.over("1d", "7d"), "which are several"),
        (lambda: SPENT.cross(3, buckets=3), r"cross\(\) takes"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_transform_says_what_is_wrong(declare: Callable[[], Any], says: str) -> None:
    """Each mistake is refused when it is written, with a sentence that says what is allowed."""
    with pytest.raises(UserError, match=says):
        declare()


def test_derived_features_are_columns() -> None:
    """A derived feature has the kind, the cardinality and the side of what it is made of; a one-hot has several."""
    declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    declared.features(
        rate=SPENT / COUNT,
        step=COUNT.bucket(1, 10),
        gone=SPENT.is_missing(),
        pair=USER["group"].cross(ITEM["topic"], buckets=100_000),
        group=USER["group"].one_hot("a", "c"),
        step_is=COUNT.bucket(1, 10).one_hot(0, 2),
        device=SHOWN.context.device.one_hot("mobile"),
        at=SHOWN.context.hour_of_day().one_hot(7),
        last=SHOWN.last("device").by(USER).one_hot("tablet"),
        alone=USER["group"].equals("a"),
    )
    columns = [(c.name, c.side, c.kind, c.cardinality, c.arrow) for c in declared.schema().columns]
    assert columns == [
        ("rate", "user", "number", 0, "float32"),
        ("step", "user", "category", 3, "int16"),
        ("gone", "user", "flag", 0, "int8"),
        ("pair", "pair", "category", 100_000, "int32"),
        ("group_a", "user", "flag", 0, "int8"),
        ("group_c", "user", "flag", 0, "int8"),
        ("step_is_0", "user", "flag", 0, "int8"),
        ("step_is_2", "user", "flag", 0, "int8"),
        ("device_mobile", "context", "flag", 0, "int8"),
        ("at_7", "context", "flag", 0, "int8"),
        ("last_tablet", "user", "flag", 0, "int8"),
        ("alone", "user", "flag", 0, "int8"),
    ]


class At:
    """Rows as of one time."""

    at = 7 * HOUR


def test_engines_evaluate_derived_features_and_one_hots() -> None:
    """Derived values nest, read what they are made of, and a missing category has no flag."""
    declared = system("s", label=SHOWN.click, rank=ITEM, for_=USER)
    declared.features(
        rate=((SPENT / COUNT) - 1).clip(0, 2),
        group=USER["group"].one_hot("a", "c"),
        device=SHOWN.context.device.one_hot("mobile"),
        place=SHOWN.context.position.one_hot(1),
        at=SHOWN.context.hour_of_day().one_hot(6, 7),
    )
    aggregates = {SPENT: np.array([6.0, 1.0, 1.0]), COUNT: np.array([2.0, 4.0, 0.0])}
    reads: Reads[At] = Reads(
        aggregate=lambda wanted: lambda _: aggregates[wanted],
        attribute=lambda _: lambda _: np.array([[2.0], [math.nan], [0.0]]),
        equals=lambda column, value: lambda _: float((column.name, value) == ("device", "mobile")),
        context=lambda column: lambda _: {"position": 1.0}[column.name],
    )
    made = {name: np.asarray(evaluate(At())).tolist() for name, evaluate in evaluators(declared, reads).items()}
    assert list(made) == list(declared.schema().names)
    np.testing.assert_equal(made.pop("rate"), [2.0, 0.0, math.nan])
    assert made == {
        "group_a": [0, 0, 1],
        "group_c": [1, 0, 0],
        "device_mobile": 1.0,
        "place_1": [1],
        "at_6": [0],
        "at_7": [1],
    }


def test_every_expression_has_a_kind() -> None:
    """What may be made of a value follows from its kind: whole numbers are known as such, times and texts too."""
    expected: list[tuple[Expression, str, bool]] = [
        (SHOWN.sum("position"), "number", True),
        (SHOWN.sum("dwell_time"), "number", False),
        (SHOWN.mean("position"), "number", False),
        (SHOWN.count_distinct("device"), "count", True),
        (SHOWN.first_time(), "time", False),
        (SHOWN.last("device"), "category", True),
        (USER["visits"], "number", True),
        (USER["age"], "number", False),
        (USER["bio"], "text", False),
        (USER["tags"].equals if False else USER["tags"], "list", False),
        (SHOWN.context.timestamp, "text", False),
        (SHOWN.last_time().age(), "number", False),
        (SPENT.bucket(1), "category", True),
        (USER["group"].one_hot("a"), "flags", False),
    ]
    assert [(value_of(each).kind, value_of(each).whole) for each, _, _ in expected] == [
        (kind, whole) for _, kind, whole in expected
    ]


def test_every_value_can_be_derived_from() -> None:
    """What can be a feature by itself has the methods, but for a one-hot, which is several columns."""
    for each in (COUNT, USER["age"], USER["born"].age(), SHOWN.context.click, SHOWN.context.hour_of_day(), SPENT.log()):
        assert isinstance(each, Derivable)


@pytest.mark.parametrize("made", [SPENT.log(floor=1), SPENT.bucket(0, 1.5), 1 / SPENT, COUNT.cross(COUNT, buckets=9)])
def test_constants_mean_what_they_are_worth(made: Derived) -> None:
    """A declaration that is written down and read again is the same, and 1 means 1.0."""
    assert read_expression(written_expression(made)) == made
    assert repr(SPENT.bucket(0, 1).transform) == repr(SPENT.bucket(0.0, 1.0).transform)
