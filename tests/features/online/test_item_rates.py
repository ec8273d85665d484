"""How often items were shown and chosen, as the online store knows it, is what the events say."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from tests.features.state.keeping import ITEM, MINUTE, PAID, USER, plan_with

from orita.features.declarations import Aggregate
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.online.following import OnlineFeatures
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
    found = dict(zip(rates.item_ids, zip(rates.chosen_N.tolist(), rates.shown_N.tolist(), strict=True), strict=True))
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
