"""Events as they arrive, in JSON or Arrow, made into rows of their source: typed, and each sound or told what is wrong.

It is the edge of the feature store: what is pushed is refused by row, column and value; what others wrote into the log
is passed over where it is unsound (the lake keeps such rows in quarantine, with their reason).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.clock import from_micros, to_micros
from orita.core.errors import UserError, closest
from orita.events.schema import Column, TableSchema

__all__ = ["Arrived", "arrived", "as_table", "event_table", "typed"]

_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "flag": pa.int8(),
    "str": pa.string(),
    "category": pa.string(),
    "time": pa.timestamp("us", tz="UTC"),
    "list": pa.list_(pa.string()),
}
_ALLOWED = {
    "int": "a whole number",
    "float": "a number",
    "flag": "0 or 1",
    "str": "text",
    "category": "text",
    "time": "a time such as 2024-11-15T10:30:00Z",
    "list": "a list of texts",
    "id": "a whole number that is not negative, or text",
}


@dataclass(frozen=True, slots=True)
class Arrived:
    """Rows with the declared columns that they had, and what is wrong with them.

    Attributes:
        table: every row, typed; an unsound value is null.
        sound_N: whether a row may be used.
        faults: the first of each kind: row number, column, value, and what is allowed.
    """

    table: pa.Table
    sound_N: npt.NDArray[np.bool_]
    faults: tuple[tuple[int, str, object, str], ...]

    @property
    def sound(self) -> pa.Table:
        """The rows that may be used."""
        return self.table if self.sound_N.all() else self.table.filter(pa.array(self.sound_N))


def event_table(
    schema: TableSchema,
    rows: pa.Table | Iterable[Mapping[str, object]],
    id_types: Mapping[str, pa.DataType] | None = None,
) -> pa.Table:
    """Return *rows* as a typed table; arguments as in `arrived`.

    Raises:
        UserError: a row is unsound, or has a column that the schema does not declare; the sentence names it.
    """
    table = as_table(rows)
    unknown = [name for name in table.column_names if name not in schema.names]
    if unknown:
        raise UserError(f"column {unknown[0]!r} is not one of {schema.name!r}. {closest(unknown[0], schema.names)}")
    found = arrived(schema, table, id_types)
    if found.faults:
        row, column, value, allowed = found.faults[0]
        raise UserError(
            f"row {row} of {schema.name!r}: {column} is {value!r}; allowed is {allowed}. Nothing was taken: mend the "
            "row, and send all again."
        )
    return found.table


def arrived(schema: TableSchema, table: pa.Table, id_types: Mapping[str, pa.DataType] | None = None) -> Arrived:
    """Return the declared columns of *table*, each row judged by the rules of its columns.

    Args:
        schema: the rules.
        table: rows.
        id_types: by column, the type of ids where it is decided already, as there are events.
    """
    sound_N = np.ones(len(table), np.bool_)
    faults: list[tuple[int, str, object, str]] = []
    columns: dict[str, pa.ChunkedArray] = {}
    for column in schema.columns:
        if column.name in table.column_names:
            given = table[column.name]
            columns[column.name] = typed(given, column, (id_types or {}).get(column.name))
        elif column.required:
            given = columns[column.name] = pa.chunked_array([pa.nulls(len(table))])
        else:
            continue
        good_N = _good(given, columns[column.name], column)
        if not good_N.all():
            row = int(np.flatnonzero(~good_N)[0])
            faults.append((row, column.name, given[row].as_py(), _allowed(column)))
            sound_N &= good_N
    return Arrived(pa.table(columns), sound_N, tuple(sorted(faults, key=lambda fault: fault[0])))


def as_table(rows: pa.Table | Iterable[Mapping[str, object]]) -> pa.Table:
    """Return *rows* as a table, a column of values of several types as text."""
    if isinstance(rows, pa.Table):
        return rows
    held = list(rows)
    names = list(dict.fromkeys(name for row in held for name in row))
    return pa.table({name: _column([row.get(name) for row in held]) for name in names})


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    """Return a value of a column of several types as text that `_single` understands."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def typed(given: pa.ChunkedArray, column: Column, kind: pa.DataType | None = None) -> pa.ChunkedArray:
    """Return the values in the type of *column*, or in *kind*, null where they are none; an id keeps its own type."""
    wanted = kind or _TYPES.get(column.type)
    if wanted is None:
        wanted = pa.int64() if pa.types.is_integer(given.type) else pa.string()
    if given.type == wanted:
        return given
    if column.type == "time" and not pa.types.is_timestamp(given.type):
        return _each(given, wanted, _time)
    try:
        return given.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each(given, wanted, lambda value: _single(value, wanted))


def _each(given: pa.ChunkedArray, wanted: pa.DataType, make: Callable[[object], object]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([None if v is None else make(v) for v in given.to_pylist()], wanted)])


def _single(value: object, wanted: pa.DataType) -> object:
    """Return one value in its type, None where it is none of it."""
    if isinstance(value, str) and (pa.types.is_list(wanted) or value in ("true", "false")):
        value = _parsed(value)
    try:
        return pa.scalar(value).cast(wanted).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _time(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return from_micros(to_micros(value))
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed is not None and parsed.tzinfo is None else parsed


def _good(given: pa.ChunkedArray, typed: pa.ChunkedArray, column: Column) -> npt.NDArray[np.bool_]:
    """Return which rows keep the rules of *column*; a null keeps all but `required`."""
    good_N = np.ones(len(typed), np.bool_)
    if typed.null_count:
        null = pc.is_null(typed)
        good_N = _flags(pc.invert(null) if column.required else pc.or_(pc.invert(null), pc.is_null(given)))
    for broken in _broken(typed, column):
        good_N &= ~_flags(pc.fill_null(broken, False) if broken.null_count else broken)
    return good_N


def _flags(said: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    return np.asarray(said.to_numpy())


def _broken(typed: pa.ChunkedArray, column: Column) -> Iterable[pa.ChunkedArray]:
    if pa.types.is_null(typed.type):
        return
    if column.minimum is not None:
        yield pc.less(typed, column.minimum)
    if column.maximum is not None:
        yield pc.greater(typed, column.maximum)
    if column.type == "flag":
        yield pc.invert(pc.is_in(typed, pa.array([0, 1], pa.int8())))
    if column.type == "id" and pa.types.is_integer(typed.type):
        yield pc.less(typed, 0)
    if column.type == "float":
        yield pc.invert(pc.is_finite(typed))
    if column.choices and column.type != "list":
        yield pc.invert(pc.is_in(typed, pa.array(column.choices, pa.string())))
    if column.pattern:
        yield pc.invert(pc.match_substring_regex(typed, f"^(?:{column.pattern})$"))


def _allowed(column: Column) -> str:
    said = f"one of {list(column.choices)}" if column.choices else _ALLOWED[column.type]
    if column.pattern:
        said += f" that matches {column.pattern}"
    if column.minimum is not None or column.maximum is not None:
        low = "any" if column.minimum is None else f"{column.minimum:g}"
        said += f" from {low} to {'any' if column.maximum is None else f'{column.maximum:g}'}"
    return said if column.required else f"{said}, or nothing"
