"""A system that uses every kind of declaration: it type-checks as written, and its tests read it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from orita import Column, Entity, Source, System, TableSchema, feature, system, track_lineage

Floats = npt.NDArray[np.float64]

PAYMENT = TableSchema(
    "payments",
    key="payment_id",
    time="at",
    ingested="ingested_at",
    columns=(
        Column("payment_id", "str", required=True),
        Column("at", "time", required=True),
        Column("ingested_at", "time"),
        Column("card_id", "id"),
        Column("shop_id", "id"),
        Column("payee_id", "id"),
        Column("bank", "str"),
        Column("branch", "str"),
        Column("amount", "float"),
        Column("items", "int"),
        Column("channel", "category", choices=("web", "app", "till")),
        Column("fraud", "flag"),
        Column("note", "str"),
    ),
)
REFUND = TableSchema(
    "refunds", "refund_id", "at", (Column("refund_id", "str"), Column("at", "time"), Column("card", "id"))
)

card = Entity("card", "card_id", "cards", [Column("opened", "time"), Column("limit", "float")])
shop = Entity("shop", "shop_id", "shops", [Column("trade", "category", choices=("food", "toys"))])
payee = card.role("payee", "payee_id")
branch = Entity("branch", ("bank", "branch"))
payments = Source("payments", PAYMENT, delay="5m")
refunds = Source("refunds", REFUND, renamed={"card_id": "card"})


@track_lineage
def surge(recent: Floats, usual: Floats, least: float = 1.0) -> Floats:
    """Return how many times the usual the recent is."""
    return recent / np.maximum(usual, least)


def fraud_system() -> System:
    """Return the system."""
    declared = system("fraud", label=payments.fraud, rank=shop, for_=card)
    spent = payments.sum("amount").by(card)
    declared.features(
        spent=feature(
            spent.over("1d", "7d", hop="1h"), "Money spent by the card.", owner="risk", fresh="1s", cost="4KB"
        ),
        large=payments.count().by(card).where((payments.amount > 100) & ~payments.channel.one_of("till")).over("30d"),
        risk=payments.ratio("fraud").by(shop).over("1d", "7d").delayed("7d"),
        pair=payments.mean("amount").by(card, shop).ttl("30d"),
        visit=payments.count().by(card).session("30m"),
        today=payments.max("amount").by(card).tumbling("1d"),
        as_payee=payments.count().by(card).for_(payee),
        branch=payments.std("amount").by(branch).over("7d"),
        refunds=refunds.count().by(card),
        trade=payments.mean("fraud").by(card, shop["trade"]).smooth(0.01, weight=20),
        beyond=payments.mean(payments.amount - payments.mean("amount").by(shop).smooth(20, 5)).by(card),
        surge=surge(spent.over("1d", hop="1h"), spent.over("7d", hop="1h"), least=2),
        share=(spent / payments.sum("amount").by(shop)).clip(0, 1).impute(0),
        opened=card["opened"].age(payments.first_time().by(card)),
        recency=payments.last_time().by(card).decay("3d"),
        channel=payments.context.channel.one_hot("web", "app"),
        trade_hour=shop["trade"].cross(payments.context.hour_of_day(), buckets=100),
    )
    return declared
