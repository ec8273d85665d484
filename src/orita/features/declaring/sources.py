"""Where features come from: tables of events, their columns, and what a request brings itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from numbers import Real
from typing import TYPE_CHECKING

from orita.core.errors import NotFound, UserError, closest
from orita.events.schema import Column, TableSchema
from orita.features.declaring.aggregates import Aggregate, Function, whole
from orita.features.declaring.conditions import Compare, OneOf, Operator, one_of
from orita.features.declaring.context import Context
from orita.features.declaring.windows import duration_micros

if TYPE_CHECKING:
    from orita.features.declaring.entities import Entity

__all__ = ["EventColumn", "Residual", "Source"]

_NUMBERS = ("int", "float", "flag")
_DEFAULT_DISTINCT = 1000


@dataclass(frozen=True, slots=True)
class EventColumn:
    """A column of a source: compare it for `where`, subtract a smoothed mean for what lies beyond expectation."""

    source: Source
    column: Column

    def __sub__(self, expected: Aggregate) -> Residual:
        attribute = expected.attribute
        if expected.function != "mean" or expected.prior is None or isinstance(expected.value, Residual):
            raise UserError(
                "a residual subtracts a smoothed mean: write source.mean('x').by(key).smooth(prior, weight)."
            )
        if attribute is not None and attribute.many:
            raise UserError(
                f"a residual's mean may not be keyed by {attribute.name!r}, which holds several values a row."
            )
        return Residual(self, expected)

    def __lt__(self, value: float) -> Compare:
        return self._compare("<", value)

    def __le__(self, value: float) -> Compare:
        return self._compare("<=", value)

    def __gt__(self, value: float) -> Compare:
        return self._compare(">", value)

    def __ge__(self, value: float) -> Compare:
        return self._compare(">=", value)

    def equals(self, value: str | int | float) -> OneOf:
        """Return the condition that an event has *value* here."""
        return one_of(self.column, (value,))

    def one_of(self, *values: str | int | float) -> OneOf:
        """Return the condition that an event has one of *values* here."""
        return one_of(self.column, values)

    def _compare(self, operator: Operator, value: float) -> Compare:
        given: object = value
        wrong = isinstance(given, bool) or not isinstance(given, Real) or isnan(given)
        if self.column.type not in _NUMBERS or wrong:
            raise UserError(
                f"{operator} compares a number with a number: column {self.column.name!r} is of type "
                f"{self.column.type!r}, the value is {value!r}."
            )
        return Compare(self.column.name, operator, value)


@dataclass(frozen=True, slots=True)
class Residual:
    """An event's value minus a smoothed mean as of that event: what is left once the mean is accounted for."""

    column: EventColumn
    expected: Aggregate


@dataclass(frozen=True, slots=True)
class Source:
    """A table of events.

    Attributes:
        name: the lake table.
        schema: its columns; ``schema.key`` is the event id, ``schema.time`` the event time, ``schema.ingested`` when
            an event became known.
        delay: how long after its time an event becomes known where nothing says when, such as ``5m``.
        renamed: where a key's column has another name here: the name in entities to the name in this source.
    """

    name: str
    schema: TableSchema
    delay: str = "0s"
    renamed: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.schema.time is None:
            raise UserError(f"source {self.name!r} needs a schema with a time column: events happen at a time.")
        duration_micros(self.delay, f"source {self.name!r}: delay", zero=True)
        for column in self.renamed.values():
            self.column(column)

    def __hash__(self) -> int:
        return hash(self.name)

    def __getattr__(self, name: str) -> EventColumn:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.column(name)

    def column(self, name: str) -> EventColumn:
        """Return column *name*.

        Raises:
            NotFound: there is none; the sentence lists what exists.
        """
        for column in self.schema.columns:
            if column.name == name:
                return EventColumn(self, column)
        known = [column.name for column in self.schema.columns]
        raise NotFound(f"source {self.name!r} has no column {name!r}. {closest(name, known)}")

    def key_columns(self, entity: Entity) -> tuple[str, ...]:
        """Return the columns that hold the id of *entity* here.

        Raises:
            UserError: a column is missing.
        """
        columns = tuple(self.renamed.get(column, column) for column in entity.columns)
        known = self.schema.names
        for column in columns:
            if column not in known:
                raise UserError(
                    f"source {self.name!r} has no column {column!r}, the key of entity {entity.name!r}. "
                    f"{closest(column, known)} If it has another name there, say so with renamed={{{column!r}: …}}."
                )
        return columns

    @property
    def delay_micros(self) -> int:
        """The declared delay in microseconds."""
        return duration_micros(self.delay, zero=True)

    @property
    def context(self) -> Context:
        """What a request brings."""
        return Context(self)

    def count(self) -> Aggregate:
        """Return the number of earlier events."""
        return Aggregate(self, "count")

    def sum(self, value: str | EventColumn | Residual) -> Aggregate:
        """Return the sum of a value over earlier events; 0 without any."""
        return Aggregate(self, "sum", self._numeric(value))

    def mean(self, value: str | EventColumn | Residual) -> Aggregate:
        """Return the mean of a value over earlier events where it is known; missing without any."""
        return Aggregate(self, "mean", self._numeric(value))

    def ratio(self, numerator: str | EventColumn, denominator: str | EventColumn | None = None) -> Aggregate:
        """Return the sum of one column ÷ the sum of another, or ÷ the number of events; missing where that is 0.

        A click rate is ``shown.ratio("click")``; missing values count as 0.
        """
        per = None if denominator is None else self._column(denominator, _NUMBERS, "ratio")
        return Aggregate(self, "ratio", self._column(numerator, _NUMBERS, "ratio"), denominator=per)

    def min(self, value: str | EventColumn) -> Aggregate:
        """Return the smallest value of earlier events."""
        return Aggregate(self, "min", self._column(value, _NUMBERS, "min"))

    def max(self, value: str | EventColumn) -> Aggregate:
        """Return the largest value of earlier events."""
        return Aggregate(self, "max", self._column(value, _NUMBERS, "max"))

    def var(self, value: str | EventColumn, ddof: int = 1) -> Aggregate:
        """Return the variance Σ(x − mean)² ÷ (n − *ddof*) of earlier events; missing where n ≤ ddof, 0 or 1."""
        return self._spread("var", value, ddof)

    def std(self, value: str | EventColumn, ddof: int = 1) -> Aggregate:
        """Return the square root of `var`."""
        return self._spread("std", value, ddof)

    def first(self, value: str | EventColumn) -> Aggregate:
        """Return the value of the first earlier event, by (time, id), in which it is known."""
        return Aggregate(self, "first", self._column(value, (*_NUMBERS, "category"), "first"))

    def last(self, value: str | EventColumn) -> Aggregate:
        """Return the value of the last earlier event, by (time, id), in which it is known."""
        return Aggregate(self, "last", self._column(value, (*_NUMBERS, "category"), "last"))

    def first_time(self) -> Aggregate:
        """Return when the first earlier event was."""
        return Aggregate(self, "first_time")

    def last_time(self) -> Aggregate:
        """Return when the latest earlier event was."""
        return Aggregate(self, "last_time")

    def distinct_days(self) -> Aggregate:
        """Return the number of UTC days with an earlier event."""
        return Aggregate(self, "distinct_days")

    def count_distinct(self, value: str | EventColumn, cap: int = _DEFAULT_DISTINCT) -> Aggregate:
        """Return how many different values earlier events have, exactly, and *cap* (1 … 100,000) where there are more.

        `approx_distinct` has no cap and takes less memory a key.
        """
        most = whole(cap, 1, 100_000, f"count_distinct(cap={cap!r})", "; beyond, use approx_distinct()")
        return Aggregate(self, "distinct", self._column(value, None, "count_distinct"), parameter=most)

    def approx_distinct(self, value: str | EventColumn, lg_k: int = 11) -> Aggregate:
        """Return about how many different values earlier events have (HyperLogLog, Apache DataSketches).

        The relative standard error is 1.04 ÷ √2^lg_k or less, 2.3 % by default; *lg_k* is 4 … 16, memory 2^lg_k bytes.
        """
        size = whole(lg_k, 4, 16, f"approx_distinct(lg_k={lg_k!r})")
        return Aggregate(self, "approx_distinct", self._column(value, None, "approx_distinct"), parameter=size)

    def quantile(self, value: str | EventColumn, share: float) -> Aggregate:
        """Return about the smallest value that at least the *share* (0 < share ≤ 1) of earlier values do not exceed.

        A KLL sketch with k = 200 (Karnin, Lang and Liberty 2016; Apache DataSketches): its rank is within 1.7 % of
        *share* with 99 % confidence.
        """
        if not isinstance(share, (int, float)) or not 0 < share <= 1:
            raise UserError(f"quantile(share={share!r}): allowed is more than 0, and 1 at most.")
        return Aggregate(self, "quantile", self._column(value, _NUMBERS, "quantile"), parameter=share)

    def decayed_sum(self, value: str | EventColumn, half_life: str) -> Aggregate:
        """Return Σ value · 0.5^(age ÷ *half_life*) over earlier events; 0 without any."""
        column = self._column(value, _NUMBERS, "decayed_sum")
        return Aggregate(self, "decayed_sum", column, parameter=duration_micros(half_life, "half_life"))

    def decayed_mean(self, value: str | EventColumn, half_life: str) -> Aggregate:
        """Return the mean of earlier values, each weighted by 0.5^(age ÷ *half_life*); missing without any."""
        column = self._column(value, _NUMBERS, "decayed_mean")
        return Aggregate(self, "decayed_mean", column, parameter=duration_micros(half_life, "half_life"))

    def _spread(self, function: Function, value: str | EventColumn, ddof: int) -> Aggregate:
        if ddof not in (0, 1) or not isinstance(ddof, int):
            raise UserError(f"{function}(ddof={ddof!r}): allowed are 0 (of all) and 1 (of a sample, the default).")
        return Aggregate(self, function, self._column(value, _NUMBERS, function), parameter=ddof)

    def _numeric(self, value: str | EventColumn | Residual) -> EventColumn | Residual:
        return value if isinstance(value, Residual) else self._column(value, _NUMBERS, "sum and mean")

    def _column(self, value: str | EventColumn, types: tuple[str, ...] | None, what: str) -> EventColumn:
        column = self.column(value if isinstance(value, str) else value.column.name)
        if column.column.type == "list" or (types and column.column.type not in types):
            needed = "no list" if types is None else "a number" if types == _NUMBERS else "a number or a category"
            raise UserError(
                f"column {column.column.name!r} is of type {column.column.type!r}; {needed} is needed for {what}."
            )
        if column.column.type == "category" and types and not column.column.choices:
            raise UserError(f"column {column.column.name!r} needs choices for {what}: its value becomes their number.")
        return column
