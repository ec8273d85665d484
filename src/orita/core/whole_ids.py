"""Ids that are written as text and mean a number: '12' and 12 are one id, '012' is another."""

from __future__ import annotations

from collections.abc import Container

__all__ = ["LARGEST_ID", "spelt_as_in", "whole_id"]

LARGEST_ID = (1 << 63) - 1
"""The largest id that is a number."""

_LARGEST = str(LARGEST_ID)


def whole_id(text: str) -> int | None:
    """Return the number from 0 to 2⁶³ − 1 that *text* writes down without further signs, None where it is none."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and len(text) > 1):
        return None
    fits = len(text) < len(_LARGEST) or (len(text) == len(_LARGEST) and text <= _LARGEST)
    return int(text) if fits else None


def spelt_as_in(known: Container[int | str], given: int | str) -> int | str:
    """Return the id *given* as it is among those *known*, as it is or written the other way; else as it is.

    Whether a caller writes 5 or "5" says nothing about how a table has it.
    """
    if given in known:
        return given
    other = whole_id(given) if isinstance(given, str) else str(given)
    return given if other is None or other not in known else other
