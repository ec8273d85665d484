"""What a feature means, as a short digest: two declarations with one digest give equal values from equal events."""

from __future__ import annotations

import hashlib

from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    Decay,
    Entity,
    Expression,
    HourOfDay,
    Key,
    OneHot,
    Residual,
    WeekDay,
)

__all__ = ["identity", "meaning"]


def meaning(expression: Expression) -> str:
    """Return 12 hexadecimal digits that change when anything does on which the feature's values depend."""
    return hashlib.sha256(repr(_told(expression)).encode()).hexdigest()[:12]


def identity(aggregate: Aggregate) -> tuple[object, ...]:
    """Return all on which an aggregate's values depend, as plain values."""
    value: object = None
    if isinstance(aggregate.value, Residual):
        value = (aggregate.value.column.column.name, identity(aggregate.value.expected))
    elif aggregate.value:
        value = aggregate.value.column.name
    prior = (aggregate.prior.mean, aggregate.prior.weight) if aggregate.prior else None
    return aggregate.source.name, aggregate.function, value, tuple(_key(key) for key in aggregate.keys), prior


def _key(key: Key) -> tuple[object, ...]:
    return (key.key,) if isinstance(key, Entity) else _attribute(key)


def _attribute(attribute: Attribute) -> tuple[object, ...]:
    # The order of the values is the order of their codes.
    return attribute.entity.table, attribute.entity.key, attribute.column.name, attribute.column.type, attribute.values


def _told(expression: Expression) -> tuple[object, ...]:
    match expression:
        case Aggregate():
            return "aggregate", identity(expression)
        case Decay():
            return "decay", identity(expression.last), expression.half_life
        case AttributeAge():
            otherwise = identity(expression.otherwise) if expression.otherwise else None
            return "age", _attribute(expression.attribute), otherwise
        case Attribute():
            return "attribute", _attribute(expression)
        case OneHot():
            return "one_hot", expression.column.column.name
        case HourOfDay():
            return ("hour_of_day",)
        case WeekDay():
            return ("day_of_week",)
