"""What a table's rows must look like: typed columns with their rules, declared once and read by every source.

The declarations are plain values: they know neither files nor engines. `orita.events.quality` compiles them
into the checks of a row and the types of a stored table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from orita.core.errors import NotFound, UserError, closest

__all__ = ["INTERACTION", "Column", "ColumnType", "TableSchema", "Timely", "entity_schema"]

ColumnType = Literal["id", "int", "float", "flag", "str", "time", "category", "list"]
Timely = Literal["time_of_day", "day_of_week"]

_TYPES: tuple[str, ...] = ("id", "int", "float", "flag", "str", "time", "category", "list")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table and the rules of its values.

    Attributes:
        name: the column's name in every source and in the table.
        type: ``id`` (a non-negative integer or a string, decided once a table), ``int``, ``float``, ``flag``
            (0 or 1), ``str``, ``time`` (ISO 8601, a missing offset means UTC), ``category`` (text from a
            small set), ``list`` (of categories; text files part them by *separator*).
        required: the source must have the column and no value may be null.
        minimum: smallest allowed number, inclusive.
        maximum: largest allowed number, inclusive.
        choices: the only allowed values; empty allows any.
        pattern: a regular expression (RE2) that a text must match wholly; empty allows any.
        separator: what parts the entries of a ``list`` in text files.
        agrees: the value must be what the table's time column implies, in UTC.
        description: one sentence for people.
    """

    name: str
    type: ColumnType
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    separator: str = "|"
    agrees: Timely | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise UserError(f"column {self.name!r} has the type {self.type!r}. {closest(str(self.type), _TYPES)}")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise UserError(
                f"column {self.name!r} allows {self.minimum} to {self.maximum}: "
                "the minimum must not be above the maximum."
            )


@dataclass(frozen=True, slots=True)
class TableSchema:
    """The columns of one table.

    Attributes:
        name: the table's name in the lake.
        key: the column that is unique; interactions are added once by it, entities are replaced by it.
        time: the event-time column, or None for a table of entities.
        columns: every declared column, in the table's order; undeclared columns of a source are dropped.
        natural_key: columns that together identify a row where a source has no *key* column; the key is then
            derived from them (UUID version 5).
        ingested: the column that says when a row became known, or None.
    """

    name: str
    key: str
    time: str | None
    columns: tuple[Column, ...]
    natural_key: tuple[str, ...] = ()
    ingested: str | None = None

    def __post_init__(self) -> None:
        names = self.names
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise UserError(f"table {self.name!r} declares {repeated[0]!r} twice: keep one declaration.")
        for name in (self.key, *self.natural_key, *filter(None, (self.time, self.ingested))):
            self.column(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the table's order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, ColumnType]:
        """Types of the columns by name."""
        return {column.name: column.type for column in self.columns}

    def requires(self, column: Column) -> bool:
        """Return whether no row may lack *column*: it is declared so, or is the key or the time."""
        return column.required or column.name in (self.key, self.time)

    def column(self, name: str) -> Column:
        """Return the declared column *name*.

        Raises:
            NotFound: no such column; the sentence lists what is declared.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"column {name!r} is not declared in table {self.name!r}. {closest(name, self.names)}")

    def with_columns(self, *columns: Column) -> TableSchema:
        """Return the schema with *columns* added; one that is already declared is replaced in its place."""
        given = {column.name: column for column in columns}
        kept = tuple(given.pop(column.name, column) for column in self.columns)
        return replace(self, columns=kept + tuple(given.values()))


def entity_schema(name: str, key: str, attributes: Mapping[str, Column | ColumnType] | None = None) -> TableSchema:
    """Return the schema of a table of entities, one row an entity.

    Args:
        name: the table's name, such as ``users``.
        key: the id column, such as ``user_id``.
        attributes: by name, the type of each attribute or its whole `Column`.

    >>> entity_schema("users", key="user_id", attributes={"age": "float"}).names
    ('user_id', 'age')
    """
    declared = tuple(
        replace(column, name=attribute) if isinstance(column, Column) else Column(attribute, column)
        for attribute, column in (attributes or {}).items()
    )
    return TableSchema(name, key, None, (Column(key, "id", required=True), *declared))


INTERACTION = TableSchema(
    name="interactions",
    key="interaction_id",
    time="timestamp",
    ingested="ingested_at",
    columns=(
        Column("interaction_id", "str", required=True, description="unique, a UUID where the source has one"),
        Column("user_id", "id", required=True, description="who"),
        Column("item_id", "id", required=True, description="what was shown"),
        Column("timestamp", "time", required=True, description="when, ISO 8601; a missing offset means UTC"),
        Column("click", "flag", required=True, description="whether the item was opened"),
        Column("like", "flag", description="whether the item was liked"),
        Column("share", "flag", description="whether the item was shared"),
        Column("dwell_time", "float", minimum=0, maximum=300, description="seconds spent on the item"),
        Column("device", "category", choices=("mobile", "desktop", "tablet"), description="where it was shown"),
        Column(
            "time_of_day",
            "category",
            choices=("morning", "afternoon", "evening", "night"),
            agrees="time_of_day",
            description="part of the day: morning from 05:00, afternoon 12:00, evening 17:00, night 21:00",
        ),
        Column("day_of_week", "int", minimum=0, maximum=6, agrees="day_of_week", description="Monday = 0"),
        Column("request_id", "str", description="the answer that showed the item"),
        Column("position", "int", minimum=1, description="place in that answer, from 1"),
        Column("ingested_at", "time", description="when the event became known"),
    ),
)
