"""Pairs of a user and items: which there are is known from their keys, and only these are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.features.online.test_prepared_items import Opened
from tests.features.state.keeping import ITEM, MINUTE, PAID, USER, Kept, plan_with

from orita.core.errors import UserError
from orita.features.online.reader import OnlineReader
from orita.features.plan import Plan
from orita.features.stores.lmdb import LmdbStore

PLAN = plan_with(n=PAID.count().by(USER), item=PAID.count().by(ITEM), pair=PAID.count().by(USER, ITEM))


def opened(folder: Path, kept: Kept, plan: Plan, string_ids: Sequence[str] = ()) -> list[OnlineReader]:
    """Return a reader that knows pairs by their keys, and one that reads each."""
    store = LmdbStore(folder)
    store.put_many(kept.records.items())
    readers = []
    for prepared in (True, False):
        published = Opened(plan, store, prepared=prepared, string_ids=string_ids)
        published.rows.prepare()
        readers.append(OnlineReader(published, plan.system.schema()))
    return readers


@pytest.mark.parametrize("pairs", [0, 1, 63, 64, 65, 255, 256, 257, 600])
def test_however_many_a_user_has(tmp_path: Path, pairs: int) -> None:
    """Users with few pairs and with more than are looked through get the same features, again and again."""
    kept = Kept(PLAN)
    others = [{"user_id": user, "item_id": item} for user in (0, 2) for item in range(5)]
    kept.count([{"user_id": 1, "item_id": 3 * item} for item in range(pairs) for _ in range(1 + item % 3)] + others)
    quick, plain = opened(tmp_path, kept, PLAN)
    for _ in range(2):
        for user in (0, 1, 2, 9):
            for items in (range(40), range(1700, 1850), [3, 1_000_000, -4]):
                x_NF = quick.values(user, list(items), {}, 9 * MINUTE)
                np.testing.assert_array_equal(x_NF, plain.values(user, list(items), {}, 9 * MINUTE))
    assert quick.values(1, [0, 3, 6, 1], {}, 9 * MINUTE)[:, 2].tolist() == [
        float(pairs > 0), 2.0 * (pairs > 1), 3.0 * (pairs > 2), 0,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["numbers", "texts", "both"])
def test_whatever_ids_are(tmp_path: Path, kind: str) -> None:
    """Items with numbers, with texts, and texts among numbers: also one that is as long as a number's bytes."""
    seven, long = "a" * 7, "long" * 40
    named: dict[str, list[int | str]] = {
        "numbers": [5, -3, 7], "texts": ["5", "x", seven], "both": [5, seven, "x", long, -3],
    }  # fmt: skip
    items = named[kind]
    kept = Kept(PLAN)
    for n, item in enumerate(items, 1):
        kept.count([{"user_id": 1, "item_id": item}] * n)
    quick, plain = opened(tmp_path, kept, PLAN, ("item",) if kind == "texts" else ())
    asks: list[list[int | str]] = [items, items[::-1], [5, 6], ["5", 6, seven], [*items, "nobody"]]
    for asked in asks:
        x_NF = quick.values(1, asked, {}, 9 * MINUTE)
        np.testing.assert_array_equal(x_NF, plain.values(1, asked, {}, 9 * MINUTE))
    assert quick.values(1, items, {}, 9 * MINUTE)[:, 2].tolist() == list(range(1, len(items) + 1))


def test_an_id_of_several_parts_where_there_is_one(tmp_path: Path) -> None:
    """A list for a user whose id has one part gets the sentence that it gets where no pairs are known."""
    kept = Kept(PLAN)
    kept.count([{"user_id": 1, "item_id": 1}])
    for reader in opened(tmp_path, kept, PLAN):
        with pytest.raises(UserError, match=r"the id \[1, 2\] is none"):
            reader.values([1, 2], [1], {}, 9 * MINUTE)


def test_what_is_chosen_is_of_the_same_read(tmp_path: Path) -> None:
    """A store gives its keys in order, only those that begin alike, and says where there are too many."""
    store = LmdbStore(tmp_path)
    there = {b"b%03d" % n: b"%d" % n for n in range(150)}
    store.put_many([(b"a9", b"before"), *there.items(), (b"c", b"after")])
    told: list[list[bytes]] = []

    def chosen(keys: list[bytes]) -> list[bytes]:
        told.append(keys)
        return keys[10:12]

    assert store.get_with([b"c", b"d"], b"b", 150, chosen) == ([b"after", None], [b"10", b"11"])
    assert store.get_with([b"c"], b"b", 149, chosen) == ([b"after"], None)
    assert store.get_with([], b"c", 1, chosen) == ([], [])
    assert store.get_with([], b"d", 1, chosen) == ([], [])
    assert told == [list(there), [b"c"], []]
