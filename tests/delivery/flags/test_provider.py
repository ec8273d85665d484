from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason

from orita.delivery.assignment import fraction
from orita.delivery.flags import FlagSet, read_flags
from orita.delivery.flags.provider import OritaProvider

TEXT = """
flags:
  - {key: lamp, rules: [{name: half, rollout: {percent: 50}, serve: "on"}]}
  - {key: text, kind: multivariate, variants: {a: hello}, default: a}
  - {key: whole, kind: multivariate, variants: {a: 3}, default: a}
  - {key: part, kind: multivariate, variants: {a: 2.5}, default: a}
  - {key: thing, kind: multivariate, variants: {a: {x: [1]}}, default: a}
"""


class Place:
    """Where the flags of now are."""

    def __init__(self) -> None:
        self.flags = FlagSet.of(read_flags(TEXT, "yaml").flags)


@pytest.fixture
def place() -> Place:
    """The flags of the text."""
    return Place()


@pytest.fixture
def client(place: Place) -> Iterator[OpenFeatureClient]:
    """A client of the SDK over them."""
    api.set_provider(OritaProvider(lambda: place.flags), "orita-tests")
    yield api.get_client("orita-tests")
    api.clear_providers()


def test_every_type_is_resolved(client: OpenFeatureClient) -> None:
    """Boolean, text, whole number, number and object; a whole number is a number too."""
    assert client.get_string_value("text", "") == "hello"
    assert client.get_integer_value("whole", 0) == 3
    assert client.get_float_value("part", 0.0) == 2.5
    whole = client.get_float_value("whole", 0.0)
    assert (whole, type(whole)) == (3.0, float)
    assert client.get_object_value("thing", {}) == {"x": [1]}


@pytest.mark.parametrize("user", ["ann", "bo", "12", "é"])
def test_the_targeting_key_is_the_unit(client: OpenFeatureClient, user: str) -> None:
    """The SDK's targeting key decides, with variant, reason and the rule as metadata."""
    details = client.get_boolean_details("lamp", False, EvaluationContext(user, {"targetingKey": "other"}))
    on = fraction("lamp/rollout", user) < 0.5
    assert (details.value, details.variant) == (on, "on" if on else "off")
    assert details.reason == (Reason.SPLIT if on else Reason.DEFAULT)
    assert details.flag_metadata == ({"rule": "half"} if on else {})


def test_the_asynchronous_calls_answer_alike(client: OpenFeatureClient) -> None:
    """The SDK's coroutines go through the same provider."""
    context = EvaluationContext("ann")
    assert asyncio.run(client.get_boolean_value_async("lamp", False, context)) == client.get_boolean_value(
        "lamp", False, context
    )


@pytest.mark.parametrize(
    ("call", "key", "default"),
    [
        ("boolean", "text", True),
        ("string", "lamp", "x"),
        ("integer", "part", 5),
        ("integer", "lamp", 5),
        ("float", "lamp", 5.0),
        ("object", "text", {"d": 1}),
    ],
)
def test_another_type_is_the_callers_default(client: OpenFeatureClient, call: str, key: str, default: Any) -> None:
    """A flag of another type is an error of the SDK's kind, and never raises."""
    details = getattr(client, f"get_{call}_details")(key, default)
    assert (details.value, details.error_code, details.reason) == (default, ErrorCode.TYPE_MISMATCH, Reason.ERROR)


def test_a_flag_that_is_not_there(client: OpenFeatureClient) -> None:
    """Answers the default and the SDK's code for it."""
    details = client.get_string_details("lmap", "mine")
    assert (details.value, details.error_code) == ("mine", ErrorCode.FLAG_NOT_FOUND)


def test_another_set_holds_at_once(client: OpenFeatureClient, place: Place) -> None:
    """The provider asks for the set each time; a stale one says so."""
    assert client.get_string_details("text", "").reason == Reason.STATIC
    place.flags = FlagSet.of(read_flags(TEXT.replace("hello", "bye"), "yaml").flags).as_stale()
    details = client.get_string_details("text", "")
    assert (details.value, details.reason) == ("bye", Reason.STALE)


def test_objects_are_the_callers_own(client: OpenFeatureClient) -> None:
    """Who changes what was served changes nobody else's."""
    first = client.get_object_value("thing", {})
    assert isinstance(first, dict)
    first["x"].append(2)
    assert client.get_object_value("thing", {}) == {"x": [1]}
