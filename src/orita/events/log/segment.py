"""The files of a partition: segments of frames, named by their first offset, and a sparse index beside each.

An index entry (offset, position, check) is written for the frame that begins a group of writes, at most one every
`INDEX_BYTES`. It is a hint: entries that are missing, cut or zero only cost a longer way through the segment.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orita.events.log.frame import HEADER_BYTES, Frame, parse_header
from orita.events.log.log import BrokenLog

__all__ = ["INDEX_BYTES", "add_to_index", "frames", "index_path", "read_payloads", "segment_path", "segments", "sought"]

INDEX_BYTES = 64 << 10
_CHUNK = 256 << 10
_ENTRY_WORDS = 3
_ENTRY_BYTES = 8 * _ENTRY_WORDS
_CHECK = np.uint64(0xA0761D6478BD642F)


def segment_path(folder: Path, base: int) -> Path:
    """Return the file of the segment whose first offset is *base*."""
    return folder / f"{base:020d}.seg"


def index_path(folder: Path, base: int) -> Path:
    """Return the index beside it."""
    return folder / f"{base:020d}.idx"


def segments(folder: Path) -> list[int]:
    """Return the first offsets of the segments in *folder*, sorted."""
    return sorted(int(entry.name[:-4]) for entry in os.scandir(folder) if entry.name.endswith(".seg"))


def add_to_index(folder: Path, base: int, offset: int, position: int) -> None:
    """Note that the frame with first *offset* begins at byte *position*."""
    words = np.array([offset, position, 0], np.uint64)
    words[2] = _checks(words[:1], words[1:2])[0]
    descriptor = os.open(index_path(folder, base), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        # A cut entry is overwritten, so that the others keep their places.
        whole = os.fstat(descriptor).st_size // _ENTRY_BYTES
        os.pwrite(descriptor, words.tobytes(), whole * _ENTRY_BYTES)
    finally:
        os.close(descriptor)


def sought(folder: Path, base: int, offset: int, limit: int) -> int:
    """Return a byte position, at or before that of the frame with *offset*, from which to look for it."""
    try:
        raw = index_path(folder, base).read_bytes()
    except FileNotFoundError:
        return 0
    words = np.frombuffer(raw[: len(raw) // _ENTRY_BYTES * _ENTRY_BYTES], np.uint64).reshape(-1, _ENTRY_WORDS)
    sound = (words[:, 2] == _checks(words[:, 0], words[:, 1])) & (words[:, 1] < limit)
    offsets, positions = words[sound, 0], words[sound, 1]
    at = int(np.searchsorted(offsets, np.uint64(offset), side="right")) - 1
    return int(positions[at]) if at >= 0 else 0


def _checks(offsets: npt.NDArray[np.uint64], positions: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return (offsets * np.uint64(0x9E3779B97F4A7C15) ^ positions) * np.uint64(0xE7037ED1A0B428DB) ^ _CHECK


def frames(descriptor: int, position: int, limit: int, path: Path, expected: int | None) -> Iterator[tuple[int, Frame]]:
    """Yield position and header of each frame from *position* to *limit*, without its payload.

    Args:
        descriptor: the open segment.
        position: where a frame begins.
        limit: where the last frame ends.
        path: the segment's name, for errors.
        expected: the offset of the first frame's first row; None takes what it says.

    Raises:
        BrokenLog: something else than the next frame lies there.
    """
    chunk, begins = b"", position
    while position < limit:
        if position + HEADER_BYTES > begins + len(chunk):
            chunk, begins = os.pread(descriptor, min(_CHUNK, limit - position), position), position
        frame = parse_header(memoryview(chunk)[position - begins :][:HEADER_BYTES]) if position >= begins else None
        if frame is None or position + frame.size > limit or (expected is not None and frame.first != expected):
            wanted = "" if expected is None else f" the frame of offset {expected}"
            raise BrokenLog(f"{path} is damaged: at byte {position} should begin{wanted or ' a frame'}.")
        yield position, frame
        position, expected = position + frame.size, frame.next


def read_payloads(descriptor: int, found: list[tuple[int, Frame]], path: Path) -> list[bytes]:
    """Return the payloads of frames that lie side by side, with one read.

    Raises:
        BrokenLog: a payload is not what its checksum says.
    """
    begin, (last, last_frame) = found[0][0], found[-1]
    raw = memoryview(_read_exactly(descriptor, begin, last + last_frame.size - begin, path))
    payloads = []
    for position, frame in found:
        start = position - begin + HEADER_BYTES
        # A copy: Arrow reads its buffers in place, and wants them aligned.
        payload = bytes(raw[start : start + frame.length])
        if zlib.crc32(payload) != frame.crc:
            raise BrokenLog(
                f"{path} is damaged: the rows of the frame at byte {position}, offsets {frame.first} to "
                f"{frame.next - 1}, are not what their checksum says."
            )
        payloads.append(payload)
    return payloads


def _read_exactly(descriptor: int, position: int, length: int, path: Path) -> bytes:
    parts: list[bytes] = []
    while length:
        part = os.pread(descriptor, length, position)
        if not part:
            raise BrokenLog(f"{path} is damaged: it ends at byte {position}, before its durable end.")
        parts.append(part)
        position, length = position + len(part), length - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
