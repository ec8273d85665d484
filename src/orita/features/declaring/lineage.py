"""Where a feature comes from: the columns, filters, windows, entities and functions that its values depend on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from orita.features.declarations import (
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
    Residual,
    WeekDay,
    Window,
)
from orita.features.declaring.conditions import AllOf, AnyOf, Compare, Condition, Not, OneOf, columns_of
from orita.features.declaring.functions import Call
from orita.features.declaring.windows import duration_text

__all__ = ["Lineage", "lineage_of"]


@dataclass(frozen=True, slots=True)
class Lineage:
    """One step of how a value comes about, with the steps before it: a tree of plain values.

    Attributes:
        step: what is done: the aggregate's or transform's or function's name.
        kind: what sort of step it is.
        columns: the columns that are read, as ``table.column``: values first, then keys, filter, times and ids.
        entities: by whose ids the value is found.
        window: which of the earlier events count, such as ``7d, hop 1h, delayed 1d``; empty where none are read.
        filter: which of those, empty: all.
        version: of a function, the digest of its code.
        inputs: what it is made of.
    """

    step: str
    kind: Literal["aggregate", "attribute", "request", "transform", "function"]
    columns: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    window: str = ""
    filter: str = ""
    version: str = ""
    inputs: tuple[Lineage, ...] = ()

    def steps(self) -> Iterator[Lineage]:
        """Yield this step and every one before it."""
        yield self
        for each in self.inputs:
            yield from each.steps()

    @property
    def every_column(self) -> tuple[str, ...]:
        """Every column that any step reads, sorted."""
        return tuple(sorted({column for each in self.steps() for column in each.columns}))

    @property
    def sources(self) -> tuple[str, ...]:
        """Every table that any step reads, sorted."""
        return tuple(sorted({column.rpartition(".")[0] for column in self.every_column} - {"request"}))

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as JSON values."""
        return asdict(self)


def lineage_of(expression: Expression) -> Lineage:
    """Return how the value of *expression* comes about; what a request brings is a column of ``request``."""
    match expression:
        case Aggregate():
            return _aggregate(expression)
        case Attribute():
            return _attribute(expression)
        case ContextColumn(column=column):
            return Lineage(column.name, "request", (f"request.{column.name}",))
        case HourOfDay():
            return Lineage("hour_of_day", "request", ("request.time",))
        case WeekDay():
            return Lineage("day_of_week", "request", ("request.time",))
        case Decay():
            return Lineage("decay", "transform", ("request.time",), inputs=(_aggregate(expression.last),))
        case Elapsed():
            return Lineage("age", "transform", ("request.time",), inputs=(_aggregate(expression.since),))
        case AttributeAge():
            otherwise = (_aggregate(expression.otherwise),) if expression.otherwise else ()
            return Lineage("age", "transform", ("request.time",), inputs=(_attribute(expression.attribute), *otherwise))
        case OneHot():
            return Lineage("one_hot", "transform", inputs=(lineage_of(expression.of),))
        case Derived(transform=Call() as call):
            inputs = tuple(lineage_of(each) for each in expression.inputs)
            return Lineage(call.name, "function", version=call.version, inputs=inputs)
        case Derived():
            inputs = tuple(lineage_of(each) for each in expression.inputs)
            return Lineage(type(expression.transform).__name__.lower(), "transform", inputs=inputs)


def _aggregate(aggregate: Aggregate) -> Lineage:
    source = aggregate.source
    value = aggregate.value.column if isinstance(aggregate.value, Residual) else aggregate.value
    names = [each.column.name for each in (value, aggregate.denominator) if each is not None]
    for entity in aggregate.entities:
        names.extend(source.key_columns(entity))
    attribute = aggregate.attribute
    if attribute is not None:
        names.extend(source.key_columns(attribute.entity))
    names.extend(columns_of(aggregate.condition))
    times_and_id = (source.schema.time, source.schema.ingested, source.schema.key)
    names.extend(name for name in times_and_id if name is not None)
    expected = aggregate.value.expected if isinstance(aggregate.value, Residual) else None
    return Lineage(
        step=aggregate.function,
        kind="aggregate",
        columns=tuple(f"{source.name}.{name}" for name in dict.fromkeys(names)),
        entities=tuple(entity.name for entity in aggregate.looked_up),
        window=_window(aggregate.window),
        filter="" if aggregate.condition is None else _text(aggregate.condition),
        inputs=(*((_attribute(attribute),) if attribute else ()), *((_aggregate(expected),) if expected else ())),
    )


def _attribute(attribute: Attribute) -> Lineage:
    entity = attribute.entity
    columns = tuple(f"{entity.table}.{name}" for name in (attribute.column.name, *entity.schema.names[:1]))
    return Lineage(attribute.column.name, "attribute", columns, (entity.name,))


def _window(window: Window) -> str:
    told = {"lifetime": "lifetime", "sliding": "", "tumbling": "tumbling ", "session": "session "}[window.kind]
    told += duration_text(window.width) if window.width else ""
    told += f", hop {duration_text(window.hop)}" if window.hop else ""
    return told + (f", delayed {duration_text(window.delay)}" if window.delay else "")


def _text(condition: Condition) -> str:
    match condition:
        case Compare():
            return f"{condition.column} {condition.operator} {condition.value:.15g}"
        case OneOf():
            return f"{condition.column} in ({', '.join(map(str, condition.values))})"
        case Not():
            return f"not ({_text(condition.part)})"
        case AllOf() | AnyOf():
            word = " and " if isinstance(condition, AllOf) else " or "
            return word.join(f"({_text(p)})" if isinstance(p, AllOf | AnyOf) else _text(p) for p in condition.parts)
