"""Where long work lets others go first: it says where it can, and who runs it beside something else says how.

    checkpoint()                                # in the work, between pieces of some tenths of a millisecond
    with checkpoints(leisure.pause):            # whoever runs it beside requests
        package = load_package(folder)

By itself `checkpoint` does nothing. It is carried in a context variable, where signatures between the two have no place
for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["checkpoint", "checkpoints"]

_pause: ContextVar[Callable[[], object] | None] = ContextVar("orita_checkpoint", default=None)


def checkpoint() -> None:
    """Let others go first here, where whoever runs this wants that."""
    pause = _pause.get()
    if pause is not None:
        pause()


@contextmanager
def checkpoints(pause: Callable[[], object]) -> Iterator[None]:
    """Have *pause* called at each `checkpoint` within the block."""
    token = _pause.set(pause)
    try:
        yield
    finally:
        _pause.reset(token)
