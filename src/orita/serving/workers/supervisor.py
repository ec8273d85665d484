"""The process that keeps workers answering: it starts them, watches them, starts them again, and stops them in order.

It answers no request itself. The listening socket is its own, and its workers inherit it: a connection that waits to be
accepted waits for any of them, so none is lost with a worker that dies. Everything that a server needs is imported
before, so that a worker is forked in milliseconds and shares that memory; nothing is open or running yet, so there is
nothing that a fork would tear.

Signals are waited for, not handled: none comes between two lines.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from orita.core.clock import Clock
from orita.core.errors import OritaError, UserError
from orita.serving.workers.board import Board, Seat, State
from orita.serving.workers.reports import failure_in
from orita.serving.workers.worker import COULD_NOT_START, run_worker

__all__ = ["Patience", "Supervisor"]

_log = structlog.stdlib.get_logger("orita.serving")

_STOP = (signal.SIGTERM, signal.SIGINT)
_WAITED_FOR = (*_STOP, signal.SIGHUP, signal.SIGCHLD)
_LOOK_SECONDS, _QUICK_SECONDS = 0.25, 0.02
_TRACE_SECONDS = 0.3  # for a hanging worker to say where it hangs
_EARLY_SECONDS = 1.0  # who answers for less has not begun
_MOST_EARLY = 5  # deaths in a row, before any worker ever answered
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a supervisor waits, in seconds.

    Attributes:
        start: for a worker's first sign of life.
        hang: for the next one.
        stop: for an orderly end, from when it was asked for.
    """

    start: float
    hang: float
    stop: float


@dataclass(slots=True)
class _Worker:
    """A process: its seat, which other process it replaces, since when it answers, and for how long it was silent."""

    pid: int
    seat: Seat
    replaces: int
    answers_since: float | None = None
    beats: int = 0
    silent: float = 0.0
    ends_by: float | None = None


class Supervisor:
    """Keeps so many workers answering.

    Args:
        count: how many.
        board: with a seat for each, and one more for a worker that is to take another's place.
        work: what a worker does at its seat.
        patience: how long is waited.
        clock: the time.
        announce: called once, when the first workers answer.
    """

    def __init__(
        self,
        count: int,
        board: Board,
        work: Callable[[Seat], object],
        *,
        patience: Patience,
        clock: Clock,
        announce: Callable[[], object],
    ) -> None:
        self._count, self._board, self._work = count, board, work
        self._patience, self._clock, self._announce = patience, clock, announce
        self._workers: dict[int, _Worker] = {}
        self._to_replace: list[int] = []
        self._early = 0
        self._next_start = 0.0
        self._looked = 0.0
        self._announced = False
        self._stopping = False

    def run(self) -> None:
        """Keep the workers answering until SIGTERM or SIGINT; SIGHUP replaces them one by one.

        Raises:
            UserError: no worker could start, for a reason that the user can mend.
            OritaError: the first workers died again and again before one answered.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
        gc.collect()
        gc.freeze()  # what is there now is never looked at again, so its pages stay shared
        self._looked = self._clock.monotonic()
        try:
            while not self._stopping or self._workers:
                self._start_missing()
                self._take_signal(signal.sigtimedwait(_WAITED_FOR, self._pause()))
                self._reap()
                self._look()
        finally:
            self._end_all()
            gc.unfreeze()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _pause(self) -> float:
        answering = sum(worker.answers_since is not None for worker in self._workers.values())
        return _LOOK_SECONDS if answering == self._count and not self._stopping else _QUICK_SECONDS

    def _take_signal(self, taken: signal.struct_siginfo | None) -> None:
        number = taken.si_signo if taken is not None else 0
        if number == signal.SIGHUP and not _at_terminal():
            self._to_replace = [worker.pid for worker in self._workers.values() if not worker.replaces]
        elif number in (*_STOP, signal.SIGHUP):  # a terminal says SIGHUP when it is closed
            self._stopping = True
            self._ask_to_end(self._workers)

    def _start_missing(self) -> None:
        now = self._clock.monotonic()
        if self._stopping or now < self._next_start:
            return
        replacing = sum(worker.replaces != 0 for worker in self._workers.values())
        for _ in range(self._count - len(self._workers) + replacing):
            self._start()
        if self._to_replace and len(self._workers) == self._count and not replacing:
            old = self._to_replace.pop(0)
            if old in self._workers:
                self._start(replaces=old)

    def _start(self, replaces: int = 0) -> None:
        seat = next(seat for seat in self._board.seats if seat.state is State.EMPTY)
        seat.state = State.STARTING
        sys.stdout.flush()  # what is in a buffer now would be written by both
        sys.stderr.flush()
        supervisor = os.getpid()
        pid = os.fork()
        if pid == 0:
            run_worker(seat, supervisor, self._work, stop=self._patience.stop)
        self._workers[pid] = _Worker(pid, seat, replaces)

    def _reap(self) -> None:
        while self._workers:
            # Of any child: as the first process of a container it inherits those of workers that were killed.
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in self._workers:
                self._ended(self._workers.pop(pid), os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        failure = failure_in(worker.seat.read()) if code == COULD_NOT_START else None
        worker.seat.leave()
        for other in self._workers.values():
            if other.replaces == worker.pid:
                other.replaces = 0
        if self._stopping or (code == 0 and worker.answers_since is not None):
            return
        how = failure or (f"signal {-code}" if code < 0 else f"exit code {code}")
        _log.error("worker_ended", alert=True, worker=worker.seat.number, pid=worker.pid, how=how)
        if worker.replaces:
            self._to_replace.clear()  # the others stay as they are
            return
        now = self._clock.monotonic()
        early = worker.answers_since is None or now - worker.answers_since < _EARLY_SECONDS
        self._early = self._early + 1 if early else 0
        if not self._announced and failure:
            raise UserError(failure)
        if not self._announced and self._early >= _MOST_EARLY:
            raise OritaError(
                f"{self._early} workers ended before one answered, the last by {how}: the lines above say why."
            )
        self._next_start = now + _pause_after(self._early)

    def _look(self) -> None:
        """See who answers, and end who gives no sign of life."""
        now = self._clock.monotonic()
        for worker in list(self._workers.values()):
            if worker.answers_since is None and worker.seat.state is State.ANSWERING:
                worker.answers_since = now
                if worker.replaces in self._workers:
                    self._ask_to_end([worker.replaces])
                worker.replaces = 0
        if now - self._looked >= _LOOK_SECONDS:
            # A supervisor that was itself stopped for a while holds that against nobody.
            passed, self._looked = min(now - self._looked, 2 * _LOOK_SECONDS), now
            for worker in list(self._workers.values()):
                self._listen(worker, passed, now)
        answering = sum(worker.answers_since is not None for worker in self._workers.values())
        if not (self._announced or self._stopping) and (answering == self._count or (answering and self._early)):
            self._announced = True
            self._announce()

    def _listen(self, worker: _Worker, passed: float, now: float) -> None:
        beats = worker.seat.beats
        worker.silent = worker.silent + passed if beats == worker.beats else 0.0
        worker.beats = beats
        late = worker.ends_by is not None and now > worker.ends_by
        if late or worker.silent > (self._patience.hang if beats else self._patience.start):
            why = "it does not end" if late else f"no sign of life for {worker.silent:.1f} s"
            _log.error("worker_hangs", alert=True, worker=worker.seat.number, pid=worker.pid, why=why)
            os.kill(worker.pid, signal.SIGQUIT)  # it writes where its threads are
            signal.sigtimedwait({signal.SIGCHLD}, _TRACE_SECONDS)
            os.kill(worker.pid, signal.SIGKILL)
            worker.silent = 0.0

    def _ask_to_end(self, pids: Iterable[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            if self._workers[pid].ends_by is None:
                self._workers[pid].ends_by = self._clock.monotonic() + self._patience.stop

    def _end_all(self) -> None:
        """Leave no worker behind, whatever happened."""
        self._stopping = True
        self._ask_to_end(self._workers)
        while self._workers:
            signal.sigtimedwait({signal.SIGCHLD}, _QUICK_SECONDS)
            self._reap()
            self._look()


def _pause_after(early: int) -> float:
    """Return for how long to wait after so many early ends in a row: the first is forgiven."""
    return min(_FIRST_PAUSE * 2 ** (early - 2), _LONGEST_PAUSE) if early > 1 else 0.0


def _at_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return False
