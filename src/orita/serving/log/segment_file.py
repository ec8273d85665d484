"""One write-ahead file of the prediction log, held by the one process that writes it.

The file is locked (``flock``) as long as its writer lives, so that nobody converts it under its hands. A lock
dies with its process: so what a killed server left can be told from what a live one writes.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from orita.core.files import sync_directory
from orita.events.prediction_segment import SegmentHeader, encode_header

__all__ = ["SegmentFile", "abandoned_bytes", "lock_abandoned"]

_NEW = ".new-"


class SegmentFile:
    """An open segment: frames are appended, and durable after `sync`."""

    def __init__(self, folder: Path, header: SegmentHeader) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.header = header
        self.path = folder / f"{header.name}.wal"
        hidden = folder / f"{_NEW}{header.name}"
        # It gets its name only when it is locked and has its header: nobody ever finds it half-made or free.
        self._descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.size = _write_all(self._descriptor, encode_header(header))
            os.fsync(self._descriptor)
            hidden.rename(self.path)
            sync_directory(folder)
        except BaseException:
            os.close(self._descriptor)
            hidden.unlink(missing_ok=True)
            raise
        self._synced = self.size

    def append(self, frames: bytes) -> None:
        """Write whole frames at the end; they are not durable yet."""
        self.size += _write_all(self._descriptor, frames)

    def sync(self) -> None:
        """Make everything that was appended durable.

        Raises:
            OSError: it is not; also where somebody deleted the file, so that nobody will ever read it.
        """
        os.fdatasync(self._descriptor)
        if os.fstat(self._descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the segment was deleted", str(self.path))
        self._synced = self.size

    def cut_back(self) -> None:
        """Take off, durably, what was appended since the last `sync`, after a failed write."""
        os.ftruncate(self._descriptor, self._synced)
        os.fsync(self._descriptor)
        self.size = self._synced

    def close(self) -> None:
        """Release the lock; from now on anybody may convert the segment."""
        os.close(self._descriptor)


def lock_abandoned(path: Path) -> int | None:
    """Lock a segment whose writer is gone; return the descriptor that holds the lock, None if it has one."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if os.fstat(descriptor).st_nlink == 0:  # converted and deleted between open and lock
        os.close(descriptor)
        return None
    return descriptor


def abandoned_bytes(folder: Path) -> int:
    """Return the size of the segments in *folder* that nobody writes or converts.

    Each is locked for the moment of asking: whoever would convert it in that moment leaves it to the next.
    """
    size = 0
    for path in folder.glob("*.wal"):
        descriptor = lock_abandoned(path)
        if descriptor is not None:
            size += os.fstat(descriptor).st_size
            os.close(descriptor)
    return size


def _write_all(descriptor: int, content: bytes) -> int:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(content)
