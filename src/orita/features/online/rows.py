"""The rows that a request needs, one consistent read: those of items from memory while the store has them so.

Legend: N items of the request, M of them that are not in memory, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.features.keys import decoded_id
from orita.features.online.keys import Id, Items, RequestKeys
from orita.features.online.prepared_items import MOST, Looked, PreparedItems
from orita.features.plan import Plan
from orita.features.state.journal import TURN, turn_of
from orita.features.state.lanes import lanes_of
from orita.features.state.layout import empty_row, row_prefix
from orita.features.state.rows import rows_read
from orita.features.stores.store import OnlineStore

__all__ = ["RequestRows"]

Floats = npt.NDArray[np.float64]
Keys = list[list[bytes]]

_TRIES = 3
_NONE = Items((), None, ())


class RequestRows:
    """Reads what requests need from one generation; threads may share it.

    Attributes:
        store: where it reads.

    Args:
        plan: the plan.
        store: the generation's store.
        string_ids: which ids are texts, as `Generation` has them.
        prepared: whether to keep the rows of items in memory; for stores that are near, where reading a row again is
            cheap and a second round trip costs little.
    """

    def __init__(self, plan: Plan, store: OnlineStore, string_ids: Collection[str], *, prepared: bool) -> None:
        self.store = store
        self._plan = plan
        self._keys = RequestKeys(plan, string_ids)
        self._empty = [empty_row(read.record).tobytes() for read in plan.reads]
        self._of_items = [at for at, read in enumerate(plan.reads) if read.entities == (plan.system.item,)]
        kinds = [plan.reads[at].record for at in self._of_items]
        self._items = PreparedItems([row_prefix(plan, kind) for kind in kinds], [kind.width for kind in kinds])
        self._prepared = prepared and bool(kinds)
        self._expire = any(lane.timed for kind in kinds for lane in lanes_of(plan, kind))

    def read(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object]) -> tuple[Keys, list[Floats]]:
        """Return for each read of the plan its keys and its rows: N where items are part of the keys, otherwise one.

        The keys of items alone are there only where their rows may change by time alone.

        Raises:
            UserError: an id is none.
            OritaError: a row has another width; it was written for other declarations.
        """
        items = self._keys.items(item_ids)
        for _ in range(_TRIES if self._prepared else 0):
            looked = self._items.look(items)
            missing = items.at(looked.missing_M) if looked.missing_M else _NONE
            keys = self._keys.of(user_id, items, items if self._expire else missing, context)
            states = self._as_of(looked, keys)
            if states is not None:
                if looked.missing_M:
                    read = [states[at][looked.missing_M] for at in self._of_items]
                    self._items.learn(missing, read, looked.turn)
                return keys, states
            self._items.catch_up(self.store.get_many)
        keys = self._keys.of(user_id, items, items, context)
        records = iter(self.store.get_many([key for its in keys for key in its]))
        return keys, [rows_read(self._empty[at], [next(records) for _ in its]) for at, its in enumerate(keys)]

    def item_columns(self, item_ids: Sequence[Id]) -> dict[str, pa.Array]:
        """Return the ids of a request's items as the columns of an answer."""
        return self._keys.item_columns(item_ids)

    def prepare(self) -> None:
        """Read the rows of items into memory, as many as it takes; not on the request's path.

        Items with several kinds of rows are learned as they are asked for.
        """
        if not self._prepared or len(self._of_items) > 1:
            return
        self._items.catch_up(self.store.get_many)
        turn, (at,) = self._items.turn, self._of_items
        prefix = row_prefix(self._plan, self._plan.reads[at].record)
        ids, records = [], []
        for key, record in islice(self.store.scan(prefix), MOST):
            item = decoded_id(key[len(prefix) :])
            if item is not None:
                ids.append(item)
                records.append(record)
        if ids:
            self._items.fill(self._keys.items(ids), [rows_read(self._empty[at], records)], turn)

    def _as_of(self, looked: Looked, keys: Keys) -> list[Floats] | None:
        """Return the rows, those of items from memory but what is missing there; None if the state went on."""
        read = [
            [its[m] for m in looked.missing_M] if self._expire and at in self._of_items else its
            for at, its in enumerate(keys)
        ]
        turn, *records = self.store.get_many([TURN, *(key for its in read for key in its)])
        if turn_of(turn) != looked.turn:
            return None
        states, start = [], 0
        held = iter(looked.states)
        for at, its in enumerate(read):
            end = start + len(its)
            if at in self._of_items:
                state_NW = next(held)
                if its:
                    state_NW[looked.missing_M] = rows_read(self._empty[at], records[start:end])
            else:
                state_NW = rows_read(self._empty[at], records[start:end])
            states.append(state_NW)
            start = end
        return states
