"""Who looks often whether control state has news: every commit is seen, and what nobody wrote to is not opened."""

from __future__ import annotations

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
