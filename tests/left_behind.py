"""What a test may leave to the tests after it in the same process: what is put back, and what fails the test."""

from __future__ import annotations

import gc
import locale
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["nothing_stays"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD)  # PySpark answers SIGINT from its start on


@contextmanager
def nothing_stays() -> Iterator[None]:
    """Put back what a process sets once and for all, and refuse the rest: it was for the test, or for us, to undo.

    Put back: the environment and the path of imports (MLflow, PySpark and scikit-learn write theirs into them) and the
    log lines, which a command of ``orita`` sends to the standard error of its call, gone with the capture of the test.

    Raises:
        AssertionError: something else of the process is not what it was; the sentence names it, before and after.
    """
    environment, path, before = dict(os.environ), sys.path.copy(), _process()
    yield
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    sys.path[:] = path
    structlog = sys.modules.get("structlog")
    if structlog is not None:
        structlog.reset_defaults()
    after = _process()
    left = [f"{name}: {before[name]} before, {after[name]} after" for name in before if before[name] != after[name]]
    assert not left, f"left behind: {'; '.join(left)}"


def _process() -> dict[str, Any]:
    """Return what any test may read of the process; of libraries only what is loaded, to load none."""
    try:
        folder = str(Path.cwd())
    except FileNotFoundError:
        folder = "a folder that is gone"
    found: dict[str, Any] = {
        "current folder": folder,
        "sys.argv": tuple(sys.argv),
        "signal handlers": tuple(signal.getsignal(number) for number in _SIGNALS),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "switch interval": sys.getswitchinterval(),
        "garbage collector": gc.isenabled(),
        "locale": locale.setlocale(locale.LC_ALL),
        "time zone": time.tzname,
        "socket timeout": socket.getdefaulttimeout(),
        "logging": (logging.root.level, logging.root.manager.disable, tuple(map(type, logging.root.handlers))),
    }
    if hasattr(os, "sched_getscheduler"):
        found["scheduling class"] = os.sched_getscheduler(0)
    torch: Any = sys.modules.get("torch")
    mlflow: Any = sys.modules.get("mlflow")
    if hasattr(torch, "set_num_threads"):
        found["PyTorch's threads"] = torch.get_num_threads()
        found["PyTorch's type"] = torch.get_default_dtype()
        found["PyTorch's determinism"] = torch.are_deterministic_algorithms_enabled()
    if hasattr(mlflow, "is_tracking_uri_set"):
        found["MLflow's tracking URI"] = mlflow.is_tracking_uri_set() and mlflow.get_tracking_uri()
    return found
