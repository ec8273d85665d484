"""Ids that are written as text and mean a number: '12' and 12 are one id, '012' is another."""

from __future__ import annotations

__all__ = ["LARGEST_ID", "whole_id"]

LARGEST_ID = (1 << 63) - 1
"""The largest id that is a number."""

_LARGEST = str(LARGEST_ID)


def whole_id(text: str) -> int | None:
    """Return the number from 0 to 2⁶³ − 1 that *text* writes down without further signs, None where it is none."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and len(text) > 1):
        return None
    fits = len(text) < len(_LARGEST) or (len(text) == len(_LARGEST) and text <= _LARGEST)
    return int(text) if fits else None
