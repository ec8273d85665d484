"""Which events an aggregate takes: conditions on columns of a source; `features.masks` computes where they hold.

    payments.count().where(payments.amount > 100)
    payments.count().where(payments.channel.one_of("web", "app") & ~payments.refunded.equals(1))

Whole numbers are compared exactly, however large. A comparison with a missing value is false; ``&``, ``|`` and ``~``
are those of two-valued logic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

from orita.core.errors import UserError
from orita.events.schema import Column

__all__ = [
    "AllOf",
    "AnyOf",
    "Compare",
    "Condition",
    "Not",
    "OneOf",
    "columns_of",
    "one_of",
]

Operator = Literal["<", "<=", ">", ">="]


_EXACT = 1 << 53
"""Whole numbers up to this are floats, too."""


class _Combined:
    """What conditions have in common: they can be combined."""

    __slots__ = ()

    def __and__(self, other: Condition) -> AllOf:
        return AllOf((cast("Condition", self), other))

    def __or__(self, other: Condition) -> AnyOf:
        return AnyOf((cast("Condition", self), other))

    def __invert__(self) -> Not:
        return Not(cast("Condition", self))

    def __bool__(self) -> bool:
        raise UserError("conditions are combined with &, | and ~, in parentheses; not with 'and', 'or' and 'not'.")


@dataclass(frozen=True, slots=True)
class Compare(_Combined):
    """A number of the event, compared with a constant: an int only where a float would be another number."""

    column: str
    operator: Operator
    value: float

    def __post_init__(self) -> None:
        if not isinstance(self.value, int) or abs(self.value) <= _EXACT:
            object.__setattr__(self, "value", float(self.value))


@dataclass(frozen=True, slots=True)
class OneOf(_Combined):
    """A column of the event that has one of some values."""

    column: str
    values: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class AllOf(_Combined):
    """All of the conditions."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(_Combined):
    """One of the conditions, or several."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not(_Combined):
    """Where the condition does not hold."""

    part: Condition


Condition = Compare | OneOf | AllOf | AnyOf | Not


def one_of(column: Column, values: tuple[str | int | float, ...]) -> OneOf:
    """Return the condition that *column* has one of *values*.

    Raises:
        UserError: there are no values, or one that the column cannot have.
    """
    number = column.type in ("int", "float", "flag")
    if column.type in ("time", "list") or not values:
        raise UserError(f"one_of() on column {column.name!r} of type {column.type!r}: it takes values of a column of "
                        "type int, float, flag, str, category or id.")  # fmt: skip
    for value in values:
        wrong = isinstance(value, bool) or (isinstance(value, str) if number else not isinstance(value, str))
        if column.type == "id":
            wrong = isinstance(value, (bool, float))
        if wrong or (column.choices and value not in column.choices):
            allowed = list(column.choices) if column.choices else "a number" if number else "text"
            raise UserError(f"column {column.name!r} cannot be {value!r}: allowed is {allowed}.")
    return OneOf(column.name, values)


def columns_of(condition: Condition | None) -> tuple[str, ...]:
    """Return the names of the columns that *condition* reads, sorted."""
    match condition:
        case None:
            return ()
        case Compare() | OneOf():
            return (condition.column,)
        case Not():
            return columns_of(condition.part)
        case _:
            return tuple(sorted({name for part in condition.parts for name in columns_of(part)}))
