"""What a table's log says of its commits: which there are, when each was made, and from what.

A commit is one JSON file, read alone: what is asked of one version costs the same however many there are. The first
versions may be gone (see `orita.events.lake.vacuum`); then a checkpoint stands for them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orita.core.errors import NotFound
from orita.events.lake.address import LOG

__all__ = ["Commit", "actions_of", "commit_file", "newest_version", "oldest_version", "read_commit", "version_at"]

_JSON, _CHECKPOINT = ".json", ".checkpoint.parquet"
_ENGINES_OWN = ("operation", "engineInfo", "clientVersion", "isolationLevel", "txnId")


@dataclass(frozen=True, slots=True)
class Commit:
    """One change of a table.

    Attributes:
        version: counts from 0.
        at: when it was made, by the clock of the machine that made it.
        operation: what it did, in capitals: ``WRITE``, ``OPTIMIZE``, …
        rows: how many rows it wrote that were not in the table in other files.
        properties: what it was written with.
    """

    version: int
    at: datetime
    operation: str
    rows: int
    properties: Mapping[str, str]


def newest_version(folder: Path) -> int | None:
    """Return the last version of the table in *folder*, None where it has no commit."""
    return max(_numbered(folder, _JSON), default=None)


def oldest_version(folder: Path) -> int | None:
    """Return the first version from which the log is whole, None where it has no commit."""
    if commit_file(folder, 0).exists():
        return 0
    return min(_numbered(folder, _CHECKPOINT), default=None)


def commit_file(folder: Path, version: int) -> Path:
    """Return the file of one commit."""
    return folder / LOG / f"{version:020d}{_JSON}"


def actions_of(folder: Path, version: int) -> Iterator[dict[str, Any]]:
    """Yield what one commit consists of, as the Delta protocol writes it."""
    with commit_file(folder, version).open(encoding="utf-8") as lines:
        for line in lines:
            if not line.isspace():
                yield json.loads(line)


def read_commit(folder: Path, version: int) -> Commit:
    """Return the commit that made *version*."""
    info: dict[str, Any] = next((a["commitInfo"] for a in actions_of(folder, version) if "commitInfo" in a), {})
    properties = {k: v for k, v in info.items() if isinstance(v, str) and k not in _ENGINES_OWN}
    operation = str(info.get("operation", "UNKNOWN"))
    rows = info.get("operationMetrics", {}).get("num_added_rows", 0)
    return Commit(version, _time(info.get("timestamp", 0)), operation, int(rows), properties)


def version_at(folder: Path, table: str, at: datetime) -> int:
    """Return the version that was the newest at time *at*.

    Raises:
        NotFound: the table did not exist yet, or what it was then is gone.
    """
    low, newest = oldest_version(folder), newest_version(folder)
    assert low is not None
    assert newest is not None
    first = read_commit(folder, low)
    if at < first.at:
        since = "it did not exist" if low == 0 else "what it was is gone: it was vacuumed"
        raise NotFound(
            f"table {table!r} cannot be read as of {at.isoformat()}, {since} before {first.at.isoformat()}: "
            "give that time or a later one."
        )
    high = newest + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if read_commit(folder, middle).at <= at else (low, middle)
    return low


def _numbered(folder: Path, suffix: str) -> Iterator[int]:
    log = folder / LOG
    if log.is_dir():
        with os.scandir(log) as entries:
            for entry in entries:
                number = entry.name.removesuffix(suffix)
                if entry.name.endswith(suffix) and number.isdigit():
                    yield int(number)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
