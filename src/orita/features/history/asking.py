"""Rows that ask for features: events, each as of its own time, or any table of keys and times.

Legend: N rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from orita.core.errors import UserError, closest
from orita.features.batch import Floats, Integers, Many, attributes_of, times_of
from orita.features.declarations import Attribute, Entity, Source

__all__ = ["Asking", "asking_events", "asking_rows"]


@dataclass(frozen=True, slots=True)
class Asking:
    """Rows that ask.

    Attributes:
        table: their columns; of every attribute that is needed, also `batch.attribute_column`.
        at: their times, [N], microseconds since the Unix epoch.
        attributes: by name, numbers (a category's code), NaN where unknown; only attributes of one value.
        many: by name, the attributes of several values.
        source: whose events the rows are, row by row, or None.
        named: where a key's column has another name in `table`.
    """

    table: pa.Table
    at: Integers
    attributes: Mapping[str, Floats]
    many: Mapping[str, Many]
    source: Source | None
    named: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.at)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column, null everywhere where the rows lack it."""
        name = self.named.get(name, name)
        return self.table[name] if name in self.table.column_names else pa.chunked_array([pa.nulls(len(self))])

    def flags(self, attribute: Attribute) -> Floats:
        """Return the attribute of each row, [N, 1], or a flag for each of its values, [N, width]."""
        if not attribute.many:
            return self.attributes[attribute.name][:, None]
        flags = np.zeros((len(self), len(attribute.values)))
        many = self.many[attribute.name]
        flags[many.row_X, many.code_X] = 1
        return flags


def asking_events(
    source: Source, events: pa.Table, entities: Iterable[Entity], attributes: Iterable[Attribute]
) -> Asking:
    """Return the events of *source* as rows that ask, each as of its own time.

    Args:
        source: whose events.
        events: with a column `batch.attribute_column` for each of *attributes*.
        entities: by whose ids something is looked up.
        attributes: what is known of them, as far as it is needed.
    """
    pairs = [zip(entity.columns, source.key_columns(entity), strict=True) for entity in entities]
    single, many = attributes_of(events, attributes)
    time_N = times_of(events, source.schema.time or "")
    return Asking(events, time_N, single, many, source, dict(pair for each in pairs for pair in each))


def asking_rows(rows: pa.Table, time: str, entities: Iterable[Entity], attributes: Iterable[Attribute] = ()) -> Asking:
    """Return *rows* as rows that ask.

    Args:
        rows: the key columns of *entities*, under their own names, times, and what requests bring.
        time: the column of times.
        entities, attributes: as in `asking_events`.

    Raises:
        UserError: a key column is missing, or there are rows without a time.
    """
    there = rows.column_names
    for name in dict.fromkeys([time, *(column for entity in entities for column in entity.columns)]):
        if name not in there:
            raise UserError(f"rows that ask for features need the column {name!r}. {closest(name, there)}")
    kind = rows[time].type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)) or rows[time].null_count:
        raise UserError(
            f"the column {time!r} of rows that ask for features is of type {kind} and has {rows[time].null_count} "
            "missing values: give each row a timestamp."
        )
    single, many = attributes_of(rows, attributes)
    return Asking(rows, times_of(rows, time), single, many, None, {})
