"""Conditions as functions: checked and prepared once, called for each request.

    holds = matcher(condition, segments={"staff": OneOf(...)}, now=clock_seconds)
    holds({"country": "SE"}, None)

A matcher is given the attributes and the time in seconds since the Unix epoch, or None; it asks *now* only where a
condition needs the time and none was given.
"""

from __future__ import annotations

from collections.abc import Mapping

from orita.core.errors import UserError, closest
from orita.delivery.assignment.attribute_tests import (
    Attributes,
    Matcher,
    Now,
    in_network,
    matches,
    number_is,
    one_of,
    text_is,
    time_is,
    version_is,
)
from orita.delivery.assignment.conditions import (
    All,
    AnyOf,
    Condition,
    Contains,
    EndsWith,
    InNetwork,
    InSegment,
    Matches,
    Not,
    Number,
    OneOf,
    Present,
    StartsWith,
    Time,
    Version,
)

__all__ = ["Attributes", "Matcher", "Now", "asks_time", "matcher"]

_MOST = 10_000
_DEEPEST = 100


def matcher(condition: Condition, segments: Mapping[str, Condition], now: Now) -> Matcher:
    """Return the function that tells whether *condition* holds.

    Args:
        condition: what is asked.
        segments: the conditions that it may name.
        now: tells the time, in seconds since the Unix epoch.

    Raises:
        UserError: a value cannot be read, a segment is unknown or contains itself, more than 10,000 conditions are
            asked, or more than 100 within one another.
    """
    _size(condition, segments, {}, (), 0)
    return _matcher(condition, segments, now)


def asks_time(condition: Condition, segments: Mapping[str, Condition] | None = None) -> bool:
    """Tell whether *condition* asks what time it is now, itself or by one of *segments*; without them, itself."""
    match condition:
        case Time(attribute=attribute):
            return not attribute
        case Not(of=inner):
            return asks_time(inner, segments)
        case All(of=parts) | AnyOf(of=parts):
            return any(asks_time(part, segments) for part in parts)
        case InSegment(name=name) if segments is not None and name in segments:
            return asks_time(segments[name], segments)
    return False


def _size(
    condition: Condition, segments: Mapping[str, Condition], known: dict[str, int], within: tuple[str, ...], depth: int
) -> int:
    """Return how many conditions are asked at most, those of segments included; *known* keeps that of segments.

    Raises:
        UserError: a segment is unknown or contains itself, or there are more than anybody means.
    """
    if depth > _DEEPEST:
        raise UserError(
            f"a condition is nested more than {_DEEPEST} deep, segments within segments included: flatten it."
        )
    match condition:
        case InSegment(name=name) if name not in known:
            if name in within:
                path = " → ".join((*within, name))
                raise UserError(f"the segment {name!r} contains itself: {path}. Break the cycle.")
            if name not in segments:
                raise UserError(f"the segment {name!r} is not declared. {closest(name, segments)}")
            known[name] = size = _size(segments[name], segments, known, (*within, name), depth + 1)
        case InSegment(name=name):
            size = known[name]
        case Not(of=inner):
            size = 1 + _size(inner, segments, known, within, depth + 1)
        case All(of=parts) | AnyOf(of=parts):
            size = 1 + sum(_size(part, segments, known, within, depth + 1) for part in parts)
        case _:
            size = 1
    if size > _MOST:
        raise UserError(f"a condition asks more than {_MOST:,} others, segments within segments included: use fewer.")
    return size


def _matcher(condition: Condition, segments: Mapping[str, Condition], now: Now) -> Matcher:  # noqa: PLR0912
    match condition:
        case OneOf():
            return one_of(condition)
        case StartsWith():
            return text_is(condition, tuple, str.startswith)
        case EndsWith():
            return text_is(condition, tuple, str.endswith)
        case Contains():
            return text_is(condition, list, lambda text, values: any(value in text for value in values))
        case Matches():
            return matches(condition)
        case Number():
            return number_is(condition)
        case Version():
            return version_is(condition)
        case Time():
            return time_is(condition, now)
        case InNetwork():
            return in_network(condition)
        case Present(attribute=attribute):
            return lambda attributes, _: attributes.get(attribute) is not None
        case InSegment(name=name):
            return _matcher(segments[name], segments, now)
        case Not(of=inner):
            holds = _matcher(inner, segments, now)
            return lambda attributes, at: not holds(attributes, at)
        case All(of=parts):
            return _all([_matcher(part, segments, now) for part in parts])
        case AnyOf(of=parts):
            return _any([_matcher(part, segments, now) for part in parts])


def _all(parts: list[Matcher]) -> Matcher:
    if len(parts) == 1:
        return parts[0]

    def holds(attributes: Attributes, at: float | None) -> bool:
        for part in parts:  # noqa: SIM110  (a generator costs more than the conditions)
            if not part(attributes, at):
                return False
        return True

    return holds


def _any(parts: list[Matcher]) -> Matcher:
    def holds(attributes: Attributes, at: float | None) -> bool:
        for part in parts:  # noqa: SIM110
            if part(attributes, at):
                return True
        return False

    return holds
