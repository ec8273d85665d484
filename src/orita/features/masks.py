"""Where a condition holds, on arrays: the meaning of what `conditions` declares.

Whole numbers are compared as such, never as floats, which cannot tell those beyond 2⁵³ apart. Legend: N events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from orita.core.whole_ids import whole_id
from orita.features.declaring.conditions import AllOf, Compare, Condition, Not, OneOf

__all__ = ["condition_mask"]

Booleans = npt.NDArray[np.bool_]

_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_INT64 = range(-(1 << 63), 1 << 63)


def condition_mask(condition: Condition, columns: Mapping[str, pa.ChunkedArray]) -> Booleans:
    """Return where *condition* holds, [N].

    Args:
        condition: what must hold.
        columns: by name, [N]: numbers or texts, null or NaN where missing.
    """
    match condition:
        case Compare():
            return _compared(columns[condition.column], condition)
        case OneOf():
            return _found(columns[condition.column], condition.values)
        case Not():
            return ~condition_mask(condition.part, columns)
        case _:
            masks = [condition_mask(part, columns) for part in condition.parts]
            return np.asarray((np.logical_and if isinstance(condition, AllOf) else np.logical_or).reduce(masks))


def _compared(column: pa.ChunkedArray, condition: Compare) -> Booleans:
    compare, bound = _COMPARE[condition.operator], condition.value
    if not _is_whole(column.type):
        value_N = pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy()
        return np.asarray(compare(value_N, float(bound)), np.bool_)
    value_N = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
    if math.isfinite(bound):  # between two whole numbers nothing lies: x > 2.5 is x > 2, and x < 2.5 is x < 3
        bound = math.floor(bound) if condition.operator in (">", "<=") else math.ceil(bound)
    held_N = np.asarray(compare(value_N, bound), np.bool_)
    return held_N & np.asarray(pc.is_valid(column).to_numpy()) if column.null_count else held_N


def _found(column: pa.ChunkedArray, values: tuple[str | int | float, ...]) -> Booleans:
    if _is_whole(column.type):
        wholes = [whole for value in values if (whole := _whole(value)) is not None]
        column, wanted = column.cast(pa.int64()), pa.array(wholes, pa.int64())
    elif pa.types.is_floating(column.type):
        column, wanted = column.cast(pa.float64()), pa.array([float(value) for value in values], pa.float64())
    else:
        column, wanted = column.cast(pa.string()), pa.array([str(value) for value in values], pa.string())
    return np.asarray(pc.is_in(column, wanted).to_numpy())


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _whole(value: str | int | float) -> int | None:
    """Return the whole number that *value* is, also as the text of an id; None where no int64 is it."""
    if isinstance(value, str):
        number = whole_id(value)
    else:
        number = int(value) if math.isfinite(value) and value == int(value) else None
    return number if number is not None and number in _INT64 else None
