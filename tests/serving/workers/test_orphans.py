"""``kill -9`` of a supervisor, at whatever moment: none of its processes outlives it for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest
from tests.serving.patience import attempts
from tests.serving.workers.served import MARK, launched, with_champion

from orita.core.home import Home

PATIENCE = 120.0


def there(mark: str) -> set[int]:
    """Return the processes of a server, by what their environment says; those that ended and wait for a parent not."""
    wanted, found = f"{MARK}={mark}".encode(), set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # it ended
            if folder.name.isdigit() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
    return found


@contextmanager
def started(home: Home, before: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a server; nothing of it is left after the block, whatever it does."""
    mark = uuid4().hex
    process = launched(home, before, {}, mark)
    try:
        yield process, mark
    finally:
        end_all(process, mark)


def end_all(process: subprocess.Popen[str], mark: str) -> None:
    """Leave nothing behind."""
    for pid in there(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def check_all_go(process: subprocess.Popen[str], mark: str) -> None:
    """Kill the supervisor; check that every process of its goes."""
    process.kill()
    process.wait()
    assert any(not there(mark) for _ in attempts(PATIENCE)), f"{there(mark)} stayed"


def until_there(process: subprocess.Popen[str], mark: str, count: int) -> None:
    """Wait for so many processes; no longer than the supervisor lives."""
    for _ in attempts(PATIENCE):
        assert process.poll() is None
        if len(there(mark)) >= count:
            return
    raise AssertionError(f"{there(mark)}, not {count} processes")


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_killed_while_it_starts(tmp_path: Path, processes: int) -> None:
    """Before there is a worker, when the first was just forked, and when the second was."""
    with started(with_champion(Home(tmp_path / "home"))) as (process, mark):
        until_there(process, mark, processes)
        check_all_go(process, mark)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_again_and_again(tmp_path: Path) -> None:
    """At twenty moments around the forks."""
    home = with_champion(Home(tmp_path / "home"))
    for number in range(20):
        with started(home) as (process, mark):
            until_there(process, mark, 2)
            time.sleep(number * 0.005)
            check_all_go(process, mark)


def test_killed_while_workers_make_their_app(tmp_path: Path) -> None:
    """What takes long to load is not waited for."""
    with started(with_champion(Home(tmp_path / "home")), "import time; time.sleep(3600)") as (process, mark):
        until_there(process, mark, 3)
        check_all_go(process, mark)


_DEAF = """
import os, signal, sys, time
from orita.serving.workers.board import Board
from orita.serving.workers.worker import run_worker
def work(seat):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("deaf", flush=True)
    time.sleep(3600)
supervisor = os.getpid()
if os.fork() == 0:
    run_worker(Board(1).seats[0], supervisor, work, stop=1)
time.sleep(3600)
"""


def test_a_worker_that_does_not_end_is_ended() -> None:
    """One that takes no signal any more outlives its supervisor for as long as an orderly end may take."""
    mark = uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-c", _DEAF], stdout=subprocess.PIPE, text=True, env={**os.environ, MARK: mark}
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "deaf\n"
        check_all_go(process, mark)
    finally:
        end_all(process, mark)
