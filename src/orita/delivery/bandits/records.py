"""Choices and rewards as they are logged: rows of one stream of the event log, in the order in which they count.

The stream has one partition, so all who read it, workers and replicas, see the same order and come to the same state.
A choice lies before its rewards, as nobody knows its id before it is durable.

Legend: K arms of a choice, or of the rewards that come together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pyarrow as pa

from orita.events.log.log import Batch

__all__ = ["KEY", "PARTITION", "RECORDS", "STREAM", "Choice", "Record", "Rewards", "batch_of", "records_in"]

STREAM, PARTITION, KEY = "orita-bandits", 0, ("bandit",)

_NUMBERS, _TEXTS = pa.list_(pa.float64()), pa.list_(pa.string())
RECORDS = pa.schema(
    [
        ("bandit", pa.string()),
        ("decision", pa.string()),
        ("type", pa.string()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("arms", _TEXTS),
        ("rewards", _NUMBERS),
        ("offered", _TEXTS),
        ("propensities", _NUMBERS),
        ("errors", _NUMBERS),
        ("context", _NUMBERS),
        ("unit", pa.string()),
        ("learning", pa.string()),
        ("state_version", pa.int64()),
    ]
)
"""The columns of the stream; those of rewards are null in choices, and the other way round."""


class Choice(msgspec.Struct, frozen=True, gc=False, tag="choice", tag_field="type"):
    """What was picked.

    Attributes:
        bandit: by which bandit.
        decision: id that rewards name.
        at: when, microseconds since the Unix epoch.
        arms: K, the first position first.
        offered: what was picked among.
        propensities: of each pick given those before it.
        errors: of each, what it may be off by.
        context: values of the features; None for policies without.
        unit: whoever it was picked for, as text; None: not told.
        learning: digest of the declaration (`BanditDeclaration.learning`).
        state_version: rows of the log that the pick knew of.
    """

    bandit: str
    decision: str
    at: int
    arms: list[str]
    offered: list[str]
    propensities: list[float]
    errors: list[float]
    context: list[float] | None
    unit: str | None
    learning: str
    state_version: int


class Rewards(msgspec.Struct, frozen=True, gc=False, tag="rewards", tag_field="type"):
    """What came of a choice.

    Attributes:
        bandit: whose choice.
        decision: its id.
        at: when they were told, microseconds since the Unix epoch.
        arms: K, which; None: those of the first K positions.
        rewards: of each.
    """

    bandit: str
    decision: str
    at: int
    arms: list[str] | None
    rewards: list[float]


Record = Choice | Rewards


def batch_of(records: Sequence[Record]) -> pa.RecordBatch:
    """Return records as rows, in their order."""
    return pa.RecordBatch.from_pylist([msgspec.to_builtins(record) for record in records], RECORDS)


def records_in(batch: Batch) -> Iterator[tuple[int, Record]]:
    """Yield the records of a batch with the time when each was appended, which never decreases."""
    rows = batch.rows
    if not rows.num_rows:
        return
    at = rows.schema.get_field_index("at")
    plain = rows.set_column(at, "at", rows.column("at").cast(pa.int64()))
    for appended_at, row in zip(batch.appended_at_N.tolist(), plain.to_pylist(), strict=True):
        yield appended_at, msgspec.convert(row, Record)
