"""What bandits had learnt up to a row of the log, in one file, so that a start need not read all of the log again.

State and row are replaced together, so each record counts once whenever a process is killed. The file is derived: where
it is missing, damaged or of another form, the log is read from its beginning.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec

from orita.core.files import atomic_file
from orita.core.home import Home
from orita.delivery.bandits.ledger import LedgerState

__all__ = ["Snapshot", "read_snapshot", "snapshot_file", "write_snapshot"]

_FORMAT = 3
_CRC = 4


class Snapshot(msgspec.Struct, frozen=True):
    """What was learnt.

    Attributes:
        next: the offset of the first record that is not in it.
        ledgers: by bandit.
        format: of this file.
    """

    next: int
    ledgers: dict[str, LedgerState]
    format: int = _FORMAT


def snapshot_file(home: Home) -> Path:
    """Return where the snapshot of a tenant lies."""
    return home.bandits / "snapshot"


def write_snapshot(file: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot, wholly or not at all."""
    content = msgspec.msgpack.encode(snapshot)
    with atomic_file(file) as partial:
        partial.write_bytes(zlib.crc32(content).to_bytes(_CRC, "little") + content)


def read_snapshot(file: Path) -> Snapshot:
    """Return the snapshot; an empty one of offset 0 where there is none that can be read."""
    empty = Snapshot(0, {})
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return empty
    if zlib.crc32(content[_CRC:]) != int.from_bytes(content[:_CRC], "little"):
        return empty
    try:
        snapshot = msgspec.msgpack.decode(content[_CRC:], type=Snapshot)
    except msgspec.DecodeError:
        return empty
    return snapshot if snapshot.format == _FORMAT else empty
