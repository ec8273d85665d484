"""Who looks often whether control state has news: every commit is seen, and what nobody wrote to is not opened."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from tests.control.counters import COUNTER, add

from orita.control.aggregates import Aggregates
from orita.control.events import ControlLog

_SETTLED = 0.15  # seconds after which a file counts as left alone

_WRITER = """
import sys
from pathlib import Path
from tests.control.counters import COUNTER, add
from orita.control.aggregates import Aggregates
from orita.control.events import ControlLog
for line in sys.stdin:
    for _ in range(int(line)):
        event = add(Aggregates(ControlLog(Path(sys.argv[1])), COUNTER), "a", 1)
    print(event.position, flush=True)
"""


def test_every_commit_is_news(where: Path | str) -> None:
    """However soon after another one, after a rest, and after the look of somebody else who then closes the file."""
    watching, others = ControlLog(where), ControlLog(where)
    assert watching.position() == 0
    random = Random(4)
    for number in range(1, 60):
        assert add(Aggregates(ControlLog(where), COUNTER), "a", 1).position == number
        assert watching.position() == number
        if random.random() < 0.2:
            time.sleep(_SETTLED)
            assert watching.position() == number
        if random.random() < 0.3:
            others.events()


def test_commits_of_another_process_are_news(tmp_path: Path) -> None:
    """One or several of them, while the file is left alone between."""
    file = tmp_path / "control.db"
    watching = ControlLog(file)
    command = [sys.executable, "-c", _WRITER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for times in (1, 3, 1, 2):
            writer.stdin.write(f"{times}\n")
            writer.stdin.flush()
            position = int(writer.stdout.readline())
            assert watching.position() == position
            time.sleep(_SETTLED)
            assert watching.position() == position
        writer.stdin.close()


_OTHER_WRITER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


def test_who_looks_while_the_same_process_writes_lets_no_other_write(tmp_path: Path) -> None:
    """Two who write at once would lose a decision that one of them was acknowledged."""
    file = tmp_path / "control.db"
    writing, watching = ControlLog(file), ControlLog(file)
    add(Aggregates(writing, COUNTER), "a", 1)
    with sqlite3.connect(file) as opened, writing.writing():
        for _ in range(2):
            time.sleep(_SETTLED)
            assert watching.position() == 1
            other = subprocess.run([sys.executable, "-c", _OTHER_WRITER, str(file)], capture_output=True, check=False)
            assert b"database is locked" in other.stderr
    opened.close()


def test_a_process_that_looks_for_long_has_one_index_open_at_a_time(tmp_path: Path) -> None:
    """Each file has an index only while somebody has the file open; those that were deleted are closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        file = tmp_path / f"control-{number}.db"
        log = ControlLog(file)
        add(Aggregates(log, COUNTER), "a", 1)
        opened = sqlite3.connect(file)
        opened.execute("SELECT 1 FROM control_events").fetchall()
        time.sleep(_SETTLED)
        assert log.position() == 1
        opened.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


def test_a_file_that_is_left_alone_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look costs no query then; when the file is gone, there is nothing."""
    log = ControlLog(tmp_path / "control.db")
    add(Aggregates(log, COUNTER), "a", 1)
    time.sleep(_SETTLED)
    assert log.position() == 1
    with monkeypatch.context() as patched:
        patched.setattr(log.database, "reading", None)
        assert log.position() == 1
    for path in tmp_path.iterdir():
        path.unlink()
    assert log.position() == 0
