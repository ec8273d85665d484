"""Constraints of Unleash as conditions; one that cannot be read is never met, as there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Literal

from orita.delivery.assignment.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    EndsWith,
    InNetwork,
    Matches,
    Not,
    Number,
    OneOf,
    Present,
    StartsWith,
    Time,
    Version,
)
from orita.delivery.assignment.versions import version_key
from orita.delivery.flags.unleash.documents import Constraint
from orita.delivery.flags.unleash.expressions import python_pattern

__all__ = ["NEVER", "condition_of", "networks_of"]

NEVER = AnyOf(of=())

Comparison = Literal["=", "<", "<=", ">", ">="]
_COMPARISONS: Mapping[str, Comparison] = {"EQ": "=", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


def condition_of(constraint: Constraint) -> Condition:
    """Return the condition that holds where *constraint* is met."""
    read = _READERS.get(constraint.operator)
    condition = read(constraint) if read is not None else None
    if condition is None:
        return NEVER
    return Not(of=condition) if constraint.inverted else condition


def networks_of(attribute: str, texts: tuple[str, ...]) -> Condition:
    """Return the condition that an address is in one of the networks; what is no network is left out."""
    return InNetwork(attribute=attribute, values=tuple(text for text in texts if _is_network(text)))


def _one_of(constraint: Constraint) -> Condition:
    """Return the condition of a list; Unleash's engine takes no notice of caseInsensitive here."""
    return OneOf(attribute=constraint.context_name, values=constraint.values or ())


def _text(kind: type[StartsWith | EndsWith | Contains]) -> Callable[[Constraint], Condition]:
    def read(constraint: Constraint) -> Condition:
        folds = bool(constraint.case_insensitive)
        return kind(attribute=constraint.context_name, values=constraint.values or (), ignore_case=folds)

    return read


def _number(constraint: Constraint) -> Condition | None:
    try:
        value = float(constraint.value or "")
    except ValueError:
        return None
    op = _COMPARISONS[constraint.operator.removeprefix("NUM_")]
    return Number(attribute=constraint.context_name, op=op, value=value) if math.isfinite(value) else None


def _version(constraint: Constraint) -> Condition | None:
    value = constraint.value or ""
    op = _COMPARISONS[constraint.operator.removeprefix("SEMVER_")]
    return None if version_key(value) is None else Version(attribute=constraint.context_name, op=op, value=value)


def _time(constraint: Constraint) -> Condition | None:
    try:
        value = datetime.fromisoformat(constraint.value or "")
    except ValueError:
        return None
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    op: Literal["before", "after"] = "before" if constraint.operator == "DATE_BEFORE" else "after"
    told = Time(attribute=constraint.context_name, op=op, value=value)
    if constraint.context_name != "currentTime":
        return told
    absent = Not(of=Present(attribute="currentTime"))
    return AnyOf(of=(told, All(of=(absent, Time(op=op, value=value)))))


def _expression(constraint: Constraint) -> Condition | None:
    pattern = python_pattern(constraint.value or "")
    if pattern is None:
        return None
    folds = bool(constraint.case_insensitive)
    return Matches(attribute=constraint.context_name, pattern=pattern, ignore_case=folds)


def _network(constraint: Constraint) -> Condition:
    return networks_of(constraint.context_name, constraint.values or ())


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


_READERS: Mapping[str, Callable[[Constraint], Condition | None]] = {
    "IN": _one_of,
    "NOT_IN": lambda constraint: Not(of=_one_of(constraint)),
    "STR_STARTS_WITH": _text(StartsWith),
    "STR_ENDS_WITH": _text(EndsWith),
    "STR_CONTAINS": _text(Contains),
    **{f"NUM_{name}": _number for name in _COMPARISONS},
    **{f"SEMVER_{name}": _version for name in _COMPARISONS},
    "DATE_BEFORE": _time,
    "DATE_AFTER": _time,
    "REGEX": _expression,
    "IN_CIDR": _network,
}
