"""The index of a SQLite file's log (``-shm``), read beside connections of the same process.

A process that closes any descriptor of a file gives up all its locks on it, those of its open transactions too (POSIX
advisory locks; "How To Corrupt An SQLite Database File", 2.2). Another process could then write at the same time, and
take the place of a commit that is acknowledged. So an index that was opened stays open until its file is deleted, which
SQLite does when nobody has the database open.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import NamedTuple

__all__ = ["read_log_index"]

_HEADER = 48  # bytes


class _Held(NamedTuple):
    """An index that stays open."""

    node: tuple[int, int]
    descriptor: int


_held: dict[Path, _Held] = {}
_opening = threading.Lock()


def read_log_index(path: Path) -> bytes:
    """Return the header of an index, which is another after every commit; empty where there is none."""
    with _opening:
        held, node = _held.get(path), _node(path)
        if held is None or held.node != node:
            _close_deleted()
            if node is None or (held := _opened(path)) is None:
                return b""
            _held[path] = held
        return os.pread(held.descriptor, _HEADER, 0)


def _opened(path: Path) -> _Held | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    found = os.fstat(descriptor)
    return _Held((found.st_dev, found.st_ino), descriptor)


def _close_deleted() -> None:
    """Close those whose file is not there any more: on them nobody has a lock."""
    for path, held in list(_held.items()):
        if _node(path) != held.node:
            os.close(held.descriptor)
            del _held[path]


def _node(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _begin_anew() -> None:
    global _opening
    _opening = threading.Lock()  # a fork may come while another thread has it


os.register_at_fork(after_in_child=_begin_anew)
