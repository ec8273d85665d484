"""Being asked to stop: a machine that is taken away sends SIGTERM first, and a training leaves a checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from orita.core.errors import OritaError

__all__ = ["INTERRUPTED_EXIT_CODE", "Interrupted", "Request", "interruptible"]

INTERRUPTED_EXIT_CODE = 75
"""EX_TEMPFAIL of sysexits.h: nothing is wrong, the same command goes on where it was."""


class Interrupted(OritaError):
    """A training was asked to stop, and has left a checkpoint; a command then exits with 75 (EX_TEMPFAIL)."""

    exit_code = INTERRUPTED_EXIT_CODE


class Request:
    """Whether somebody asked to stop."""

    made = False


@contextmanager
def interruptible(wanted: bool) -> Iterator[Request]:
    """Note SIGTERM, if *wanted*, instead of dying of it, while the block runs; outside the main thread nothing can."""
    request = Request()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.made = True
        if callable(before):  # a search around this training wants to know too
            before(number, frame)

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before)
