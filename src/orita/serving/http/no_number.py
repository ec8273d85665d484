"""Where a body has no number that a double can be: ``NaN`` and ``Infinity``, which JSON does not know, or ``1e999``."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

__all__ = ["no_number", "no_number_at"]

_SUSPECT = re.compile(rb"NaN|Infinity|\d[eE]\+?\d\d|\d{300}")
_NAMED = re.compile(rb"-?(?:NaN|Infinity)")
_BYTE = re.compile(r"\(byte (\d+)\)")


_LONGEST_INT = 4300
"""Digits of the longest whole number that Python reads (``sys.int_info.default_max_str_digits``)."""


class _NoNumber(NamedTuple):
    name: str


def _whole(written: str) -> int | _NoNumber:
    return int(written) if len(written) <= _LONGEST_INT else _NoNumber(written[:80])


def _double(written: str) -> float | _NoNumber:
    return number if math.isfinite(number := float(written)) else _NoNumber(written[:80])


def no_number(body: bytes | bytearray) -> tuple[str, str] | None:
    """Return where the first such value is, as ``inputs[0].data[3]``, and what it is; None: *body* is wrong otherwise.

    The place of a body that is such a value itself is empty. The whole body is decoded for it, and gone through.
    """
    if not _SUSPECT.search(body):
        return None
    try:
        document: Any = json.loads(body, parse_constant=_NoNumber, parse_float=_double, parse_int=_whole)
    except (ValueError, RecursionError):
        return None
    if isinstance(document, _NoNumber):
        return "", document.name
    way: list[tuple[str | int, Iterator[tuple[str | int, Any]]]] = [("", _inner(document))]
    while way:
        for step, value in way[-1][1]:
            if isinstance(value, _NoNumber):
                return _place([*(taken for taken, _ in way[1:]), step]), value.name
            if isinstance(value, dict | list):
                way.append((step, _inner(value)))
                break
        else:
            way.pop()
    return None


def no_number_at(body: bytes | bytearray, error: str) -> tuple[str, str] | None:
    """Return what `no_number` does, of a *body* that is too long for it: where msgspec's *error* says that it breaks.

    The place is that byte, counted from 0. What is in the form of a number is not found.
    """
    told = _BYTE.search(error)
    if told is None:
        return None
    start = int(told[1])
    if start and body[start - 1 : start] == b"-":
        start -= 1
    found = _NAMED.match(body, start)
    return None if found is None else (f"the body, at byte {start},", found[0].decode())


def _inner(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _place(steps: list[str | int]) -> str:
    told = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in steps)
    return told.removeprefix(".")
