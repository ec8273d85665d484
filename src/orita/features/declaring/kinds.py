"""What kind of value an expression is: what may be made of it, and which column it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from orita.core.errors import UserError, closest
from orita.events.schema import Column
from orita.features.declarations import (
    Aggregate,
    Attribute,
    ContextColumn,
    Derived,
    EventColumn,
    Expression,
    HourOfDay,
    OneHot,
    Several,
    WeekDay,
)
from orita.features.schema import Kind
from orita.features.transforms import Derivable

__all__ = ["Taken", "Value", "code_of", "require_kind", "value_of"]

Taken = Literal["number", "whole", "time", "any"]
"""What a transform takes: a number; a category, flag or whole number; a time; any one value."""

_COUNTS = ("count", "distinct", "approx_distinct", "distinct_days")
_WHOLE = ("sum", "min", "max", "first", "last")
_TAKES = {
    "number": "a number",
    "whole": "a category, a flag or a whole number",
    "time": "a time: first_time(), last_time() or an attribute of type 'time'",
    "any": "a value of the row",
}
_INSTEAD = {
    "time": " Make a number of it with age(), hour() or weekday().",
    "category": " Make numbers of it with one_hot() or equals().",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A kind of value.

    Attributes:
        kind: as in a schema, or a ``time``, a ``list`` of categories, ``text`` (also ids), ``flags`` (several).
        values: of a category, what its numbers stand for, in order.
        whole: whether a number has no fractions.
    """

    kind: Kind | Literal["time", "list", "text", "flags"] = "number"
    values: Sequence[str | int] = ()
    whole: bool = False


def value_of(expression: Expression) -> Value:
    """Return what kind of value *expression* is."""
    match expression:
        case Aggregate():
            return _aggregate(expression)
        case Attribute() | ContextColumn():
            return _column(expression.column, sent=isinstance(expression, ContextColumn))
        case HourOfDay():
            return Value("category", range(24), whole=True)
        case WeekDay():
            return Value("category", range(7), whole=True)
        case OneHot():
            return Value("flags")
        case Derived(transform=transform):
            whole = transform.kind != "number"
            return Value(transform.kind, range(transform.cardinality), whole)
        case _:
            return Value()


def require_kind(value: Derivable, takes: Taken, what: str) -> Expression:
    """Return *value* as an expression.

    Args:
        value: an input of a transform.
        takes: what it has to be.
        what: how the transform was written, for the sentence.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, Derivable):
        raise UserError(f"{what} takes {_TAKES[takes]}, not {type(value).__name__} {value!r}.")
    if isinstance(value, Several):
        widths = ", ".join(repr(width) for width, _ in value.each)
        raise UserError(f"{what} takes {_TAKES[takes]}, not over({widths}), which are several: write each by itself.")
    found = value_of(cast("Expression", value))
    fits = {
        "number": found.kind in ("number", "count", "flag"),
        "whole": found.whole or found.kind in ("count", "flag", "category"),
        "time": found.kind == "time",
        "any": found.kind not in ("list", "text", "flags"),
    }
    if not fits[takes]:
        raise UserError(f"{what} takes {_TAKES[takes]}, not {_told(value)}.{_INSTEAD.get(found.kind, '')}")
    return cast("Expression", value)


def code_of(value: Derivable, wanted: str | int, what: str, *, text: bool = False) -> float:
    """Return the number that stands for *wanted* among what *value* may be, or the whole number itself.

    Args:
        value: a category, a flag or a whole number.
        wanted: one that it may be.
        what: how it was written, for the sentence.
        text: whether a column of the request without declared values will do: then its number means nothing.

    Raises:
        UserError: it can never be that.
    """
    found = value_of(cast("Expression", value))
    if text and found.kind == "text" and isinstance(value, ContextColumn):
        if not isinstance(wanted, str):
            raise UserError(f"{what} of {_told(value)} takes texts, not {wanted!r}.")
        return -1.0
    require_kind(value, "whole", what)
    if found.values:
        if wanted not in found.values or isinstance(wanted, bool):
            numbered = isinstance(found.values, range)
            allowed = (
                f"It is 0 to {len(found.values) - 1}." if numbered else closest(str(wanted), map(str, found.values))
            )
            raise UserError(f"{what} of {_told(value)} cannot be {wanted!r}. {allowed}")
        return float(found.values.index(wanted))
    if isinstance(wanted, (bool, str)):
        raise UserError(f"{what} of {_told(value)} takes a whole number, not {wanted!r}.")
    return float(wanted)


def _aggregate(aggregate: Aggregate) -> Value:
    column = aggregate.value.column if isinstance(aggregate.value, EventColumn) else None
    if aggregate.function in _COUNTS:
        return Value("count", whole=True)
    if aggregate.function in ("last_time", "first_time"):
        return Value("time")
    if column is not None and column.type == "category" and aggregate.function in ("first", "last"):
        return Value("category", column.choices, whole=True)
    whole = column is not None and column.type in ("int", "flag") and aggregate.function in _WHOLE
    return Value("number", whole=whole)


def _column(column: Column, *, sent: bool) -> Value:
    match column.type:
        case "list":
            return Value("list", column.choices)
        case "category" if column.choices:
            return Value("category", column.choices, whole=True)
        case "int" | "flag":
            return Value("number", whole=True)
        case "float":
            return Value()
        case "time" if not sent:
            return Value("time")
        case _:
            return Value("text")


def _told(value: Derivable) -> str:
    found = value_of(cast("Expression", value))
    match value:
        case Attribute():
            return f"attribute {value.name!r} of type {value.column.type!r}"
        case ContextColumn():
            return f"column {value.column.name!r} of type {value.column.type!r}"
        case Aggregate():
            return f"the {found.kind} {value.function}()"
        case _:
            return f"a {found.kind}"
