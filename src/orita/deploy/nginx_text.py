"""How nginx's configuration is written: blocks of lines, and times."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["block", "seconds"]

_INDENT = "    "


def block(head: str, lines: Iterable[str]) -> list[str]:
    """Return *lines* in braces below *head*."""
    return [f"{head} {{", *(f"{_INDENT}{line}" if line else "" for line in lines), "}"]


def seconds(given: float) -> str:
    """Return *given* seconds as nginx writes a time: whole milliseconds."""
    return f"{max(1, round(given * 1000))}ms"
