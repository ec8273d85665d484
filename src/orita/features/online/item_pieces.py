"""All items of an online store, piece by piece: for those who look at each of them beside requests.

Legend: N items of a piece, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from orita.features.keys import decoded_id, decoded_numbers
from orita.features.plan import Plan, Read
from orita.features.state.layout import empty_row, row_prefix
from orita.features.state.rows import rows_read
from orita.features.stores.store import OnlineStore

__all__ = ["Ids", "ItemPiece", "distinct_ids", "item_pieces", "joined_ids"]

Ids = npt.NDArray[np.int64] | npt.NDArray[np.object_]
"""Whole numbers, or texts."""

_ROWS = 250
"""Rows of a piece: so few that it takes less than a millisecond."""


@dataclass(frozen=True, slots=True)
class ItemPiece:
    """Some items: their ids, numbers or texts, and their rows, [N, W]."""

    ids_N: Ids
    state_NW: npt.NDArray[np.float64]


def item_pieces(plan: Plan, read: Read, store: OnlineStore) -> Iterator[ItemPiece]:
    """Yield the items of *store*, each at least once.

    An id of over a hundred bytes is kept as its digest alone; its item is left out.

    Args:
        plan: the plan.
        read: one of its reads, of items alone.
        store: where they are.

    Raises:
        OritaError: the store cannot be read.
    """
    prefix, empty = row_prefix(plan, read.record), empty_row(read.record).tobytes()
    scanned = store.scan(prefix)
    while piece := list(islice(scanned, _ROWS)):
        keys, rows = zip(*piece, strict=True)
        numbers_N = decoded_numbers(keys, len(prefix))
        if numbers_N is not None:
            yield ItemPiece(numbers_N, rows_read(empty, rows))
            continue
        known = [decoded_id(key[len(prefix) :]) for key in keys]
        there = [isinstance(item, int | str) for item in known]
        ids_N = np.array([str(item) for item in compress(known, there)], np.object_)
        if len(ids_N):
            yield ItemPiece(ids_N, rows_read(empty, list(compress(rows, there))))


def joined_ids(parts: Sequence[Ids]) -> Ids:
    """Return the ids of all *parts*: numbers where all are, else texts."""
    if all(part.dtype != np.object_ for part in parts):
        return np.concatenate([np.zeros(0, np.int64), *parts])
    return np.concatenate([part.astype(str).astype(np.object_) for part in parts])


def distinct_ids(parts: Sequence[Ids]) -> tuple[Ids, npt.NDArray[np.intp]]:
    """Return the ids of all *parts* in their order, each once, and where each stands first among them.

    Texts are sorted in the form of numpy: sorting objects would hold the interpreter for a tenth of a second.
    """
    ids: Any = joined_ids(parts)
    numbers = ids.dtype != np.object_
    sortable = ids if numbers else np.concatenate([part.astype(str) for part in parts])
    _, first = np.unique(sortable, return_index=True)
    return ids[first], first
