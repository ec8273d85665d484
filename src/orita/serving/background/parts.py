"""What works beside requests: one form for all of it, which no failure ends, and one place that knows of all of it.

A part takes turns in a thread of its own. Whatever a turn raises is told once, and the next turn comes. Should a thread
end all the same, ``GET /health/live`` says so, for then only a new process helps.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orita.serving.background.told_once import ToldOnce

__all__ = ["Background", "BackgroundParts", "BackgroundTask", "Expected", "Part"]

_FAILED_SECONDS = 1.0
"""Until the turn after one that failed."""


class Part(Protocol):
    """What works beside requests."""

    @property
    def name(self) -> str:
        """What it is, as ``/health/live`` says it."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it began, was not asked to stop, and works no more."""
        ...


class Expected(Protocol):
    """What requests want of a part that has just begun."""

    @property
    def awaited(self) -> str | None:
        """A sentence of what is on its way and worth waiting for; None: nothing."""
        ...

    @property
    def lacking(self) -> str | None:
        """A sentence of what requests have to go without; None: nothing."""
        ...


class Background:
    """A thread that takes turns until it is closed.

    Args:
        name: what it does, as ``/health/live`` says it.
        thread: its thread's name.
        turn: works once; returns for how many seconds to rest, None: until `wake`. It may raise anything.

    Attributes:
        name: as given.
        stopping: set once it is to stop; a long turn looks at it.
    """

    def __init__(self, name: str, thread: str, turn: Callable[[], float | None]) -> None:
        self.name = name
        self.stopping = threading.Event()
        self._turn = turn
        self._rest: float | None = 0.0
        self._woken = threading.Event()
        self._told = ToldOnce(part=name)
        self._thread = threading.Thread(target=self._run, name=thread, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether it takes turns."""
        return self._thread.is_alive()

    @property
    def ended(self) -> bool:
        """Whether it began, was not asked to stop, and takes no more turns."""
        return self._thread.ident is not None and not self.alive and not self.stopping.is_set()

    def start(self, *, rest: float = 0.0) -> None:
        """Begin, after so many seconds."""
        self._rest = rest
        self._thread.start()

    def wake(self) -> None:
        """Let the next turn come now."""
        self._woken.set()

    def close(self) -> None:
        """Stop after the turn under way, and wait for that."""
        self.stopping.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.wait(self._rest)
            self._woken.clear()
            if self.stopping.is_set():
                return
            try:
                self._rest = self._turn()
            except Exception as error:  # it may fail in any way, and goes on
                self._rest = _FAILED_SECONDS
                self._told.tell("background_failed", error, kind=type(error).__name__)
            else:
                self._told.over("background_failed")


@dataclass(frozen=True, slots=True)
class BackgroundTask:
    """A part that is a task of the event loop, and goes on by itself.

    Attributes:
        name: what it does.
        task: it ends when it is asked to stop, never before.
    """

    name: str
    task: asyncio.Task[None]

    @property
    def ended(self) -> bool:
        """Whether it works no more."""
        return self.task.done()


class BackgroundParts:
    """All that works beside the requests of one server, and what they expect of it.

    Attributes:
        undisturbed: whether no request comes here yet, so that nobody is held up by what works at full speed.
    """

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._expected: list[Expected] = []
        self.undisturbed = False

    def watch(self, part: Part) -> None:
        """Have `ended` tell of *part*."""
        self._parts.append(part)

    def expect(self, part: Expected) -> None:
        """Have `awaited` and `lacking` tell of *part*."""
        self._expected.append(part)

    @property
    def ended(self) -> list[str]:
        """The names of the parts that work no more, and should."""
        return [part.name for part in self._parts if part.ended]

    @property
    def awaited(self) -> list[str]:
        """What is on its way and worth waiting for, a sentence each."""
        return [sentence for part in self._expected if (sentence := part.awaited) is not None]

    @property
    def lacking(self) -> list[str]:
        """What requests have to go without, a sentence each."""
        return [sentence for part in self._expected if (sentence := part.lacking) is not None]
