"""A declaration in words, for people who did not write it."""

from __future__ import annotations

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
    WeekDay,
)
from orita.features.declaring.lineage import lineage_of
from orita.features.declaring.windows import LIFETIME, duration_text

__all__ = ["in_words"]

_NAMES = {
    "distinct": "exact number of different values",
    "approx_distinct": "approximate number of different values",
    "distinct_days": "number of UTC days with events",
    "count": "number of events",
    "first_time": "time of the first event",
    "last_time": "time of the latest event",
    "std": "standard deviation",
    "var": "variance",
    "decayed_sum": "decayed sum",
    "decayed_mean": "decayed mean",
}


def in_words(expression: Expression) -> str:
    """Return what *expression* says, as a phrase.

    >>> from orita import INTERACTION, Entity, Source
    >>> shown = Source("interactions", INTERACTION)
    >>> in_words(shown.mean("click").by(Entity("user", key="user_id")).over("7d", hop="1h"))
    'mean of interactions.click, by user, over 7d, hop 1h'
    """
    match expression:
        case Aggregate():
            return _aggregate(expression)
        case Decay():
            return f"0.5 ^ (age ÷ {duration_text(expression.half_life)}) of the {_aggregate(expression.last)}"
        case Elapsed():
            return f"days since the {_aggregate(expression.since)}"
        case AttributeAge():
            since = f"days since {expression.attribute.entity.name}.{expression.attribute.column.name}"
            return since + (f", else since the {_aggregate(expression.otherwise)}" if expression.otherwise else "")
        case Attribute():
            return f"{expression.column.name} of the {expression.entity.name}"
        case ContextColumn():
            return f"{expression.column.name} of the request"
        case HourOfDay():
            return "hour of the request, UTC"
        case WeekDay():
            return "weekday of the request, UTC, Monday 0"
        case OneHot():
            return f"a flag for each of {', '.join(map(str, expression.values))} of {in_words(expression.of)}"
        case Derived():
            step = lineage_of(expression).step
            return f"{step}({'; '.join(in_words(each) for each in expression.inputs)})"


def _aggregate(aggregate: Aggregate) -> str:
    source, told = aggregate.source.name, lineage_of(aggregate)
    parts = [_of(aggregate)]
    keys = [key.name for key in aggregate.keys]
    parts.append(f"by {' and '.join(keys)}" if keys else f"of all {source}")
    if aggregate.reads:
        parts.append(f"looked up by {' and '.join(entity.name for entity in aggregate.reads)}")
    if aggregate.window != LIFETIME:
        parts.append(f"over {told.window}")
    if told.filter:
        parts.append(f"where {told.filter}")
    if aggregate.prior is not None:
        parts.append(f"smoothed towards {aggregate.prior.mean:g} with weight {aggregate.prior.weight:g}")
    if aggregate.time_to_live:
        parts.append(f"missing once the latest event is {duration_text(aggregate.time_to_live)} old")
    return ", ".join(parts)


def _of(aggregate: Aggregate) -> str:
    """Return what is computed of which column."""
    source, value = aggregate.source.name, aggregate.value
    name = _NAMES.get(aggregate.function, aggregate.function)
    if aggregate.function == "quantile":
        name = f"{aggregate.parameter:g} quantile"
    if aggregate.function.startswith("decayed"):
        name += f" (half-life {duration_text(int(aggregate.parameter))})"
    match value:
        case EventColumn() if aggregate.denominator is not None:
            return f"{source}.{value.column.name} ÷ {source}.{aggregate.denominator.column.name}"
        case EventColumn() if aggregate.function == "ratio":
            return f"{source}.{value.column.name} ÷ number of events"
        case EventColumn():
            return f"{name} of {source}.{value.column.name}"
        case Residual():
            return f"{name} of {source}.{value.column.column.name} beyond the {_aggregate(value.expected)}"
        case None:
            return f"{name} of {source}" if name == aggregate.function else f"{name} in {source}"
