"""All items of an online store, piece by piece: for those who look at each of them beside requests.

Legend: N items of a piece, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from orita.features.keys import decoded_id
from orita.features.plan import Plan, Read
from orita.features.state.layout import empty_row, row_prefix
from orita.features.state.rows import rows_read
from orita.features.stores.store import OnlineStore

__all__ = ["item_pieces"]

_ROWS = 100
"""Rows of a piece: so few that it takes less than a request that waits for the interpreter would notice."""


def item_pieces(
    plan: Plan, read: Read, store: OnlineStore
) -> Iterator[tuple[list[int | str], npt.NDArray[np.float64]]]:
    """Yield ids and rows, [N, W], of the items of *store*.

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
        known = [(item, row) for key, row in piece if isinstance(item := decoded_id(key[len(prefix) :]), int | str)]
        if known:
            yield [item for item, _ in known], rows_read(empty, [row for _, row in known])
