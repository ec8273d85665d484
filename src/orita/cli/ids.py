"""Ids as they are typed."""

from __future__ import annotations

from orita.core.whole_ids import whole_id

__all__ = ["id_of"]


def id_of(text: str) -> int | str:
    """Return a whole number where *text* is one, else the text."""
    number = whole_id(text)
    return text if number is None else number
