"""From the values that a model was given back to declarations, tables and events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from orita.core.errors import UserError
from orita.explain.events_behind import EventsBehind
from orita.features.declarations import Expression
from orita.features.declaring.columns import feature_columns
from orita.features.declaring.lineage import lineage_of
from orita.features.declaring.parts import aggregates_in, attributes_in, context_in
from orita.features.registry.words import in_words
from orita.features.schema import FeatureSchema
from orita.features.system import System

__all__ = ["declared_features", "lineage_of_feature"]


def declared_features(system: System, schema: FeatureSchema, reader: str) -> dict[str, str]:
    """Return by column of *schema* the name under which its feature is declared, ``name@1`` of an earlier version.

    Raises:
        UserError: a feature is not declared any more as *reader* was trained on it.
    """
    made = {
        column.name: name
        for name, expression in system.kept.items()
        for column in feature_columns(name, expression, system.user, system.item)
    }
    return {plain: made[called] for plain, called in zip(schema.names, system.check(schema, reader), strict=True)}


def lineage_of_feature(expression: Expression, behind: EventsBehind) -> dict[str, Any]:
    """Return where a value of *expression* came from: words, columns, events, attributes and what the request brought.

    ``events`` has a `Behind` for each aggregate; ``attributes`` are as the lake has them now, as their tables keep no
    past; ``unknown`` says of what the log does not name why it is not told.
    """
    unknown: list[str] = []
    return {
        "declared": in_words(expression),
        "reads": list(lineage_of(expression).every_column),
        "events": list(_events(expression, behind, unknown)),
        "attributes": list(_attributes(expression, behind, unknown)),
        "request": list(dict.fromkeys(context_in(expression))),
        "unknown": unknown,
    }


def _events(expression: Expression, behind: EventsBehind, unknown: list[str]) -> Iterator[Mapping[str, Any]]:
    for aggregate in dict.fromkeys(aggregates_in(expression)):
        try:
            yield asdict(behind.of(aggregate))
        except UserError as error:
            unknown.append(f"{aggregate.source.name}: {error}")


def _attributes(expression: Expression, behind: EventsBehind, unknown: list[str]) -> Iterator[Mapping[str, Any]]:
    for attribute in dict.fromkeys(attributes_in(expression)):
        entity = attribute.entity
        try:
            value = behind.shown(attribute)
        except UserError as error:
            unknown.append(f"{entity.table}.{attribute.column.name}: {error}")
            continue
        table = entity.table or ""
        yield {"table": table, "column": attribute.column.name, "id": behind.ids.get(entity, ""), "value": value}
