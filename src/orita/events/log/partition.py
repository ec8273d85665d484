"""One partition's folder: its lock, its durable end, and what happens when it is opened after a kill or a power cut.

The *durable end* says up to which byte of which segment everything is synced; readers never look beyond it. It is
replaced in place after each sync and not synced itself: while the machine has been up since, it is exact, and what lies
beyond was never acknowledged, so the next writer cuts it off. After a reboot it may be behind; whoever opens the
partition first then walks on from it, keeps whole frames, and cuts what the power cut left half.
"""

from __future__ import annotations

import fcntl
import os
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orita.core.files import sync_directory
from orita.events.log.frame import HEADER_BYTES, MAGIC, parse_header
from orita.events.log.log import BrokenLog
from orita.events.log.segment import index_path, segment_path, segments
from orita.events.log.slots import Slots

__all__ = ["End", "Partition"]

_FORM = "<16sQQQqqQ"


@dataclass(frozen=True, slots=True)
class End:
    """Up to where a partition is durable.

    Attributes:
        segment: first offset of the last segment.
        bytes: how much of that is durable.
        next: offset of the next row.
        last_at: ingestion time of the last row, microseconds; 0 before the first.
        segment_at: that of the first row of the last segment.
        indexed: byte position of the last index entry of the last segment.
    """

    segment: int = 0
    bytes: int = 0
    next: int = 0
    last_at: int = 0
    segment_at: int = 0
    indexed: int = 0


class Partition:
    """One partition as one process has it open; any thread may use it."""

    def __init__(self, folder: Path, stream: str, number: int) -> None:
        self.folder, self.stream, self.number = folder, stream, number
        self._end = Slots(folder / "end", _FORM)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        self._mutex = threading.Lock()

    @contextmanager
    def locked(self) -> Iterator[End]:
        """Keep every other writer out, cut what a killed one left, and yield the durable end."""
        with self._mutex:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield self._recovered()
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def end(self) -> End:
        """Return the durable end, without waiting for writers."""
        found = self._stored()
        if found is not None:
            return found
        with self.locked() as end:
            return end

    def advance(self, end: End) -> None:
        """Replace the durable end; only while locked, and after all below it is synced."""
        fields = (end.segment, end.bytes, end.next, end.last_at, end.segment_at, end.indexed)
        self._end.write(_boot(), *fields, sync=False)

    def kept(self) -> list[int]:
        """Return the first offsets of the segments, sorted; at least one where any row was ever appended."""
        last = self.end().segment
        return [base for base in segments(self.folder) if base <= last]

    def start(self) -> int:
        """Return the first offset that is kept."""
        kept = self.kept()
        return kept[0] if kept else self.end().next

    def close(self) -> None:
        """Let the files go."""
        self._end.close()
        os.close(self._lock)

    def _stored(self) -> End | None:
        values = self._end.read()
        if values is None or values[0] != _boot():
            return None
        return End(*values[1:])  # type: ignore[arg-type]  # ints by _FORM

    def _recovered(self) -> End:
        end = self._stored()
        if end is None:
            values = self._end.read()
            known = End(*values[1:]) if values else None  # type: ignore[arg-type]  # ints by _FORM
            end = _walked(self.folder, known)
            self.advance(end)
        else:
            _cut(self.folder, end)
        return end


@cache
def _boot() -> bytes:
    """Return what tells one run of this machine's kernel from another."""
    try:
        return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    except FileNotFoundError:
        # Where the kernel does not say, no end is taken on trust but by the process that wrote it.
        return uuid.uuid4().bytes


def _cut(folder: Path, end: End) -> None:
    path = segment_path(folder, end.segment)
    try:
        length = path.stat().st_size
    except FileNotFoundError:
        length = 0
    if length < end.bytes:
        raise BrokenLog(f"{path} is damaged: it ends at byte {length}, before its durable end at byte {end.bytes}.")
    if length > end.bytes:
        _truncate(path, end.bytes)


def _truncate(path: Path, length: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walked(folder: Path, known: End | None) -> End:
    """Return the end after all whole frames from *known* on, having cut the rest."""
    bases = segments(folder)
    if known is None:
        known = End(segment=bases[0], next=bases[0]) if bases else End()
    end = known
    if known.bytes and known.segment not in bases:
        raise BrokenLog(f"{segment_path(folder, known.segment)} is missing, with {known.bytes} durable bytes.")
    for base in [base for base in bases if base >= known.segment]:
        if base != end.segment:
            if base != end.next:
                raise BrokenLog(f"{segment_path(folder, end.segment)} is damaged: offset {end.next} is missing in it.")
            end = End(segment=base, next=base, last_at=end.last_at)
        end = _walked_segment(folder, end, last=base == bases[-1])
    sync_directory(folder)
    return end


def _walked_segment(folder: Path, end: End, *, last: bool) -> End:
    path = segment_path(folder, end.segment)
    content = path.read_bytes()
    if len(content) < end.bytes:
        raise BrokenLog(f"{path} is damaged: it ends at byte {len(content)}, before byte {end.bytes}.")
    while True:
        header = content[end.bytes : end.bytes + HEADER_BYTES]
        frame = parse_header(header)
        payload = content[end.bytes + HEADER_BYTES : end.bytes + frame.size] if frame else b""
        if frame is None or frame.first != end.next or len(payload) < frame.length or zlib.crc32(payload) != frame.crc:
            break
        began = end.segment_at if end.bytes else frame.appended_at
        end = End(end.segment, end.bytes + frame.size, frame.next, frame.appended_at, began, end.indexed)
    if len(content) > end.bytes:
        _refuse_damage(path, content, end, last=last)
        _truncate(path, end.bytes)
    else:
        _truncate(path, len(content))
    if not end.bytes:
        index_path(folder, end.segment).unlink(missing_ok=True)
    return end


def _refuse_damage(path: Path, content: bytes, end: End, *, last: bool) -> None:
    """Raise where what follows proves that the frame at the end had been acknowledged."""
    proven, position = not last, content.find(MAGIC, end.bytes + 1)
    while position >= 0 and not proven:
        frame = parse_header(content[position : position + HEADER_BYTES])
        proven = frame is not None and frame.durable > end.next
        position = content.find(MAGIC, position + 1)
    if proven:
        raise BrokenLog(
            f"{path} is damaged: the frame of offset {end.next} at byte {end.bytes} is broken, and frames that were "
            "written after it was durable follow; restore the file, or what it held from a snapshot."
        )
