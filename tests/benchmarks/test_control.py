"""The bench of control state tells how soon a server knows of a switch."""

from __future__ import annotations

import random
from contextlib import nullcontext
from itertools import cycle
from pathlib import Path

import pytest
from tests.benchmarks.running import last_line

from benchmarks import control
from orita.core.home import Home
from orita.delivery.flags.kept import Flags


def test_the_slower_database_counts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Percentiles of each database, and of the one that took longer; without PostgreSQL those of SQLite."""
    monkeypatch.setattr(control, "learned_ms", lambda _, url, changes: [1.0, 2.0, 3.0] if url else [4.0] * changes)
    monkeypatch.setattr(control, "postgres_programs", lambda: Path("here"))
    monkeypatch.setattr(control, "postgres_server", lambda _: nullcontext("postgresql://there"))
    both = {"sqlite_learn_ms_p50": 4.0, "sqlite_learn_ms_p99": 4.0, "learn_ms_p50": 4.0, "learn_ms_p99": 4.0}
    other = {"postgres_learn_ms_p50": 2.0, "postgres_learn_ms_p99": 3.0}
    assert last_line(control, monkeypatch, capsys) == both | other
    monkeypatch.setattr(control, "postgres_programs", lambda: None)
    assert last_line(control, monkeypatch, capsys, "--changes", "2") == both


def test_each_switch_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has each switch at its third answer: the next is made then, in the project's home."""
    project, asked, late = tmp_path / "project", list[bool](), cycle([True, True, False])

    def evaluated(_: object) -> bool:
        asked.append(Flags(Home(project / ".orita").control).get(control.KEY).state.enabled)
        return asked[-1] != next(late)

    monkeypatch.setattr(control, "evaluated", evaluated)
    monkeypatch.setattr(control, "served", nullcontext)
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    learned = control.learned_ms(project, "", 3)
    assert asked == [True] * 3 + [False] * 3 + [True] * 3
    assert min(learned) > 2 * control.ASK_SECONDS * 1000
