"""Keys as small numbers that events and the rows that ask about them share."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orita.features.batch import EventBatch, Floats, Integers
from orita.features.frame import matching_types
from orita.features.history.asking import Asking
from orita.features.kernel.grouping import Codes, codes_of_integers

__all__ = ["category_codes", "column_codes"]


def column_codes(batch: EventBatch, asking: Asking, told: str, asked: str) -> tuple[Codes, Codes]:
    """Return the codes of a key's column, of the events and of the rows: equal where the ids are.

    A row's id that no event has becomes −1, like one that is missing: neither sees anything.

    Args:
        batch, asking: events and rows.
        told, asked: the name of the column in either.

    Raises:
        UserError: one holds numbers, the other does not.
    """
    events = batch.table[told] if told in batch.table.column_names else pa.chunked_array([pa.nulls(len(batch))])
    if asking.source == batch.source and asking.named.get(asked, asked) == told:
        (events,) = matching_types(told, events)
        codes = _number_codes(events) if pa.types.is_integer(events.type) else _text_codes(events, events)[0]
        return codes, codes
    what = told if told == asked else f"{told} of events, {asked} of rows"
    events, rows = matching_types(what, events, asking.column(asked))
    return _number_pair(events, rows) if pa.types.is_integer(events.type) else _text_codes(events, rows)


def category_codes(code_N: Floats, values: int) -> Codes:
    """Return the codes of an attribute of one of so many values, which are numbers, NaN where it is unknown."""
    return Codes(np.where(np.isnan(code_N), -1.0, code_N).astype(np.int32), values)


def _numbers(column: pa.ChunkedArray) -> tuple[Integers, np.ndarray[tuple[int], np.dtype[np.bool_]] | None]:
    known_N = np.asarray(pc.is_valid(column).to_numpy()) if column.null_count else None
    return np.asarray((column if known_N is None else pc.fill_null(column, 0)).to_numpy()), known_N


def _number_codes(column: pa.ChunkedArray) -> Codes:
    return codes_of_integers(*_numbers(column))


def _number_pair(events: pa.ChunkedArray, rows: pa.ChunkedArray) -> tuple[Codes, Codes]:
    codes = _number_codes(pa.chunked_array([*events.chunks, *rows.chunks], pa.int64()))
    told_E, asked_Q = np.split(codes.code_N, [len(events)])
    return Codes(told_E, codes.groups), Codes(asked_Q, codes.groups)


def _text_codes(events: pa.ChunkedArray, rows: pa.ChunkedArray) -> tuple[Codes, Codes]:
    encoded = pc.dictionary_encode(events.combine_chunks())
    known = encoded.dictionary
    asked = encoded.indices if rows is events else pc.index_in(rows.combine_chunks(), known, skip_nulls=True)
    told_E, asked_Q = (np.asarray(pc.fill_null(c, -1).to_numpy(zero_copy_only=False)) for c in (encoded.indices, asked))
    return Codes(told_E.astype(np.int32), len(known)), Codes(asked_Q.astype(np.int32), len(known))
