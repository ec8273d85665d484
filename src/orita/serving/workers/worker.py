"""A worker's side of its supervisor: how it begins, how it tells that it lives, and how it ends."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import structlog
from structlog.typing import EventDict

from orita.core.errors import OritaError
from orita.serving.http.failure import log_failure
from orita.serving.workers.board import Seat
from orita.serving.workers.reports import failed_report

__all__ = ["COULD_NOT_START", "run_worker"]

COULD_NOT_START = 2
"""Exit code of a worker that can say in a sentence why it ends; the sentence is in its report."""

_LOOK_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # prctl(2)
_BLOCKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def run_worker(seat: Seat, supervisor: int, work: Callable[[Seat], object], *, stop: float) -> NoReturn:
    """Do *work* as the process that was just forked, and end it.

    It ends in order when its supervisor dies, by force where that takes too long, and tells where each of its threads
    is on SIGQUIT. Its log lines say which worker it is.

    Args:
        seat: its place on the board.
        supervisor: the process that forked it.
        work: answers requests until it is asked to stop.
        stop: seconds that an orderly end may take once nobody is there to wait for it.
    """
    code = 1
    try:
        _prepare(supervisor, stop)
        seat.take()
        _number_log_lines(seat.number)
        work(seat)
        code = 0
    except OritaError as error:
        seat.report(failed_report(str(error), seat.read()))
        code = COULD_NOT_START
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException as error:  # whatever it is: nothing of the supervisor's may run in this process
        log_failure("worker_failed", error, worker=seat.number)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _prepare(supervisor: int, stop: float) -> None:
    signal.signal(signal.SIGTERM, _nothing_begun)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the supervisor says when to stop
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(0)
    threading.Thread(target=_outlive, args=(supervisor, stop), name="orita-orphan", daemon=True).start()
    faulthandler.register(signal.SIGQUIT, all_threads=True)
    random.seed()


def _outlive(supervisor: int, stop: float) -> None:
    """End this process by force where its supervisor is gone and an orderly end has not come: nobody else does it."""
    while os.getppid() == supervisor:
        time.sleep(_LOOK_SECONDS)
    time.sleep(stop)
    os.kill(os.getpid(), signal.SIGKILL)


def _number_log_lines(number: int) -> None:
    """Let every log line of this process say whose it is: context variables would not reach the threads it starts."""

    def numbered(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("worker", number)
        return event

    structlog.configure(processors=[numbered, *structlog.get_config()["processors"]])


def _nothing_begun(_number: int, _frame: object) -> None:
    os._exit(0)
