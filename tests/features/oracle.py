"""A naive engine: every feature from its meaning, one row at a time, in plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    Decay,
    Entity,
    Expression,
    HourOfDay,
    OneHot,
    Residual,
    WeekDay,
)
from orita.features.system import System

DAY = 86_400_000_000
Event = dict[str, Any]


@dataclass
class Oracle:
    """Computes features of a system from a list of events (``t`` in microseconds) and entity attributes by id."""

    system: System
    events: Sequence[Event]
    attributes: dict[str, dict[Any, dict[str, Any]]] = field(default_factory=dict)

    def row(self, user: object, item: object, at: int, context: Event) -> dict[str, float]:
        """Return every feature as of *at*, nan where it is missing."""
        target = {**context, "user_id": user, "item_id": item, "t": at}
        values: dict[str, float] = {}
        for name, expression in self.system.declared.items():
            values |= self._expression(name, expression, target)
        return values

    def _expression(self, name: str, expression: Expression, row: Event) -> dict[str, float]:
        match expression:
            case Aggregate():
                return {name: self._aggregate(expression, row)}
            case Decay():
                last = self._aggregate(expression.last, row)
                return {name: 0.0 if last != last else 0.5 ** ((row["t"] - last) / expression.half_life)}
            case AttributeAge():
                found = self._values(expression.attribute, row)
                since = found[0] if found else nan
                if since != since and expression.otherwise:
                    since = self._aggregate(expression.otherwise, row)
                return {name: nan if since != since else max(row["t"] - since, 0) / DAY}
            case HourOfDay():
                return {name: row["t"] // 3_600_000_000 % 24}
            case WeekDay():
                return {name: (row["t"] // DAY + 3) % 7}
            case OneHot():
                given = row.get(expression.column.column.name)
                return {f"{name}_{value}": float(given == value) for value in expression.values}
            case Attribute() if expression.many:
                codes = self._values(expression, row)
                return {f"{name}_{value}": float(i in codes) for i, value in enumerate(expression.values)}
            case Attribute():
                codes = self._values(expression, row)
                return {name: codes[0] if codes else nan}

    def _values(self, attribute: Attribute, row: Event) -> list[float]:
        """Return the values of an attribute as numbers: codes of categories, microseconds of times."""
        entity = attribute.entity
        known = self.attributes.get(entity.name, {}).get(row[entity.key], {})
        value = known.get(attribute.column.name)
        if value is None:
            return []
        if attribute.many:
            return sorted({float(attribute.values.index(v)) for v in value if v in attribute.values})
        if attribute.categorical:
            return [float(attribute.values.index(value))] if value in attribute.values else []
        return [float(value)]

    def _aggregate(self, aggregate: Aggregate, row: Event) -> float:
        earlier = [e for e in self.events if e["t"] < row["t"]]
        picked: list[Event] = []
        for event in earlier:
            picked += [event] * self._shared(aggregate, event, row)
        times = [event["t"] for event in picked]
        match aggregate.function:
            case "count":
                return float(len(picked))
            case "last_time":
                return float(max(times)) if times else nan
            case "first_time":
                return float(min(times)) if times else nan
            case "distinct_days":
                return float(len({t // DAY for t in times}))
        values = [v for v in (self._value(aggregate, event) for event in picked) if v == v]
        if aggregate.function == "sum":
            return sum(values)
        if aggregate.prior:
            prior = aggregate.prior
            return (sum(values) + prior.mean * prior.weight) / (len(values) + prior.weight)
        return sum(values) / len(values) if values else nan

    def _shared(self, aggregate: Aggregate, event: Event, row: Event) -> int:
        """Return how many times *event* counts for *row*: once a shared value of the attribute, 0 if a key differs."""
        times = 1
        for key in aggregate.keys:
            if isinstance(key, Entity):
                times *= int(event[key.key] == row[key.key])
            else:
                times *= len(set(self._values(key, event)) & set(self._values(key, row)))
        return times

    def _value(self, aggregate: Aggregate, event: Event) -> float:
        if isinstance(aggregate.value, Residual):
            value = event[aggregate.value.column.column.name]
            return nan if value is None else value - self._aggregate(aggregate.value.expected, event)
        assert aggregate.value is not None
        value = event[aggregate.value.column.name]
        return nan if value is None else float(value)
