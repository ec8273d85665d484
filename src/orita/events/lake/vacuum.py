"""What is let go: files that only old versions need, and the log's entries of those versions.

A version that was the newest at any time since the limit stays, and so does one that somebody names. Nothing of the
table as it is changes, and no version is added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from deltalake import DeltaTable

from orita.events.lake.address import LOG, address_of
from orita.events.lake.commits import commit_file, newest_version, oldest_version, read_commit
from orita.events.lake.lifetimes import lifetimes, needed_by

__all__ = ["Vacuumed", "vacuum"]


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What a vacuum did.

    Attributes:
        files: data files that were deleted.
        bytes: how large they were.
        kept: versions older than the limit that stay, as they are named, and by whom.
        oldest: the first version that the log still holds.
    """

    files: int
    bytes: int
    kept: Mapping[int, Sequence[str]]
    oldest: int


def vacuum(folder: Path, limit: datetime, named: Mapping[int, Sequence[str]]) -> Vacuumed:
    """Delete the files that only versions need which are older than *limit* and not *named*."""
    oldest, newest = oldest_version(folder), newest_version(folder)
    assert oldest is not None
    assert newest is not None
    recent = _newest_at(folder, oldest, newest, limit)
    kept = {version: tuple(who) for version, who in sorted(named.items()) if oldest <= version < recent}
    known = lifetimes(folder)
    needed = needed_by(known, kept) | {f for f, life in known.items() if life.until is None or life.until > recent}
    gone = [path for path in map(Path, known.keys() - needed) if path.exists()]
    size = sum(path.stat().st_size for path in gone)
    for path in gone:
        path.unlink()
    first = min(kept, default=recent)
    _shorten(folder, oldest, first)
    return Vacuumed(len(gone), size, kept, first)


def _newest_at(folder: Path, oldest: int, newest: int, limit: datetime) -> int:
    """Return the version that was the newest at *limit*, the oldest where there was none."""
    for version in range(newest, oldest, -1):
        if read_commit(folder, version).at <= limit:
            return version
    return oldest


def _shorten(folder: Path, oldest: int, first: int) -> None:
    """Delete the log's entries below *first*, for which a checkpoint stands afterwards."""
    if first <= oldest:
        return
    checkpoint = f"{first:020d}.checkpoint.parquet"
    if not (folder / LOG / checkpoint).exists():
        DeltaTable(address_of(folder), version=first).create_checkpoint()
    for older in sorted((folder / LOG).glob("*.checkpoint.parquet")):
        if older.name < checkpoint:
            older.unlink()
    # From the first on: once version 0 is gone, the log begins at the checkpoint, whatever is left before it.
    for version in range(first):
        commit_file(folder, version).unlink(missing_ok=True)
