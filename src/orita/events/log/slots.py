"""A small record that is replaced in place, and of which a reader always sees one whole version.

Two slots in one file, each with a number and a checksum: a writer overwrites the older, a reader takes the newer that
is whole. So a reader needs no lock, a write no rename, and a cut write leaves the version before. Writers exclude one
another.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from orita.core.files import sync_directory

__all__ = ["Slots"]

_SLOT_BYTES = 512
_NUMBER = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_ATTEMPTS = 100


class Slots:
    """One such file, open."""

    def __init__(self, path: Path, form: str) -> None:
        """Open *path*, and make it if needed, for records of the `struct` format *form*."""
        self._path, self._form = path, struct.Struct(form)
        self._size = _NUMBER.size + self._form.size
        new = not path.exists()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if new:
            sync_directory(path.parent)

    def read(self) -> tuple[object, ...] | None:
        """Return the record, or None where none was ever whole."""
        # Both slots are torn only for a reader that two writes overtook within one read: it looks again.
        for _ in range(_ATTEMPTS):
            raw = os.pread(self._descriptor, 2 * _SLOT_BYTES, 0)
            if not raw:
                return None
            found = self._newest(raw)
            if found is not None:
                return found[1]
        return None

    def write(self, *values: object, sync: bool) -> None:
        """Replace the record; with *sync* it is durable.

        Raises:
            OSError: the disk is full; it names the file, which has the record before.
        """
        found = self._newest(os.pread(self._descriptor, 2 * _SLOT_BYTES, 0))
        number = found[0] + 1 if found else 0
        raw = _NUMBER.pack(number) + self._form.pack(*values)
        slot = raw + _CRC.pack(zlib.crc32(raw))
        # Both slots are there from the first write on, so that later ones need no space.
        content = slot.ljust(2 * _SLOT_BYTES, b"\0") if found is None else slot
        try:
            os.pwrite(self._descriptor, content, _SLOT_BYTES * (number % 2))
            if sync:
                os.fdatasync(self._descriptor)
        except OSError as error:
            error.filename = str(self._path)
            raise

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor, for locks."""
        return self._descriptor

    def _newest(self, raw: bytes) -> tuple[int, tuple[object, ...]] | None:
        found = None
        for start in (0, _SLOT_BYTES):
            slot = raw[start : start + self._size]
            check = raw[start + self._size : start + self._size + _CRC.size]
            if check != _CRC.pack(zlib.crc32(slot)):
                continue
            (number,) = _NUMBER.unpack_from(slot)
            if found is None or number > found[0]:
                found = (number, self._form.unpack_from(slot, _NUMBER.size))
        return found
