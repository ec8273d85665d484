"""YAML 1.2: which plain words are numbers, booleans and text."""

from __future__ import annotations

import msgspec
import pytest

from orita.delivery.yaml12 import from_yaml


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-320", 1e-320),
        ("1e5", 1e5),
        (".5", 0.5),
        ("-1.5E+3", -1500.0),
        ("-.inf", float("-inf")),
        ("012", 12),
        ("0o14", 12),
        ("0xff", 255),
        ("+7", 7),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2.3.0", "2.3.0"),
        ("true", True),
        ("trueness", "trueness"),
        ("NO", "NO"),
        ("on", "on"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
    ],
)
def test_plain_words(word: str, value: object) -> None:
    """As the core schema has them, and nothing of YAML 1.1."""
    found = from_yaml(f"a: {word}")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: !!bool x", "a: !!int x", f"a: {'9' * 5000}", "a: [", "a: !!python/object x"])
def test_what_is_no_value_is_told(text: str) -> None:
    """Of a tag that does not fit, of a number without end, of what is no YAML."""
    with pytest.raises(msgspec.DecodeError):
        from_yaml(text)
