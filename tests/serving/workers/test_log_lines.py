"""Whose a log line is, where several workers write into one stream."""

from __future__ import annotations

import json
import subprocess
import sys

_WORKER = """
import os, threading, structlog
structlog.configure(processors=[structlog.processors.JSONRenderer()])
from orita.serving.workers.board import Board
from orita.serving.workers.worker import run_worker
log = structlog.get_logger()
def work(seat):
    log.info("in its loop")
    thread = threading.Thread(target=lambda: log.info("in a thread"))
    thread.start()
    thread.join()
    log.info("of another", worker=7)
seat, supervisor = Board(2).seats[1], os.getpid()
if os.fork() == 0:
    run_worker(seat, supervisor, work, stop=60)
os.wait()
log.info("of the supervisor")
"""


def test_log_lines_say_which_worker() -> None:
    """Every line of a worker has its number, also from its threads, unless it speaks of another one."""
    done = subprocess.run([sys.executable, "-c", _WORKER], capture_output=True, text=True, timeout=60, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["event"]: line.get("worker") for line in lines} == {
        "in its loop": 2,
        "in a thread": 2,
        "of another": 7,
        "of the supervisor": None,
    }
