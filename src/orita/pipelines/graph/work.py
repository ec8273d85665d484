"""Carrying out one attempt of a task in this process, and handing attempts to one process or to several threads."""

from __future__ import annotations

import queue
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from orita.core.errors import UserError
from orita.pipelines.graph.declaration import Result, Task
from orita.pipelines.graph.failures import TaskTimeout
from orita.pipelines.workspace import Workspace

__all__ = ["Inline", "Outcome", "Pool", "Threads", "Work", "carried_out"]

_NO_LIMIT = (
    "task {name!r} has a time limit, and a thread cannot be stopped: run it isolated (runs.isolated=true), or one at a "
    "time in the main thread (runs.parallel=1)."
)


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt to be carried out.

    Attributes:
        task: which task.
        workspace: its surroundings, which name the attempt.
        results: of the tasks it follows.
        timeout: seconds; None: no limit.
        log: where it writes what there is to say.
    """

    task: Task
    workspace: Workspace
    results: Mapping[str, Result]
    timeout: float | None
    log: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: with a result, or with an error.

    Attributes:
        task: which task.
        result: what it returned; None where it failed.
        error: what it raised.
        seconds: wall time.
    """

    task: str
    result: Result | None
    error: Exception | None
    seconds: float


class Pool(Protocol):
    """Where attempts are carried out."""

    def start(self, work: Work) -> None:
        """Begin an attempt."""
        ...

    def wait(self, seconds: float | None) -> Outcome | None:
        """Return the next outcome, None after so many seconds (None: wait as long as it takes)."""
        ...

    def cancel(self) -> None:
        """End all that is at work."""
        ...


def carried_out(work: Work) -> Outcome:
    """Carry out an attempt here; what it raises goes to its log with the way there."""
    begun = time.monotonic()
    name = work.task.name
    try:
        with _time_limit(work.timeout, name):
            result = work.task.body(work.workspace, work.results)
        if not isinstance(result, dict):
            raise TypeError(f"task {name!r} returned {type(result).__name__}: a dict of plain JSON values is expected")
    except Exception as error:  # also what a library raises: the report says where the run ended
        work.log.parent.mkdir(parents=True, exist_ok=True)
        with work.log.open("a", encoding="utf-8") as log:
            log.write("".join(traceback.format_exception(error)))
        return Outcome(name, None, error, time.monotonic() - begun)
    return Outcome(name, result, None, time.monotonic() - begun)


class Inline:
    """Carries out each attempt in the thread of the run, so that Ctrl-C ends it at once."""

    def __init__(self) -> None:
        self._done: list[Outcome] = []

    def start(self, work: Work) -> None:
        """Carry it out."""
        self._done.append(carried_out(work))

    def wait(self, seconds: float | None) -> Outcome | None:
        """Return what was carried out."""
        return self._done.pop(0) if self._done else None

    def cancel(self) -> None:
        """Nothing is at work."""


class Threads:
    """Carries out attempts in threads, which nobody can stop: who is cancelled waits for what is at work."""

    def __init__(self, cancelled: threading.Event) -> None:
        self._done: queue.Queue[Outcome] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._cancelled = cancelled

    def start(self, work: Work) -> None:
        """Begin it in a thread of its own."""
        if work.timeout is not None:
            raise UserError(_NO_LIMIT.format(name=work.task.name))
        thread = threading.Thread(target=lambda: self._done.put(carried_out(work)), name=work.task.name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self, seconds: float | None) -> Outcome | None:
        """Return the next outcome."""
        try:
            return self._done.get(timeout=seconds)
        except queue.Empty:
            return None

    def cancel(self) -> None:
        """Tell tasks that ask, and wait for them; a second Ctrl-C does not."""
        self._cancelled.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def _time_limit(seconds: float | None, name: str) -> Iterator[None]:
    """Interrupt Python code after so many seconds; a long call into C ends first."""
    if seconds is None:
        yield
        return

    if threading.current_thread() is not threading.main_thread():
        raise UserError(_NO_LIMIT.format(name=name))

    def ring(*_: Any) -> None:
        raise TaskTimeout(
            f"task {name!r} took longer than its {seconds:g} s: raise its timeout, or give it less to do."
        )

    begun = time.monotonic()
    before = signal.signal(signal.SIGALRM, ring)
    outer, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if outer:  # this run is part of a task that has a limit too
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, outer - (time.monotonic() - begun)))
