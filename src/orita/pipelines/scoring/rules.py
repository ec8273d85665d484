"""Which rows can be scored, and what is wrong with the others: the rules by which rows come into the lake.

Legend: N rows of a block, B bad ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import to_micros
from orita.events.arriving import ALLOWED, arrived
from orita.events.schema import Column, TableSchema
from orita.events.sources.opened import FAULT, ROW, TEXT
from orita.events.typed_columns import absent, as_text
from orita.pipelines.scoring.wanted import Wanted

__all__ = ["BAD", "KEPT", "NUMBER", "Judged", "RowRules"]

KEPT = "copied:"
"""What the name of a column that is copied begins with: no feature has a colon in its name."""

NUMBER = "_number"
"""The number of a row in the whole input, from 0."""

BAD = pa.schema([
    (NUMBER, pa.int64()), ("source", pa.string()), ("row", pa.int64()), ("column", pa.string()), ("value", pa.string()),
    ("rule", pa.string()), ("allowed", pa.string()), ("original", pa.string()),
])  # fmt: skip
"""A row that cannot be scored: its file, its number in it from 1, the column and the text that broke which rule, what
is allowed there, and all that was read of the row as JSON."""

_LATEST = to_micros(datetime(9999, 12, 31, tzinfo=UTC))
_RANGES = {
    "id": "a whole number from 0 to 2^63 - 1, or text of 1 to 256 bytes without blanks around it",
    "time": "a time from 1970 to 9999",
    "float": "a finite number, or nothing",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of a block.

    Attributes:
        rows: those that can be scored: `NUMBER`, the judged columns, each of its type, and copies (`KEPT` + name).
        bad: the others, as `BAD`; ``source`` and ``row`` are null but where text has numbers of its own.
    """

    rows: pa.Table
    bad: pa.Table


@dataclass(frozen=True, slots=True)
class RowRules:
    """Tells rows that can be scored from others.

    Attributes:
        wanted: what is read of them.
        kinds: by column, int64 or string, the type of ids.
        at: microseconds since the Unix epoch, the time of rows that have none of their own.
    """

    wanted: Wanted
    kinds: Mapping[str, pa.DataType]
    at: int

    def judged(self, table: pa.Table, first: int | npt.NDArray[np.int64]) -> Judged:
        """Return the rows of *table*, judged.

        Args:
            table: some rows of the input.
            first: the number of the first, or ``number_N``, that of each.
        """
        number_N = first if isinstance(first, np.ndarray) else np.arange(first, first + len(table))
        given = self._given(table).append_column(NUMBER, pa.array(number_N))
        columns = (Column(NUMBER, "int"), *self.wanted.columns)
        found = arrived(TableSchema("rows", NUMBER, None, columns), given, self.kinds)
        sound_N = found.sound_N.copy()
        if self.wanted.time:
            sound_N &= ~_flags(pc.greater(found.table[self.wanted.time].cast(pa.int64()), _LATEST))
        if FAULT in table.column_names:
            sound_N &= ~_flags(pc.is_valid(table[FAULT]))
        rows = found.table
        for name in self.wanted.keep:
            rows = rows.append_column(KEPT + name, table[name])
        if sound_N.all():
            return Judged(rows, BAD.empty_table())
        bad_B = pa.array(np.flatnonzero(~sound_N))
        return Judged(rows.filter(pa.array(sound_N)), self._told(table.take(bad_B), given.take(bad_B)))

    def _given(self, table: pa.Table) -> pa.Table:
        """Return the columns that are judged; where rows have no times, the one that is given."""
        time = self.wanted.time
        if time and not self.wanted.timed:
            at = pa.array(np.full(len(table), self.at), pa.timestamp("us", tz="UTC"))
            table = table.append_column(time, at)
        return table.select([column.name for column in self.wanted.columns])

    def _told(self, table: pa.Table, given: pa.Table) -> pa.Table:
        """Return what is wrong with rows none of which is sound: of each the first column that breaks a rule."""
        told: list[tuple[str, str | None, str, str] | None] = [None] * len(table)
        if FAULT in table.column_names:
            for row, (fault, text) in enumerate(zip(*(table[n].to_pylist() for n in (FAULT, TEXT)), strict=True)):
                if fault is not None:
                    told[row] = ("", text, fault, "as many values as the first line has names")
        for column in self.wanted.columns:
            broken_B, rule_B, allowed = self._broken(column, given)
            texts = as_text(given[column.name])
            for row in np.flatnonzero(broken_B).tolist():
                if told[row] is None:
                    told[row] = (column.name, texts[row].as_py(), rule_B[row], allowed[rule_B[row]])
        assert None not in told  # some column of each is not sound
        broken = pa.table(dict(zip(BAD.names[3:7], map(list, zip(*told, strict=True)), strict=True)))
        originals = [json.dumps(row, default=str, ensure_ascii=False) for row in _shown(table).to_pylist()]
        numbers = table[ROW] if ROW in table.column_names else pa.nulls(len(table), pa.int64())
        named = {NUMBER: given[NUMBER], "source": pa.nulls(len(table), pa.string()), "row": numbers}
        made = {**named, **{name: broken[name] for name in broken.column_names}, "original": originals}
        return pa.table(made, schema=BAD)

    def _broken(self, column: Column, given: pa.Table) -> tuple[npt.NDArray[np.bool_], list[str], dict[str, str]]:
        """Return which rows break a rule of *column*, which rule each breaks, and what each rule allows."""
        alone = TableSchema("rows", NUMBER, None, (Column(NUMBER, "int"), column))
        found = arrived(alone, given.select([NUMBER, column.name]), self.kinds)
        value = found.table[column.name]
        broken_B = ~found.sound_N
        if column.type == "time":
            broken_B |= _flags(pc.greater(value.cast(pa.int64()), _LATEST))
        nothing = absent(given[column.name], column)
        nothing_B = np.zeros(len(given), np.bool_) if nothing is None else _flags(nothing)
        other_B = _flags(pc.is_null(value))
        rules = np.where(nothing_B, "required", np.where(other_B, "type", "range")).tolist()
        allowed = ALLOWED[column.type]
        if column.type == "id" and pa.types.is_integer(value.type):
            allowed = "a whole number that is not negative, as ids are numbers here"
        within = f"one of {', '.join(column.choices)}" if column.choices else _RANGES.get(column.type, allowed)
        return broken_B, rules, {"required": allowed, "type": allowed, "range": within}


def _shown(table: pa.Table) -> pa.Table:
    """Return the input's own columns, times as texts: Python has no years beyond 9999."""
    names = [name for name in table.column_names if name not in (ROW, FAULT, TEXT)]
    columns = [table[n].cast(pa.string()) if pa.types.is_temporal(table[n].type) else table[n] for n in names]
    return pa.table(columns, names)


def _flags(said: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(said, False).to_numpy(zero_copy_only=False), np.bool_)
