"""What is wrong with a document, said of its field: msgspec's message, with the value and what the type allows there.

So ``Invalid value 'inn' - at `$.audience.is``` is told as ``audience.is has the value "inn", expected one of all, any,
… Did you mean 'in'?``
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, inspect

from orita.core.errors import closest, nearest

__all__ = ["WrongField", "wrong_field"]

_TIME = "an ISO 8601 time with an offset, such as 2024-11-15T10:30:00Z"
_SHOWN = 80
_MOST_CHOICES = 4
_MESSAGE = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<place>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"(\w+)|\[(\d+)\]|(\[\.\.\.\])")


@dataclass(frozen=True, slots=True)
class WrongField:
    """A fault of a document.

    Attributes:
        code: ``unknown_field``, ``missing_field`` or ``invalid_value``.
        place: of the field, such as ``steps[0].share``; "" for the whole.
        told: what is wrong with it, such as ``has the value 3, expected str.``
        whole: what the whole document is called.
    """

    code: Literal["unknown_field", "missing_field", "invalid_value"]
    place: str
    told: str
    whole: str

    @property
    def sentence(self) -> str:
        """The fault in a sentence that names the field."""
        return f"{self.place or self.whole} {self.told}"


def wrong_field(
    message: str, document: Any, kind: type[msgspec.Struct], *, whole: str = "the request", needed: str = ""
) -> WrongField:
    """Return what msgspec's *message* says.

    Args:
        message: of the `msgspec.ValidationError`.
        document: what was to become a *kind*, decoded, untyped; UNSET: it is nested too deep for that, or too long.
        kind: what it was to become.
        whole: what the whole document is called.
        needed: the required fields of the whole in words; by default their names.
    """
    match = _MESSAGE.match(message)
    assert match is not None
    what, place = match["what"], match["place"] or ""
    if match["key"]:
        return WrongField("invalid_value", place, "has a name that is no text: put it in quotes.", whole)
    value, types = _at(document, kind, place)
    if unknown := _UNKNOWN.fullmatch(what):
        hint = closest(unknown[1], _names(types))
        return WrongField("unknown_field", place, f"has the unknown field {_short(repr(unknown[1]))}. {hint}", whole)
    if missing := _MISSING.fullmatch(what):
        absent = f"{place}.{missing[1]}" if place else missing[1]
        wanted = needed if needed and not place else _required(types, missing[1])
        return WrongField("missing_field", absent, f"is missing: give {wanted}.", whole)
    return WrongField(
        "invalid_value", place, f"has the value {_shown(value)}, expected {_expected(what, types, value)}", whole
    )


@cache
def _type_of(kind: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(kind)


def _at(document: Any, kind: type[msgspec.Struct], place: str) -> tuple[Any, list[inspect.Type]]:
    """Return the value at *place*, and the types that are allowed there.

    Under a name that msgspec does not tell, a key of a mapping, it is the mapping.
    """
    value, types = document, list(_parts(_type_of(kind)))
    for name, index, hidden in _STEP.findall(place):
        if hidden:
            return value, []
        if name:
            types = list(_field_types(types, name, value))
            value = value[name] if isinstance(value, dict) else UNSET
        else:
            types = list(_item_types(types, int(index)))
            value = value[int(index)] if isinstance(value, list) else UNSET
    tagged: list[inspect.Type] = [
        each for each in types if isinstance(each, inspect.StructType) and _is_tagged(each, value)
    ]
    return value, tagged or types


def _parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _parts(each)
    elif isinstance(kind, inspect.Metadata):
        yield from _parts(kind.type)
    else:
        yield kind


def _is_tagged(kind: inspect.StructType, value: Any) -> bool:
    return kind.tag_field is not None and isinstance(value, dict) and value.get(kind.tag_field) == kind.tag


def _field_types(types: Sequence[inspect.Type], name: str, value: Any) -> Iterator[inspect.Type]:
    structs = [each for each in types if isinstance(each, inspect.StructType)]
    for kind in [each for each in structs if _is_tagged(each, value)] or structs:
        if name == kind.tag_field:
            yield inspect.LiteralType((kind.tag,))
        for field in kind.fields:
            if field.encode_name == name:
                yield from _parts(field.type)
    for each in types:
        if isinstance(each, inspect.DictType):
            yield from _parts(each.value_type)


def _item_types(types: Sequence[inspect.Type], index: int) -> Iterator[inspect.Type]:
    for kind in types:
        if isinstance(kind, inspect.TupleType):
            yield from _parts(kind.item_types[index])
        elif isinstance(kind, inspect.CollectionType):
            yield from _parts(kind.item_type)


def _names(types: Sequence[inspect.Type]) -> list[str]:
    structs = [each for each in types if isinstance(each, inspect.StructType)]
    tags = [each.tag_field for each in structs if each.tag_field is not None]
    return [field.encode_name for each in structs for field in each.fields] + tags


def _required(types: Sequence[inspect.Type], missing: str) -> str:
    """Return the fields that are needed where *missing* is."""
    structs = [each for each in types if isinstance(each, inspect.StructType)]
    if tags := [str(each.tag) for each in structs if each.tag_field == missing]:
        return f"one of {', '.join(sorted(tags))}"
    return " and ".join(field.encode_name for each in structs for field in each.fields if field.required) or missing


def _expected(what: str, types: Sequence[inspect.Type], value: Any) -> str:
    """Return what is allowed, with a full stop."""
    choices = [each for kind in types if isinstance(kind, inspect.LiteralType) for each in kind.values]
    if choices:
        near = nearest(value, map(str, choices)) if isinstance(value, str) else None
        if len(choices) > _MOST_CHOICES:
            told = f"one of {', '.join(sorted(map(str, choices)))}."
        else:
            told = f"{' or '.join(map(repr, choices))}."
        return f"{told} Did you mean {near!r}?" if near else told
    if "datetime" in what:
        return f"{_TIME}."
    said = what.replace("`", "").removeprefix("Expected ").partition(", got ")[0]
    for kind in types:
        if isinstance(kind, inspect.FloatType | inspect.IntType) and re.fullmatch(r"(float|int) [<>]=? \S+", said):
            return f"{_range(kind)}."
    return f"{said}."


def _range(kind: inspect.FloatType | inspect.IntType) -> str:
    bounds = ((">", kind.gt), (">=", kind.ge), ("<", kind.lt), ("<=", kind.le))
    told = " and ".join(f"{sign} {bound}" for sign, bound in bounds if bound is not None)
    return f"{'int' if isinstance(kind, inspect.IntType) else 'float'} {told}"


def _shown(value: Any) -> str:
    """Return *value* as JSON, shortened, to show it to its writer."""
    if value is UNSET:
        return "(too deep or too long to show)"
    try:
        plain = isinstance(value, float) and not math.isfinite(value)
        shown = str(value) if plain else msgspec.json.encode(value).decode()
    except RecursionError:
        return "(too deep or too long to show)"
    except (TypeError, ValueError, OverflowError):  # YAML has what JSON has not: whole numbers of 30 digits
        shown = str(value)
    return _short(shown)


def _short(shown: str) -> str:
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
