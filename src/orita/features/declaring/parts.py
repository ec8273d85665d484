"""What an expression is made of: the aggregates and attributes that it reads, and the entities that these name."""

from __future__ import annotations

from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    ContextColumn,
    Decay,
    Derived,
    Elapsed,
    Entity,
    Expression,
    OneHot,
    Residual,
)

__all__ = ["aggregates_in", "attributes_in", "context_in", "entities_in", "shared_by"]


def aggregates_in(expression: Expression) -> tuple[Aggregate, ...]:
    """Return the aggregates that *expression* reads, each after those that its residual needs."""
    match expression:
        case Aggregate(value=Residual() as residual):
            return residual.expected, expression
        case Aggregate():
            return (expression,)
        case Decay():
            return (expression.last,)
        case Elapsed():
            return (expression.since,)
        case AttributeAge() if expression.otherwise:
            return (expression.otherwise,)
        case OneHot():
            return aggregates_in(expression.of)
        case Derived():
            return tuple(aggregate for each in expression.inputs for aggregate in aggregates_in(each))
        case _:
            return ()


def attributes_in(expression: Expression) -> tuple[Attribute, ...]:
    """Return the attributes that *expression* reads, also as the keys of its aggregates."""
    keys = tuple(a.attribute for a in aggregates_in(expression) if a.attribute)
    match expression:
        case Attribute():
            return (expression,)
        case AttributeAge():
            return (expression.attribute, *keys)
        case OneHot():
            return attributes_in(expression.of)
        case Derived():
            return tuple(attribute for each in expression.inputs for attribute in attributes_in(each))
        case _:
            return keys


def context_in(expression: Expression) -> tuple[str, ...]:
    """Return the columns of the request that *expression* reads."""
    match expression:
        case ContextColumn():
            return (expression.column.name,)
        case OneHot():
            return context_in(expression.of)
        case Derived():
            return tuple(name for each in expression.inputs for name in context_in(each))
        case _:
            return ()


def entities_in(expression: Expression) -> tuple[Entity, ...]:
    """Return the entities by whose ids a row finds what *expression* reads."""
    found = [attribute.entity for attribute in attributes_in(expression)]
    for aggregate in aggregates_in(expression):
        found.extend(aggregate.looked_up)
    return tuple(dict.fromkeys(found))


def shared_by(expression: Expression) -> Attribute | None:
    """Return the attribute by which alone *expression* groups events: whatever has one value of it has one value of
    the feature; None: it says something of each id, or reads an attribute of many values."""
    keys = {aggregate.keys for aggregate in aggregates_in(expression)}
    attributes = attributes_in(expression)
    if len(attributes) != 1 or keys != {attributes} or attributes[0].many:
        return None
    return attributes[0]
