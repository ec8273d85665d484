"""A system: what is ranked, for whom, by which label, from which features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any

from orita.core.errors import NotFound, UserError, closest
from orita.core.names import check_name
from orita.events.schema import TableSchema
from orita.features.declarations import Aggregate, Entity, EventColumn, Expression, Several, Source
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.meaning import meaning
from orita.features.declaring.names import check_declared
from orita.features.declaring.notes import Feature, Notes
from orita.features.declaring.outcomes import check_outcome
from orita.features.declaring.parts import aggregates_in, attributes_in, context_in, entities_in
from orita.features.declaring.restating import Declarations
from orita.features.schema import FeatureColumn, FeatureSchema

__all__ = ["OUTCOME", "System", "system"]

OUTCOME = "outcome:"
"""What the column of an outcome begins with in training rows; no feature's name has a colon."""

_ROW = ("event_id", "user_id", "item_id", "timestamp", "target")


@dataclass(slots=True)
class System:
    """The declaration of a ranking system; features are added with `features` before it is used.

    Attributes:
        name: what it is called.
        label: what is predicted.
        user: for whom.
        item: what is ranked.
        declared: the features, by name.
        notes: what is said of them.
        earlier: versions of features that are not declared any more and are still read, by ``name@number``.
        lost: why a version that is still read cannot be computed beside what is declared, by its meaning.
        outcomes: what else is known of an event that a model may learn, by name: flags, and numbers of 0 or more.
        own_rankers: what makes a new ranker of a type of the system's own, by the type's name.
    """

    name: str
    label: EventColumn
    user: Entity
    item: Entity
    declared: dict[str, Expression] = field(default_factory=dict)
    notes: dict[str, Notes] = field(default_factory=dict)
    earlier: dict[str, Expression] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, EventColumn] = field(default_factory=dict)
    own_rankers: dict[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def source(self) -> Source:
        """The events that the system learns from."""
        return self.label.source

    @property
    def tables(self) -> dict[str, TableSchema]:
        """The schemas of every table the system reads, by name."""
        entities = [self.user, self.item]
        sources = [self.source]
        for expression in self.kept.values():
            entities.extend(attribute.entity for attribute in attributes_in(expression))
            sources.extend(aggregate.source for aggregate in aggregates_in(expression))
        return {s.name: s.schema for s in sources} | {e.table: e.schema for e in entities if e.table}

    def features(self, **expressions: Expression | Several | Feature) -> None:
        """Declare features by name; one over several windows becomes a feature for each, named ``name_window``.

        Raises:
            UserError: a name is taken or is none, or an expression is none or reads what the system's rows do not name.
        """
        for given, declared in expressions.items():
            check_declared("feature", given)
            feature = _feature(given, declared)
            made = feature.expression
            each = [(f"{given}_{w}", a) for w, a in made.each] if isinstance(made, Several) else [(given, made)]
            for name, expression in each:
                if name in self.declared:
                    raise UserError(f"feature {name!r} is declared twice in system {self.name!r}.")
                self._check(name, expression)
                self._check_names(name, expression)
                self.declared[name] = expression
                self.notes[name] = feature.notes

    def rankers(self, **makers: Callable[..., Any]) -> None:
        """Declare types of ranker of your own by name, which ``model.type`` and ``beside`` can then name.

        Args:
            makers: a class, or a function, that makes a new ranker (`orita.models.ranker.Ranker`); it is called with
                the keyword arguments of ``model.parameters.NAME``.

        Raises:
            UserError: a name is taken or is none, or what should make a ranker is neither a class nor a function.
        """
        for name, maker in makers.items():
            check_declared("ranker", name)
            if name in self.own_rankers:
                raise UserError(f"ranker {name!r} is declared twice in system {self.name!r}.")
            if not isinstance(maker, type | FunctionType):
                raise UserError(
                    f"ranker {name!r} is {maker!r}: give the class itself, or a function that returns a new ranker."
                )
            self.own_rankers[name] = maker

    def schema(self, names: Iterable[str] | None = None) -> FeatureSchema:
        """Return the columns of the named features (a one-hot feature has several), by default of all.

        Raises:
            NotFound: a name is not declared.
        """
        columns: list[FeatureColumn] = []
        for name in self.declared if names is None else dict.fromkeys(names):
            columns.extend(self._columns(name))
        return FeatureSchema(tuple(columns))

    @property
    def kept(self) -> dict[str, Expression]:
        """Every expression that engines compute, by name: those declared, and earlier versions (``name@1``)."""
        return self.declared | self.earlier

    def keep_earlier(self, versions: Mapping[str, Expression]) -> System:
        """Return the system that also computes earlier versions of features, by ``name@number``, for who reads them.

        They are computed on the sources and entities of now. Where these mean something else, such as another delay, a
        version is left out, and `check` says why.
        """
        now = self.declarations
        kept, lost = {}, {}
        for name, expression in versions.items():
            try:
                kept[name] = now.restated(expression)
            except UserError as error:
                lost[meaning(expression)] = str(error).rstrip(".")
        return replace(self, earlier=kept, lost=lost)

    @property
    def declarations(self) -> Declarations:
        """The sources and entities that are declared."""
        return Declarations.of(self.source, (self.user, self.item), self.declared.values())

    def on(self, then: Declarations, declared: Mapping[str, Expression]) -> System:
        """Return the system with the features *declared* and no others, on the declarations *then*.

        Raises:
            UserError: a feature, or the label, would mean something else there.
        """
        source = then.sources[self.source.name]
        return System(
            self.name,
            source.column(self.label.column.name),
            user=then.entities[self.user.name],
            item=then.entities[self.item.name],
            declared={name: then.restated(expression) for name, expression in declared.items()},
            notes={name: Notes() for name in declared},
            outcomes={name: source.column(told.column.name) for name, told in self.outcomes.items()},
            own_rankers=self.own_rankers,
        )

    def check(self, schema: FeatureSchema, reader: str) -> tuple[str, ...]:
        """Return what engines call the columns of *schema*; refuse those that are not declared, or not as they were.

        Args:
            schema: what a model reads.
            reader: whose schema it is, for the sentence, such as ``model v1.2.0``.

        Raises:
            NotFound: a feature is not declared any more.
            UserError: a feature has another meaning now, and the version that is read is not kept.
        """
        now = {column.name: column for column in self.schema().columns}
        before = self._earlier_columns()
        found = []
        for column in schema.columns:
            current = now.get(column.name)
            if current is not None and column.meaning in ("", current.meaning):
                found.append(column.name)
            elif (column.name, column.meaning) in before:
                found.append(before[column.name, column.meaning])
            else:
                raise self._refusal(column, reader, now)
        return tuple(found)

    def _earlier_columns(self) -> dict[tuple[str, str], str]:
        """Return the names of the columns of earlier versions, by what readers call them and what they mean."""
        found: dict[tuple[str, str], str] = {}
        for name, expression in self.earlier.items():
            plain = name.partition("@")[0]
            for column in feature_columns(name, expression, self.user, self.item):
                found[plain + column.name.removeprefix(name), meaning(expression)] = column.name
        return found

    def _refusal(self, column: FeatureColumn, reader: str, now: Iterable[str]) -> UserError:
        if column.meaning in self.lost:
            return UserError(
                f"{reader} was trained on another declaration of feature {column.name!r} than system {self.name!r} "
                f"has now, and both cannot be computed together, as {self.lost[column.meaning]}: declare it as it was, "
                "or train a new model."
            )
        if column.name not in now:
            return NotFound(
                f"{reader} reads feature {column.name!r}, which system {self.name!r} does not declare. "
                f"{closest(column.name, now)} Declare it again, or train a model without it."
            )
        return UserError(
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
        expression, described = self.declared[name], self.notes[name].description
        columns = feature_columns(name, expression, self.user, self.item)
        return [replace(column, meaning=meaning(expression), description=described) for column in columns]

    def _check(self, name: str, expression: Expression) -> None:
        feature_columns(name, expression, self.user, self.item)
        for entity in entities_in(expression):
            for column in (self.source.renamed.get(plain, plain) for plain in entity.columns):
                if column not in self.source.schema.names:
                    raise UserError(
                        f"feature {name!r} is keyed by entity {entity.name!r}, whose key {column!r} is not a column of "
                        f"{self.source.name!r}, of whose events the rows of system {self.name!r} are made. "
                        f"{closest(column, self.source.schema.names)}"
                    )
        for column in context_in(expression):
            self.source.column(column)
        for aggregate in aggregates_in(expression):
            self._check_source(name, aggregate)

    def _check_names(self, name: str, expression: Expression) -> None:
        """Refuse a column that another feature has, or that every training row has."""
        taken = {c.name: f for f, e in self.declared.items() for c in feature_columns(f, e, self.user, self.item)}
        taken |= dict.fromkeys(_ROW, "every training row")
        for column in feature_columns(name, expression, self.user, self.item):
            if column.name in taken:
                raise UserError(
                    f"feature {name!r} would make a column {column.name!r}, as {taken[column.name]!r} does: "
                    "give it another name."
                )

    def _check_source(self, name: str, aggregate: Aggregate) -> None:
        """Refuse two sources under one name, and attributes of what a row does not name."""
        known = {a.source.name: a.source for e in self.declared.values() for a in aggregates_in(e)}
        known[self.source.name] = self.source
        if known.get(aggregate.source.name, aggregate.source) != aggregate.source:
            raise UserError(
                f"feature {name!r} reads another declaration of source {aggregate.source.name!r}: keep one."
            )
        attribute = aggregate.attribute
        if attribute is not None:
            aggregate.source.key_columns(attribute.entity)


def _feature(name: str, declared: object) -> Feature:
    made = declared.expression if isinstance(declared, Feature) else declared
    if not isinstance(made, Expression | Several):
        told = repr(made) if isinstance(made, str | int | float) else type(made).__name__
        raise UserError(
            f"feature {name!r} is {told}: a feature is made of events, attributes or the request, such as "
            "source.count().by(user)."
        )
    return Feature(made, declared.notes if isinstance(declared, Feature) else Notes())


def system(
    name: str, *, label: EventColumn, rank: Entity, for_: Entity, outcomes: Mapping[str, EventColumn] | None = None
) -> System:
    """Declare a system that ranks entity *rank* for entity *for_* by the chance that *label* is 1.

    Args:
        name: what it is called.
        label: the flag that is predicted.
        rank, for_: what is ranked, for whom.
        outcomes: what else of an event a model may learn, by name, such as ``{"like": interactions.like}``: flags, and
            numbers of 0 or more. Training rows carry them beside the label; ``model.heads`` says which are learned.

    Raises:
        UserError: a name is none, the label is not a flag (0 or 1), an outcome is neither a flag nor a number of 0 or
            more of the label's source, or an entity would be ranked for itself.
    """
    check_name("system", name)
    if not isinstance(label, EventColumn):
        raise UserError(f"label={label!r}: a column of a source is needed, such as source.click.")
    for part, entity in (("rank", rank), ("for_", for_)):
        if not isinstance(entity, Entity):
            raise UserError(f"{part}={entity!r}: an entity is needed, such as Entity('item', 'item_id').")
    if rank.name == for_.name or rank.columns == for_.columns:
        raise UserError(
            f"system {name!r} would rank {rank.name!r} for itself: rank another entity, or the same in another part of "
            f"an event, such as {for_.name}.role('friend', 'friend_id')."
        )
    if label.column.type != "flag":
        raise UserError(f"label {label.column.name!r} is of type {label.column.type!r}; a flag (0 or 1) is needed.")
    for outcome, column in (outcomes or {}).items():
        check_outcome(outcome, column, label)
    return System(name, label, user=for_, item=rank, outcomes=dict(outcomes or {}))
