"""Checks that every `EventLog` must pass, yours too; a kill is not among them (see ``tests/events/log``)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from orita.core.clock import Clock, ManualClock, to_micros
from orita.core.errors import NotFound, OritaError, UserError
from orita.events.log.log import EventLog, OffsetRetired
from orita.events.log.partitioning import part_rows
from orita.testing.event_consumers import (
    commits_are_kept,
    members_share_the_partitions,
    polls_go_on_from_the_commit,
)

__all__ = ["EVENT_LOG_PROMISES", "check_event_log"]

_PARTITIONS = 4
_NOW = datetime(2024, 11, 15, 10, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Case:
    make: Callable[[Clock], EventLog]
    log: EventLog
    stream: str
    clock: ManualClock

    def append(self, *, n: int = 100, begin: int = 0, users: int = 20) -> pa.RecordBatch:
        rows = pa.record_batch(
            {"user_id": pa.array(i % users for i in range(begin, begin + n)), "n": pa.array(range(begin, begin + n))}
        )
        self.log.append(self.stream, rows, key=["user_id"])
        return rows

    def everything(self, log: EventLog | None = None, max_rows: int = 1000) -> list[list[dict[str, Any]]]:
        """Return the rows of each partition from its start on."""
        source = log or self.log
        return [_rows(source, self.stream, partition, max_rows) for partition in range(_PARTITIONS)]


def check_event_log(
    make: Callable[[Clock], EventLog], *, gaps: Mapping[str, str] | None = None, promises: Sequence[str] = ()
) -> None:
    """Check all that the contract promises, each on a stream of its own with 4 partitions.

    Args:
        make: opens the same log each time it is called, with the clock it is given; where storage has a grain (such as
            segments), a fine one, of a few kilobytes.
        gaps: promises that this surrounding cannot keep, beside those that the log declares, with the reason. A gap
            that is none is a fault too.
        promises: the names of those to check, by default all.

    Raises:
        AssertionError: a promise is broken; the sentence says which.
    """
    for number, (name, check) in enumerate(EVENT_LOG_PROMISES.items()):
        if promises and name not in promises:
            continue
        with _case(make, f"check-{number}") as case:
            reason = {**case.log.gaps, **(gaps or {})}.get(name)
            if reason is None:
                check(case)
            else:
                _must_fail(name, reason, check, case)


def _must_fail(name: str, reason: str, check: Callable[[Any], None], case: _Case) -> None:
    try:
        check(case)
    except (AssertionError, OritaError):
        return
    raise AssertionError(f"{name!r} is declared as a gap ({reason}) and is kept: remove the declaration")


@contextmanager
def _case(make: Callable[[Clock], EventLog], stream: str) -> Iterator[_Case]:
    clock = ManualClock(_NOW)
    log = make(clock)
    try:
        log.create(stream, _PARTITIONS)
        yield _Case(make, log, stream, clock)
    finally:
        log.close()


def _streams_are_made_once(case: _Case) -> None:
    case.log.create(case.stream, _PARTITIONS)
    assert case.stream in case.log.streams(), "a stream that was made is not listed"
    assert case.log.partitions(case.stream) == _PARTITIONS, "a stream has not the partitions it was made with"
    with _refused(UserError, case.stream, "another number of partitions"):
        case.log.create(case.stream, _PARTITIONS + 1)
    with _refused(UserError, "No Name", "a name with spaces"):
        case.log.create("No Name", _PARTITIONS)
    with _refused(NotFound, "nowhere", "an unknown stream"):
        case.log.append("nowhere", pa.table({"user_id": [1]}), key=["user_id"])
    with _refused(NotFound, "nowhere", "an unknown stream"):
        case.log.schema("nowhere")
    with _refused(NotFound, str(_PARTITIONS), "an unknown partition"):
        case.log.read(case.stream, _PARTITIONS, 0, 1)


def _rows_come_back_in_order(case: _Case) -> None:
    appended: list[list[dict[str, Any]]] = [[] for _ in range(_PARTITIONS)]
    for begin in (0, 100, 117):
        rows = pa.record_batch({"user_id": [(begin + i) % 20 for i in range(17)], "n": list(range(begin, begin + 17))})
        parts = dict(part_rows(rows, ["user_id"], _PARTITIONS))
        spans = case.log.append(case.stream, pa.table(rows), key=["user_id"])
        assert set(spans) == set(parts), f"rows went to partitions {sorted(spans)}, by their hash to {sorted(parts)}"
        for partition, part in parts.items():
            span, before = spans[partition], len(appended[partition])
            expected = (before, before + part.num_rows)
            assert (span.first, span.next) == expected, f"offsets are {span}, not {expected}"
            appended[partition] += part.to_pylist()
    assert case.everything() == appended, "rows are not as they were appended"
    columns = {field.name: field.type for field in case.log.schema(case.stream)}
    assert columns == {"user_id": pa.int64(), "n": pa.int64()}, f"the columns of the stream are {columns}"
    assert case.log.append(case.stream, rows.slice(0, 0), key=["user_id"]) == {}, "no rows have no offsets"
    again = case.make(case.clock)
    try:
        assert case.everything(again) == appended, "opened again, the log has other rows"
        ends = [again.end(case.stream, partition) for partition in range(_PARTITIONS)]
        assert ends == [len(rows_) for rows_ in appended], "opened again, the log ends elsewhere"
    finally:
        again.close()


def _any_offset_can_be_read(case: _Case) -> None:
    for begin in range(0, 60, 6):
        case.append(n=6, begin=begin, users=1)
    (partition,) = (p for p in range(_PARTITIONS) if case.log.end(case.stream, p))
    for offset in (0, 1, 5, 6, 7, 30, 59, 60):
        for most in (1, 7, 100):
            batch = case.log.read(case.stream, partition, offset, most)
            assert batch.first == offset, f"rows from offset {offset} on begin at {batch.first}"
            assert batch.next == offset + batch.rows.num_rows, "next is not the offset after the last row"
            assert batch.rows.num_rows == len(batch.appended_at_N) <= most, "more rows than asked for, or without times"
            assert (batch.rows.num_rows == 0) == (offset == 60), "rows are missing before the end, or there after it"
            numbers = batch.rows.column("n").to_pylist() if batch.rows.num_rows else []
            assert numbers == list(range(offset, batch.next)), f"read from {offset}: rows {numbers}"
    for outside in (61, -1):
        with _refused(NotFound, str(outside), "an offset that is not there"):
            case.log.read(case.stream, partition, outside, 1)


def _times_never_decrease(case: _Case) -> None:
    case.append(users=1)
    case.clock.advance(timedelta(seconds=5))
    case.append(users=1)
    case.clock.advance(timedelta(seconds=-60))
    case.append(users=1)
    (partition,) = (p for p in range(_PARTITIONS) if case.log.end(case.stream, p))
    times_N = np.concatenate([case.log.read(case.stream, partition, at, 100).appended_at_N for at in (0, 100, 200)])
    first, later = to_micros(_NOW), to_micros(_NOW + timedelta(seconds=5))
    assert times_N.dtype == np.int64, "times are not int64"
    assert times_N.tolist() == [first] * 100 + [later] * 200, "times are not the clock's, never decreasing"


def _columns_may_come_and_go(case: _Case) -> None:
    old = pa.table({"user_id": [1], "a": pa.array([1], pa.int32())})
    new = pa.table({"b": ["x"], "user_id": [1]})
    for rows in (old, new, old):
        case.log.append(case.stream, rows, key=["user_id"])
    expected = [
        {"user_id": 1, "a": 1, "b": None},
        {"user_id": 1, "a": None, "b": "x"},
        {"user_id": 1, "a": 1, "b": None},
    ]
    (found,) = [rows for rows in case.everything() if rows]
    assert found == expected, f"columns of several appends are {found}"
    with _refused(UserError, "'a'", "a column of another type"):
        case.log.append(case.stream, pa.table({"user_id": [1], "a": ["1"]}), key=["user_id"])
    with _refused(UserError, "user", "a key that is no column"):
        case.log.append(case.stream, old, key=["user"])
    with _refused(UserError, "'t'", "a type that cannot be stored"):
        case.log.append(case.stream, pa.table({"user_id": [1], "t": pa.array([1], pa.time64("us"))}), key=["user_id"])
    assert [rows for rows in case.everything() if rows] == [expected], "a refused append left rows"


def _values_are_exact(case: _Case) -> None:
    micros, inner = pa.timestamp("us", "UTC"), pa.struct([("x", pa.float64()), ("at", pa.timestamp("ns"))])
    columns: dict[str, pa.Array] = {
        "key": pa.array(["Ọ̀rẹ́", None, "", "a"]),
        "int64": pa.array([-(1 << 63), (1 << 63) - 1, None, 0]),
        "uint64": pa.array([(1 << 64) - 1, 0, None, 1], pa.uint64()),
        "bool": pa.array([True, None, False, True]),
        "float": pa.array([float("nan"), float("-inf"), -0.0, 0.1]),
        "float32": pa.array([0.1, None, 1e-45, 3e38], pa.float32()),
        "bytes": pa.array([b"\0\xff", b"", None, b"a"]),
        "time": pa.array([-1, 0, 1 << 60, None], pa.int64()).cast(micros),
        "date": pa.array([-1, 0, None, 20000], pa.int32()).cast(pa.date32()),
        "duration": pa.array([-5, None, 0, 7], pa.int64()).cast(pa.duration("ms")),
        "list": pa.array([["a", None], [], None, ["b"]], pa.list_(pa.string())),
        "times": pa.array([[1, None], [], None, [2]], pa.list_(pa.int64())).cast(pa.list_(micros)),
        "struct": pa.array([{"x": float("inf"), "at": 5}, {"x": None, "at": None}, None, {"x": 1.5, "at": -1}], inner),
    }
    rows = pa.table(columns)
    case.log.append(case.stream, rows.append_column("cat", rows["key"].dictionary_encode()), key=["int64"])
    read = [case.log.read(case.stream, partition, 0, 10).rows for partition in range(_PARTITIONS)]
    found = pa.Table.from_batches([batch for batch in read if batch.num_rows])
    expected = pa.table({**columns, "cat": columns["key"]})
    assert found.schema.equals(expected.schema), f"columns came back as {found.schema}"
    order = [(str(a), str(b)) for a, b in zip(found["int64"].to_pylist(), found["uint64"].to_pylist(), strict=True)]
    wanted = [
        (str(a), str(b)) for a, b in zip(expected["int64"].to_pylist(), expected["uint64"].to_pylist(), strict=True)
    ]
    found = found.take(pa.array([order.index(each) for each in wanted]))
    for name in expected.column_names:
        # By their text, since NaN is not equal to itself and −0 is to 0.
        a, b = str(found[name].combine_chunks()), str(expected[name].combine_chunks())
        assert a == b, f"column {name!r} came back as {a}, not {b}"


def _threads_may_append_at_once(case: _Case) -> None:
    def write(thread: int) -> None:
        for turn in range(10):
            numbers = [thread * 1000 + turn * 10 + i for i in range(10)]
            rows = pa.table({"user_id": [turn] * 10, "n": numbers})
            case.log.append(case.stream, rows, key=["user_id"])

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [[row["n"] for row in rows] for rows in case.everything()]
    expected = sorted(thread * 1000 + i for thread in range(4) for i in range(100))
    assert sorted(n for numbers in found for n in numbers) == expected, "rows were lost or doubled"
    for numbers in found:
        runs = [numbers[at : at + 10] for at in range(0, len(numbers), 10)]
        assert all(run == list(range(run[0], run[0] + 10)) for run in runs), (
            "the rows of an append do not lie side by side"
        )


def _old_rows_can_be_retired(case: _Case) -> None:
    for begin in range(0, 600, 100):
        case.append(begin=begin, users=1)
    (partition,) = (p for p in range(_PARTITIONS) if case.log.end(case.stream, p))
    first = case.log.retire(case.stream, partition, 250)
    assert first == case.log.start(case.stream, partition) <= 250, f"below 250 was retired, and {first} is kept first"
    assert case.log.read(case.stream, partition, 250, 1).rows.to_pylist() == [{"user_id": 0, "n": 250}], "250 is gone"
    assert case.log.retire(case.stream, partition, 600) == 600, "all rows were retired, and some are kept"
    with _refused(OffsetRetired, "600", "an offset that was retired"):
        case.log.read(case.stream, partition, 0, 1)
    case.append(begin=600, users=1)
    assert [row["n"] for row in case.everything()[partition]] == list(range(600, 700)), "offsets do not go on"
    with _refused(NotFound, "800", "an offset beyond the end"):
        case.log.retire(case.stream, partition, 800)


def _age_deletes_what_a_snapshot_covers(case: _Case) -> None:
    for begin in range(0, 400, 100):
        case.append(begin=begin, users=1)
        case.clock.advance(timedelta(hours=1))
    (partition,) = (p for p in range(_PARTITIONS) if case.log.end(case.stream, p))
    day = timedelta(days=1)
    assert case.log.retain(case.stream, covered={partition: 400}, max_age=day)[partition] == 0, (
        "young rows were deleted"
    )
    case.clock.advance(timedelta(days=2))
    assert case.log.retain(case.stream, covered={}, max_age=day)[partition] == 0, (
        "rows were deleted that nothing covers"
    )
    covered = case.log.retain(case.stream, covered={partition: 150}, max_age=day)[partition]
    assert covered <= 150, f"a snapshot covers offsets below 150, and {covered} is kept first"
    assert case.log.retain(case.stream, covered={partition: 400}, max_age=day)[partition] == 400, "old rows are kept"


def _size_deletes_what_a_snapshot_covers(case: _Case) -> None:
    for begin in range(0, 10_000, 500):
        case.append(n=500, begin=begin, users=1)
    (partition,) = (p for p in range(_PARTITIONS) if case.log.end(case.stream, p))
    large = 1 << 40
    assert case.log.retain(case.stream, covered={partition: 10_000}, max_bytes=large)[partition] == 0, (
        "deleted too soon"
    )
    covered = case.log.retain(case.stream, covered={partition: 5000}, max_bytes=1)[partition]
    assert 0 < covered <= 5000, f"a snapshot covers offsets below 5000, and {covered} is kept first"
    with _refused(UserError, "max_age", "no limit at all"):
        case.log.retain(case.stream, covered={partition: 1})


@contextmanager
def _refused(kind: type[Exception], named: str, what: str) -> Iterator[None]:
    try:
        yield
    except kind as error:
        assert named in str(error), f"the sentence about {what} does not name {named!r}: {error}"
    else:
        raise AssertionError(f"{what} must be a {kind.__name__}")


def _rows(log: EventLog, stream: str, partition: int, max_rows: int) -> list[dict[str, Any]]:
    offset, end = log.start(stream, partition), log.end(stream, partition)
    batches = []
    while offset < end:
        batch = log.read(stream, partition, offset, max_rows)
        batches.append(pa.Table.from_batches([batch.rows]))
        offset = batch.next
    rows: list[dict[str, Any]] = pa.concat_tables(batches, promote_options="default").to_pylist() if batches else []
    return rows


EVENT_LOG_PROMISES: Mapping[str, Callable[[Any], None]] = {
    "streams": _streams_are_made_once,
    "order": _rows_come_back_in_order,
    "any offset": _any_offset_can_be_read,
    "times": _times_never_decrease,
    "columns": _columns_may_come_and_go,
    "values": _values_are_exact,
    "threads": _threads_may_append_at_once,
    "commits": commits_are_kept,
    "consumers": polls_go_on_from_the_commit,
    "shares": members_share_the_partitions,
    "retire": _old_rows_can_be_retired,
    "retain by age": _age_deletes_what_a_snapshot_covers,
    "retain by size": _size_deletes_what_a_snapshot_covers,
}
"""What `check_event_log` checks, by the names that `EventLog.gaps` uses."""
