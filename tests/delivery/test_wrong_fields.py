"""What msgspec says of a document, as a sentence about its field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from orita.delivery.wrong_fields import wrong_field


class Leaf(msgspec.Struct, forbid_unknown_fields=True, tag_field="is", tag="leaf"):
    """A kind of part."""

    size: Annotated[int, msgspec.Meta(ge=1, le=9)]
    pair: tuple[int, str] = (1, "")


class Twig(msgspec.Struct, forbid_unknown_fields=True, tag_field="is", tag="twig"):
    """Another, with parts of its own."""

    of: list[Leaf | Twig]


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    """A document."""

    parts: dict[str, Leaf | Twig] = {}
    first: Leaf | Twig | None = None
    kind: Literal["oak", "elm"] | None = None


@pytest.mark.parametrize(
    ("document", "code", "sentence"),
    [
        ({"frist": None}, "unknown_field", "the tree has the unknown field 'frist'. Did you mean 'first'?"),
        ({"kind": "elk"}, "invalid_value", "kind has the value \"elk\", expected 'elm' or 'oak'. Did you mean 'elm'?"),
        ({"kind": 3}, "invalid_value", "kind has the value 3, expected 'elm' or 'oak'."),
        (
            {"first": {"is": "leaf", "size": 0}},
            "invalid_value",
            "first.size has the value 0, expected int >= 1 and <= 9.",
        ),
        ({"first": {"is": "leaf"}}, "missing_field", "first.size is missing: give size."),
        ({"first": {"size": 1}}, "missing_field", "first.is is missing: give one of leaf, twig."),
        (
            {"first": {"is": "twig", "of": [{"is": "leaf", "size": 1, "pair": [1, 2]}]}},
            "invalid_value",
            "first.of[0].pair[1] has the value 2, expected str.",
        ),
        ({"first": {"is": "twig", "fo": []}}, "unknown_field", "first has the unknown field 'fo'. Known: is, of."),
        (
            {"parts": {"a": {"is": "leaf", "size": "x" * 99}}},
            "invalid_value",
            'parts.a.size has the value "' + "x" * 79 + "…, expected int.",
        ),
        (
            {"parts": {"a": {"is": "leaf", "size": 1}, "b c": {"is": "twig", "of": [{"is": "leaf", "size": 0}]}}},
            "invalid_value",
            'parts["b c"].of[0].size has the value 0, expected int >= 1 and <= 9.',
        ),
        ({"parts": {1: None}}, "invalid_value", "parts has a name that is no text: put it in quotes."),
        ({"first": 10**30}, "invalid_value", f"first has the value {10**30}, expected object | null."),
    ],
)
def test_each_fault_is_a_sentence(document: Any, code: str, sentence: str) -> None:
    """With the place, the value and what the type allows there; under a key of a mapping, with the key."""
    with pytest.raises(msgspec.ValidationError) as told:
        msgspec.convert(document, Tree)
    fault = wrong_field(str(told.value), document, Tree, whole="the tree")
    assert (fault.code, fault.sentence) == (code, sentence)


def test_what_cannot_be_shown() -> None:
    """A document that is nested too deep to be decoded is told of without its value."""
    fault = wrong_field("Expected `int`, got `array` - at `$.first.of[3].size`", msgspec.UNSET, Tree)
    assert fault.sentence == "first.of[3].size has the value (too deep or too long to show), expected int."
