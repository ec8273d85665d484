"""Which alerts fired, who was told, what has recovered? JSON lines, appended and synced, from which state is read."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from orita.core.files import sync_directory

__all__ = ["AlertState", "append_records", "locked", "read_ledger"]

Key = tuple[str, str]


@dataclass(slots=True)
class AlertState:
    """What the ledger says about one alert.

    Attributes:
        firing: it fired and has not recovered.
        since: when it began to fire.
        alert: its latest form, as plain values.
        told: by sink, when it was last sent with success in this episode.
        owed: by sink, whether its recovery could not be sent yet.
    """

    firing: bool = False
    since: datetime | None = None
    alert: dict[str, Any] = field(default_factory=dict)
    told: dict[str, datetime] = field(default_factory=dict)
    owed: dict[str, bool] = field(default_factory=dict)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the ledger at *path* alone, so that two monitoring runs do not both send the same alert."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def read_ledger(path: Path) -> dict[Key, AlertState]:
    """Return the state of every alert that the ledger mentions; a last line torn by a kill is skipped."""
    states: dict[Key, AlertState] = {}
    if not path.exists():
        return states
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for line in lines[:-1]:
        record = _parsed(line)
        if record is not None:
            _apply(states.setdefault((record["name"], record["subject"]), AlertState()), record)
    return states


def append_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append *records* to the ledger; they are durable when this returns."""
    text = "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    if not text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    created = not path.exists()
    with path.open("ab+") as ledger:
        if ledger.seek(0, os.SEEK_END):
            ledger.seek(-1, os.SEEK_END)
            # A torn line must not swallow the first record after it.
            text = text if ledger.read(1) == b"\n" else f"\n{text}"
        ledger.write(text.encode())
        ledger.flush()
        os.fsync(ledger.fileno())
    if created:
        sync_directory(path.parent)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except json.JSONDecodeError:
        return None
    known = isinstance(record, dict) and {"event", "name", "subject", "at"} <= record.keys()
    return record if known else None


def _apply(state: AlertState, record: dict[str, Any]) -> None:
    at = datetime.fromisoformat(record["at"])
    event: Literal["firing", "recovered", "sent", "failed"] = record["event"]
    if event == "firing":
        if not state.firing:
            state.since, state.told, state.owed = at, {}, {}
        state.firing, state.alert = True, record["alert"]
    elif event == "recovered":
        state.firing = False
        # Who was told of the trouble is owed the good news.
        state.owed = dict.fromkeys(state.told, True)
    elif event == "sent":
        if record["notice"] == "firing":
            state.told[record["sink"]] = at
        else:
            state.owed.pop(record["sink"], None)
