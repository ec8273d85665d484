"""What the oracle makes of the events that an aggregate sees: statistics by definition, each with its slack."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import fsum, isnan, nan, sqrt
from typing import Any, NamedTuple

from tests.features.oracle_events import Event, time_of

from orita.features.declarations import Aggregate, EventColumn

__all__ = ["DAY", "SLACK", "Value", "exact", "summarize"]

DAY = 86_400_000_000
SLACK = 1e-12


class Value(NamedTuple):
    """A value, NaN where it is missing, and by how much another engine's may differ."""

    value: Any
    slack: float = 0.0

    def agrees(self, found: float | None) -> bool:
        """Return whether *found* is this value."""
        missing = found is None or isnan(found)
        if missing or isnan(self.value):
            return missing and isnan(self.value)
        assert found is not None
        return bool(found == self.value or abs(found - self.value) <= self.slack)


def exact(value: Any) -> Value:
    """Return a value that every engine has exactly: a number, or a text that is counted."""
    return Value(value)


Pairs = Sequence[tuple[Event, Value]]


def summarize(aggregate: Aggregate, seen: Pairs, at: int) -> Value:
    """Return the aggregate of the events that it sees, in their order, each with its value."""
    times = [time_of(aggregate.source, event) for event, _ in seen]
    alive = aggregate.time_to_live
    if alive and (not times or at - max(times) >= alive):
        return exact(nan)
    given = [(event, value) for event, value in seen if value.value == value.value]  # text is not NaN
    values = [value.value for _, value in given]
    match aggregate.function:
        case "count":
            return exact(len(seen))
        case "last_time":
            return exact(max(times, default=nan))
        case "first_time":
            return exact(min(times, default=nan))
        case "distinct_days":
            return exact(len({time // DAY for time in times}))
        case "distinct":
            return exact(min(len(set(values)), int(aggregate.parameter)))
        case "approx_distinct":
            return exact(len(set(values)))
        case "min":
            return exact(float(min(values, default=nan)))
        case "max":
            return exact(float(max(values, default=nan)))
        case "first":
            return exact(float(values[0]) if values else nan)
        case "last":
            return exact(float(values[-1]) if values else nan)
        case "quantile":
            return exact(_quantile(values, aggregate.parameter))
        case "var" | "std":
            return _spread(values, int(aggregate.parameter), root=aggregate.function == "std")
        case "decayed_sum" | "decayed_mean":
            return _decayed(aggregate, given, at)
        case "ratio":
            return _ratio(aggregate, seen)
        case "sum":
            return _sum(aggregate, [value for _, value in given])
        case "mean":
            total = _sum(aggregate, [value for _, value in given], whole=False)
            return _quotient(aggregate, total, exact(len(values)))


def _sum(aggregate: Aggregate, values: Sequence[Value], *, whole: bool = True) -> Value:
    """Return Σ value: exactly where the column holds whole numbers."""
    column = aggregate.value
    if whole and isinstance(column, EventColumn) and column.column.type in ("int", "flag"):
        return exact(float(sum(int(value.value) for value in values)))
    return _total([value.value for value in values], fsum(value.slack for value in values))


def _total(values: Sequence[float], slack: float = 0.0) -> Value:
    return Value(fsum(values), slack + SLACK * fsum(map(abs, values)))


def _ratio(aggregate: Aggregate, seen: Pairs) -> Value:
    over = _total([0.0 if isnan(value.value) else float(value.value) for _, value in seen])
    if aggregate.denominator is None:
        return _quotient(aggregate, over, exact(len(seen)))
    name = aggregate.denominator.column.name
    given = [event.get(name) for event, _ in seen]
    under = [0.0 if part is None or isnan(part) else float(part) for part in given]
    whole = all(part.is_integer() for part in under) and fsum(map(abs, under)) < 2**53
    return _quotient(aggregate, over, exact(fsum(under)) if whole else _total(under))


def _quotient(aggregate: Aggregate, over: Value, under: Value) -> Value:
    prior = aggregate.prior
    if prior is not None:
        added = prior.mean * prior.weight
        over = Value(over.value + added, over.slack + SLACK * abs(added))
        under = Value(under.value + prior.weight, under.slack)
    if under.value == 0:
        return exact(nan)
    value = over.value / under.value
    return Value(value, (over.slack + abs(value) * under.slack) / abs(under.value) + SLACK * abs(value))


def _quantile(values: Sequence[float], share: float) -> float:
    for value in sorted(values):
        if Fraction(sum(other <= value for other in values), len(values)) >= Fraction(str(share)):
            return float(value)
    return nan


def _spread(values: Sequence[float], ddof: int, *, root: bool) -> Value:
    """Return the variance; its slack follows from the mean's."""
    n = len(values)
    if n <= ddof:
        return exact(nan)
    mean = fsum(values) / n
    deviations = [value - mean for value in values]
    squares = fsum(d * d for d in deviations)
    off = SLACK * fsum(map(abs, values)) / n
    slack = (2 * off * fsum(map(abs, deviations)) + n * off * off + SLACK * squares) / (n - ddof)
    var = squares / (n - ddof)
    return Value(sqrt(var), sqrt(var + slack) - sqrt(max(var - slack, 0.0))) if root else Value(var, slack)


def _decayed(aggregate: Aggregate, given: Pairs, at: int) -> Value:
    """Return Σ value · 0.5^(age ÷ half-life), or the mean with these weights, of which only the proportions count."""
    mean = aggregate.function == "decayed_mean"
    times = [time_of(aggregate.source, event) for event, _ in given]
    origin = max(times, default=at) if mean else at
    halves = [(origin - time) / aggregate.parameter for time in times]
    weights = [0.5**each for each in halves]
    parts = [float(value.value) * weight for (_, value), weight in zip(given, weights, strict=True)]
    slack = SLACK * fsum(abs(part) * (1 + each) for part, each in zip(parts, halves, strict=True))
    if not mean:
        return Value(fsum(parts), slack)
    return Value(fsum(parts) / fsum(weights), slack / fsum(weights)) if given else exact(nan)
