"""A process for each attempt: it can be killed at its time limit, and takes nobody with it when it dies.

Processes are forked from a server that has imported the graph's code once and never ran anything
(`multiprocessing`'s fork server): a fork of the run's own process would copy locks that other threads hold. A process
that loses its run kills itself and what it began; until then it holds the lock of its task.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from orita.pipelines.attempt import Attempt
from orita.pipelines.graph.declaration import Graph
from orita.pipelines.graph.failures import TaskLost, TaskTimeout, kind_of, raised_there, sentence_of
from orita.pipelines.graph.options import Origin
from orita.pipelines.graph.places import held, task_lock
from orita.pipelines.graph.work import Outcome, Work, carried_out
from orita.pipelines.workspace import Workspace

__all__ = ["Isolated", "found_again"]

_GRACE_SECONDS = 5.0
_LOCK_SECONDS = 30.0


@dataclass(slots=True)
class _Child:
    process: ForkServerProcess
    pipe: Connection
    begun: float
    timeout: float | None

    @property
    def ends_at(self) -> float:
        return self.begun + (self.timeout or float("inf"))


class Isolated:
    """Carries out each attempt in a process of its own."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, origin.function.partition(":")[0]])
        self._children: dict[str, _Child] = {}

    def start(self, work: Work) -> None:
        """Begin it in a process of its own."""
        attempt = work.workspace.attempt
        assert attempt is not None
        here, there = self._context.Pipe()
        results = json.dumps(work.results, default=str)
        process = self._context.Process(
            target=_attempt,
            args=(self._origin, attempt.run_id, attempt.task, attempt.number, results, str(work.log), there),
            name=f"orita task {attempt.task}",
        )
        process.start()
        there.close()
        self._children[attempt.task] = _Child(process, here, time.monotonic(), work.timeout)

    def wait(self, seconds: float | None) -> Outcome | None:
        """Return the next outcome; one that is late is killed, with all that it began."""
        until = time.monotonic() + (float("inf") if seconds is None else seconds)
        while True:
            ends_at = min(until, *(child.ends_at for child in self._children.values()))
            left = None if ends_at == float("inf") else max(0.0, ends_at - time.monotonic())
            ready = wait([child.pipe for child in self._children.values()], left)
            for name, child in list(self._children.items()):
                if child.pipe in ready:
                    return self._ended(name, child)
                if time.monotonic() >= child.ends_at:
                    return self._late(name, child)
            if time.monotonic() >= until:
                return None

    def cancel(self) -> None:
        """Ask every process to end, and kill those that have not after 5 s."""
        for child in self._children.values():
            _signal(child.process, signal.SIGTERM)
        until = time.monotonic() + _GRACE_SECONDS
        for child in self._children.values():
            child.process.join(max(0.0, until - time.monotonic()))
            _signal(child.process, signal.SIGKILL)
            child.process.join()
        self._children.clear()

    def _ended(self, name: str, child: _Child) -> Outcome:
        del self._children[name]
        try:
            told: dict[str, Any] | None = json.loads(child.pipe.recv_bytes())
        except EOFError:
            told = None
        child.pipe.close()
        child.process.join(_GRACE_SECONDS)
        _signal(child.process, signal.SIGKILL)
        child.process.join()
        seconds = time.monotonic() - child.begun
        if told is None:
            how = _how_it_ended(child.process.exitcode)
            return Outcome(name, None, TaskLost(f"the process of task {name!r} {how} before it had a result."), seconds)
        if "error" in told:
            return Outcome(name, None, raised_there(told["kind"], told["error"]), seconds)
        return Outcome(name, told["result"], None, seconds)

    def _late(self, name: str, child: _Child) -> Outcome:
        del self._children[name]
        _signal(child.process, signal.SIGKILL)
        child.process.join()
        child.pipe.close()
        error = TaskTimeout(
            f"task {name!r} took longer than its {child.timeout:g} s and was killed: raise its timeout, or give it "
            "less to do."
        )
        return Outcome(name, None, error, time.monotonic() - child.begun)


def found_again(origin: Origin) -> tuple[Graph, Workspace]:
    """Return the graph and the workspace that *origin* names."""
    module, _, function = origin.function.partition(":")
    found: tuple[Graph, Workspace] = getattr(importlib.import_module(module), function)(**origin.arguments)
    return found


def _attempt(origin: Origin, run_id: str, task: str, number: int, results: str, log: str, pipe: Connection) -> None:
    """Carry out an attempt in this process, which is its own, and send what came of it."""
    os.setsid()
    _write_to(Path(log))
    threading.Thread(target=_die_with_the_run, args=(pipe,), daemon=True).start()
    told: dict[str, Any]
    try:
        graph, workspace = found_again(origin)
        own = replace(workspace, attempt=Attempt(run_id, graph.id, task, number))
        with held(task_lock(own, run_id, task), _LOCK_SECONDS, f"task {task!r} of run {run_id}"):
            done = carried_out(Work(graph.task(task), own, json.loads(results), None, Path(log)))
            error = done.error
            told = {"result": done.result} if error is None else {"kind": kind_of(error), "error": sentence_of(error)}
            pipe.send_bytes(json.dumps(told, default=str).encode())
    except Exception as error:  # the graph was not found again, or the result is no JSON
        pipe.send_bytes(json.dumps({"kind": kind_of(error), "error": sentence_of(error)}).encode())


def _write_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.close(opened)


def _die_with_the_run(pipe: Connection) -> None:
    """Kill this process and all that it began once the run's end of the pipe is closed."""
    with suppress(EOFError, OSError):
        pipe.recv_bytes()
    os.killpg(0, signal.SIGKILL)


def _signal(process: ForkServerProcess, number: signal.Signals) -> None:
    """Send a signal to a process and all that it began; nothing where it has ended."""
    if process.pid is not None and process.is_alive():
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:  # it has no group of its own yet
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _how_it_ended(code: int | None) -> str:
    return f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
