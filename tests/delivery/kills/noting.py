"""What a process that is to be killed tells of itself, once it is done: lines that a kill does not take back.

Each line is one call of the kernel, on a file of its process: it is there whole or not at all. A decision is told after
its command has returned, which is when control state has acknowledged it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from orita.control.events import ControlEvent, ControlLog, Entry, Writing
from orita.control.leases import Lease, Leases

__all__ = ["Notes", "digest_of", "noted", "tell_decisions", "tell_terms"]


class Notes:
    """The notes of this process, in a file of *folder*."""

    def __init__(self, folder: Path) -> None:
        name = f"{os.getpid()}-{time.monotonic_ns()}"
        self._file = os.open(folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(self, did: str, **what: object) -> None:
        """Write what was done, and when, in nanoseconds of the clock that all processes of the machine have."""
        line = json.dumps({"did": did, "pid": os.getpid(), "at": time.monotonic_ns(), **what})
        os.write(self._file, f"{line}\n".encode())


def noted(folder: Path, did: str) -> list[dict[str, Any]]:
    """Return what all processes told of one kind, in the order of time."""
    lines = [json.loads(line) for file in folder.iterdir() for line in file.read_text().splitlines()]
    return sorted((line for line in lines if line["did"] == did), key=lambda line: int(line["at"]))


def digest_of(event: ControlEvent) -> str:
    """Return what tells the whole of a decision from any other."""
    return hashlib.sha256(repr(astuple(event)).encode()).hexdigest()


def tell_decisions(notes: Notes) -> None:
    """Have this process tell each decision whose command has returned, and each command that a lease allowed."""
    append, writing, here = Writing.append, ControlLog.writing, threading.local()

    def appended(self: Writing, entry: Entry, **told: Any) -> ControlEvent:
        event = append(self, entry, **told)
        here.events.append(event)
        return event

    @contextmanager
    def acknowledged(self: ControlLog, lease: Lease | None = None) -> Iterator[sa.Connection]:
        here.events, begun = [], time.monotonic_ns()
        with writing(self, lease) as connection:
            yield connection
        for event in here.events:
            token = None if lease is None else lease.token
            notes.tell("decided", position=event.position, digest=digest_of(event), token=token)
        if lease is not None:
            notes.tell("acted", lease=lease.name, token=lease.token, begun=begun)

    Writing.append = appended  # type: ignore[method-assign]
    ControlLog.writing = acknowledged  # type: ignore[method-assign]


def tell_terms(notes: Notes) -> None:
    """Have this process tell each lease that it took."""
    take = Leases.take

    def taken(self: Leases, name: str, holder: str, seconds: float) -> Lease | None:
        lease = take(self, name, holder, seconds)
        if lease is not None:
            notes.tell("took", lease=name, token=lease.token, holder=holder)
        return lease

    Leases.take = taken  # type: ignore[method-assign]
