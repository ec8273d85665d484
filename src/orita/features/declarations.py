"""What a feature is made of: entities, sources, and expressions over them.

An expression says *what* is computed; the engines (`history`, `online`) know *how*. All of them obey one rule: a
feature as of time t sees the events with time < t, never = t.

    user = Entity("user", key="user_id", table="users")
    item = Entity("item", key="item_id", table="items", attributes=[Column("topic", "category", choices=TOPICS)])
    shown = Source("interactions", INTERACTION)
    shown.mean("click").by(user)                 # click rate of a user, over all earlier events
    shown.mean("click").by(user, item["topic"])  # … among items of the candidate's topic
    shown.last_time().by(user, item).decay("3d")
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from orita.core.errors import NotFound, UserError, closest
from orita.events.schema import Column, TableSchema, entity_schema

__all__ = [
    "Aggregate",
    "Attribute",
    "AttributeAge",
    "Context",
    "Decay",
    "Entity",
    "EventColumn",
    "Expression",
    "Function",
    "HourOfDay",
    "OneHot",
    "Residual",
    "Source",
    "WeekDay",
    "duration_micros",
]

MICROS_PER_DAY = 86_400_000_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNIT_MICROS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": MICROS_PER_DAY}

Function = Literal["count", "mean", "sum", "last_time", "first_time", "distinct_days"]


def duration_micros(text: str) -> int:
    """Return the microseconds of a duration such as ``30m``, ``6h`` or ``3d``.

    >>> duration_micros("6h")
    21600000000
    """
    match = _DURATION.fullmatch(text)
    if not match or float(match[1]) <= 0:
        raise UserError(f"duration {text!r} is not understood: write a positive number and s, m, h or d, such as '3d'.")
    return round(float(match[1]) * _UNIT_MICROS[match[2]])


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that features describe: users, items, cards.

    Attributes:
        name: what it is called in features and messages.
        key: the event column that holds its id.
        table: the lake table of its attributes (one row an id), or None.
        attributes: the table's columns that features may use.
    """

    name: str
    key: str
    table: str | None = None
    attributes: Sequence[Column] = ()

    def __getitem__(self, attribute: str) -> Attribute:
        for column in self.attributes:
            if column.name == attribute:
                return Attribute(self, column)
        raise NotFound(
            f"entity {self.name!r} has no attribute {attribute!r}. "
            f"{closest(attribute, (column.name for column in self.attributes))}"
        )

    @property
    def schema(self) -> TableSchema:
        """The schema of its attribute table.

        Raises:
            UserError: the entity has no table.
        """
        if self.table is None:
            raise UserError(f"entity {self.name!r} has no attribute table: give it one with table='…'.")
        return entity_schema(self.table, self.key, {column.name: column for column in self.attributes})

    def __hash__(self) -> int:
        return hash((self.name, self.key))


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an entity: a feature as it stands, or a key to group events by (categories only)."""

    entity: Entity
    column: Column

    @property
    def name(self) -> str:
        """A name unique among the attributes of a system, also a column of the events with attributes."""
        return f"{self.entity.name}_{self.column.name}"

    @property
    def many(self) -> bool:
        """Whether a row may hold several values at once."""
        return self.column.type == "list"

    @property
    def categorical(self) -> bool:
        """Whether its values are declared, so that it can be a key."""
        return self.column.type in ("category", "list")

    @property
    def values(self) -> tuple[str, ...]:
        """The declared values of a category, in the order of their codes."""
        return tuple(self.column.choices or ())

    def age(self, otherwise: Aggregate | None = None) -> AttributeAge:
        """Return the days from the time in this attribute to the request, never negative.

        Args:
            otherwise: a ``first_time`` aggregate to count from where the attribute is missing.
        """
        if self.column.type != "time":
            raise UserError(f"attribute {self.name!r} is of type {self.column.type!r}; age() needs a 'time' attribute.")
        if otherwise is not None and otherwise.function != "first_time":
            raise UserError(f"age(otherwise=…) takes a first_time() aggregate, not {otherwise.function}().")
        return AttributeAge(self, otherwise)


Key = Entity | Attribute


@dataclass(frozen=True, slots=True)
class EventColumn:
    """A column of a source; subtract an aggregate from it to get what an event had beyond expectation."""

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


@dataclass(frozen=True, slots=True)
class Residual:
    """An event's value minus a smoothed mean as of that event: what is left once the mean is accounted for."""

    column: EventColumn
    expected: Aggregate


@dataclass(frozen=True, slots=True)
class Prior:
    """Smoothing: as if *weight* earlier events had had the value *mean*."""

    mean: float
    weight: float


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A function of the earlier events that share the row's keys (no keys: of all earlier events)."""

    source: Source
    function: Function
    value: EventColumn | Residual | None = None
    keys: tuple[Key, ...] = ()
    prior: Prior | None = None

    def by(self, *keys: Key) -> Aggregate:
        """Group by entities and at most one categorical attribute.

        Raises:
            UserError: a key repeats, is not categorical, or a second attribute is given.
        """
        attributes = [key for key in keys if isinstance(key, Attribute)]
        for attribute in attributes:
            if not (attribute.categorical and attribute.values):
                raise UserError(
                    f"by({attribute.name}) needs an attribute with declared values: "
                    "give its column the type 'category' or 'list', and choices."
                )
        if len(attributes) > 1:
            raise UserError(f"by() takes one attribute at most, got {[a.name for a in attributes]}.")
        if len(set(keys)) != len(keys):
            raise UserError("by() names a key twice.")
        if attributes and attributes[0].many and self.function not in ("count", "sum", "mean"):
            raise UserError(
                f"{self.function}() cannot be keyed by {attributes[0].name!r}, which holds several values a row; "
                "count(), sum() and mean() can."
            )
        return replace(self, keys=keys)

    def smooth(self, prior: float, weight: float) -> Aggregate:
        """Shrink a mean towards *prior* as if *weight* (> 0) events had had it; never missing from then on."""
        if self.function != "mean" or weight <= 0:
            raise UserError("smooth(prior, weight) applies to mean() and needs weight > 0.")
        return replace(self, prior=Prior(prior, weight))

    def decay(self, half_life: str) -> Decay:
        """Return 0.5 ^ (time since ÷ *half_life*) of a ``last_time``, 0 if there was none."""
        if self.function != "last_time":
            raise UserError(f"decay() applies to last_time(), not to {self.function}().")
        return Decay(self, duration_micros(half_life))

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The entities among the keys."""
        return tuple(key for key in self.keys if isinstance(key, Entity))

    @property
    def attribute(self) -> Attribute | None:
        """The attribute among the keys."""
        return next((key for key in self.keys if isinstance(key, Attribute)), None)


@dataclass(frozen=True, slots=True)
class Decay:
    """How recent a last time is: 0.5 ^ (age ÷ half-life), 0 if never."""

    last: Aggregate
    half_life: int


@dataclass(frozen=True, slots=True)
class AttributeAge:
    """Days since the time in an attribute."""

    attribute: Attribute
    otherwise: Aggregate | None


@dataclass(frozen=True, slots=True)
class HourOfDay:
    """Hour of the request, 0 … 23, UTC."""


@dataclass(frozen=True, slots=True)
class WeekDay:
    """Weekday of the request, Monday = 0, UTC."""


@dataclass(frozen=True, slots=True)
class OneHot:
    """A flag for each named value of a context column."""

    column: EventColumn
    values: tuple[str, ...]


Expression = Aggregate | Decay | AttributeAge | Attribute | HourOfDay | WeekDay | OneHot


@dataclass(frozen=True, slots=True)
class ContextColumn:
    """A column that the request itself brings."""

    column: EventColumn

    def one_hot(self, *values: str) -> OneHot:
        """Return a flag for each of *values*; all are 0 for any other value."""
        allowed = self.column.column.choices
        unknown = [value for value in values if allowed and value not in allowed]
        if unknown or not values:
            raise UserError(
                f"one_hot({', '.join(map(repr, values))}) on {self.column.column.name!r}: "
                f"allowed are {list(allowed or ())}."
            )
        return OneHot(self.column, values)


@dataclass(frozen=True, slots=True)
class Context:
    """What the request brings: its time, and columns such as the device."""

    source: Source

    def hour_of_day(self) -> HourOfDay:
        """Return the hour of the request in UTC, 0 … 23."""
        return HourOfDay()

    def day_of_week(self) -> WeekDay:
        """Return the weekday of the request in UTC, Monday = 0."""
        return WeekDay()

    def __getattr__(self, name: str) -> ContextColumn:
        return ContextColumn(self.source.column(name))


@dataclass(frozen=True, slots=True)
class Source:
    """A table of events.

    Attributes:
        name: the lake table.
        schema: its columns; ``schema.key`` is the event id, ``schema.time`` the event time.
    """

    name: str
    schema: TableSchema

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

    def __getattr__(self, name: str) -> EventColumn:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.column(name)

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def context(self) -> Context:
        """What a request brings."""
        return Context(self)

    def count(self) -> Aggregate:
        """Return the number of earlier events."""
        return Aggregate(self, "count")

    def mean(self, value: str | EventColumn | Residual) -> Aggregate:
        """Return the mean of a value over earlier events where it is known; missing before the first."""
        return Aggregate(self, "mean", self._numeric(value))

    def sum(self, value: str | EventColumn | Residual) -> Aggregate:
        """Return the sum of a value over earlier events; 0 before the first."""
        return Aggregate(self, "sum", self._numeric(value))

    def last_time(self) -> Aggregate:
        """Return when the latest earlier event was."""
        return Aggregate(self, "last_time")

    def first_time(self) -> Aggregate:
        """Return when the first earlier event was."""
        return Aggregate(self, "first_time")

    def distinct_days(self) -> Aggregate:
        """Return the number of UTC days with an earlier event."""
        return Aggregate(self, "distinct_days")

    def _numeric(self, value: str | EventColumn | Residual) -> EventColumn | Residual:
        if isinstance(value, Residual):
            return value
        column = self.column(value) if isinstance(value, str) else value
        if column.column.type not in ("int", "float", "flag"):
            raise UserError(f"column {column.column.name!r} is of type {column.column.type!r}; a number is needed.")
        return column
