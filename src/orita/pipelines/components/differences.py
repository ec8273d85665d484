"""Why is a step done again? The first thing that differs from what was kept, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["first_difference"]

_LONGEST = 40


def first_difference(wanted: Mapping[str, Any], known: Sequence[Mapping[str, Any]]) -> str:
    """Return what parts *wanted* from the nearest of *known*, which are identities of a component as plain values."""
    if not known:
        return "never done before"
    flat = _flat(wanted)
    differences = [_between(flat, _flat(each)) for each in known]
    nearest = min(differences, key=len)
    if not nearest:  # {} in the place of nothing
        return "settings changed"
    name, before, now = nearest[0]
    more = f", and {len(nearest) - 1} more" if len(nearest) > 1 else ""
    kind, _, inner = name.partition(".")
    if kind == "inputs":
        return f"input {inner} changed{more}"
    if kind == "settings":
        return f"{inner} changed from {_short(before)} to {_short(now)}{more}"
    return f"{name} changed from {_short(before)} to {_short(now)}{more}"


def _between(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return name, value in *b* and value in *a* of what differs; inputs come first."""
    names = sorted(a.keys() | b.keys())
    return [(name, b.get(name), a.get(name)) for name in names if a.get(name) != b.get(name)]


def _flat(tree: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{at}{name}.")
        else:
            found[f"{at}{name}"] = value
    return found


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
