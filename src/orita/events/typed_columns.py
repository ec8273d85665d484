"""Values that arrived, made into the type of their declared column: null where they are none of it.

What arrives typed goes through kernels of Arrow. All else is read by the SQL that reads files, so that a text means
the same whichever way it comes.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from orita.core.clock import to_micros
from orita.core.sql import quoted
from orita.events.config import Timestamps
from orita.events.quality import IdType, typed_value, whole_id
from orita.events.schema import Column
from orita.events.sources.batches import misplaced, plain_value

if TYPE_CHECKING:
    import duckdb

__all__ = ["absent", "as_text", "typed"]

_TIME = pa.timestamp("us", tz="UTC")
_TYPES = {
    "int": pa.int64(),
    "float": pa.float64(),
    "flag": pa.int8(),
    "str": pa.string(),
    "category": pa.string(),
    "time": _TIME,
    "list": pa.list_(pa.string()),
}
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_VALUE = "value"


def typed(
    given: pa.ChunkedArray, column: Column, kind: pa.DataType | None = None, timestamps: Timestamps = "iso"
) -> pa.ChunkedArray:
    """Return the values in the type of *column*, null where they are none.

    Args:
        given: the values.
        column: what is declared.
        kind: int64 or string, the type of ids where it is decided; by default as the values suggest.
        timestamps: how times are written that are not of a time type.
    """
    if pt.is_dictionary(given.type):
        given = given.cast(given.type.value_type)
    wanted = _TYPES.get(column.type) or kind or _id_type(given)
    if pt.is_null(given.type) or misplaced(given.type, column):
        return pa.chunked_array([pa.nulls(len(given), wanted)])
    found = _times(given) if column.type == "time" and timestamps == "iso" else None
    if found is None:
        found = _by_kernel(given, wanted)
    return _by_sql(given, column, wanted, timestamps) if found is None else found


def absent(given: pa.ChunkedArray, column: Column) -> pa.ChunkedArray | None:
    """Return where nothing was given: null, or NaN; None: nowhere."""
    if pt.is_floating(given.type):
        return pc.is_null(given, nan_is_null=True)
    found = pc.is_null(given) if given.null_count else None
    if column.type == "float" and _is_text(given.type):
        nan = pc.fill_null(pc.equal(pc.utf8_lower(given), "nan"), True)
        return nan if found is None else pc.or_(nan, found)
    return found


def as_text(given: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values as texts."""
    if _is_text(given.type):
        return given
    return _queried(given, f"CAST({_VALUE} AS VARCHAR)", pa.string())


def _id_type(given: pa.ChunkedArray) -> pa.DataType:
    whole = pt.is_integer(given.type)
    if pt.is_floating(given.type):
        known = pc.drop_null(pc.if_else(pc.is_nan(given), None, given))
        whole = bool(pc.all(pc.equal(known, pc.trunc(known))).as_py())
    return pa.int64() if whole else pa.string()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind))


def _by_kernel(given: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray | None:
    """Return what a kernel makes of the values, None where none means what the SQL does."""
    kind = given.type
    if pt.is_float64(wanted) and (pt.is_floating(kind) or pt.is_integer(kind)):
        real = given.cast(wanted, safe=False)
        nan = pc.is_nan(real)
        return pc.if_else(nan, None, real) if pc.any(nan).as_py() else real
    if kind == wanted:
        return given
    if pt.is_boolean(kind) and pt.is_int8(wanted):
        return given.cast(wanted)
    whole = pt.is_integer(kind) and (pt.is_integer(wanted) or pt.is_string(wanted))
    if whole or (_is_text(kind) and pt.is_string(wanted)) or (pt.is_timestamp(kind) and pt.is_timestamp(wanted)):
        try:
            return given.cast(wanted)
        except pa.ArrowInvalid:  # one of the values does not fit
            return None
    return None


def _times(given: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return times of texts that are written in the usual way, None where one is not."""
    if not _is_text(given.type):
        return None
    micros: list[int | None] = []
    for text in given.to_pylist():
        if text is None:
            micros.append(None)
            continue
        if not _ISO.fullmatch(text):
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        micros.append(to_micros(at if at.tzinfo else at.replace(tzinfo=UTC)))
    return pa.chunked_array([pa.array(micros, pa.int64()).cast(_TIME)])


def _by_sql(given: pa.ChunkedArray, column: Column, wanted: pa.DataType, timestamps: Timestamps) -> pa.ChunkedArray:
    plain = plain_value(pa.field(_VALUE, given.type), column, timestamps)
    kind = str(_queried(given, f"typeof({plain})", pa.string())[0]) if len(given) else "VARCHAR"
    id_type: IdType = "BIGINT" if pt.is_integer(wanted) else "VARCHAR"
    raw = quoted(_VALUE)
    value = typed_value(column, raw, kind, id_type, timestamps)
    if column.type == "id" and id_type == "BIGINT":
        value = f"CASE WHEN {whole_id(raw, kind)} THEN {value} END"
    return _queried(given, value, wanted, plain)


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Return an engine without tables, of which each use takes a cursor: to open one takes longer than to use it."""
    import duckdb

    return duckdb.connect(config={"threads": 1})


def _queried(given: pa.ChunkedArray, value: str, wanted: pa.DataType, plain: str = _VALUE) -> pa.ChunkedArray:
    """Return what SQL makes of each value."""
    with _engine().cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("given", pa.table({_VALUE: given}))
        found = connection.sql(f"SELECT {value} AS made FROM (SELECT {plain} AS {_VALUE} FROM given)").to_arrow_table()
    return found["made"].cast(wanted)
