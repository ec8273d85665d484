"""Rows as they arrive, in JSON or Arrow: typed, and each sound or told what is wrong.

The rules are those by which rows of files and of the event log come into the lake (`orita.events.quality`), so that
what is refused at the edge, passed over by a stream, and set apart in quarantine are the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from orita.core.errors import UserError, closest
from orita.core.whole_ids import LARGEST_ID
from orita.events.arrow_rows import as_table
from orita.events.config import ValidationConfig
from orita.events.schema import Column, TableSchema
from orita.events.sources.batches import misplaced
from orita.events.typed_columns import absent, as_text, typed

__all__ = ["ALLOWED", "Arrived", "Fault", "arrived", "event_table"]

Flags: TypeAlias = npt.NDArray[np.bool_]
Integers: TypeAlias = npt.NDArray[np.int64]
Broken: TypeAlias = tuple[str, str, Flags | None]
"""A rule of a column: its name, what it allows (empty: as for the whole column), which rows break it (None: none)."""

ALLOWED = {
    "int": "a whole number",
    "float": "a number",
    "flag": "0 or 1",
    "str": "text",
    "category": "text",
    "time": "a time such as 2024-11-15T10:30:00Z",
    "list": "a list of texts",
    "id": "a whole number that is not negative, or text",
}
"""What a value of a column may be, by the column's type, in words."""

_BLANK = ord(" ")
_LONGEST_ID = 256
_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_PARTS = np.array(["night"] * 5 + ["morning"] * 7 + ["afternoon"] * 5 + ["evening"] * 4 + ["night"] * 3, object)


class Fault(NamedTuple):
    """The first row that breaks a rule: which row, column and rule, the value, and what is allowed."""

    row: int
    column: str
    rule: str
    value: object
    allowed: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """Rows with the declared columns that they had, and what is wrong with them.

    Attributes:
        table: every row, typed; a value of another type is null.
        sound_N: whether a row may be used.
        faults: the first of each rule of a column, by row.
    """

    table: pa.Table
    sound_N: Flags
    faults: tuple[Fault, ...]

    @property
    def sound(self) -> pa.Table:
        """The rows that may be used."""
        return self.table if self.sound_N.all() else self.table.filter(pa.array(self.sound_N))


def event_table(
    schema: TableSchema,
    rows: pa.Table | Iterable[Mapping[str, object]],
    id_types: Mapping[str, pa.DataType] | None = None,
    config: ValidationConfig | None = None,
    came: int | None = None,
) -> pa.Table:
    """Return *rows* as a typed table; arguments as in `arrived`.

    Raises:
        UserError: a row is unsound, or has a column that the schema does not declare; the sentence names it.
    """
    table = as_table(rows)
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        raise UserError(f"column {unknown[0]!r} is not one of {schema.name!r}. {closest(unknown[0], schema.names)}")
    found = arrived(schema, table, id_types, config, came)
    if found.faults:
        fault = found.faults[0]
        raise UserError(
            f"row {fault.row} of {schema.name!r}: {fault.column} is {fault.value!r}; allowed is {fault.allowed}. "
            "Nothing was taken: mend the row, and send all again."
        )
    return found.table


def arrived(
    schema: TableSchema,
    table: pa.Table,
    id_types: Mapping[str, pa.DataType] | None = None,
    config: ValidationConfig | None = None,
    came: int | Integers | None = None,
) -> Arrived:
    """Return the declared columns of *table*, each row judged by the rules of its columns.

    Args:
        schema: the rules.
        table: rows.
        id_types: by column, int64 or string, the type of ids where it is decided already, as there are events.
        config: how times are written, their zone, how far they may lie ahead.
        came: when the rows came, or each of them did, in microseconds since the Unix epoch; times may lie so far ahead
            of that. None: as far as they like.
    """
    config = config or ValidationConfig()
    given = dict(zip(table.column_names, table.columns, strict=True))
    columns = {}
    for column in schema.columns:
        name = column.name
        if name not in given and schema.requires(column):
            given[name] = pa.chunked_array([pa.nulls(len(table))])
        if name in given:
            columns[name] = typed(given[name], column, (id_types or {}).get(name), config.timestamps)
    arrays = {
        name: values.chunk(0) if values.num_chunks == 1 else values.combine_chunks() for name, values in columns.items()
    }
    judging = _Judging(schema, config, arrays, came)
    sound_N = np.ones(len(table), np.bool_)
    faults: list[Fault] = []
    for name in columns:
        sound_N &= judging.judged(schema.column(name), given[name], faults)
    return Arrived(pa.table(columns), sound_N, tuple(sorted(faults, key=lambda fault: fault.row)))


@dataclass(frozen=True, slots=True)
class _Judging:
    """What the rules look at: the typed columns, and when the rows came."""

    schema: TableSchema
    config: ValidationConfig
    columns: Mapping[str, pa.Array]
    came: int | Integers | None

    def judged(self, column: Column, given: pa.ChunkedArray, faults: list[Fault]) -> Flags:
        """Return which rows keep the rules of *column*; add to *faults* the first row that breaks each."""
        good_N = np.ones(len(given), np.bool_)
        for rule, allowed, broken_N in self._rules(column, given):
            if broken_N is None or not (new_N := broken_N & good_N).any():
                continue
            row = int(new_N.argmax())
            said = allowed or _allowed(column, self.columns[column.name].type)
            said = said if self.schema.requires(column) else f"{said}, or nothing"
            faults.append(Fault(row, column.name, rule, _shown(given[row]), said))
            good_N &= ~new_N
        return good_N

    def _rules(self, column: Column, given: pa.ChunkedArray) -> Iterator[Broken]:
        """Yield the rules of a column in the order in which they are judged."""
        values = self.columns[column.name]
        nothing_N = _flags(absent(given, column))
        if self.schema.requires(column):
            yield "required", "", nothing_N
        yield from self._type_rules(column, given, nothing_N)
        if column.type == "time":
            yield from self._time_rules(_whole(values))
        if column.type in ("int", "float"):
            yield "range", "", _outside(column, values)
        if column.choices:
            yield "choices", "", _unlisted(column, values)
        if column.pattern:
            matches = pc.match_substring_regex(as_text(given), rf"\A(?:{column.pattern})\z")
            yield "pattern", "", _flags(pc.invert(matches))
        if column.agrees and self.schema.time in self.columns:
            zone = self.config.time_zone
            yield "agrees", f"the {column.agrees} of {self.schema.time} in {zone}", self._disagrees(column, values)

    def _type_rules(self, column: Column, given: pa.ChunkedArray, nothing_N: Flags | None) -> Iterator[Broken]:
        """Yield which rows hold a value of another type: one that is there, and not once it is typed."""
        values = self.columns[column.name]
        none_N = _flags(pc.is_null(values)) if values.null_count else None
        other_N = none_N if none_N is None or nothing_N is None else none_N & ~nothing_N
        is_id = column.type == "id" or (column.name == self.schema.key and column.type in ("str", "category"))
        beyond_N = _beyond(column, values)
        if beyond_N is not None and none_N is not None:
            beyond_N &= ~none_N
        either_N = other_N if beyond_N is None else beyond_N if other_N is None else other_N | beyond_N
        yield "id" if is_id and not misplaced(given.type, column) else "type", "", either_N
        if is_id and pt.is_string(values.type):
            untidy_N = _untidy(values)
            allowed = f"1 to {_LONGEST_ID} bytes, without blanks around them"
            yield "id", allowed, untidy_N if none_N is None else untidy_N & ~none_N

    def _time_rules(self, at_N: Integers) -> Iterator[Broken]:
        yield "past", "a time from 1970 on", at_N < 0
        if self.came is not None:
            ahead = timedelta(days=self.config.future_days)
            late_N = at_N > self.came + ahead // timedelta(microseconds=1)
            yield "future", f"a time at most {self.config.future_days:g} days after it came", late_N

    def _disagrees(self, column: Column, values: pa.Array) -> Flags:
        times = self.columns[self.schema.time or ""]
        local_N = _whole(times)
        if self.config.time_zone != "UTC":
            local_N = _whole(pc.local_timestamp(times.cast(pa.timestamp("us", tz=self.config.time_zone))))
        if column.agrees == "day_of_week":
            # 1970-01-01 was a Thursday: 3, counting from Monday.
            other_N = _whole(values) != (local_N // _DAY + 3) % 7
        else:
            other_N = values.to_numpy(zero_copy_only=False) != _PARTS[local_N // _HOUR % 24]
        for column_N in (values, times):
            if column_N.null_count:
                other_N &= np.array(pc.is_valid(column_N))
        return np.asarray(other_N, np.bool_)


def _flags(said: pa.Array | pa.ChunkedArray | None) -> Flags | None:
    """Return what a kernel said of each row, False where it said nothing."""
    if said is None:
        return None
    return np.array(pc.fill_null(said, False) if said.null_count else said)


def _whole(values: pa.Array) -> Integers:
    """Return whole numbers, or times in microseconds; 0 where there is none."""
    return _numbers(values.cast(pa.int64()))


def _numbers(values: pa.Array) -> npt.NDArray[Any]:
    """Return numbers; 0 where there is none."""
    return np.asarray((pc.fill_null(values, 0) if values.null_count else values).to_numpy())


def _beyond(column: Column, values: pa.Array) -> Flags | None:
    """Return which values are of the right type, and none of those that it has here."""
    if column.type == "id" and pt.is_integer(values.type):
        return _whole(values) < 0
    if column.type == "float":
        return np.asarray(~np.isfinite(_numbers(values)))
    if column.type == "flag":
        flag_N = _numbers(values)
        return np.asarray((flag_N < 0) | (flag_N > 1))
    return None


def _untidy(values: pa.Array) -> Flags:
    """Return which texts are empty, too long, or begin or end with a blank: what no id may."""
    _, offsets, data = values.buffers()
    bounds_N1 = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    length_N = np.diff(bounds_N1)
    if data is None or not data.size:
        return np.ones(len(values), np.bool_)
    byte = np.frombuffer(data, np.uint8)
    first_N, last_N = byte[np.minimum(bounds_N1[:-1], byte.size - 1)], byte[bounds_N1[1:] - 1]
    return np.asarray((length_N == 0) | (length_N > _LONGEST_ID) | (first_N <= _BLANK) | (last_N <= _BLANK))


def _outside(column: Column, values: pa.Array) -> Flags | None:
    if column.minimum is None and column.maximum is None:
        return None
    low, high = column.minimum, column.maximum
    if column.type == "int":  # whole numbers are compared as such
        low = None if low is None else math.ceil(low)
        high = None if high is None else math.floor(high)
    number_N = _numbers(values)
    outside_N = np.zeros(len(values), np.bool_)
    if low is not None:
        outside_N |= number_N < low
    if high is not None:
        outside_N |= number_N > high
    return outside_N & ~np.array(pc.is_null(values)) if values.null_count else outside_N


def _unlisted(column: Column, values: pa.Array) -> Flags | None:
    choices = pa.array(column.choices, pa.string())
    if column.type != "list":
        unlisted_N = ~np.array(pc.is_in(values, choices))
        return unlisted_N & ~np.array(pc.is_null(values)) if values.null_count else unlisted_N
    broken_N = np.zeros(len(values), np.bool_)
    entries = pc.list_flatten(values)
    other = pc.and_(pc.is_valid(entries), pc.invert(pc.is_in(entries, choices)))
    broken_N[np.asarray(pc.list_parent_indices(values))[np.array(other)]] = True
    return broken_N


def _shown(value: pa.Scalar) -> object:
    """Return a value for a sentence; a time that Python cannot hold as text."""
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return str(value)


def _allowed(column: Column, kind: pa.DataType) -> str:
    said = f"one of {list(column.choices)}" if column.choices else ALLOWED[column.type]
    if column.type == "id" and pa.types.is_integer(kind):
        said = f"a whole number from 0 to {LARGEST_ID}, as its ids are numbers"
    if column.pattern:
        said += f" that matches {column.pattern}"
    if column.minimum is not None or column.maximum is not None:
        low = "any" if column.minimum is None else f"{column.minimum:g}"
        said += f" from {low} to {'any' if column.maximum is None else f'{column.maximum:g}'}"
    return said
