"""Where a body has no number that a double can be: ``NaN`` and ``Infinity``, which JSON does not know, or ``1e999``."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NamedTuple

__all__ = ["no_number"]

_LONGEST = 256 * 1024  # bytes of a body that is looked through a second time, which takes a few milliseconds
_SUSPECT = re.compile(rb"NaN|Infinity|\d[eE]\+?\d\d|\d{300}")


class _NoNumber(NamedTuple):
    name: str


def _double(written: str) -> float | _NoNumber:
    return number if math.isfinite(number := float(written)) else _NoNumber(written[:80])


def no_number(body: bytes | bytearray) -> tuple[str, str] | None:
    """Return where the first such value is, as ``inputs[0].data[3]``, and what it is; None: *body* is wrong otherwise.

    The place of a body that is such a value itself is empty.
    """
    if len(body) > _LONGEST or not _SUSPECT.search(body):
        return None
    try:
        left: list[tuple[str, Any]] = [("", json.loads(body, parse_constant=_NoNumber, parse_float=_double))]
    except (ValueError, RecursionError):
        return None
    while left:
        place, value = left.pop()
        if isinstance(value, _NoNumber):
            return place, value.name
        if isinstance(value, dict):
            named = [(f"{place}.{name[:80]}".lstrip("."), inner) for name, inner in value.items()]
            left += reversed(named)
        elif isinstance(value, list):
            left += [(f"{place}[{number}]", inner) for number, inner in reversed(list(enumerate(value)))]
    return None
