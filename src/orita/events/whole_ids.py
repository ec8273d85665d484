"""Columns of ids that are written as text: which of them mean a number, as `orita.core.whole_ids.whole_id` has it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from orita.core.whole_ids import LARGEST_ID

__all__ = ["are_whole", "as_numbers"]

_LARGEST = str(LARGEST_ID)


def are_whole(ids: pa.ChunkedArray) -> bool:
    """Tell whether every id, of numbers or texts, is a number from 0 to 2⁶³ − 1; nulls are passed over."""
    if pt.is_integer(ids.type):
        return True
    return bool(pc.all(_whole(ids)).as_py() is not False)


def as_numbers(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as int64, null where they mean no number."""
    return pc.if_else(_whole(ids), ids, None).cast(pa.int64())


def _whole(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    digits = pc.match_substring_regex(ids, f"^(0|[1-9][0-9]{{0,{len(_LARGEST) - 1}}})$")
    fits = pc.or_(pc.less(pc.binary_length(ids), len(_LARGEST)), pc.less_equal(ids, _LARGEST))
    return pc.and_(digits, fits)
