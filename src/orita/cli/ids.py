"""Ids as they are typed."""

from __future__ import annotations

__all__ = ["id_of"]


def id_of(text: str) -> int | str:
    """Return a whole number where *text* is one, else the text."""
    return int(text) if text.isascii() and text.isdigit() else text
