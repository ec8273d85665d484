"""What is deleted from a partition: whole segments, oldest first, and only below an offset that the caller allows."""

from __future__ import annotations

import os
from itertools import pairwise

from orita.core.errors import NotFound
from orita.core.files import sync_directory
from orita.events.log.frame import HEADER_BYTES, parse_header
from orita.events.log.log import BrokenLog
from orita.events.log.partition import End, Partition
from orita.events.log.segment import index_path, segment_path, segments
from orita.events.log.writer import Writer

__all__ = ["retirable", "retire"]


def retire(partition: Partition, writer: Writer, before: int) -> int:
    """Delete the segments all of whose rows lie below *before*; return the first offset kept.

    Raises:
        NotFound: *before* lies beyond the end.
    """
    with partition.locked() as found:
        end = found
        if not 0 <= before <= end.next:
            raise NotFound(
                f"offset {before} lies beyond the end of partition {partition.number} of stream {partition.stream!r}: "
                f"give one from 0 to {end.next}."
            )
        if before == end.next and end.bytes:
            end = writer.roll(end)
        bases = _bases(partition, end)
        for base, following in pairwise(bases):
            if following <= before:
                # The index last: a segment without one can still be read.
                segment_path(partition.folder, base).unlink()
                index_path(partition.folder, base).unlink(missing_ok=True)
        sync_directory(partition.folder)
        bases = _bases(partition, end)
        return bases[0] if bases else end.next


def retirable(partition: Partition, before_micros: int | None, max_bytes: int | None) -> int:
    """Return the offset below which rows are older than *before_micros*, or too much for *max_bytes*."""
    # Locked, so that no other process deletes what is being measured.
    with partition.locked() as end:
        bases = _bases(partition, end)
        if not bases:
            return end.next
        sizes = [segment_path(partition.folder, base).stat().st_size for base in bases]
        total, offset = sum(sizes), bases[0]
        for base, following, size in zip(bases, [*bases[1:], end.next], sizes, strict=True):
            old = before_micros is not None and _last_at(partition, following, end) < before_micros
            large = max_bytes is not None and total > max_bytes and base != end.segment
            if not old and not large:
                break
            offset, total = following, total - size
        return offset


def _last_at(partition: Partition, following: int, end: End) -> int:
    """Return a time not before that of the last row below *following*: the first one's from there on, or the end's."""
    if following >= end.segment and (following == end.next or not end.bytes):
        return end.last_at
    path = segment_path(partition.folder, following)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        frame = parse_header(os.pread(descriptor, HEADER_BYTES, 0))
    finally:
        os.close(descriptor)
    if frame is None:
        raise BrokenLog(f"{path} is damaged: at byte 0 should begin the frame of offset {following}.")
    return frame.appended_at


def _bases(partition: Partition, end: End) -> list[int]:
    return [base for base in segments(partition.folder) if base <= end.segment]
