"""A system: what is ranked, for whom, by which label, from which features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from orita.core.errors import NotFound, UserError, closest
from orita.events.schema import TableSchema
from orita.features.declarations import (
    Aggregate,
    Attribute,
    AttributeAge,
    Decay,
    Entity,
    EventColumn,
    Expression,
    HourOfDay,
    OneHot,
    Source,
    WeekDay,
)
from orita.features.meaning import meaning
from orita.features.schema import FeatureColumn, FeatureSchema, Side

__all__ = ["System", "system"]


@dataclass(slots=True)
class System:
    """The declaration of a ranking system; features are added with `features` before it is used."""

    name: str
    label: EventColumn
    user: Entity
    item: Entity
    declared: dict[str, Expression] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The events that the system learns from."""
        return self.label.source

    @property
    def tables(self) -> dict[str, TableSchema]:
        """The schemas of every table the system reads, by name."""
        entities = (self.user, self.item)
        return {self.source.name: self.source.schema} | {e.table: e.schema for e in entities if e.table}

    def features(self, **expressions: Expression) -> None:
        """Declare features by name.

        Raises:
            UserError: a name is taken, or an expression uses another source or entity than the system's.
        """
        for name, expression in expressions.items():
            if name in self.declared:
                raise UserError(f"feature {name!r} is declared twice in system {self.name!r}.")
            self._check(name, expression)
            self.declared[name] = expression

    def schema(self, names: Iterable[str] | None = None) -> FeatureSchema:
        """Return the columns of the named features (a one-hot feature has several), by default of all.

        Raises:
            NotFound: a name is not declared.
        """
        columns: list[FeatureColumn] = []
        for name in self.declared if names is None else dict.fromkeys(names):
            columns.extend(self._columns(name))
        return FeatureSchema(tuple(columns))

    def check(self, schema: FeatureSchema, reader: str) -> None:
        """Refuse the features of *schema* where they are not declared, or not as they were when it was made.

        Args:
            schema: what a model reads.
            reader: whose schema it is, for the sentence, such as ``model v1.2.0``.

        Raises:
            NotFound: a feature is not declared any more.
            UserError: a feature has another meaning now.
        """
        now = {column.name: column for column in self.schema().columns}
        for column in schema.columns:
            if column.name not in now:
                raise NotFound(
                    f"{reader} reads feature {column.name!r}, which system {self.name!r} does not declare. "
                    f"{closest(column.name, now)} Declare it again, or train a model without it."
                )
            if column.meaning and column.meaning != now[column.name].meaning:
                raise UserError(
                    f"{reader} was trained on another declaration of feature {column.name!r} than system "
                    f"{self.name!r} has now: declare it as it was, or under another name, or train a new model."
                )

    def _columns(self, name: str) -> list[FeatureColumn]:
        if name in self.declared:
            return self._declared_columns(name)
        every = [column for feature in self.declared for column in self._declared_columns(feature)]
        found = [column for column in every if column.name == name]
        if not found:
            raise NotFound(
                f"feature {name!r} is not declared in system {self.name!r}. {closest(name, [*self.declared])}"
            )
        return found

    def _declared_columns(self, name: str) -> list[FeatureColumn]:
        expression = self.declared[name]
        return [replace(column, meaning=meaning(expression)) for column in _columns(name, expression, self)]

    def _check(self, name: str, expression: Expression) -> None:
        known = {self.user, self.item}
        for aggregate in _aggregates(expression):
            if aggregate.source is not self.source:
                raise UserError(
                    f"feature {name!r} reads source {aggregate.source.name!r}; "
                    f"system {self.name!r} reads {self.source.name!r}."
                )
            for key in aggregate.keys:
                entity = key.entity if isinstance(key, Attribute) else key
                if entity not in known:
                    raise UserError(
                        f"feature {name!r} is keyed by entity {entity.name!r}; "
                        f"system {self.name!r} knows {self.user.name!r} and {self.item.name!r}."
                    )


def system(name: str, *, label: EventColumn, rank: Entity, for_: Entity) -> System:
    """Declare a system that ranks entity *rank* for entity *for_* by the chance that *label* is 1.

    Raises:
        UserError: the label is not a flag (0 or 1).
    """
    if label.column.type != "flag":
        raise UserError(f"label {label.column.name!r} is of type {label.column.type!r}; a flag (0 or 1) is needed.")
    return System(name, label, user=for_, item=rank)


def _aggregates(expression: Expression) -> list[Aggregate]:
    match expression:
        case Aggregate():
            residual = getattr(expression.value, "expected", None)
            return [expression] if residual is None else [expression, residual]
        case Decay():
            return [expression.last]
        case AttributeAge():
            return [expression.otherwise] if expression.otherwise else []
        case _:
            return []


def _side(expression: Expression, owner: System) -> Side:
    sides: set[str] = set()
    if isinstance(expression, (Attribute, AttributeAge)):
        attribute = expression if isinstance(expression, Attribute) else expression.attribute
        sides.add("user" if attribute.entity == owner.user else "item")
    for aggregate in _aggregates(expression)[:1]:
        for key in aggregate.keys:
            entity = key.entity if isinstance(key, Attribute) else key
            sides.add("user" if entity == owner.user else "item")
    if not sides:
        return "context"
    return "pair" if len(sides) == 2 else ("user" if "user" in sides else "item")


def _columns(name: str, expression: Expression, owner: System) -> list[FeatureColumn]:
    side = _side(expression, owner)
    match expression:
        case Aggregate(function="count" | "distinct_days"):
            return [FeatureColumn(name, side, "count", arrow="int64")]
        case Aggregate(function="last_time" | "first_time"):
            raise UserError(f"feature {name!r} is a time; make a number of it with decay() or age().")
        case HourOfDay() | WeekDay():
            cardinality = 24 if isinstance(expression, HourOfDay) else 7
            return [FeatureColumn(name, side, "category", cardinality, arrow="int8")]
        case OneHot():
            return [FeatureColumn(f"{name}_{value}", side, "flag", arrow="int8") for value in expression.values]
        case Attribute() if expression.many:
            return [FeatureColumn(f"{name}_{value}", side, "flag", arrow="int8") for value in expression.values]
        case Attribute() if expression.categorical:
            return [FeatureColumn(name, side, "category", len(expression.values), arrow="int16")]
        case Attribute() if expression.column.type not in ("int", "float", "flag"):
            raise UserError(
                f"feature {name!r} is an attribute of type {expression.column.type!r}; "
                "numbers and categories can be features."
            )
        case _:
            return [FeatureColumn(name, side, "number")]
