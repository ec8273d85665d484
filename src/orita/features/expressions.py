"""What an expression makes of aggregates, attributes and the request: written once, for the batch and online engines.

Legend: N rows; an evaluator returns [N], [1] (one value for all rows) or a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from orita.events.schema import Column
from orita.features.declarations import (
    MICROS_PER_DAY,
    Aggregate,
    Attribute,
    AttributeAge,
    ContextColumn,
    Decay,
    Derived,
    Elapsed,
    Expression,
    HourOfDay,
    OneHot,
    WeekDay,
)
from orita.features.system import System

__all__ = ["Evaluator", "Reads", "Rows", "evaluators"]

Array = npt.NDArray[np.float64]

_MICROS_PER_HOUR = 3_600_000_000


class Rows(Protocol):
    """The rows that features are computed for."""

    @property
    def at(self) -> int | npt.NDArray[np.int64]:
        """Time of the rows, microseconds since the Unix epoch: one for all, or [N]."""
        ...


_Rows = TypeVar("_Rows", bound=Rows)
Evaluator = Callable[[_Rows], Array | float]


@dataclass(frozen=True, slots=True)
class Reads(Generic[_Rows]):
    """How an engine reads what expressions are made of.

    Attributes:
        aggregate: the value of an aggregate, NaN where it is missing.
        attribute: an attribute's slots, [1 or N, width], NaN where it is unknown; flags where it has many values.
        equals: whether a column of the request has a value, as 0 or 1.
        context: a column of the request: a number, or the number of its value among the choices; NaN where missing.
    """

    aggregate: Callable[[Aggregate], Evaluator[_Rows]]
    attribute: Callable[[Attribute], Callable[[_Rows], Array]]
    equals: Callable[[Column, str], Evaluator[_Rows]]
    context: Callable[[Column], Evaluator[_Rows]]


def evaluators(system: System, reads: Reads[_Rows]) -> dict[str, Evaluator[_Rows]]:
    """Return a function for every feature column of *system*, by name."""
    return {
        name: evaluator
        for feature, expression in system.kept.items()
        for name, evaluator in _expression(feature, expression, reads).items()
    }


def _expression(feature: str, expression: Expression, reads: Reads[_Rows]) -> dict[str, Evaluator[_Rows]]:
    match expression:
        case Aggregate():
            return {feature: reads.aggregate(expression)}
        case Decay():
            return {feature: _decay(reads.aggregate(expression.last), float(expression.half_life))}
        case Elapsed():
            return {feature: _elapsed(reads.aggregate(expression.since))}
        case AttributeAge():
            otherwise = reads.aggregate(expression.otherwise) if expression.otherwise else None
            return {feature: _age(reads.attribute(expression.attribute), otherwise)}
        case HourOfDay():
            return {feature: lambda rows: _float(rows.at // _MICROS_PER_HOUR % 24)}
        case WeekDay():
            return {feature: lambda rows: _float((rows.at // MICROS_PER_DAY + 3) % 7)}
        case OneHot(of=ContextColumn(column=column)) if column.type not in ("int", "flag"):
            return {f"{feature}_{value}": reads.equals(column, str(value)) for value in expression.values}
        case OneHot():
            return {f"{feature}_{value}": _derived(flag, reads) for value, flag in expression.flags.items()}
        case Attribute() if expression.many:
            slots = reads.attribute(expression)
            return {f"{feature}_{value}": _nth(slots, i) for i, value in enumerate(expression.values)}
        case Attribute():
            return {feature: _nth(reads.attribute(expression), 0)}
        case ContextColumn():
            return {feature: reads.context(expression.column)}
        case Derived():
            return {feature: _derived(expression, reads)}


def _float(value: int | npt.NDArray[np.int64]) -> Array | float:
    return float(value) if isinstance(value, int) else value.astype(np.float64)


def _nth(slots: Callable[[_Rows], Array], position: int) -> Evaluator[_Rows]:
    return lambda rows: slots(rows)[:, position]


def _decay(last: Evaluator[_Rows], half_life: float) -> Evaluator[_Rows]:
    def evaluate(rows: _Rows) -> Array:
        age_N = rows.at - np.asarray(last(rows))
        return np.where(np.isnan(age_N), 0.0, np.exp2(age_N / -half_life))

    return evaluate


def _elapsed(since: Evaluator[_Rows]) -> Evaluator[_Rows]:
    return lambda rows: (rows.at - np.asarray(since(rows))) / MICROS_PER_DAY


def _derived(expression: Derived, reads: Reads[_Rows]) -> Evaluator[_Rows]:
    inputs = [next(iter(_expression("input", each, reads).values())) for each in expression.inputs]
    return lambda rows: expression.transform.apply(*(np.atleast_1d(np.asarray(each(rows))) for each in inputs))


def _age(since: Callable[[_Rows], Array], otherwise: Evaluator[_Rows] | None) -> Evaluator[_Rows]:
    def evaluate(rows: _Rows) -> Array:
        start = since(rows)[:, 0]
        if otherwise is not None:
            start = np.where(np.isnan(start), otherwise(rows), start)
        return np.maximum(rows.at - start, 0) / MICROS_PER_DAY

    return evaluate
