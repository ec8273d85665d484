"""A system of several sources: roles of one entity, keys of several columns, keys of other names, ids that are text."""

from __future__ import annotations

from functools import cache

from orita.events.schema import Column, TableSchema
from orita.features.declarations import Entity, Source
from orita.features.plan import Plan, plan_of
from orita.features.system import system

__all__ = ["LOGINS", "PAYEE", "PAYER", "RISKS", "TRANSFERS", "roles_plan"]

RISKS = ("low", "hàut")

ACCOUNT = Entity(
    "account", "account_id", "accounts", [Column("risk", "category", choices=RISKS), Column("opened", "time")]
)
PAYER = ACCOUNT.role("payer", "payer_id")
PAYEE = ACCOUNT.role("payee", "payee_id")
BRANCH = Entity("branch", ("bank", "branch"))
TRANSFERS = Source(
    "transfers",
    TableSchema(
        "transfers",
        key="transfer_id",
        time="moment",
        columns=(
            Column("transfer_id", "str", required=True),
            Column("payer_id", "id"),
            Column("payee_id", "id"),
            Column("bank", "id"),
            Column("branch", "id"),
            Column("moment", "time", required=True),
            Column("fraud", "flag", required=True),
            Column("amount", "float"),
        ),
    ),
    delay="30m",
)
LOGINS = Source(
    "logins",
    TableSchema(
        "logins",
        key="login_id",
        time="entered",
        ingested="noted",
        columns=(
            Column("login_id", "str", required=True),
            Column("holder_id", "id"),
            Column("bank_code", "id"),
            Column("branch", "id"),
            Column("entered", "time", required=True),
            Column("noted", "time"),
            Column("failed", "flag"),
            Column("device", "str"),
        ),
    ),
    renamed={"payer_id": "holder_id", "bank": "bank_code"},
)


@cache
def roles_plan() -> Plan:
    """Return the plan of transfers between accounts, and of logins to them."""
    paid, logged = TRANSFERS, LOGINS
    declared = system("roles", label=paid.fraud, rank=PAYEE, for_=PAYER)
    declared.features(
        paid_count=paid.count().by(PAYER),
        paid_by_payee=paid.count().by(PAYER).for_(PAYEE),
        got_count=paid.count().by(PAYEE),
        got_by_payer=paid.sum("amount").by(PAYEE).for_(PAYER),
        pair=paid.count().by(PAYER, PAYEE),
        pair_back=paid.count().by(PAYER, PAYEE).for_(PAYEE, PAYER),
        pair_back_last=paid.last("amount").by(PAYER, PAYEE).for_(PAYEE, PAYER).over("6h"),
        branch_count=paid.count().by(BRANCH),
        branch_fraud=paid.mean("fraud").by(BRANCH).over("6h", hop="1h").delayed("2h"),
        branch_payer=paid.std("amount").by(BRANCH, PAYER).session("2h"),
        risk_fraud=paid.ratio("fraud").by(PAYEE["risk"]),
        payer_risk=PAYER["risk"],
        payee_risk=PAYEE["risk"],
        payee_opened=PAYEE["opened"].age(otherwise=paid.first_time().by(PAYEE)),
        payer_opened=PAYER["opened"].age(),
        logins=logged.count().by(PAYER).over("2h", "1d"),
        logins_failed=logged.count().by(PAYER).where(logged.failed.equals(1)).tumbling("4h").ttl("90m"),
        payee_logins=logged.count().by(PAYER).for_(PAYEE).over("2h"),
        payee_devices=logged.count_distinct("device").by(PAYER).for_(PAYEE),
        branch_logins=logged.mean("failed").by(BRANCH).over("3h", hop="30m"),
        last_login=logged.last_time().by(PAYER).decay("3h"),
        branch_login_age=logged.last_time().by(BRANCH).age(),
    )
    return plan_of(declared)
