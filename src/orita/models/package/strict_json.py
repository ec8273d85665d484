"""JSON from a stranger: bounded, and with one meaning."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from orita.core.errors import UserError

__all__ = ["canonical_json", "read_object"]

_DEEPEST = 32
# Possessive, so that a long string costs one pass and no memory; the last quote may miss, so that one without an end
# does too.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def canonical_json(content: object) -> bytes:
    """Return the one way in which a file of a package spells *content*."""
    return (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def read_object(content: bytes, where: str) -> dict[str, Any]:
    """Return the object that *content* spells; *where* is what an error calls it.

    Raises:
        UserError: it is no UTF-8 or no JSON, holds a key twice, a number that is not finite or half a character, is
            nested deeper than 32 levels, or is not an object.
    """
    try:
        text = content.decode("utf-8")
        _check_depth(text)
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails at half of a surrogate pair
    except ValueError as error:
        raise UserError(f"{where} cannot be read as JSON: {error}.") from None
    if not isinstance(value, dict):
        raise UserError(f"{where} holds a {type(value).__name__}, expected an object.")
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        if (mark := found[0][0]) != '"':
            depth += 1 if mark in "[{" else -1
            if depth > _DEEPEST:
                raise ValueError(f"it is nested deeper than {_DEEPEST} levels")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number
