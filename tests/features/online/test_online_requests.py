"""Requests: by which ids they read, what they refuse, and that rows which hold no more are made anew."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.features.state.keeping import ITEM, MINUTE, PAID, SHOP, USER, Kept, plan_with

from orita.core.errors import UserError
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.online.following import OnlineFeatures
from orita.features.online.reader import OnlineReader
from orita.features.plan import Plan

PLAN = plan_with(
    n=PAID.count().by(USER),
    item=PAID.count().by(ITEM).over("10m"),
    pair=PAID.count().by(USER, ITEM),
    shop=PAID.mean("amount").by(SHOP),
    everything=PAID.count(),
)


def published(plan: Plan, folder: Path, users: pa.Array, rows: int = 3) -> OnlineReader:
    """Publish *rows* events, a minute apart, of *users* and item 7, and return a reader."""
    minutes = [i * MINUTE for i in range(rows)]
    paid = pa.table({
        "event_id": [f"e{i}" for i in range(rows)], "user_id": users, "item_id": pa.array([7] * rows, pa.int64()),
        "chain": ["a"] * rows, "branch": ["b"] * rows, "at": pa.array(minutes).cast(pa.timestamp("us")),
        "good": pa.array([1] * rows, pa.int8()), "amount": [2.0] * rows, "units": [1] * rows,
    })  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("paid", paid)
        publish(plan, connection, {"paid": "paid"}, FolderGenerations(folder), tables={})
    return OnlineFeatures(plan, FolderGenerations(folder)).reader(plan.system.schema())


def test_an_id_is_read_in_the_type_that_the_store_has(tmp_path: Path) -> None:
    """'12' and 12 are one user, whether ids are numbers or texts."""
    for name, users in (("numbers", pa.array([12, 12, 5])), ("texts", pa.array(["12", "12", "5"]))):
        reader = published(PLAN, tmp_path / name, users)
        as_numbers = reader.matrix(12, [7, "7"], {}, 9 * MINUTE)
        np.testing.assert_array_equal(as_numbers, reader.matrix("12", ["7", 7], {}, 9 * MINUTE))
        assert reader.matrix("12", [7], {}, 9 * MINUTE)[0].tolist()[:3] == [2, 3, 2]


def test_other_entities_are_named_by_the_context(tmp_path: Path) -> None:
    """Ids of other entities come with the request; without them their features are those of nobody."""
    reader = published(PLAN, tmp_path, pa.array([1, 1, 1]))
    shop = reader.schema.names.index("shop")
    assert reader.values(1, [7], {"chain": "a", "branch": "b"}, 9 * MINUTE)[0, shop] == 2
    for context in ({}, {"chain": "a"}, {"chain": "b", "branch": "a"}, {"chain": "a", "branch": None}):
        assert reader.values(1, [7], context, 9 * MINUTE)[0, shop] != 2
    with pytest.raises(UserError, match=r"'branch' is 1\.5: it is an id"):
        reader.values(1, [7], {"chain": "a", "branch": 1.5}, 9 * MINUTE)


def test_a_time_that_state_has_passed_is_refused(tmp_path: Path) -> None:
    """A request that is not after the latest event of its keys is an error, never a wrong number."""
    reader = published(PLAN, tmp_path, pa.array([1, 1, 1]))
    for user, item in ((1, 9), (9, 7), (1, 7)):
        with pytest.raises(ValueError, match="send a later timestamp"):
            reader.matrix(user, [item], {}, 2 * MINUTE)
    with pytest.raises(ValueError, match="of this request's shop"):
        reader.matrix(9, [9], {"chain": "a", "branch": "b"}, 2 * MINUTE)
    assert reader.matrix(9, [9], {}, 2 * MINUTE).shape == (1, 5)
    assert reader.matrix(1, [7], {}, 2 * MINUTE + 1).shape == (1, 5)


def test_rows_that_hold_no_more_are_made_anew_beside_those_that_hold() -> None:
    """In one request, items whose window has moved on and items that are as they were each have their own value."""
    kept = Kept(PLAN)
    kept.count([{"item_id": 1, "minute": 0}, {"item_id": 1, "minute": 5}, {"item_id": 2, "minute": 11}])
    reader = OnlineReader(kept, PLAN.system.schema())
    item = reader.schema.names.index("item")
    assert reader.values(1, [1, 2, 3], {}, 12 * MINUTE)[:, item].tolist() == [1, 1, 0]
    assert reader.values(1, [2, 1], {}, 100 * MINUTE)[:, item].tolist() == [0, 0]


def test_a_new_generation_is_taken_up_and_the_last_but_one_deleted(tmp_path: Path) -> None:
    """Readers follow what is published when they refresh; the generation before stays for who still reads it."""
    published(PLAN, tmp_path, pa.array([1, 1, 1]))
    features = OnlineFeatures(PLAN, FolderGenerations(tmp_path))
    assert features.refresh() and not features.refresh()
    before = FolderGenerations(tmp_path).current()
    published(PLAN, tmp_path, pa.array([1, 1, 1, 1]), rows=4)
    assert before is not None and (tmp_path / before.name).exists()
    assert features.reader(PLAN.system.schema()).matrix(1, [7], {}, 9 * MINUTE)[0, 0] == 3
    assert features.refresh()
    assert features.reader(PLAN.system.schema()).matrix(1, [7], {}, 9 * MINUTE)[0, 0] == 4
    published(PLAN, tmp_path, pa.array([1, 1, 1]))
    assert not (tmp_path / before.name).exists()


def test_ids_of_one_entity_have_one_type(tmp_path: Path) -> None:
    """A table of attributes whose ids are text beside events whose ids are numbers is refused, with both names."""
    plan = plan_with(tags=ITEM["tags"], n=PAID.count().by(ITEM))
    paid = pa.table({
        "event_id": ["e"], "user_id": [1], "item_id": [7], "at": pa.array([0]).cast(pa.timestamp("us")), "good": [1],
    })  # fmt: skip
    items = pa.table({"item_id": ["x"], "tags": [["a"]]})
    with duckdb.connect() as connection, pytest.raises(UserError, match=r"'item_id'|'item'"):
        connection.register("paid", paid)
        connection.register("items", items)
        publish(plan, connection, {"paid": "paid", "items": "items"}, FolderGenerations(tmp_path), tables={})
