"""Processor time that nobody else wants: for work that no request waits for."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["let_others_go_first"]

_LOWEST = 19  # as `nice` counts


def let_others_go_first(pid: int = 0) -> None:
    """Let this thread, and what it starts, run only while no other process wants the processor; or the process *pid*.

    A process that is merely nice keeps the processor for the rest of its slice, some milliseconds, when another one
    wakes up; one of the idle class of Linux (sched(7), ``SCHED_IDLE``) gives it back at once. Elsewhere it is nice.
    There is no way back: it is for a process that has nothing else to do. Of a child that has just been started even
    what it imports waits for others.

    Raises:
        ProcessLookupError: there is no such process.
    """
    os.setpriority(os.PRIO_PROCESS, pid, _LOWEST)
    if hasattr(os, "SCHED_IDLE"):
        with suppress(OSError):  # some sandboxes have no classes: then it is nice
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
