"""The order of semantic versions (semver.org 2.0.0, section 11)."""

from __future__ import annotations

import re

__all__ = ["VersionKey", "version_key"]

_NUMBER = r"(0|[1-9]\d*)"
_LATER = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_LATER}(?:\.{_LATER})*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?", re.ASCII
)

VersionKey = tuple[int, int, int, tuple[tuple[int, int, str], ...]]
"""Keys compare as the versions do."""

_RELEASE = ((2, 0, ""),)
_LONGEST = 256


def version_key(text: str) -> VersionKey | None:
    """Return the key of a version, None where *text* is none, or longer than any; what follows ``+`` does not count."""
    if len(text) > _LONGEST or (found := _VERSION.fullmatch(text)) is None:
        return None
    major, minor, patch, before = found.groups()
    if before is None:
        return int(major), int(minor), int(patch), _RELEASE
    parts = ((0, int(part), "") if part.isdigit() else (1, 0, part) for part in before.split("."))
    return int(major), int(minor), int(patch), tuple(parts)
