"""One heap for all threads of a server.

glibc gives each of the first threads a heap of its own (``malloc(3)``, ``M_ARENA_MAX``), and Arrow brings an allocator
with more. What one of them has free no other can use, so a server with a dozen threads keeps a dozen times the room
that its busiest moment took. Threads that hold the interpreter's lock in turns have nothing to gain from it.

What a busy moment took stays with the process, too, as long as something lies behind it: `give_back` returns it.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["give_back", "share_one_heap"]

_M_ARENA_MAX = -8  # malloc.h of glibc


def share_one_heap() -> None:
    """Have the threads of this process, and Arrow, allocate from one heap; call it before threads and Arrow are there.

    Who sets ``MALLOC_ARENA_MAX`` or ``ARROW_DEFAULT_MEMORY_POOL`` decides otherwise. Where the C library is not glibc
    only Arrow is told.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Return what is free in the heap to the system, holes of whole pages included (``malloc_trim(3)``); glibc's only.

    It takes a millisecond for each MiB or so, in which no other thread allocates.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
