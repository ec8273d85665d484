"""Stopping a command as services are stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["stopped_by_term"]


@contextmanager
def stopped_by_term() -> Iterator[None]:
    """Let SIGTERM, by which services are stopped, cancel a run as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
