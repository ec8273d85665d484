"""Where a body has NaN or an infinity, which JSON has not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.serving.http.decoding import BodyDecoder
from orita.serving.http.no_number import no_number
from orita.serving.http.refusal import Refused
from orita.serving.predict.requests import PredictRequest


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"NaN", ("", "NaN")),
        (b'{"a": [1, {"b": Infinity}], "c": NaN}', ("a[1].b", "Infinity")),
        (b"[[1], [2, -Infinity]]", ("[1][1]", "-Infinity")),
        (b'{"a": {"b": [1e5, -1e999]}}', ("a.b[1]", "-1e999")),
        (b"[1e308, 1e-999]", None),
        (b'{"a": "NaN"}', None),
        (b'{"NaN": 1', None),
        (b"[NaN", None),
        (b"[" * 100_000 + b"NaN", None),
        (b'{"\xff": NaN}', None),
    ],
)
def test_the_first_is_named(body: bytes, found: tuple[str, str] | None) -> None:
    """Its place and name are told; of what is broken otherwise, or too deep, nothing is."""
    assert no_number(body) == found
    assert no_number(bytearray(body)) == found


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def _has_no_number(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_no_number, value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not math.isfinite(value)


@given(_JSON)
def test_it_is_found_wherever_it_is(value: Any) -> None:
    """Whatever is around it, and only where it is."""
    assert (no_number(json.dumps(value).encode()) is not None) == _has_no_number(value)


_LONG = b'{"objective": {"a": 1}, "user_id": 1, "item_ids": [' + b"1, " * 20_000


@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        (b"NaN]}", 400, f"the body, at byte {len(_LONG)}, has the value NaN, which JSON has not"),
        (b"-Infinity]}", 400, f"the body, at byte {len(_LONG)}, has the value -Infinity"),
        (b"1e999]}", 400, "item_ids[20000] has a number that is beyond ±1.8e308"),
        (b'1], "objective": {"a": 1e999}}', 400, "objective[...] has a number that is beyond ±1.8e308"),
        (b"[]]}", 422, "item_ids[20000] has the value (too deep or too long to show), expected int | str."),
        (b"9" * 5000 + b"]}", 400, "item_ids[20000] has a number that is beyond"),
        (b'1], "' + b"x" * 100_000 + b'": 1}', 422, "has the unknown field 'xxxxxxx"),
        (b"Nan]}", 400, "not valid JSON"),
        (b"1]", 400, "not valid JSON"),
    ],
)
def test_a_long_body_is_not_gone_through_again(end: bytes, status: int, words: str) -> None:
    """It is told where its decoder found the fault, and nothing that costs more than decoding it."""
    with pytest.raises(Refused) as caught:
        BodyDecoder(PredictRequest, "user_id and item_ids")(_LONG + end)
    assert caught.value.status == status
    assert words in caught.value.message
    assert len(caught.value.message) < 400
