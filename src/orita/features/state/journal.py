"""Which items changed of late: what tells a reader in another process that an item's row in its memory is old.

Each change of state takes the next *turn*, and leaves the places of the items that it changed in a ring of records. A
reader that knows the state as of one turn learns from the ring what has changed since, in one read; one that comes too
late for the ring forgets all it had. Places are hashes: two items may share one, so that a reader may reread in vain.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from orita.features.plan import Plan
from orita.features.state.layout import RESERVED, row_prefix
from orita.features.state.rows import GetMany
from orita.features.stores.store import Change

__all__ = ["PLACES", "TURN", "changed_between", "noted", "places_of", "turn_of"]

Places = npt.NDArray[np.int64]

TURN = RESERVED + b"t"
"""Key of the record of the latest turn."""

PLACES = 1 << 16
"""So many places there are."""

_RING = 1024
_RING_KEY = RESERVED + b"c"


def places_of(keys: Collection[bytes]) -> list[int]:
    """Return the place of each key."""
    return [zlib.crc32(key) % PLACES for key in keys]


def turn_of(record: bytes | None) -> int:
    """Return the turn that the record `TURN` tells, 0 before the first."""
    return int.from_bytes(record, "big") if record else 0


def noted(plan: Plan, get_many: GetMany, changes: Iterable[Change]) -> list[Change]:
    """Return what the store must change beside *changes*, so that readers with items in memory learn of it.

    Only changes of records of which an item alone is the key are noted.
    """
    item = plan.system.item.kind
    alone = [record for record in plan.records if [entity.kind for entity in record.entities] == [item]]
    kinds = {row_prefix(plan, record)[0] for record in alone}
    keys = [key for key, _ in changes if key[0] in kinds]
    if not keys:
        return []
    (before,) = get_many([TURN])
    number = turn_of(before) + 1
    turn = number.to_bytes(8, "big")
    return [(TURN, turn), (_ring_key(number), turn + np.unique(places_of(keys)).astype(np.uint16).tobytes())]


def changed_between(get_many: GetMany, known: int) -> tuple[int, Sequence[tuple[int, Places]] | None]:
    """Return the latest turn, and what changed after the turn *known*: turns and places; None where nobody knows."""
    (record,) = get_many([TURN])
    turn = turn_of(record)
    if turn - known >= _RING:
        return turn, None
    since = range(known + 1, turn + 1)
    found = []
    for number, entry in zip(since, get_many([_ring_key(number) for number in since]), strict=True):
        if entry is None or turn_of(entry[:8]) != number:
            return turn, None
        found.append((number, np.frombuffer(entry, np.uint16, offset=8).astype(np.int64)))
    return turn, found


def _ring_key(turn: int) -> bytes:
    return _RING_KEY + (turn % _RING).to_bytes(2, "big")
