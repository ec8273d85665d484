"""State in a dict, for tests: count events of a small source, read features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import pyarrow as pa

from orita.events.schema import Column, TableSchema
from orita.features.batch import event_batch
from orita.features.declarations import Entity, Expression, Source
from orita.features.frame import grouping_attributes
from orita.features.online.reader import OnlineReader
from orita.features.online.rows import RequestRows
from orita.features.plan import Plan, plan_of
from orita.features.state.attributes import with_attributes
from orita.features.state.update import state_changes
from orita.features.stores.store import OnlineStore
from orita.features.system import system

__all__ = ["ITEM", "MINUTE", "PAID", "SHOP", "USER", "Kept", "plan_with"]

MINUTE = 60_000_000

USER = Entity("user", "user_id")
ITEM = Entity("item", "item_id", "items", [Column("tags", "list", choices=("a", "b", "c"))])
SHOP = Entity("shop", ("chain", "branch"))
PAID = Source(
    "paid",
    TableSchema(
        "paid",
        key="event_id",
        time="at",
        columns=(
            Column("event_id", "str", required=True),
            Column("user_id", "id"),
            Column("item_id", "id"),
            Column("chain", "id"),
            Column("branch", "id"),
            Column("at", "time", required=True),
            Column("good", "flag"),
            Column("amount", "float"),
            Column("units", "int"),
        ),
    ),
)
_TYPES = {"at": pa.timestamp("us"), "good": pa.int8(), "amount": pa.float64(), "event_id": pa.string()}


def plan_with(**features: Expression) -> Plan:
    """Return the plan of a system with *features*."""
    declared = system("kept", label=PAID.good, rank=ITEM, for_=USER)
    declared.features(**features)
    return plan_of(declared)


class Kept:
    """State in memory.

    Args:
        plan: what is kept.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records: dict[bytes, bytes] = {}
        self._events = 0

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return records, as an `OnlineStore` does."""
        return [self.records.get(key) for key in keys]

    def count(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Count one batch; ``minute`` is the time, an event without an id gets one."""
        rows = []
        for event in events:
            self._events += 1
            told = {"event_id": f"e{self._events}", "user_id": 1, "item_id": 1, **event}
            told["at"] = told.pop("minute", 0) * MINUTE + told.pop("micros", 0)
            rows.append(told)
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = pa.table({n: pa.array([row.get(n) for row in rows], _TYPES.get(n)) for n in names})
        told_table = with_attributes(self.plan, PAID, table, self.get_many)
        batch = event_batch(PAID, told_table, self.plan.aggregates, grouping_attributes(self.plan, PAID))
        self.change(state_changes(self.plan, self.get_many, [batch]))

    def change(self, changes: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Make *changes*."""
        for key, record in changes:
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record

    def current(self) -> RequestRows:
        """Return it as readers want it."""
        return RequestRows(self.plan, cast("OnlineStore", self), (), prepared=True)

    def read(self, minute: float, *, micros: int = 0, context: Mapping[str, object] | None = None) -> dict[str, float]:
        """Return the features of user 1 and item 1 at a time."""
        reader = OnlineReader(self, self.plan.system.schema())
        values_NF = reader.values(1, [1], context or {}, round(minute * MINUTE) + micros)
        return dict(zip(reader.schema.names, values_NF[0].tolist(), strict=True))
