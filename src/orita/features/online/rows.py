"""The rows that a request needs, one consistent read: those of items from memory while the store has them so.

Legend: N items of the request, M of them that are not in memory, W numbers of a row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.features.keys import decoded_id
from orita.features.online.keys import Id, Items, RequestKeys, hashable
from orita.features.online.prepared_items import MOST, Looked, PreparedItems
from orita.features.plan import Plan
from orita.features.state.journal import TURN, turn_of
from orita.features.state.lanes import lanes_of
from orita.features.state.layout import empty_row, row_prefix
from orita.features.state.rows import rows_read
from orita.features.stores.store import OnlineStore, OrderedStore

__all__ = ["RequestRows"]

Floats = npt.NDArray[np.float64]
Keys = list[list[bytes]]

_TRIES = 3
_PAIRS = 256  # so many pairs of a user are read to find those of a request; of users with more, each is read by its key
_USERS = 10_000  # so many users with more are remembered
_NONE = Items((), None, ())


@dataclass(frozen=True, slots=True)
class _Read:
    """What a request read at one moment.

    Attributes:
        turn: of the state.
        records: those of its keys, in order.
        under: position of the read of pairs that was made by their heads, None without one.
        pairs: the records of these, by position of the item.
    """

    turn: int
    records: Sequence[bytes | None]
    under: int | None = None
    pairs: Mapping[int, bytes | None] = field(default_factory=dict)


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
        self._ordered = store if isinstance(store, OrderedStore) else None
        self._pairs = _pairs(plan) if self._ordered else None
        self._many: set[Id] = set()
        self._expire = any(lane.timed for kind in kinds for lane in lanes_of(plan, kind))

    def read(self, user_id: Id, item_ids: Sequence[Id], context: Mapping[str, object]) -> tuple[Keys, list[Floats]]:
        """Return for each read of the plan its keys and its rows: N where items are part of the keys, otherwise one.

        Of the user's pairs with the items there is one, empty, where the store has none of them. The keys of items
        alone are there only where their rows may change by time alone.

        Raises:
            UserError: an id is none.
            OritaError: a row has another width; it was written for other declarations.
        """
        items = self._keys.items(item_ids)
        for _ in range(_TRIES if self._prepared else 0):
            looked = self._items.look(items)
            missing = items.at(looked.missing_M) if looked.missing_M else _NONE
            under = None if self._pairs is None or hashable(user_id) in self._many else self._pairs
            keys = self._keys.of(user_id, items, items if self._expire else missing, context, under)
            read = self._read(self._wanted(keys, looked), items, under)
            if read is None:
                self._remember(user_id)
                continue
            states = self._as_of(looked, items, keys, read)
            if states is not None:
                if looked.missing_M:
                    learned = [states[at][looked.missing_M] for at in self._of_items]
                    self._items.learn(missing, learned, looked.turn)
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

    def _wanted(self, keys: Keys, looked: Looked) -> Keys:
        """Return the keys to read: of items, those that are not in memory."""
        if not self._expire:
            return keys  # there are no others
        return [[its[m] for m in looked.missing_M] if at in self._of_items else its for at, its in enumerate(keys)]

    def _of_pairs(self, at: int, items: int, records: Mapping[int, bytes | None]) -> Floats:
        """Return a row an item, of *records* by its position; where there is none of any, one stands for all."""
        if not records:
            return rows_read(self._empty[at], [None])
        state_NW = np.frombuffer(self._empty[at] * items).reshape(items, -1).copy()
        state_NW[list(records)] = rows_read(self._empty[at], list(records.values()))
        return state_NW

    def _remember(self, user_id: Id) -> None:
        """Remember that a user has too many pairs to read them all."""
        if len(self._many) >= _USERS:
            self._many.clear()
        self._many.add(hashable(user_id))

    def _read(self, wanted: Keys, items: Items, under: int | None) -> _Read | None:
        """Read what is *wanted*, and of the read *under* what there is of *items*; None where a user has too many."""
        if under is None or self._ordered is None:
            turn, *records = self.store.get_many([TURN, *(key for its in wanted for key in its)])
            return _Read(turn_of(turn), records)
        keys = [TURN, *(key for at, its in enumerate(wanted) if at != under for key in its)]
        head = wanted[under][0]
        there: dict[int, bytes] = {}

        def chosen(known: list[bytes]) -> Sequence[bytes]:
            there.update(items.among(head, known))
            return list(there.values())

        (turn, *records), pairs = self._ordered.get_with(keys, head, _PAIRS, chosen)
        return None if pairs is None else _Read(turn_of(turn), records, under, dict(zip(there, pairs, strict=True)))

    def _as_of(self, looked: Looked, items: Items, keys: Keys, read: _Read) -> list[Floats] | None:
        """Return the rows, those of items from memory but what is missing there; None if the state went on."""
        if read.turn != looked.turn:
            return None
        states, records, held = [], iter(read.records), iter(looked.states)
        for at, its in enumerate(keys):
            if at == read.under:
                states.append(self._of_pairs(at, len(items.ids), read.pairs))
            elif at in self._of_items:
                state_NW = next(held)
                if looked.missing_M:
                    state_NW[looked.missing_M] = rows_read(self._empty[at], [next(records) for _ in looked.missing_M])
                states.append(state_NW)
            else:
                states.append(rows_read(self._empty[at], [next(records) for _ in its]))
        return states


def _pairs(plan: Plan) -> int | None:
    """Return which read is of pairs of the user and an item: of rows that never change by time alone."""
    system = plan.system
    for at, read in enumerate(plan.reads):
        if read.entities == (system.user, system.item) and len(system.user.columns) == 1:
            return None if any(lane.timed for lane in lanes_of(plan, read.record)) else at
    return None
