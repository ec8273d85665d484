"""How often items were shown and chosen, as the online store knows it, is what the events say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.features.state.keeping import ITEM, MINUTE, PAID, USER, plan_with

from orita.features.declarations import Aggregate
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.keys import decoded_id, decoded_numbers, encode_id
from orita.features.online.following import OnlineFeatures
from orita.features.online.item_pieces import distinct_ids, joined_ids
from orita.features.online.item_rates import label_rate
from orita.features.plan import Plan


def _published(plan: Plan, folder: Path, items: list[int] | list[str], good: list[int]) -> OnlineFeatures:
    rows = len(items)
    paid = pa.table({
        "event_id": [f"e{i}" for i in range(rows)], "user_id": [i % 3 for i in range(rows)], "item_id": items,
        "chain": ["a"] * rows, "branch": ["b"] * rows,
        "at": pa.array([i * MINUTE for i in range(rows)]).cast(pa.timestamp("us")),
        "good": pa.array(good, pa.int8()), "amount": [2.0] * rows, "units": [1] * rows,
    })  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("paid", paid)
        publish(plan, connection, {"paid": "paid"}, FolderGenerations(folder), tables={})
    return OnlineFeatures(plan, FolderGenerations(folder))


@pytest.mark.parametrize("items", [[7, 7, 8, 7, 9], ["x", "x", "y", "x", "z"]])
@pytest.mark.parametrize("rate", [PAID.mean("good").by(ITEM), PAID.ratio("good").by(ITEM)])
def test_rates_are_counted(tmp_path: Path, items: list[int] | list[str], rate: Aggregate) -> None:
    """Each item has its showings and its choices, whatever else is declared."""
    plan = plan_with(
        n=PAID.count().by(USER), spent=PAID.mean("amount").by(ITEM), rate=rate, pair=PAID.count().by(USER, ITEM)
    )
    features = _published(plan, tmp_path, items, [1, 0, 0, 1, 0])
    rates = features.item_rates(lambda: True)
    assert rates is not None
    found = dict(
        zip(rates.ids_N.tolist(), zip(rates.chosen_N.tolist(), rates.shown_N.tolist(), strict=True), strict=True)
    )
    first, second, third = dict.fromkeys(items)
    assert found == {first: (2, 3), second: (0, 1), third: (0, 1)}
    assert features.item_rates(lambda: False) is None
    features.close()


@pytest.mark.parametrize(
    "rate",
    [
        PAID.mean("good").by(USER),
        PAID.mean("good").by(USER, ITEM),
        PAID.mean("amount").by(ITEM),
        PAID.mean("good").by(ITEM).over("1h"),
        PAID.mean("good").by(ITEM["tags"]),
        PAID.count().by(ITEM),
    ],
)
def test_what_is_no_rate_of_items(rate: Aggregate) -> None:
    """Means of others, of parts of the events, and by other keys say nothing of how popular an item is."""
    assert label_rate(plan_with(rate=rate)) is None


@pytest.mark.parametrize(
    "ids", [[0, 1, 255, 256, 2**40, 2**63 - 1, -1, -(2**63)], [7, "seven"], ["seventy-7"], [7, "x" * 200]]
)
def test_ids_are_read_as_they_were_written(ids: list[int | str]) -> None:
    """All whole numbers at once, to the ends of their range; where one is a text, each by itself."""
    keys = [b"\x01" + encode_id(item) for item in ids]
    numbers_N = decoded_numbers(keys, 1)
    if all(isinstance(item, int) for item in ids):
        assert numbers_N is not None and numbers_N.tolist() == ids == [decoded_id(key[1:]) for key in keys]
    else:
        assert numbers_N is None


@pytest.mark.parametrize(
    ("parts", "whole"),
    [([], []), ([[1], [3, 2]], [1, 3, 2]), ([[1], ["a"]], ["1", "a"]), ([["b"], ["a"]], ["b", "a"])],
)
def test_ids_of_pieces_are_numbers_or_texts(parts: list[list[int | str]], whole: list[int | str]) -> None:
    """Numbers where all are; with a text among them all are texts, so that each is known by what is written."""
    kinds: list[Any] = [np.array(part, np.int64 if isinstance(part[0], int) else np.object_) for part in parts]
    assert joined_ids(kinds).tolist() == whole
    twice = [*kinds, *kinds]
    ids, first_I = distinct_ids(twice)
    assert ids.tolist() == sorted(whole) and ids.tolist() == joined_ids(twice)[first_I].tolist()
