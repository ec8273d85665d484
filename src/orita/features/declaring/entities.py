"""What features describe: entities, the columns that name them, and what is known of them apart from events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orita.core.errors import NotFound, UserError, closest
from orita.events.schema import Column, TableSchema, entity_schema
from orita.features.declaring.names import check_declared
from orita.features.transforms import Derivable

if TYPE_CHECKING:
    from orita.features.declaring.aggregates import Aggregate

__all__ = ["Attribute", "AttributeAge", "Entity", "Key"]


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that features describe: users, items, cards.

    Attributes:
        name: what it is called in features and messages.
        key: the event column that holds its id, or the columns that do together.
        table: the lake table of its attributes (one row an id), or None.
        attributes: the table's columns that features may use.
        base: the name of the entity that this is a role of; its own name where it is none.
        table_key: the id column of the table, where it is not the key: a role has its own key, and the same table.
    """

    name: str
    key: str | tuple[str, ...]
    table: str | None = None
    attributes: Sequence[Column] = ()
    base: str = ""
    table_key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", tuple(self.attributes))
        check_declared("entity", self.name)
        named = all(isinstance(column, str) and column for column in self.columns)
        if not named or not self.columns or len(set(self.columns)) != len(self.columns):
            raise UserError(f"entity {self.name!r} has the key {self.key!r}: name one column, or several different.")
        if self.attributes and not self.table:
            raise UserError(f"entity {self.name!r} has attributes and no table: name theirs with table='…'.")
        if self.table and len(self.columns) > 1:
            raise UserError(
                f"entity {self.name!r} has a table and a key of {len(self.columns)} columns: a table of attributes "
                "needs a key of one column."
            )

    def __getitem__(self, attribute: str) -> Attribute:
        for column in self.attributes:
            if column.name == attribute:
                return Attribute(self, column)
        raise NotFound(
            f"entity {self.name!r} has no attribute {attribute!r}. "
            f"{closest(attribute, (column.name for column in self.attributes))}"
        )

    def __hash__(self) -> int:
        return hash((self.name, self.key))

    @property
    def columns(self) -> tuple[str, ...]:
        """The key's columns, in order."""
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def kind(self) -> str:
        """What its ids are ids of: roles of one entity share it."""
        return self.base or self.name

    def role(self, name: str, key: str | tuple[str, ...]) -> Entity:
        """Return the same entity in another part of an event, such as the payer and the payee of a transfer.

        >>> account = Entity("account", key="account_id")
        >>> account.role("payee", key="payee_id").kind
        'account'
        """
        renamed = replace(self, name=name, key=key, base=self.kind, table_key=self.table_column)
        if len(renamed.columns) != len(self.columns):
            raise UserError(
                f"role {name!r} of entity {self.name!r} needs {len(self.columns)} key columns, got {key!r}."
            )
        return renamed

    @property
    def table_column(self) -> str:
        """The id column of its attribute table."""
        return self.table_key or self.columns[0]

    @property
    def schema(self) -> TableSchema:
        """The schema of its attribute table.

        Raises:
            UserError: the entity has no table.
        """
        if self.table is None:
            raise UserError(f"entity {self.name!r} has no attribute table: give it one with table='…'.")
        return entity_schema(self.table, self.table_column, {column.name: column for column in self.attributes})


@dataclass(frozen=True, slots=True)
class Attribute(Derivable):
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
class AttributeAge(Derivable):
    """Days since the time in an attribute."""

    attribute: Attribute
    otherwise: Aggregate | None
