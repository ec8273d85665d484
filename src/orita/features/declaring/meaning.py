"""What a feature means, as a short digest: two declarations with one digest give equal values from equal events."""

from __future__ import annotations

import hashlib
from dataclasses import astuple

from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    ContextColumn,
    Decay,
    Derived,
    Elapsed,
    EventColumn,
    Expression,
    HourOfDay,
    OneHot,
    Residual,
    Source,
    WeekDay,
)

__all__ = ["identity", "meaning"]


def meaning(expression: Expression) -> str:
    """Return 12 hexadecimal digits that change when anything does on which the feature's values depend."""
    return hashlib.sha256(repr(_told(expression)).encode()).hexdigest()[:12]


def identity(aggregate: Aggregate) -> tuple[object, ...]:
    """Return all on which an aggregate's values depend, as plain values."""
    a = aggregate
    # In whichever order the keys are named, the events of a group are the same.
    keys = sorted((a.source.key_columns(key), read.columns) for key, read in zip(a.entities, a.looked_up, strict=True))
    return (
        _source(a.source),
        a.function,
        float(a.parameter),
        _value(a.value),
        _value(a.denominator),
        (*(key for key, _ in keys), *(_keyed(a.source, a.attribute) if a.attribute else ())),
        tuple(read for _, read in keys),
        astuple(a.window),
        repr(a.condition),
        (float(a.prior.mean), float(a.prior.weight)) if a.prior else None,
        a.time_to_live,
    )


def _source(source: Source) -> tuple[object, ...]:
    schema = source.schema
    return source.name, source.delay_micros, schema.key, schema.time, schema.ingested


def _value(value: EventColumn | Residual | None) -> object:
    match value:
        case Residual():
            return value.column.column.name, identity(value.expected)
        case EventColumn():
            # Categories are numbered in the order of their values.
            choices = value.column.choices if value.column.type == "category" else ()
            return value.column.name, value.column.type, choices
        case None:
            return None


def _keyed(source: Source, attribute: Attribute) -> tuple[object, ...]:
    return source.key_columns(attribute.entity), _attribute(attribute)


def _attribute(attribute: Attribute) -> tuple[object, ...]:
    # The order of the values is the order of their codes.
    entity, column = attribute.entity, attribute.column
    return entity.table, entity.table_column, entity.key, column.name, column.type, attribute.values


def _told(expression: Expression) -> tuple[object, ...]:
    match expression:
        case Aggregate():
            return "aggregate", identity(expression)
        case Decay():
            return "decay", identity(expression.last), expression.half_life
        case Elapsed():
            return "elapsed", identity(expression.since)
        case AttributeAge():
            otherwise = identity(expression.otherwise) if expression.otherwise else None
            return "age", _attribute(expression.attribute), otherwise
        case Attribute():
            return "attribute", _attribute(expression)
        case OneHot(of=ContextColumn(column=column)):
            return "one_hot", column.name  # by its text, whatever else it may be
        case OneHot():
            return "one_hot", _told(expression.of)
        case ContextColumn():
            return "context", expression.column.name, expression.column.type, expression.column.choices
        case Derived():
            return "derived", repr(expression.transform), tuple(_told(each) for each in expression.inputs)
        case HourOfDay():
            return ("hour_of_day",)
        case WeekDay():
            return ("day_of_week",)
