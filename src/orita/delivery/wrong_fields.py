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
_FIELD = re.compile(r"\w+")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"(\w+)|\[(\d+)\]|(\[\.\.\.\])")
_Step = str | int | None
"""The name of a field, the number of an item, or a key of a mapping that msgspec does not tell."""


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
    what, told = match["what"], match["place"] or ""
    steps = [name or (int(index) if index else None) for name, index, _ in _STEP.findall(told)]
    steps = _with_keys(message, document, kind, [*steps, None] if match["key"] else steps)
    if match["key"]:
        return WrongField("invalid_value", _place(steps[:-1]), _wrong_name(steps[-1], what), whole)
    place = _place(steps)
    value, types = _at(document, kind, steps)
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


def _with_keys(message: str, document: Any, kind: type[msgspec.Struct], steps: Sequence[_Step]) -> list[_Step]:
    """Return *steps* with the keys of mappings that msgspec leaves out: those that alone are refused as well."""
    found = list(steps)
    for at, step in enumerate(steps):
        if step is None:
            mapping = _value_at(document, found[:at])
            keys = mapping if isinstance(mapping, dict) else ()
            found[at] = next((key for key in keys if _refused(message, document, kind, found[:at], key)), None)
    return found


def _refused(message: str, document: Any, kind: type[msgspec.Struct], steps: Sequence[_Step], key: Any) -> bool:
    """Return whether *document* is refused for the same reason where the mapping at *steps* has *key* alone."""

    def pruned(value: Any, rest: Sequence[_Step]) -> Any:
        if not rest:
            return {key: value[key]}
        copy = value.copy()
        copy[rest[0]] = pruned(value[rest[0]], rest[1:])
        return copy

    try:
        msgspec.convert(pruned(document, steps), kind)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False


def _value_at(document: Any, steps: Sequence[_Step]) -> Any:
    value = document
    for step in steps:
        if not isinstance(value, dict | list) or step is None:
            return UNSET
        value = value[step]  # type: ignore[index]
    return value


def _place(steps: Sequence[_Step]) -> str:
    """Return where a field is, as `WrongField.place` has it."""
    place = ""
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step is None:
            place += "[...]"
        elif _FIELD.fullmatch(step):
            place += f".{step}" if place else step
        else:
            place += f"[{_shown(step)}]"
    return place


def _wrong_name(name: _Step, what: str) -> str:
    """Return what is wrong with a key of a mapping."""
    if isinstance(name, str):
        return f"has the name {_shown(name)}, expected {_expected(what, (), name)}"
    return "has a name that is no text: put it in quotes."


def _at(document: Any, kind: type[msgspec.Struct], steps: Sequence[_Step]) -> tuple[Any, list[inspect.Type]]:
    """Return the value at *steps*, and the types that are allowed there.

    Under a key of a mapping that is not known it is the mapping.
    """
    value, types = document, list(_parts(_type_of(kind)))
    for step in steps:
        if step is None:
            return value, []
        if isinstance(step, str):
            types = list(_field_types(types, step, value))
            value = value[step] if isinstance(value, dict) else UNSET
        else:
            types = list(_item_types(types, step))
            value = value[step] if isinstance(value, list) else UNSET
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
