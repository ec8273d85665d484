"""Sizes of memory and disk, as people write them."""

from __future__ import annotations

import re

from orita.core.errors import UserError

__all__ = ["size_bytes"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)i?B")
_FACTOR = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def size_bytes(text: str, what: str = "size") -> int:
    """Return the bytes of a size such as ``512B``, ``4KB`` or ``1.5 MiB``; a KB is 1,024 bytes.

    >>> size_bytes("4KB")
    4096
    """
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not match or float(match[1]) <= 0:
        raise UserError(f"{what} {text!r} is not understood: write a positive number and B, KB, MB or GB.")
    return round(float(match[1]) * _FACTOR[match[2]])
