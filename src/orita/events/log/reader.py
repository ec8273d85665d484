"""How rows are read from any offset: segment by name, byte by index, frames in order up to the durable end."""

from __future__ import annotations

import os
import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.errors import NotFound
from orita.events.log.columns import united
from orita.events.log.frame import Frame, decode_rows
from orita.events.log.log import Batch, BrokenLog, OffsetRetired
from orita.events.log.partition import End, Partition
from orita.events.log.segment import frames, read_payloads, segment_path, sought

__all__ = ["Reader"]

_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class _Decoded:
    frame: Frame
    rows: pa.RecordBatch
    end: int  # byte of its segment behind it


class Reader:
    """Reads one partition; any thread may use it."""

    def __init__(self, partition: Partition, schema: Callable[[int], pa.Schema]) -> None:
        self._partition, self._schema = partition, schema
        # A caller that takes a large frame piece by piece decodes it once; one that goes on need not look for the next.
        self._last: tuple[Path, _Decoded] | None = None
        self._mutex = threading.Lock()

    def read(self, offset: int, max_rows: int) -> Batch:
        """Return up to *max_rows* rows from *offset* on, of at most some 16 MiB as stored and one frame more."""
        partition = self._partition
        end = partition.end()
        if not 0 <= offset <= end.next:
            raise NotFound(
                f"offset {offset} lies beyond the end of partition {partition.number} of stream {partition.stream!r}: "
                f"its next row will have offset {end.next}."
            )
        if offset == end.next:
            return Batch(partition.number, offset, offset, united([]), np.empty(0, np.int64))
        taken = self._from_last(offset) or self._from_segment(offset, max_rows, end)
        return _assembled(partition.number, offset, max_rows, taken)

    def _from_last(self, offset: int) -> list[_Decoded]:
        with self._mutex:
            last = self._last
        if last is None or not last[1].frame.first <= offset < last[1].frame.next or not last[0].exists():
            return []
        return [last[1]]

    def _from_segment(self, offset: int, max_rows: int, end: End) -> list[_Decoded]:
        # Between the listing and the opening a segment may be retired, and only once for good.
        for _ in range(2):
            kept = self._partition.kept()
            if not kept or offset < kept[0]:
                first = kept[0] if kept else end.next
                raise OffsetRetired(self._partition.stream, self._partition.number, offset, first)
            base = kept[bisect_right(kept, offset) - 1]
            path = segment_path(self._partition.folder, base)
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            try:
                limit = end.bytes if base == end.segment else os.fstat(descriptor).st_size
                return self._decoded(descriptor, base, limit, offset, max_rows)
            finally:
                os.close(descriptor)
        raise OffsetRetired(self._partition.stream, self._partition.number, offset, self._partition.start())

    def _decoded(self, descriptor: int, base: int, limit: int, offset: int, max_rows: int) -> list[_Decoded]:
        folder = self._partition.folder
        path = segment_path(folder, base)
        position = self._next_position(path, offset) or sought(folder, base, offset, limit)
        found: list[tuple[int, Frame]] = []
        size = 0
        for at, frame in frames(descriptor, position, limit, path, None if position else base):
            if frame.next <= offset:
                continue
            found.append((at, frame))
            size += frame.size
            if frame.next - offset >= max_rows or size >= _MAX_BYTES:
                break
        if not found:
            raise BrokenLog(f"{path} is damaged: offset {offset} is missing in it.")
        payloads = read_payloads(descriptor, found, path)
        decoded = [
            _Decoded(frame, decode_rows(frame, payload, self._schema(frame.schema)), at + frame.size)
            for (at, frame), payload in zip(found, payloads, strict=True)
        ]
        with self._mutex:
            self._last = (path, decoded[-1])
        return decoded

    def _next_position(self, path: Path, offset: int) -> int:
        """Return where the frame of *offset* begins, if it follows on what was read last, otherwise 0."""
        with self._mutex:
            last = self._last
        return last[1].end if last is not None and last[0] == path and last[1].frame.next == offset else 0


def _assembled(number: int, offset: int, max_rows: int, taken: list[_Decoded]) -> Batch:
    batches: list[pa.RecordBatch] = []
    times: list[int] = []
    counts: list[int] = []
    for decoded in taken:
        skipped = max(offset - decoded.frame.first, 0)
        rows = decoded.rows.slice(skipped, max_rows - sum(counts))
        batches.append(rows)
        times.append(decoded.frame.appended_at)
        counts.append(rows.num_rows)
    appended_at_N = np.repeat(np.array(times, np.int64), counts)
    return Batch(number, offset, offset + sum(counts), united(batches), appended_at_N)
