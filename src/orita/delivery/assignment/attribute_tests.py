"""Conditions on one attribute as functions; what an attribute cannot be read as makes its condition false."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from orita.core.errors import UserError
from orita.delivery.assignment.conditions import (
    Contains,
    EndsWith,
    InNetwork,
    Matches,
    Number,
    OneOf,
    StartsWith,
    Time,
    Version,
)
from orita.delivery.assignment.versions import version_key

__all__ = [
    "Attributes",
    "Matcher",
    "Now",
    "in_network",
    "matches",
    "number_is",
    "one_of",
    "text_is",
    "time_is",
    "value_text",
    "version_is",
]

Attributes = Mapping[str, object]
"""What is known of a request, by name."""

Matcher = Callable[[Attributes, float | None], bool]
"""Tells whether a condition holds, given the attributes and the time in seconds since the Unix epoch, or None."""

Now = Callable[[], float]
"""Tells the time in seconds since the Unix epoch."""

_LONGEST_WHOLE = 128

_COMPARE: Mapping[str, Callable[..., bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value_text(value: object) -> str:
    """Return the text that stands for a value: 12 and 12.0 are '12', True is 'true'."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int) and value.bit_length() > _LONGEST_WHOLE:
        return hex(value)  # its decimals take too long, and Python refuses them
    return str(value)


def one_of(condition: OneOf) -> Matcher:
    """Test whether the attribute, or an element of it, is one of the values."""
    attribute, folds = condition.attribute, condition.ignore_case
    wanted = frozenset(_as_text(value, folds) for value in condition.values)

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        if type(value) is str:
            return (value.lower() if folds else value) in wanted
        if isinstance(value, list | tuple | set | frozenset):
            return any(_as_text(element, folds) in wanted for element in value)
        return value is not None and _as_text(value, folds) in wanted

    return holds


def _as_text(value: object, folds: bool) -> str:
    return value_text(value).lower() if folds else value_text(value)


def text_is(
    condition: StartsWith | EndsWith | Contains,
    kind: Callable[[Iterable[str]], Any],
    test: Callable[[str, Any], bool],
) -> Matcher:
    """Test with *test* whether the attribute is such text; *kind* makes of the values what it takes."""
    attribute, folds = condition.attribute, condition.ignore_case
    values = kind(value.lower() if folds else value for value in condition.values)

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        return isinstance(value, str) and test(value.lower() if folds else value, values)

    return holds


def matches(condition: Matches) -> Matcher:
    """Test whether the expression is found in the attribute."""
    try:
        search = re.compile(condition.pattern, re.IGNORECASE if condition.ignore_case else 0).search
    except re.error as error:
        raise UserError(f"the pattern {condition.pattern!r} is no regular expression: {error}.") from None
    attribute = condition.attribute

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        return isinstance(value, str) and search(value) is not None

    return holds


def number_is(condition: Number) -> Matcher:
    """Test how the attribute, a number or the text of one, compares."""
    attribute, compare, limit = condition.attribute, _COMPARE[condition.op], condition.value
    if not math.isfinite(limit):
        raise UserError(f"the number for {attribute!r} is {limit}: allowed are finite numbers.")

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        if isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return compare(value, limit) and value == value  # noqa: PLR0124  (NaN differs from itself, and is no number)

    return holds


def version_is(condition: Version) -> Matcher:
    """Test how the attribute compares as a semantic version."""
    if (limit := version_key(condition.value)) is None:
        raise UserError(
            f"the version {condition.value!r} for {condition.attribute!r} is no semantic version: write "
            "MAJOR.MINOR.PATCH, such as 2.3.0 or 2.3.0-beta.1, without a leading v."
        )
    attribute, compare = condition.attribute, _COMPARE[condition.op]

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        key = version_key(value) if isinstance(value, str) else None
        return key is not None and compare(key, limit)

    return holds


def time_is(condition: Time, now: Now) -> Matcher:
    """Test how the attribute, or the time it is, compares."""
    attribute, limit = condition.attribute, condition.value.timestamp()
    compare = operator.lt if condition.op == "before" else operator.gt
    if not attribute:
        return lambda _, at: compare(now() if at is None else at, limit)

    def holds(attributes: Attributes, _: float | None) -> bool:
        seconds = _seconds(attributes.get(attribute))
        return seconds is not None and compare(seconds, limit)

    return holds


def _seconds(value: object) -> float | None:
    """Return seconds since the Unix epoch; a time without an offset is taken as UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()


def in_network(condition: InNetwork) -> Matcher:
    """Test whether the attribute is an address in one of the networks."""
    attribute = condition.attribute
    networks: list[IPv4Network | IPv6Network] = []
    for text in condition.values:
        try:
            networks.append(ip_network(text, strict=False))
        except ValueError:
            raise UserError(
                f"{text!r} for {attribute!r} is no network: write an address or a network, such as 10.0.0.0/8 or "
                "2001:db8::/32."
            ) from None

    def holds(attributes: Attributes, _: float | None) -> bool:
        value = attributes.get(attribute)
        try:
            address = ip_address(value) if isinstance(value, str) else None
        except ValueError:
            return False
        return address is not None and any(address in network for network in networks)

    return holds
