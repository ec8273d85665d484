"""Items in memory: a reader that keeps them answers as one that reads all of the state, whatever changes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.state.keeping import ITEM, MINUTE, PAID, USER, Kept, plan_with
from tests.features.stream.counting_worker import counting_plan
from tests.features.stream.test_stream_worker import START, append, drain, made

from orita.core.clock import to_micros
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.features.keys import decoded_id, encode_id
from orita.features.online.keys import Items
from orita.features.online.prepared_items import PreparedItems
from orita.features.online.reader import OnlineReader
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan
from orita.features.state.journal import changed_between, noted
from orita.features.stores.lmdb import LmdbStore
from orita.features.stores.store import OnlineStore
from orita.features.stream.worker import StreamWorker

PLAN = plan_with(item=PAID.count().by(ITEM), pair=PAID.count().by(USER, ITEM))


class Watched(Kept):
    """State that notes what changes, as the stream worker does, and counts how many rows of items are read.

    Attributes:
        rows: what has items in memory.
    """

    def __init__(self, plan: Plan, *, texts: bool = False) -> None:
        super().__init__(plan)
        self.item_rows = 0
        self.rows = RequestRows(plan, cast("OnlineStore", self), ("item",) if texts else (), prepared=True)

    def current(self) -> RequestRows:
        """Return it as readers want it."""
        return self.rows

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield records."""
        return ((key, record) for key, record in self.records.items() if key.startswith(prefix))

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return records."""
        self.item_rows += sum(key[:1] == b"\0" for key in keys)
        return super().get_many(keys)

    def change(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:  # type: ignore[override]
        """Make *changes*, and note them."""
        super().change([*changes, *noted(self.plan, self.get_many, changes)])


class Opened:
    """A store as readers want it."""

    def __init__(self, plan: Plan, store: OnlineStore, *, prepared: bool, string_ids: Sequence[str] = ()) -> None:
        self.plan, self.rows = plan, RequestRows(plan, store, string_ids, prepared=prepared)

    def current(self) -> RequestRows:
        """Return it."""
        return self.rows


@pytest.mark.parametrize("ahead", [True, False])
def test_what_the_stream_changes_is_read_anew(ahead: bool, tmp_path: Path) -> None:
    """After every step of a worker, a reader with items in memory and one without give the same numbers."""
    plan = counting_plan()
    log, store = EmbeddedLog(Home(tmp_path)), LmdbStore(tmp_path / "state")
    events = made(120)
    append(log, events[:30])
    worker = StreamWorker(plan, log, store, "g", most_rows=9)
    drain(worker)
    opened = Opened(plan, store, prepared=True)
    keeping = OnlineReader(opened, plan.system.schema())
    without = OnlineReader(Opened(plan, store, prepared=False), plan.system.schema())
    if ahead:
        opened.rows.prepare()
    at = to_micros(START + timedelta(days=1))
    append(log, events[30:])
    counted = 30
    while counted < 120:
        counted += worker.step(0.02).counted
        for user in (0, 6, 99):
            items = [0, 4, 2, 98, 1]
            np.testing.assert_array_equal(keeping.values(user, items, {}, at), without.values(user, items, {}, at))
    worker.close()


def test_rows_in_memory_are_not_read_again() -> None:
    """What did not change is read once; of two items of which one changed, that one is read again."""
    kept = Watched(PLAN)
    kept.count([{"item_id": 1}, {"item_id": 2}])
    reader = OnlineReader(kept, PLAN.system.schema())
    (item_place,) = [at for at, read in enumerate(PLAN.reads) if read.entities == (PLAN.system.item,)]
    assert item_place == 0  # whose keys `Watched` counts
    assert reader.values(1, [1, 2], {}, 5 * MINUTE)[:, 0].tolist() == [1, 1]
    kept.item_rows = 0
    assert reader.values(2, [2, 1, 1], {}, 5 * MINUTE)[:, 0].tolist() == [1, 1, 1]
    assert kept.item_rows == 0
    kept.count([{"item_id": 2, "minute": 1}])
    kept.item_rows = 0
    assert reader.values(1, [1, 2], {}, 5 * MINUTE)[:, 0].tolist() == [1, 2]
    assert kept.item_rows == 1


def test_a_reader_that_slept_long_forgets_what_it_had() -> None:
    """The journal keeps the last changes only; who comes later reads all anew, and never an old row."""
    kept = Watched(PLAN)
    kept.count([{"item_id": 1}])
    reader = OnlineReader(kept, PLAN.system.schema())
    assert reader.values(1, [1], {}, 5 * MINUTE)[0, 0] == 1
    kept.count([{"item_id": 1}])
    for _ in range(1100):
        kept.change(noted(PLAN, kept.get_many, [(b"\0" + encode_id(7), b"")]))
    assert changed_between(kept.get_many, 1)[1] is None
    assert reader.values(1, [1], {}, 5 * MINUTE)[0, 0] == 2


def asked(ids: Sequence[int]) -> Items:
    """Return items with numbers as ids."""
    return Items(ids, np.array(ids, np.int64))


def test_what_was_read_before_a_long_sleep_is_old_when_it_is_learned_after() -> None:
    """A thread that was slower than the one that found the journal too short brings rows that nobody may use."""
    kept = Watched(PLAN)
    kept.count([{"item_id": 1}])
    items = PreparedItems([b"\0"], [3])
    items.catch_up(kept.get_many)
    looked = items.look(asked([1]))
    for _ in range(1100):
        kept.change(noted(PLAN, kept.get_many, [(b"\0" + encode_id(7), b"")]))
    items.catch_up(kept.get_many)
    items.learn(asked([1]), [np.zeros((1, 3))], looked.turn)
    assert items.look(asked([1])).missing_M == [0]
    items.learn(asked([1]), [np.ones((1, 3))], items.turn)
    assert items.look(asked([1])).missing_M == []


def test_memory_is_bounded() -> None:
    """More rows than it may have make it forget; it goes on being right."""
    items = PreparedItems([b"\0"], [3], most=25)
    for first in range(0, 400, 20):
        ids = list(range(first, first + 20))
        items.learn(asked(ids), [np.array([[i, i, i] for i in ids], float)], 0)
        looked = items.look(asked(ids))
        assert looked.missing_M == [] and looked.states[0][:, 0].tolist() == ids
    assert items.look(asked([0, 399])).missing_M == [0]


@pytest.mark.parametrize("ids", [[3, -2, 900], ["a", "ü·ñ", "3"]])
def test_items_are_learned_ahead(ids: list[int | str]) -> None:
    """Preparing reads every item once, numbers and texts; requests then read no item that did not change."""
    kept = Watched(PLAN, texts=isinstance(ids[0], str))
    kept.count([{"item_id": item} for item in ids for _ in range(ids.index(item) + 1)])
    reader = OnlineReader(kept, PLAN.system.schema())
    kept.rows.prepare()
    kept.item_rows = 0
    assert reader.values(1, [*ids, *ids], {}, 5 * MINUTE)[:, 0].tolist() == [1, 2, 3, 1, 2, 3]
    assert kept.item_rows == 0
    kept.count([{"item_id": ids[1], "minute": 1}])
    assert reader.values(1, ids, {}, 5 * MINUTE)[:, 0].tolist() == [1, 3, 3]
    assert kept.item_rows - 1 == 1  # counting read it once, and the request once


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.text(max_size=30), min_size=1, max_size=3))
def test_ids_come_back_from_their_bytes(parts: list[int | str]) -> None:
    """An id is its bytes and back, of one part or several; a digest is none."""
    raw = b"".join(encode_id(part) for part in parts)
    assert decoded_id(raw) == (parts[0] if len(parts) == 1 else tuple(parts))
    assert decoded_id(encode_id("x" * 200)) is None
