"""What was chosen and what came of it, as a table: for off-policy evaluation, and for anybody who wants to look.

    table = logged_choices(log, declaration)
    evaluate(table.filter(pc.is_valid(table["reward"])), target=…, slate="decision", unit="unit")

A reward is in it as the bandit counts it, by the same code (`orita.delivery.bandits.open_choices`): the first of its
arm while its choice is open. Where the declaration says what silence earned, no arm of a choice has a reward before the
choice is closed, and all have one then: to drop rows without a reward leaves out the latest choices, never the worse.

Rows are held as Arrow's columns, some hundred bytes each; of the choices that are open alone there are Python objects.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from datetime import datetime

import msgspec
import numpy as np
import pyarrow as pa

from orita.core.clock import to_micros
from orita.delivery.bandits.declarations import BanditDeclaration
from orita.delivery.bandits.open_choices import Counted, OpenChoices
from orita.delivery.bandits.records import PARTITION, STREAM, Choice, records_in
from orita.events.log.log import Batch, EventLog

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
"""The columns: a row each arm that was chosen, positions from 1.

``reward`` is null where none counted; ``rewarded_at`` is null too where it is what arms without one earned.
"""

_REWARD, _REWARDED_AT = CHOICES.get_field_index("reward"), CHOICES.get_field_index("rewarded_at")
_CHOSEN = pa.schema([field for field in CHOICES if field.name not in ("reward", "rewarded_at")])
_NEVER = np.iinfo(np.int64).min


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
        declaration: the bandit, how long it waits for rewards, and what arms without one earned.
        start: choices at or after it; a time without an offset is UTC.
        end: choices before it.
        unrewarded: what arms without a reward earned, in place of what is declared; None: as declared.
    """
    if unrewarded is not None:
        declaration = msgspec.structs.replace(declaration, unrewarded=unrewarded)
    low = None if start is None else to_micros(start)
    high = None if end is None else to_micros(end)
    joined = _Joined(declaration, low, high)
    offset, last = _bounds(log)
    while offset < last:
        batch = log.read(STREAM, PARTITION, offset, _PIECE)
        joined.take(batch)
        offset = batch.next
    return joined.table()


def _bounds(log: EventLog) -> tuple[int, int]:
    if STREAM not in log.streams():
        return 0, 0
    return log.start(STREAM, PARTITION), log.end(STREAM, PARTITION)


class _Joined:
    """Choices joined with their rewards, piece by piece."""

    def __init__(self, declaration: BanditDeclaration, low: int | None, high: int | None) -> None:
        self._declaration, self._low, self._high = declaration, low, high
        # By the digest of the declaration: a bandit counts the choices of its own, and no others.
        self._open: dict[str, OpenChoices] = {}
        self._pieces: list[pa.RecordBatch] = []
        self._rewards, self._rewarded_at = array("d"), array("q")
        self._first: dict[str, int] = {}  # row of the first position, by decision id

    def take(self, batch: Batch) -> None:
        """Take in records, in their order."""
        chosen: list[Choice] = []
        for appended_at, record in records_in(batch):
            if record.bandit != self._declaration.key:
                continue
            for open_choices in self._open.values():
                self._count(open_choices.close(appended_at))
            if isinstance(record, Choice):
                if self._asked(record.at):
                    self._add(record)
                    chosen.append(record)
                own = self._open.setdefault(record.learning, OpenChoices(self._declaration))
                self._count(own.take(appended_at, record))
            else:
                for open_choices in self._open.values():
                    if record.decision in open_choices.open:
                        self._count(open_choices.take(appended_at, record))
        self._pieces.append(_rows(chosen))
        waiting = [decision for each in self._open.values() for decision in each.open]
        self._first = {decision: self._first[decision] for decision in waiting if decision in self._first}

    def table(self) -> pa.Table:
        """Return all of it."""
        rewards_N, at_N = np.array(self._rewards), np.array(self._rewarded_at)
        table = pa.Table.from_batches(self._pieces, _CHOSEN)
        table = table.add_column(_REWARD, CHOICES.field(_REWARD), [pa.array(rewards_N, mask=np.isnan(rewards_N))])
        rewarded_at = pa.array(at_N, mask=at_N == _NEVER).cast(_MICROS)
        return table.add_column(_REWARDED_AT, CHOICES.field(_REWARDED_AT), [rewarded_at])

    def _asked(self, at: int) -> bool:
        return (self._low is None or at >= self._low) and (self._high is None or at < self._high)

    def _add(self, choice: Choice) -> None:
        """Make room for what comes of a choice."""
        self._first[choice.decision] = len(self._rewards)
        self._rewards.extend([np.nan] * len(choice.arms))
        self._rewarded_at.extend([_NEVER] * len(choice.arms))

    def _count(self, counted: Iterable[Counted]) -> None:
        for each in counted:
            first = self._first.get(each.decision)
            if first is not None:
                self._rewards[first + each.position] = each.reward
                self._rewarded_at[first + each.position] = _NEVER if each.at is None else each.at


def _rows(choices: list[Choice]) -> pa.RecordBatch:
    """Return a row for each arm, without what came of it."""
    shared = ("decision", "at", "unit", "offered", "context", "learning", "state_version")
    rows = [
        {name: getattr(choice, name) for name in shared}
        | {"position": place, "arm": arm, "propensity": propensity, "propensity_error": error}
        for choice in choices
        for place, (arm, propensity, error) in enumerate(
            zip(choice.arms, choice.propensities, choice.errors, strict=True), 1
        )
    ]
    return pa.RecordBatch.from_pylist(rows, _CHOSEN)
