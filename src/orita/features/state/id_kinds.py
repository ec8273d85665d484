"""Which ids are texts, where the first of them came by the stream: a record of the store that the events are in.

A generation that is published knows it of the ids that its tables have (`Generation.string_ids`). Of others the first
event decides; what it decided changes in the transaction that counts it, and readers look there for what they lack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from orita.features.declarations import Source
from orita.features.keys import id_kind
from orita.features.plan import Plan
from orita.features.state.layout import RESERVED
from orita.features.state.rows import GetMany
from orita.features.stores.store import Change

__all__ = ["id_columns", "learned_kinds", "seen_kinds", "written_kinds"]

_KEY = RESERVED + b"k"


def id_columns(plan: Plan) -> dict[str, str]:
    """Return the columns of events that are ids, with the name that their kind has (`keys.id_kind`)."""
    return {
        column: id_kind(entity, position)
        for record in plan.records
        for entity in record.entities
        for position, column in enumerate(record.source.key_columns(entity))
    }


def seen_kinds(plan: Plan, source: Source, rows: pa.Table) -> dict[str, bool]:
    """Return by kind, for the ids of which *rows* has some, whether they are texts."""
    columns = {column for record in plan.records if record.source == source for e in record.entities
               for column in source.key_columns(e)}  # fmt: skip
    return {
        kind: not pa.types.is_integer(rows[name].type)
        for name, kind in id_columns(plan).items()
        if name in columns and name in rows.column_names and rows[name].null_count < len(rows)
    }


def learned_kinds(get_many: GetMany) -> dict[str, bool]:
    """Return by kind whether ids are texts, as the store has learned it from events."""
    (record,) = get_many([_KEY])
    return dict(json.loads(record)) if record else {}


def written_kinds(kinds: Mapping[str, bool]) -> Change:
    """Return what the store must change to know *kinds*."""
    return _KEY, json.dumps(dict(kinds)).encode()
