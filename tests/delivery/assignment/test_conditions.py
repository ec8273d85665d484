from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.errors import UserError
from orita.delivery.assignment import Condition, matcher
from orita.delivery.assignment.versions import version_key

LATER = datetime(2027, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # taken as UTC
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def holds(condition: dict[str, Any], attributes: dict[str, Any], segments: dict[str, Any] | None = None) -> bool:
    """Tell whether a condition as JSON writes it holds at noon."""
    named = msgspec.convert(segments or {}, dict[str, Condition])
    return matcher(msgspec.convert(condition, Condition), named, NOON.timestamp)(attributes, None)


CASES: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    (
        {"is": "in", "values": ["SE", 12, True]},
        ["SE", 12, "12", 12.0, True, "true", ["x", "SE"], (12,)],
        ["se", 1, 1.0, False, [], ["x"], 12.5, 10**5000],
    ),
    ({"is": "in", "values": ["SE"], "ignore_case": True}, ["se", "Se", ["sE"]], ["s"]),
    ({"is": "in", "values": []}, [], ["", "x", 0]),
    ({"is": "starts_with", "values": ["ab", "x"]}, ["ab", "abc", "xy"], ["b", "AB", 1, ["ab"]]),
    ({"is": "ends_with", "values": ["é"], "ignore_case": True}, ["É", "café"], ["e"]),
    ({"is": "contains", "values": ["b"]}, ["abc"], ["ac", 5]),
    ({"is": "contains", "values": []}, [], ["abc", ""]),
    ({"is": "matches", "pattern": "^a+$"}, ["a", "aa"], ["b", 5]),
    ({"is": "matches", "pattern": "^a$", "ignore_case": True}, ["A"], ["b"]),
    (
        {"is": "number", "op": ">=", "value": 18},
        [18, 18.5, "18", "1e2", 10**400, 10**5000],
        [17, "x", True, float("nan"), "nan"],
    ),
    ({"is": "number", "op": "!=", "value": 0}, [1, "1"], [0, "0", -0.0, "x"]),
    ({"is": "number", "op": "=", "value": 0}, [0, -0.0, "0"], [False, ""]),
    (
        {"is": "version", "op": ">", "value": "1.2.3"},
        ["1.2.4", "1.10.0", "2.0.0-a"],
        ["1.2.3", "1.2.3-a", "1.3", "v2.0.0", 2],
    ),
    ({"is": "version", "op": "=", "value": "1.2.3"}, ["1.2.3", "1.2.3+build.5"], ["1.2.3-0"]),
    (
        {"is": "time", "op": "after", "value": "2026-03-01T12:00:00Z"},
        ["2026-03-01T12:00:01", "2026-03-01T11:30:00-01:00", LATER],
        ["2026-03-01T12:00:00Z", "soon", 5],
    ),
    ({"is": "time", "op": "before", "value": "2026-03-01T12:00:00Z"}, [datetime(2026, 3, 1, 11, tzinfo=UTC)], [NOON]),
    ({"is": "network", "values": ["10.0.0.0/8", "::1"]}, ["10.9.9.9", "::1"], ["11.0.0.1", "::2", "10.0.0", 10]),
    ({"is": "present"}, ["", 0, False, "x"], []),
]


@pytest.mark.parametrize(
    ("condition", "met", "not_met"), CASES, ids=[f"{case[0]['is']}-{n}" for n, case in enumerate(CASES)]
)
def test_each_condition_on_an_attribute(condition: dict[str, Any], met: list[Any], not_met: list[Any]) -> None:
    """It holds for what it means, and for nothing else, nor where the attribute is absent or null."""
    told = {**condition, "attribute": "a"}
    assert [value for value in met if not holds(told, {"a": value})] == []
    assert [value for value in not_met if holds(told, {"a": value})] == []
    assert not holds(told, {})
    assert not holds(told, {"a": None})
    assert holds({"is": "not", "of": told}, {})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=40)
@given(st.sampled_from(CASES), JUNK)
def test_no_attribute_raises(case: tuple[dict[str, Any], Any, Any], value: object) -> None:
    """Whatever a caller sends is met or not; a condition and its opposite never agree."""
    told = {**case[0], "attribute": "a"}
    assert holds(told, {"a": value}) is not holds({"is": "not", "of": told}, {"a": value})


def test_conditions_of_conditions() -> None:
    """All, any and none of them, and segments of segments."""
    yes, no = {"is": "present", "attribute": "a"}, {"is": "present", "attribute": "b"}
    for first in (yes, no):
        for second in (yes, no):
            both, either = first is yes and second is yes, first is yes or second is yes
            assert holds({"is": "all", "of": [first, second]}, {"a": 1}) is both
            assert holds({"is": "any", "of": [first, second]}, {"a": 1}) is either
    assert holds({"is": "all", "of": []}, {})
    assert not holds({"is": "any", "of": []}, {})
    segments = {"one": yes, "two": {"is": "not", "of": {"is": "segment", "name": "one"}}}
    assert holds({"is": "segment", "name": "one"}, {"a": 1}, segments)
    assert not holds({"is": "segment", "name": "two"}, {"a": 1}, segments)


def test_now_is_asked_only_where_it_is_needed() -> None:
    """A condition by the clock takes the time it is given, and reads the clock where it is given none."""

    def never() -> float:
        raise AssertionError("the clock was read")

    after = msgspec.convert({"is": "time", "op": "after", "value": NOON.isoformat()}, Condition)
    assert matcher(after, {}, never)({}, NOON.timestamp() + 1)
    assert not matcher(after, {}, never)({}, NOON.timestamp())
    assert not matcher(after, {}, NOON.timestamp)({}, None)
    with pytest.raises(AssertionError, match="the clock was read"):
        matcher(after, {}, never)({}, None)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ({"is": "version", "attribute": "a", "op": ">", "value": "v1.2"}, "'v1.2' for 'a' is no semantic version"),
        ({"is": "number", "attribute": "a", "op": ">", "value": float("inf")}, "allowed are finite numbers"),
        ({"is": "network", "attribute": "a", "values": ["10.0.0/8"]}, "'10.0.0/8' for 'a' is no network"),
        ({"is": "matches", "attribute": "a", "pattern": "("}, "is no regular expression"),
        ({"is": "segment", "name": "nordics"}, "'nordics' is not declared. Did you mean 'nordic'?"),
        ({"is": "segment", "name": "ring"}, "contains itself: ring → gnir → ring"),
    ],
)
def test_conditions_that_cannot_be_read_are_refused(condition: dict[str, Any], sentence: str) -> None:
    """At definition, with a sentence that names the value."""
    segments = {
        "nordic": {"is": "all", "of": []},
        "ring": {"is": "segment", "name": "gnir"},
        "gnir": {"is": "segment", "name": "ring"},
    }
    with pytest.raises(UserError, match=sentence.replace("?", r"\?")):
        holds(condition, {}, segments)


def test_the_order_of_versions() -> None:
    """The order that semver.org gives as its example, section 11, and numbers that are no text."""
    told = "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.10"
    keys = [version_key(text) for text in told.split()]
    assert None not in keys
    assert keys == sorted(keys, key=lambda key: key or ())
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "text", ["1", "1.2", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+", "v1.2.3", "1.2.3 ", "", "１.2.3"]
)
def test_what_is_no_version(text: str) -> None:
    """Two numbers, leading zeros, empty parts, spaces and foreign digits are none."""
    assert version_key(text) is None
