"""The errors Orita raises: one root, and a class for what its user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["MissingExtra", "NotFound", "OritaError", "Unavailable", "UserError", "closest", "nearest"]

_LONGEST_NAME = 256


class OritaError(Exception):
    """Root of every error that Orita raises on purpose; the command line prints it and exits with *exit_code*."""

    exit_code = 1


class UserError(OritaError, ValueError):
    """Something the caller gave is wrong; the sentence names the field, the value, what is allowed, what to do.

    HTTP answers 4xx with the sentence.
    """

    exit_code = 2


class Unavailable(OritaError):
    """What Orita needs is full or away: a disk, a broker; the sentence names it and says what to do.

    Nothing was half done, and the same call goes on once that is mended. HTTP answers 5xx.
    """

    exit_code = 2


class NotFound(UserError, LookupError):
    """Something named does not exist; the sentence lists what does."""


class MissingExtra(UserError, ImportError):
    """An optional part is not installed; the sentence is the install line."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` when a known name is near *name*, else the list of known names."""
    names = sorted(known)
    if near := nearest(name, names):
        return f"Did you mean {near!r}?"
    return f"Known: {', '.join(names)}." if names else "None exist yet."


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that *name* was likely meant to be, None where none is near, or it is no name at all."""
    if len(name) > _LONGEST_NAME:  # comparing takes the time of all pairs of letters
        return None
    return next(iter(difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)), None)
