"""A query held against what is in memory: what every search must agree with, and how versions are searched."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from orita.registry.query import Condition, Order, Query

__all__ = ["Facts", "matches", "rank"]

_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a query may ask of one thing; an attribute may have several values, of which one suffices."""

    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    attributes: Mapping[str, float | str | tuple[str, ...] | None]

    def value(self, kind: str, name: str) -> float | str | tuple[str, ...] | None:
        """Return the value of that name, or None."""
        by_kind: Mapping[str, Mapping[str, float | str | tuple[str, ...] | None]] = {
            "metric": self.metrics,
            "param": self.params,
            "tag": self.tags,
            "attribute": self.attributes,
        }
        return by_kind[kind].get(name)


def matches(query: Query, facts: Facts) -> bool:
    """Return whether every condition holds."""
    return all(_holds(condition, facts) for condition in query.conditions)


def rank(order: Order, facts: Facts) -> tuple[int, float]:
    """Return a key that sorts by *order*: numbers, then NaN, then what has no value."""
    value = facts.value(order.kind, order.name)
    if not isinstance(value, int | float):
        return (2, 0.0)
    if math.isnan(value):
        return (1, 0.0)
    return (0, -value if order.descending else value)


def _holds(condition: Condition, facts: Facts) -> bool:
    value = facts.value(condition.kind, condition.name)
    if condition.comparison in ("is null", "is not null"):
        return (value is None or value == ()) == (condition.comparison == "is null")
    if value is None:
        return False
    if isinstance(value, tuple):
        if condition.comparison == "!=":
            return condition.value not in value
        return any(_compare(condition, each) for each in value)
    return _compare(condition, value)


def _compare(condition: Condition, value: float | str) -> bool:
    if condition.comparison in _ORDERED:
        return _ORDERED[condition.comparison](value, condition.value)
    return _pattern(str(condition.value), condition.comparison == "ilike").fullmatch(str(value)) is not None


@cache
def _pattern(like: str, ignore_case: bool) -> re.Pattern[str]:
    wild = {"%": ".*", "_": "."}
    written = "".join(wild.get(character) or re.escape(character) for character in like)
    return re.compile(written, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
