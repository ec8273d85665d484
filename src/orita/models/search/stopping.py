"""Being asked to stop a search: once in good order, twice at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

__all__ = ["Request", "stoppable"]


@dataclass(slots=True)
class Request:
    """Whether somebody asked to stop."""

    made: bool = False


@contextmanager
def stoppable() -> Iterator[Request]:
    """Take Ctrl-C and SIGTERM as a request to stop in good order; a second Ctrl-C ends the process at once.

    Ctrl-C is passed on as SIGTERM, which a training that keeps checkpoints has its own answer to.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        request.made = True

    def pass_on(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGTERM)

    before = [(one, signal.signal(one, answer)) for one, answer in ((signal.SIGTERM, note), (signal.SIGINT, pass_on))]
    try:
        yield request
    finally:
        for one, answer in before:
            signal.signal(one, answer)
