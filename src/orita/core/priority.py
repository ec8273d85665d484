"""Processor time that nobody else wants: for work that no request waits for."""

from __future__ import annotations

import os

__all__ = ["let_others_go_first"]

_LOWEST = 19  # as `nice` counts


def let_others_go_first() -> None:
    """Let this thread, and what it starts, run only while no other process wants the processor.

    A process that is merely nice keeps the processor for the rest of its slice, some milliseconds, when another one
    wakes up; one of the idle class of Linux (sched(7), ``SCHED_IDLE``) gives it back at once. Elsewhere it is nice.
    There is no way back: call it in a process that has nothing else to do.
    """
    os.nice(_LOWEST - os.nice(0))
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
