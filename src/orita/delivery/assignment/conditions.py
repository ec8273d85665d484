"""Who is meant: conditions on the attributes of a request, as they are written in flags, segments and audiences.

    - {is: in, attribute: country, values: [SE, "NO"]}
    - {is: version, attribute: app_version, op: ">=", value: 2.3.0}
    - {is: not, of: {is: segment, name: staff}}

Attributes are what the caller knows: a mapping of names to text, numbers, booleans, times or lists of them; headers are
attributes named ``header.x-name``. **An attribute that is absent, null or of a kind that a condition cannot read makes
this condition false**, never an error; `Not` turns that into true. `matching.matcher` makes a function of a condition.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = [
    "All",
    "AnyOf",
    "Condition",
    "Contains",
    "EndsWith",
    "InNetwork",
    "InSegment",
    "Matches",
    "Not",
    "Number",
    "OneOf",
    "Present",
    "StartsWith",
    "Time",
    "Version",
]

Comparison = Literal["=", "!=", "<", "<=", ">", ">="]
Name = Annotated[str, Meta(min_length=1)]


class _Declared(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, tag_field="is"):
    """A part of a declaration: it cannot change, and refuses keys it does not know."""


class OneOf(_Declared, frozen=True, kw_only=True, tag="in"):
    """The attribute is one of *values*; of a list, one element is.

    A value and its text are one: 12 and "12", true and "true".
    """

    attribute: Name
    values: tuple[str | int | float | bool, ...]
    ignore_case: bool = False


class _Text(_Declared, frozen=True, kw_only=True):
    attribute: Name
    values: tuple[str, ...]
    ignore_case: bool = False


class StartsWith(_Text, frozen=True, kw_only=True, tag="starts_with"):
    """The attribute is text that starts with one of *values*."""


class EndsWith(_Text, frozen=True, kw_only=True, tag="ends_with"):
    """The attribute is text that ends with one of *values*."""


class Contains(_Text, frozen=True, kw_only=True, tag="contains"):
    """The attribute is text that contains one of *values*."""


class Matches(_Declared, frozen=True, kw_only=True, tag="matches"):
    """A Python regular expression is found in the attribute, which is text.

    Python's engine tries one way after another: an expression of nested repetitions can take for ever on a text that
    somebody made for it. Write anchors, and no repetition of a repetition.
    """

    attribute: Name
    pattern: str
    ignore_case: bool = False


class Number(_Declared, frozen=True, kw_only=True, tag="number"):
    """The attribute is a number, or the text of one, that compares so with *value*."""

    attribute: Name
    op: Comparison
    value: float


class Version(_Declared, frozen=True, kw_only=True, tag="version"):
    """The attribute is a semantic version (semver.org 2.0.0, without a leading v) that compares so with *value*."""

    attribute: Name
    op: Comparison
    value: str


class Time(_Declared, frozen=True, kw_only=True, tag="time"):
    """A time is before or after *value*, strictly: that of the attribute (a time or ISO 8601); without one, now."""

    op: Literal["before", "after"]
    value: Annotated[datetime, Meta(tz=True)]
    attribute: str = ""


class InNetwork(_Declared, frozen=True, kw_only=True, tag="network"):
    """The attribute is an IPv4 or IPv6 address in one of *values*: addresses, or networks such as 10.0.0.0/8."""

    attribute: Name
    values: tuple[str, ...]


class Present(_Declared, frozen=True, kw_only=True, tag="present"):
    """The attribute is there and is not null."""

    attribute: Name


class InSegment(_Declared, frozen=True, kw_only=True, tag="segment"):
    """The condition of the segment *name* holds."""

    name: Name


class All(_Declared, frozen=True, kw_only=True, tag="all"):
    """Each of the conditions holds; so does none at all."""

    of: tuple[Condition, ...]


class AnyOf(_Declared, frozen=True, kw_only=True, tag="any"):
    """One of the conditions holds; of none at all, none does."""

    of: tuple[Condition, ...]


class Not(_Declared, frozen=True, kw_only=True, tag="not"):
    """The condition does not hold."""

    of: Condition


Condition = (
    OneOf
    | StartsWith
    | EndsWith
    | Contains
    | Matches
    | Number
    | Version
    | Time
    | InNetwork
    | Present
    | InSegment
    | All
    | AnyOf
    | Not
)
