"""Which errors mean that a disk is full: every library has words of its own for it."""

from __future__ import annotations

import errno
import os

__all__ = ["disk_is_full"]

_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_WORDS = (*map(os.strerror, _CODES), "database or disk is full")


def disk_is_full(error: BaseException | None) -> bool:
    """Tell whether *error*, or what caused it, is a full disk, a quota, or a limit on the size of files."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _CODES:
            return True
        if any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__
    return False
