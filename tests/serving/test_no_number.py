"""Where a body has NaN or an infinity, which JSON has not."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orita.serving.http.no_number import no_number


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
        (b" " * (256 * 1024) + b"NaN", None),
        (b'{"\xff": NaN}', None),
    ],
)
def test_the_first_is_named(body: bytes, found: tuple[str, str] | None) -> None:
    """Its place and name are told; of what is broken otherwise, too deep or too long nothing is."""
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
