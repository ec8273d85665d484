"""Any sequence of appends, reads, restarts and deletions gives what a list gives."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orita.core.clock import ManualClock, to_micros
from orita.core.home import Home
from orita.events.log.embedded import EmbeddedLog
from orita.events.log.log import OffsetRetired
from orita.events.log.partitioning import part_rows

_PARTITIONS = 3

_append = st.tuples(
    st.just("append"), st.lists(st.integers(0, 9) | st.none(), max_size=30), st.sampled_from(["", "a", "b"])
)
_read = st.tuples(st.just("read"), st.integers(0, _PARTITIONS - 1), st.floats(0, 1), st.integers(1, 40))
_retire = st.tuples(st.just("retire"), st.integers(0, _PARTITIONS - 1), st.floats(0, 1))
_restart, _wait = st.just(("restart",)), st.tuples(st.just("wait"), st.integers(-5, 100))
_steps = st.lists(st.one_of(_append, _append, _append, _read, _read, _retire, _restart, _wait), max_size=25)


class _Model:
    """The log as lists: rows, their times, and the first that may be kept."""

    def __init__(self) -> None:
        self.rows: list[list[dict[str, Any]]] = [[] for _ in range(_PARTITIONS)]
        self.times: list[list[int]] = [[] for _ in range(_PARTITIONS)]
        self.retired = [0] * _PARTITIONS


@given(_steps)
@settings(max_examples=60, deadline=None)
def test_the_log_is_a_list(steps: Sequence[tuple[Any, ...]]) -> None:
    """Rows, offsets and times are those of a list for each partition, whatever happens in between."""
    with tempfile.TemporaryDirectory() as folder:
        clock, model, count = ManualClock(), _Model(), 0
        log = EmbeddedLog(Home(Path(folder)), clock, segment_bytes=1500, segment_age=timedelta(seconds=200))
        log.create("s", _PARTITIONS)
        for step in steps:
            match step:
                case ("append", users, extra):
                    _append_both(log, model, clock, users, extra, count)
                    count += len(users)
                case ("read", partition, share, most):
                    _read_both(log, model, partition, round(share * len(model.rows[partition])), most)
                case ("retire", partition, share):
                    before = round(share * len(model.rows[partition]))
                    model.retired[partition] = max(model.retired[partition], before)
                    first = log.retire("s", partition, before)
                    assert first <= model.retired[partition]
                case ("restart",):
                    log.close()
                    log = EmbeddedLog(Home(Path(folder)), clock, segment_bytes=1500)
                case ("wait", seconds):
                    clock.advance(timedelta(seconds=seconds))
        for partition in range(_PARTITIONS):
            assert log.end("s", partition) == len(model.rows[partition])
            for offset in range(0, len(model.rows[partition]) + 1, 5):
                _read_both(log, model, partition, offset, 1000)
        log.close()


def _append_both(
    log: EmbeddedLog, model: _Model, clock: ManualClock, users: list[int | None], extra: str, count: int
) -> None:
    columns = {"u": pa.array(users, pa.int64()), "n": pa.array(range(count, count + len(users)), pa.int64())}
    if extra:
        columns[extra] = pa.array([str(user) for user in users], pa.string())
    rows = pa.record_batch(columns)
    log.append("s", rows, key=["u"])
    for partition, part in part_rows(rows, ["u"], _PARTITIONS):
        times = model.times[partition]
        now = max([0, to_micros(clock.now()), *times[-1:]])
        times += [now] * part.num_rows
        model.rows[partition] += part.to_pylist()


def _read_both(log: EmbeddedLog, model: _Model, partition: int, offset: int, most: int) -> None:
    start = log.start("s", partition)
    assert start <= model.retired[partition]
    if offset < start:
        with pytest.raises(OffsetRetired) as caught:
            log.read("s", partition, offset, most)
        assert caught.value.first == start
        return
    batch = log.read("s", partition, offset, most)
    rows = model.rows[partition]
    assert batch.first == offset
    assert batch.next == offset + batch.rows.num_rows <= len(rows)
    assert (batch.next > offset) == (offset < len(rows))
    assert batch.rows.num_rows <= most
    names = set(batch.rows.schema.names)
    wanted = [{name: row.get(name) for name in names} for row in rows[offset : batch.next]]
    assert all(set(row) <= names for row in rows[offset : batch.next])
    assert batch.rows.to_pylist() == wanted
    assert batch.appended_at_N.tolist() == model.times[partition][offset : batch.next]
