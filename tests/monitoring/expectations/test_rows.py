"""Expectations of rows: each rule finds its rows and no others; a row is passed or in quarantine, and none is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import NotFound
from orita.monitoring.expectations.check import check
from orita.monitoring.expectations.declaration import ColumnExpectation, Late, TableExpectation
from orita.monitoring.expectations.findings import Checked
from orita.monitoring.expectations.quarantine import QUARANTINE, parted

_NOW = datetime(2024, 5, 1, tzinfo=UTC)


def checked(values: dict[str, Any], **expected: Any) -> Checked:
    """Return the check of a batch; *expected* as of a table."""
    expected.setdefault("other_columns", "ignore")
    return check(pa.table(values), TableExpectation(**expected), at=_NOW)


def bad(values: list[Any] | pa.Array, type_: pa.DataType | None = None, **expected: Any) -> list[int]:
    """Return the rows that break an expectation of a column."""
    column = values if isinstance(values, pa.Array) else pa.array(values, type_)
    return checked({"x": column}, columns={"x": ColumnExpectation(**expected)}).bad_N.nonzero()[0].tolist()


def test_each_rule_finds_its_rows() -> None:
    """Missing values break nothing but the rule about them."""
    assert bad([1.0, None, float("nan"), 2.0], most_missing=0) == [1, 2]
    assert bad([1, None, -1, 5], minimum=0, maximum=4) == [2, 3]
    assert bad(["a", "b", None, "A"], choices=("a", "b")) == [3]
    assert bad([1, 2, 3, None], choices=("1", "2", "x")) == [2]
    assert bad(["00123", "123", None, "001234", "00 23"], pattern=r"\d{5}") == [1, 3, 4]
    assert bad(["ab|c", "ab", "c"], pattern="ab|c") == [0]
    assert bad(["åäö", "abcd", None], longest=3) == [1]
    assert bad([2**60, 2**60 + 1, 2**60, None, None], unique=True) == [2]
    assert bad(["a", "b", "a", None, None, "a"], unique=True) == [2, 5]
    assert bad([0.5, 0.25, 0.5], unique=True) == [2]
    assert bad(pa.array(["a", "b", "a"]).dictionary_encode(), unique=True) == [2]


def test_each_type_finds_what_cannot_be_read_as_it() -> None:
    """Texts that are numbers are read as such; flags are numbers too."""
    assert bad(["1.5", " 2 ", "1,5", "", None, "1e3", "nan", "0x1"], type="number") == [2, 3, 6, 7]
    assert bad([1.0, 2.5, None, float("inf")], type="number") == [3]
    assert bad([1.0, 2.5, None], type="whole") == [1]
    assert bad([0, 1, 2, None], type="flag") == [2]
    assert bad([True, False, None], pa.bool_(), type="flag") == []
    assert bad([1, None], type="text") == [0]
    assert bad(["2024-01-01", None], type="time") == [0]
    assert bad([_NOW, None], type="time") == []
    assert bad([[1], None], type="number") == [0]
    assert bad([None, None], pa.null(), type="number") == []


def test_keys_of_another_table_are_looked_up() -> None:
    """What is not among them is an orphan, as a number and as text."""
    table = TableExpectation(columns={"user": ColumnExpectation(key_of="users.id")}, other_columns="ignore")
    for rows, known in (
        ([1, 2, 9, None], pa.array([1, 2, 3], pa.int32())),
        (["1", "2", "x", None], pa.array(["1", "2"])),
        (["1", "2", "x", None], pa.array([1, 2])),
    ):
        found = check(pa.table({"user": rows}), table, at=_NOW, keys=lambda name, known=known: known)  # type: ignore[misc]
        assert found.bad_N.tolist() == [False, False, True, False]
    with pytest.raises(NotFound, match=r"users\.id are not at hand"):
        check(pa.table({"user": [1]}), table, at=_NOW)


def test_totals_future_and_the_batch_as_a_whole() -> None:
    """Rows that break a total or lie ahead go to quarantine; what concerns the batch is told and loses no row."""
    times = [datetime(2024, 4, day, tzinfo=UTC) for day in (30, 1, 29)] + [datetime(2024, 5, 2, tzinfo=UTC)]
    values = {"at": times, "a": [1.0, 2.0, 3.0, 4.0], "b": [2.0, 4.0, 7.0, None]}
    found = checked(
        values,
        columns={"at": ColumnExpectation(), "a": ColumnExpectation(), "b": ColumnExpectation(most_missing=0.1)},
        time="at",
        ahead="1h",
        late=Late("2d", 0.1),
        fresh_within="1h",
        in_order=True,
        totals=("b = a * 2",),
        fewest_rows=5,
    )
    assert found.bad_N.tolist() == [False, False, True, True]
    assert {f.what for f in found.findings} == {"totals", "ahead", "late", "in_order", "fewest_rows", "most_missing"}
    assert found.failed
    stale = checked({"at": times[:2]}, columns={"at": ColumnExpectation()}, time="at", fresh_within="23h")
    assert [f.what for f in stale.findings] == ["fresh_within"]
    twice = checked({"a": [1, 1, 1]}, columns={"a": ColumnExpectation()}, most_duplicates=0.5, most_rows=2)
    assert {f.what for f in twice.findings} == {"most_duplicates", "most_rows"}


def test_a_warning_neither_fails_nor_takes_rows() -> None:
    """It is told, and that is all."""
    column = ColumnExpectation(minimum=0, severity="warning")
    found = checked({"x": [-1, 1]}, columns={"x": column})
    assert not found.failed
    assert found.passed_rows == 2
    assert found.findings[0].sentence == (
        "column 'x': 1 rows (50.00%) break minimum, which allows 0 or more, first '-1' in row 1."
    )


def test_quarantine_tells_the_first_reason_and_every_value() -> None:
    """In the form of the quarantine of ``orita ingest``."""
    rows = pa.table({"x": [-5, 3], "y": [None, "b"]})
    columns = {"x": ColumnExpectation(minimum=0), "y": ColumnExpectation(most_missing=0)}
    found = check(rows, TableExpectation(columns=columns), at=_NOW, source="new.csv")
    passed, quarantined = parted(rows, found)
    assert passed.to_pylist() == [{"x": 3, "y": "b"}]
    assert quarantined.schema == QUARANTINE
    (told,) = quarantined.to_pylist()
    assert json.loads(told.pop("original")) == {"x": "-5", "y": None}
    assert told == {
        **{"source": "new.csv", "row": 1, "column": "x", "value": "-5", "rule": "minimum"},
        "allowed": "0 or more",
    }


_VALUES = {
    pa.float64(): st.floats(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.string(): st.text(max_size=5),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", "UTC"): st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    pa.list_(pa.int64()): st.lists(st.integers(0, 3), max_size=2),
    pa.null(): st.none(),
}
_EXPECTED = st.builds(
    ColumnExpectation,
    type=st.sampled_from([None, "number", "whole", "flag", "text", "time"]),
    most_missing=st.sampled_from([0.0, 0.5, 1.0]),
    minimum=st.none() | st.just(0.0),
    choices=st.sampled_from([(), ("0", "a")]),
    longest=st.none() | st.just(2),
    unique=st.booleans(),
    severity=st.sampled_from(["error", "warning"]),
)


@settings(max_examples=60)
@given(st.data())
def test_no_row_is_lost_whatever_the_batch(data: st.DataObject) -> None:
    """Each row passes as it is or is in quarantine once; what passes breaks nothing when it is checked again."""
    rows = data.draw(st.integers(0, 8))
    columns, expected = {}, {}
    for name in data.draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True)):
        type_ = data.draw(st.sampled_from(list(_VALUES)))
        values = data.draw(st.lists(st.none() | _VALUES[type_], min_size=rows, max_size=rows))
        columns[name] = pa.array(values, type_)
        expected[name] = data.draw(_EXPECTED)
    batch, table = pa.table(columns), TableExpectation(columns=expected, fewest_rows=0)
    found = check(batch, table, at=_NOW)
    passed, quarantined = parted(batch, found)
    assert passed.num_rows + quarantined.num_rows == rows
    assert sorted(quarantined["row"].to_pylist()) == [row + 1 for row in range(rows) if found.bad_N[row]]
    again = check(passed, table, at=_NOW)
    assert not again.bad_N.any()
