"""Which ids are texts, where the first of them came by the stream: a record of the store that the events are in.

A generation that is published knows it of the ids that its tables have (`Generation.string_ids`). Of others the first
event decides; what it decided changes in the transaction that counts it, and readers look there for what they lack.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pyarrow as pa

from orita.features.declarations import Source
from orita.features.keys import id_kind
from orita.features.plan import Plan
from orita.features.state.layout import RESERVED
from orita.features.state.rows import GetMany
from orita.features.stores.store import Change

__all__ = ["alike_columns", "id_columns", "learned_kinds", "seen_kinds", "written_kinds"]

_KEY = RESERVED + b"k"


def id_columns(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Return the columns of events that are ids, each with the names of its kinds (`keys.id_kind`)."""
    found: dict[str, dict[str, None]] = {}
    for record in plan.records:
        for column, kind in _keys(plan, record.source):
            found.setdefault(column, {})[kind] = None
    return {column: tuple(kinds) for column, kinds in found.items()}


def alike_columns(plan: Plan) -> dict[str, frozenset[str]]:
    """Return for each column of events that is an id the columns, itself among them, that have ids of its kinds."""
    kinds = id_columns(plan)
    return {
        column: frozenset(other for other, its in kinds.items() if set(its) & set(kinds[column])) for column in kinds
    }


def seen_kinds(plan: Plan, source: Source, rows: pa.Table) -> dict[str, bool]:
    """Return by kind, for the ids of which *rows* has some, whether they are texts: as soon as one column's are."""
    seen: dict[str, bool] = {}
    for name, kind in _keys(plan, source):
        if name in rows.column_names and rows[name].null_count < len(rows):
            seen[kind] = seen.get(kind, False) or not pa.types.is_integer(rows[name].type)
    return seen


def _keys(plan: Plan, source: Source) -> Iterator[tuple[str, str]]:
    """Yield the columns of a source's events that are ids, each with a kind."""
    for record in plan.records:
        if record.source == source:
            for entity in record.entities:
                for position, column in enumerate(source.key_columns(entity)):
                    yield column, id_kind(entity, position)


def learned_kinds(get_many: GetMany) -> dict[str, bool]:
    """Return by kind whether ids are texts, as the store has learned it from events."""
    (record,) = get_many([_KEY])
    return dict(json.loads(record)) if record else {}


def written_kinds(kinds: Mapping[str, bool]) -> Change:
    """Return what the store must change to know *kinds*."""
    return _KEY, json.dumps(dict(kinds)).encode()
