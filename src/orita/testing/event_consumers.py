"""What `orita.testing.event_logs` asks of consumer groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import pyarrow as pa

from orita.core.clock import Clock, ManualClock
from orita.core.errors import NotFound
from orita.events.log.log import Consumer, EventLog

__all__ = ["commits_are_kept", "members_share_the_partitions", "polls_go_on_from_the_commit"]

_PATIENCE_SECONDS = 30.0
"""How long a group may take to settle: brokers wait some seconds for members to join."""


class _Case(Protocol):
    @property
    def make(self) -> Callable[[Clock], EventLog]: ...
    @property
    def log(self) -> EventLog: ...
    @property
    def stream(self) -> str: ...
    @property
    def clock(self) -> ManualClock: ...


def commits_are_kept(case: _Case) -> None:
    """What a group committed is there for all who open the log, may go back, and is its own."""
    log, stream = case.log, case.stream
    span = _fill(case, 50)
    (partition,) = (p for p, end in enumerate(span) if end == 50)
    assert log.committed("one", stream, partition) is None, "a group that never committed has an offset"
    for offset in (10, 50, 20, 0):
        log.commit("one", stream, partition, offset)
        assert log.committed("one", stream, partition) == offset, f"{offset} was committed and is not there"
    log.commit("one", stream, partition, 30)
    assert log.committed("two", stream, partition) is None, "groups share an offset"
    again = case.make(case.clock)
    try:
        assert again.committed("one", stream, partition) == 30, "opened again, the log forgot what was committed"
    finally:
        again.close()
    try:
        log.commit("one", stream, partition, 51)
    except NotFound as error:
        assert "51" in str(error), f"the sentence does not name the offset: {error}"
    else:
        raise AssertionError("an offset beyond the end was committed")


def polls_go_on_from_the_commit(case: _Case) -> None:
    """Every row is polled once; after a restart from the commit, or from where the caller says."""
    log, stream = case.log, case.stream
    _fill(case, 100, users=20)
    with log.consumer(stream, "readers") as consumer:
        first = _polled(consumer, 100, 30)
        assert sorted(first) == list(range(100)), "polling missed rows, or gave some twice"
        consumer.commit()
        _fill(case, 50, begin=100, users=20)
        assert sorted(_polled(consumer, 50, 7)) == list(range(100, 150)), "polling did not go on with new rows"
    with log.consumer(stream, "readers") as consumer:
        found = sorted(_polled(consumer, 50, 1000))
        assert found == list(range(100, 150)), "what was not committed is not read again, or what was is"
    ends = [log.end(stream, partition) for partition in range(log.partitions(stream))]
    with log.consumer(stream, "placed", position=lambda partition: ends[partition] - 1) as consumer:
        found = _polled(consumer, len(ends), 1000)
        assert len(found) == len(ends), f"from the last row of each partition on, {len(found)} rows came"


def members_share_the_partitions(case: _Case) -> None:
    """Two members hold about half each and never the same; who stays takes over from who leaves."""
    log, stream = case.log, case.stream
    everything = frozenset(range(log.partitions(stream)))
    half = len(everything) // 2
    with log.consumer(stream, "shared") as one:
        _settled([one], lambda: one.partitions == everything, "a lone member holds everything")
        with log.consumer(stream, "shared") as two:
            _settled(
                [one, two],
                lambda: (
                    len(one.partitions) == len(two.partitions) == half and one.partitions | two.partitions == everything
                ),
                "two members hold half each",
            )
        _settled([one], lambda: one.partitions == everything, "who stays takes over")


def _fill(case: _Case, n: int, *, begin: int = 0, users: int = 1) -> list[int]:
    rows = pa.table({"user_id": [i % users for i in range(n)], "n": list(range(begin, begin + n))})
    case.log.append(case.stream, rows, key=["user_id"])
    return [case.log.end(case.stream, partition) for partition in range(case.log.partitions(case.stream))]


def _polled(consumer: Consumer, wanted: int, max_rows: int) -> list[int]:
    """Return the numbers of the rows that come until *wanted* have, and of those that come right after."""
    deadline, found = time.monotonic() + _PATIENCE_SECONDS, list[int]()
    while len(found) < wanted and time.monotonic() < deadline:
        batches = consumer.poll(max_rows, 0.2)
        assert sum(batch.rows.num_rows for batch in batches) <= max_rows, "a poll gave more rows than it was asked for"
        found += [number for batch in batches for number in batch.rows.column("n").to_pylist()]
    for batch in consumer.poll(1000, 0.05):
        found += batch.rows.column("n").to_pylist()
    return found


def _settled(members: Sequence[Consumer], state: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not state():
        held = [partition for member in members for partition in member.partitions]
        assert len(held) == len(set(held)), f"a partition is held by two members: {[m.partitions for m in members]}"
        assert time.monotonic() < deadline, f"{what}: not within {_PATIENCE_SECONDS:g} s"
        for member in members:
            member.poll(10, 0.05)
