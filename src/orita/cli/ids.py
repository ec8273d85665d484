"""Ids as they are typed."""

from __future__ import annotations

__all__ = ["id_of"]


def id_of(text: str) -> int | str:
    """Return a whole number where *text* is one, however large, else the text; '012' is a text."""
    plain = text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")
    return int(text) if plain else text
