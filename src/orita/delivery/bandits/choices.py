"""What was chosen and what came of it, as a table: for off-policy evaluation, and for anybody who wants to look.

    table = logged_choices(log, declaration)
    evaluate(table.filter(pc.is_valid(table["reward"])), target=…, slate="decision", unit="unit")

A reward is in it as the bandit counts it (`orita.delivery.bandits.ledger`): the first of its arm, while its choice is
open.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa

from orita.core.clock import to_micros
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.records import PARTITION, STREAM, Choice, Record, records_in
from orita.events.log.log import EventLog

__all__ = ["CHOICES", "logged_choices"]

_PIECE = 10_000
_MICROS = pa.timestamp("us", tz="UTC")
CHOICES = pa.schema(
    [
        ("decision", pa.string()),
        ("position", pa.int32()),
        ("arm", pa.string()),
        ("propensity", pa.float64()),
        ("propensity_error", pa.float64()),
        ("reward", pa.float64()),
        ("at", _MICROS),
        ("rewarded_at", _MICROS),
        ("unit", pa.string()),
        ("offered", pa.list_(pa.string())),
        ("context", pa.list_(pa.float64())),
        ("learning", pa.string()),
        ("state_version", pa.int64()),
    ]
)
"""The columns: a row each arm that was chosen, positions from 1; ``reward`` is null where none counted."""


def logged_choices(
    log: EventLog,
    declaration: BanditDeclaration,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    unrewarded: float | None = None,
) -> pa.Table:
    """Return what the event log has of a bandit, a row each arm that was chosen, in the order of the choices.

    Args:
        log: where choices and rewards are.
        declaration: the bandit, and how long it waits for rewards.
        start: choices at or after it; a time without an offset is UTC.
        end: choices before it.
        unrewarded: the reward of arms without one whose choice waits no longer; None: null, as of those that do.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    latest, wait = 0, int(declaration.wait_seconds * 1_000_000)
    offset, last = _bounds(log)
    while offset < last:
        batch = log.read(STREAM, PARTITION, offset, _PIECE)
        for appended_at, record in records_in(batch):
            latest = appended_at
            if record.bandit == declaration.key:
                _take(rows, record, appended_at, wait)
        offset = batch.next
    low = None if start is None else to_micros(start)
    high = None if end is None else to_micros(end)
    found = [row for own in rows.values() for row in own if _within(row["at"], low, high)]
    for row in found if unrewarded is not None else ():
        if row["reward"] is None and row["appended_at"] < latest - wait:
            row["reward"] = unrewarded
    return pa.Table.from_pylist(found, CHOICES)


def _bounds(log: EventLog) -> tuple[int, int]:
    if STREAM not in log.streams():
        return 0, 0
    return log.start(STREAM, PARTITION), log.end(STREAM, PARTITION)


def _take(rows: dict[str, list[dict[str, Any]]], record: Record, appended_at: int, wait: int) -> None:
    """Add the rows of a choice, or the rewards to those of theirs."""
    if isinstance(record, Choice):
        shared = {name: getattr(record, name) for name in ("decision", "at", "unit", "offered", "context", "learning")}
        shared |= {"state_version": record.state_version, "reward": None, "rewarded_at": None}
        shared["appended_at"] = appended_at
        places = zip(record.arms, record.propensities, record.errors, strict=True)
        rows[record.decision] = [
            shared | {"position": place, "arm": arm, "propensity": propensity, "propensity_error": error}
            for place, (arm, propensity, error) in enumerate(places, 1)
        ]
        return
    own = rows.get(record.decision, [])
    named = record.arms or [row["arm"] for row in own]
    for arm, reward in zip(named, record.rewards, strict=False):
        for row in own:
            if row["arm"] == arm and row["reward"] is None and row["appended_at"] >= appended_at - wait:
                row["reward"], row["rewarded_at"] = reward, record.at


def _within(at: int, low: int | None, high: int | None) -> bool:
    return (low is None or at >= low) and (high is None or at < high)
