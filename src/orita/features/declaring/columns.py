"""Which columns of a feature matrix an expression becomes."""

from __future__ import annotations

from orita.core.errors import UserError
from orita.features.declarations import (
    Attribute,
    ContextColumn,
    Entity,
    Expression,
    HourOfDay,
    OneHot,
    WeekDay,
)
from orita.features.declaring.kinds import value_of
from orita.features.declaring.parts import entities_in
from orita.features.schema import FeatureColumn, Side

__all__ = ["feature_columns"]

_ARROW = {"number": "float32", "count": "int64", "flag": "int8"}
_SHORT = 1 << 15


def feature_columns(name: str, expression: Expression, user: Entity, item: Entity) -> list[FeatureColumn]:
    """Return the columns of feature *name*.

    Raises:
        UserError: its values cannot be a feature.
    """
    side = _side(expression, user, item)
    value = value_of(expression)
    match value.kind:
        case "flags" | "list":
            assert isinstance(expression, OneHot | Attribute)
            return [FeatureColumn(f"{name}_{each}", side, "flag", arrow="int8") for each in expression.values]
        case "category":
            cardinality = len(value.values)
            return [FeatureColumn(name, side, "category", cardinality, arrow=_category(expression, cardinality))]
        case "time":
            raise UserError(
                f"feature {name!r} is a time; make a number of it with age(), decay(), hour() or weekday()."
            )
        case "text":
            assert isinstance(expression, Attribute | ContextColumn)
            raise UserError(
                f"feature {name!r} is a column of type {expression.column.type!r}; numbers, and categories with "
                "choices, can be features."
            )
        case kind:
            return [FeatureColumn(name, side, kind, arrow=_ARROW[kind])]


def _category(expression: Expression, cardinality: int) -> str:
    """Return the Arrow type of codes."""
    if isinstance(expression, HourOfDay | WeekDay):
        return "int8"
    return "int16" if cardinality <= _SHORT else "int32"


def _side(expression: Expression, user: Entity, item: Entity) -> Side:
    """Return which part of a model a feature belongs to; what another entity of the request has is context."""
    entities = entities_in(expression)
    if not entities:
        return "context"
    if item in entities:
        return "item" if len(entities) == 1 else "pair"
    return "user" if entities == (user,) else "context"
