"""The process that a candidate scores in: what it breaks, it breaks there.

A candidate may hang in compiled code, where no exception reaches it; it may crash, or take ever more memory. Only a
process of its own can be ended whatever it does, so that is where it is loaded and asked, one request after the other,
each with a time limit. It runs where no other process wants the processor, with one thread for the model and a limit of
memory; it ends with whoever started it, also where that is killed.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import resource
import signal
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from orita.core.priority import let_others_go_first
from orita.delivery.shadow.candidate import Asked, Failed, OpenCandidate, Scored

__all__ = ["CandidateProcess", "Limits"]

_PR_SET_PDEATHSIG = 1  # prctl(2)
_MIB = 1024 * 1024
_LOAD_SECONDS = 120.0
_AGAIN_SECONDS = 30.0
_GONE_SECONDS = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate may take for a request, and in all.

    Attributes:
        seconds: how long it may take to score one request, of a processor or waiting for anything else; then it is
            taken to hang, and its process is ended. Until others leave it a processor it waits without an end.
        memory_mib: how much memory its process may have resident; beyond that it is ended and begun anew.
    """

    seconds: float = 5.0
    memory_mib: int = 2048


@dataclass(frozen=True, slots=True)
class _Ready:
    """The candidate is loaded; processor seconds up to then."""

    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class _Told:
    """What it says of a request; processor seconds up to then."""

    told: Scored | Failed
    cpu_seconds: float


class CandidateProcess:
    """Asks the candidate *version* in a process of its own, which is started when it is needed.

    Args:
        open_: opens it there.
        version: which.
        limits: what it may take.

    Attributes:
        trouble: why it is not loaded, None where it is, or nobody tried.
        starts: how often a process was started.
    """

    def __init__(self, open_: OpenCandidate, version: str, limits: Limits) -> None:
        self.version = version
        self.trouble: str | None = None
        self.starts = 0
        self._open, self._limits = open_, limits
        self._process: BaseProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self._ready = False
        self._cpu_gone = self._cpu_now = 0.0
        self._begun = self._failed = float("-inf")

    @property
    def pid(self) -> int:
        """Of its process, 0 where there is none."""
        return (self._process and self._process.pid) or 0

    @property
    def cpu_seconds(self) -> float:
        """Processor seconds that its processes spent, as of the last time that it was asked."""
        return self._cpu_gone + self._cpu_now

    def ready(self, wait: float = 0.0) -> bool:
        """Tell whether it can be asked, after *wait* seconds at most; where nobody loads it, begin to."""
        if self._process is None:
            if time.monotonic() - self._failed < _AGAIN_SECONDS and self.trouble is not None:
                return False
            self._start()
        if not self._ready:
            self._await_ready(wait)
        return self._ready

    def score(self, asked: Asked) -> Scored | Failed:
        """Return what the candidate says of *asked*; only call it when it is `ready`."""
        assert self._connection is not None, "a candidate that is not ready was asked"
        try:
            self._connection.send(asked)
            if not self._answered(self._connection):
                self._end()
                return Failed("timed_out", f"no score within {self._limits.seconds:g} s; its process was ended")
            answer: _Told = self._connection.recv()
        except (OSError, EOFError):  # it is gone
            return Failed("crashed", self._end())
        self._cpu_now = answer.cpu_seconds
        return answer.told

    def _answered(self, connection: Connection[Any, Any]) -> bool:
        """Wait for its answer; return whether there is one."""
        assert self._process is not None
        began, left = _cpu_seconds(self._process.pid), self._limits.seconds
        while not connection.poll(left):
            left = self._limits.seconds - (_cpu_seconds(self._process.pid) - began)
            if left <= 0 or not _runnable(self._process.pid):
                return connection.poll()
        return True

    def check_memory(self) -> str | None:
        """End its process if it has taken too much memory; return that in words, None where it has not."""
        if self._process is None or not self._ready:
            return None
        resident = _resident_bytes(self._process.pid)
        if resident <= self._limits.memory_mib * _MIB:
            return None
        self._end()
        return f"{resident / _MIB:.0f} MiB resident, allowed are {self._limits.memory_mib}; its process was ended"

    def close(self) -> None:
        """End its process."""
        if self._process is not None:
            self._end()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, its = context.Pipe()
        most = 2 * self._limits.memory_mib * _MIB
        process = context.Process(target=_answer, args=(its, self._open, self.version, most), daemon=True)
        process.start()
        its.close()
        self.starts += 1
        self._process, self._connection, self._begun, self._ready = process, ours, time.monotonic(), False

    def _await_ready(self, wait: float) -> None:
        assert self._connection is not None and self._process is not None
        try:
            if not self._connection.poll(wait):
                self._cpu_now = _cpu_seconds(self._process.pid)
                waits = self._cpu_now < _LOAD_SECONDS and _runnable(self._process.pid)
                if time.monotonic() - self._begun > _LOAD_SECONDS and not waits:
                    self._not_loaded(f"it does not load within {_LOAD_SECONDS:g} s")
                return
            answer: _Ready | Failed = self._connection.recv()
        except (OSError, EOFError):
            self._not_loaded("")
            return
        if isinstance(answer, Failed):
            self._not_loaded(answer.message)
        else:
            self._ready, self._cpu_now, self.trouble = True, answer.cpu_seconds, None

    def _not_loaded(self, why: str) -> None:
        ended = self._end()
        self._failed = time.monotonic()
        self.trouble = f"{self.version} cannot be loaded: {why or ended}"

    def _end(self) -> str:
        """End the process; return how it ended."""
        process, connection = self._process, self._connection
        assert process is not None and connection is not None
        self._cpu_gone += max(self._cpu_now, _cpu_seconds(process.pid))
        self._cpu_now = 0.0
        connection.close()
        process.join(0.1)
        if process.exitcode is None:
            process.kill()
            process.join(_GONE_SECONDS)
        code = process.exitcode
        self._process = self._connection = None
        self._ready = False
        if code is not None and code < 0:
            return f"its process was ended by signal {signal.Signals(-code).name}"
        return f"its process ended with status {code}"


def _answer(connection: Connection[Any, Any], open_: OpenCandidate, version: str, most_bytes: int) -> None:
    """Load the candidate and answer until nobody asks any more."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    let_others_go_first()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > most_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, hard))
    try:
        candidate = open_(version)
    except Exception as error:  # a broken package may fail in any way
        connection.send(Failed(type(error).__name__, " ".join(str(error).split())[:300]))
        return
    connection.send(_Ready(time.process_time()))
    while True:
        try:
            asked: Asked = connection.recv()
        except EOFError:
            return
        try:
            told: Scored | Failed = candidate.score(asked)
        except Exception as error:  # of what reads features, for example
            told = Failed(type(error).__name__, " ".join(str(error).split())[:300])
        connection.send(_Told(told, time.process_time()))


def _cpu_seconds(pid: int | None) -> float:
    """Return the processor seconds of a process, 0 where it is gone."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _runnable(pid: int | None) -> bool:
    """Tell whether a process has a processor or wants one."""
    return _stat(pid)[:1] == ["R"]


def _stat(pid: int | None) -> list[str]:
    """Return what the system tells of a process from its state on, nothing where it is gone (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _resident_bytes(pid: int | None) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
