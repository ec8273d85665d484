"""Consumer groups on one machine: committed offsets, who is alive, and who holds which partition.

A member is a file that it keeps locked, a lease on a partition another. The kernel lets both go when a process ends,
however it ends, so that no lease outlives its holder and no clock is asked whether it did. (A child that is forked
without exec shares its parent's locks: fork before joining a group.)
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orita.core.ids import uuid7
from orita.events.log.slots import Slots

__all__ = ["Membership", "commit_offset", "committed_offset"]

_FORM = "<Q"
_MEMBER = ".member"


def commit_offset(group: Path, partition: int, offset: int) -> None:
    """Store *offset* durably for *partition* in the folder of a group, which is made if needed."""
    group.mkdir(parents=True, exist_ok=True)
    slots = Slots(group / f"{partition:05d}.offset", _FORM)
    try:
        fcntl.flock(slots.fileno(), fcntl.LOCK_EX)
        slots.write(offset, sync=True)
    finally:
        slots.close()


def committed_offset(group: Path, partition: int) -> int | None:
    """Return the offset that was stored last, or None."""
    path = group / f"{partition:05d}.offset"
    if not path.exists():
        return None
    slots = Slots(path, _FORM)
    try:
        found = slots.read()
    finally:
        slots.close()
    return found[0] if found and isinstance(found[0], int) else None


class Membership:
    """One member of a group, and the leases it holds."""

    def __init__(self, group: Path, partitions: int) -> None:
        group.mkdir(parents=True, exist_ok=True)
        self._group, self._partitions = group, partitions
        self._leases: dict[int, int] = {}
        self._name = f"{uuid7()}{_MEMBER}"
        with self._changing():
            self._self = _locked(group / self._name)
        assert self._self is not None, "a name of one's own is free"

    @property
    def held(self) -> frozenset[int]:
        """The partitions it holds."""
        return frozenset(self._leases)

    def share(self) -> None:
        """Give up what is not this member's share among the living, and claim what is, as far as it is free."""
        living = self._living()
        rank = living.index(self._name)
        wanted = set(range(rank, self._partitions, len(living)))
        for partition in sorted(self._leases.keys() - wanted):
            os.close(self._leases.pop(partition))
        for partition in sorted(wanted - self._leases.keys()):
            lease = _locked(self._group / f"{partition:05d}.lease")
            if lease is not None:
                self._leases[partition] = lease

    def leave(self) -> None:
        """Give up everything."""
        if self._self is None:
            return
        for lease in self._leases.values():
            os.close(lease)
        self._leases.clear()
        with self._changing():
            (self._group / self._name).unlink(missing_ok=True)
            os.close(self._self)
        self._self = None

    def _living(self) -> list[str]:
        """Return the names of the members that live, sorted, and remove those of the dead."""
        living = [self._name]
        with self._changing():
            for path in self._group.glob(f"*{_MEMBER}"):
                if path.name == self._name:
                    continue
                dead = _locked(path)
                if dead is None:
                    living.append(path.name)
                else:
                    path.unlink()
                    os.close(dead)
        return sorted(living)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        # Held while looking, so that no member is met between the making of its file and its lock.
        descriptor = os.open(self._group / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Return the descriptor of *path*, locked, or None where another holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return descriptor
    os.close(descriptor)
    return None
