"""Lineage names every column, filter, window, entity and function between a feature and its sources."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest

from orita import INTERACTION, Column, Entity, Source, TableSchema, track_lineage
from orita.features.declarations import Expression
from orita.features.declaring.lineage import Lineage, lineage_of

Floats = npt.NDArray[np.float64]

SHOWN = Source("interactions", INTERACTION)
USER = Entity("user", "user_id", "users", [Column("group", "category", choices=("a", "b")), Column("born", "time")])
ITEM = Entity("item", "item_id", "items", [Column("topic", "category", choices=("x", "y"))])
PAID = Source(
    "payments",
    TableSchema(
        "payments",
        "id",
        "at",
        (
            Column("id", "str"),
            Column("at", "time"),
            Column("payer", "id"),
            Column("amount", "float"),
            Column("fee", "float"),
        ),
    ),
    renamed={"user_id": "payer"},
)
EVENT = ("interactions.timestamp", "interactions.ingested_at", "interactions.interaction_id")


@track_lineage
def pace(recent: Floats, before: Floats) -> Floats:
    """Return how much faster."""
    return recent / np.maximum(before, 1)


def test_an_aggregate_names_all_it_reads() -> None:
    """Values, keys under the source's own names, the filter's columns, times and ids, the window and the filter."""
    rare = (PAID.amount > 10) & ~PAID.fee.equals(0) | (PAID.fee >= 0.5)
    made = lineage_of(PAID.ratio("fee", "amount").by(USER).over("7d", hop="1h").delayed("1d").where(rare))
    assert made == Lineage(
        step="ratio",
        kind="aggregate",
        columns=("payments.fee", "payments.amount", "payments.payer", "payments.at", "payments.id"),
        entities=("user",),
        window="7d, hop 1h, delayed 1d",
        filter="(amount > 10 and not (fee in (0))) or fee >= 0.5",
    )


def test_a_feature_is_a_tree_down_to_its_sources() -> None:
    """Functions and transforms hold what they are made of; the tree is JSON, and its sums are what it touches."""
    rate = SHOWN.mean("click").by(USER, ITEM["topic"]).smooth(0.1, 5)
    made = lineage_of(pace(SHOWN.count().by(USER).tumbling("1d"), rate).log().clip(0, 1))
    assert [(each.step, each.kind) for each in made.steps()] == [
        ("clip", "transform"),
        ("log", "transform"),
        ("pace", "function"),
        ("count", "aggregate"),
        ("mean", "aggregate"),
        ("topic", "attribute"),
    ]
    assert made.sources == ("interactions", "items")
    assert made.every_column == tuple(
        sorted(
            {
                *EVENT,
                "interactions.click",
                "interactions.user_id",
                "interactions.item_id",
                "items.topic",
                "items.item_id",
            }
        )
    )
    windows = {each.step: each.window for each in made.steps() if each.window}
    assert windows == {"count": "tumbling 1d", "mean": "lifetime"}
    assert [len(each.version) for each in made.steps() if each.kind == "function"] == [12]
    assert json.loads(json.dumps(made.to_dict()))["inputs"][0]["inputs"][0]["step"] == "pace"


@pytest.mark.parametrize(
    ("expression", "columns"),
    [
        (SHOWN.context.device.one_hot("mobile"), {"request.device"}),
        (SHOWN.context.hour_of_day(), {"request.time"}),
        (SHOWN.context.day_of_week(), {"request.time"}),
        (USER["group"].one_hot("a"), {"users.group", "users.user_id"}),
        (SHOWN.last_time().decay("3d"), {*EVENT, "request.time"}),
        (SHOWN.first_time().age(), {*EVENT, "request.time"}),
        (USER["born"].age(SHOWN.first_time()), {*EVENT, "request.time", "users.born", "users.user_id"}),
        (
            SHOWN.sum(SHOWN.click - SHOWN.mean("dwell_time").by(ITEM).smooth(0, 1)),
            {*EVENT, "interactions.click", "interactions.dwell_time", "interactions.item_id"},
        ),
    ],
)
def test_every_expression_has_a_lineage(expression: Expression, columns: set[str]) -> None:
    """Whatever a feature is, the columns that its values depend on are named."""
    assert set(lineage_of(expression).every_column) == columns


def test_functions_are_found_wherever_they_are() -> None:
    """The lineage of a feature has the step of every Python function that it calls, however deep."""
    count = SHOWN.count()
    for expression, wanted in (
        (pace(count, count).log().bucket(1).one_hot(0), {"pace"}),
        (pace(pace(count, count), count), {"pace"}),
        (count.log(), set()),
    ):
        assert {each.step for each in lineage_of(expression).steps() if each.kind == "function"} == wanted
