"""Ingest under kill -9: run again, and everything is as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.ingest import ingest
from orita.events.lake import Lake

MakeRows = Callable[..., list[dict[str, Any]]]
WriteFile = Callable[[list[dict[str, Any]], Path], Path]
ReadTable = Callable[..., list[dict[str, Any]]]

# A process that ingests, and kills itself before the call of a function that the test names.
_CHILD = """
import importlib, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.ingest import ingest

source, home, module, name, call = sys.argv[1:]
if module:
    owner = importlib.import_module(module)
    *classes, name = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original, calls = getattr(owner, name), iter(range(int(call), -1, -1))
    def killing(*args, **options):
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)
    setattr(owner, name, killing)
ingest(Home(Path(home)), Path(source), clock=ManualClock(datetime(2024, 12, 31, tzinfo=UTC)))
"""

_POINTS = {
    "between quarantine and table": ("orita.events.ingest", "apply_change", 0),
    "amid the rows": ("orita.events.lake.months", "months_of", 1),
    "between commit and profile": ("orita.events.learning", "write_profile", 0),
    "between two tables": ("orita.events.ingest", "apply_change", 1),
}


def _start(source: Path, home: Home, point: tuple[str, str, int] = ("", "", 0)) -> subprocess.Popen[bytes]:
    arguments = [str(source), str(home.root), point[0], point[1], str(point[2])]
    return subprocess.Popen([sys.executable, "-c", _CHILD, *arguments], stderr=subprocess.DEVNULL)


def _source(make_rows: MakeRows, write_file: WriteFile, folder: Path, n: int) -> Path:
    rows = make_rows(n)
    for number in range(0, n, 100):
        rows[number]["dwell_time"] = 999
    write_file([*rows, *rows[: n // 50]], folder / "interactions.csv")
    write_file([{"user_id": user, "joined_at": "2023-01-01"} for user in range(50)], folder / "users.csv")
    return folder


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, make_rows: MakeRows, write_file: WriteFile, clock: ManualClock
) -> tuple[Path, Home]:
    """A source, and the home of an ingest that ran through."""
    folder = tmp_path_factory.mktemp("unbroken")
    source, home = _source(make_rows, write_file, folder / "in", 3000), Home(folder / "home")
    ingest(home, source, clock=clock)
    return source, home


def _state(home: Home, read_table: ReadTable) -> dict[str, Any]:
    """Everything that must be the same after a kill and a second run."""
    kept = sorted(home.quarantine.rglob("*.parquet"))
    with duckdb.connect() as connection:
        bad = [connection.sql(f"SELECT row, rule FROM '{file}' ORDER BY row").fetchall() for file in kept]
    profiles = {path.name: json.loads(path.read_text())["rows"] for path in home.profiles.iterdir()}
    return {
        "interactions": read_table(home),
        "users": read_table(home, "users"),
        "quarantine": bad,
        "profiles": profiles,
        "staging": [path.name for path in home.staging.iterdir()],
        "leftovers": [str(path) for path in home.root.rglob(".partial-*")],
    }


def _orphans(home: Home, table: str) -> set[str]:
    on_disk = {str(file) for file in home.table(table).rglob("*.parquet") if "_delta_log" not in file.parts}
    return on_disk - set(Lake(home).snapshot(table).files)


@pytest.mark.parametrize("point", _POINTS)
def test_killed_at_any_step_the_second_run_ends_the_same(
    point: str, tmp_path: Path, unbroken: tuple[Path, Home], clock: ManualClock, read_table: ReadTable
) -> None:
    """Killed between or amid its writes, ingest run again gives the tables of an unbroken run."""
    source, reference = unbroken
    killed = Home(tmp_path / "killed")
    assert _start(source, killed, _POINTS[point]).wait(timeout=60) == -9
    ingest(killed, source, clock=clock)
    assert _state(killed, read_table) == _state(reference, read_table)
    assert not _orphans(killed, "interactions")


def _kill_storm(kills: int, killed: Home, source: Path) -> None:
    started = time.monotonic()
    scratch = Home(killed.root.with_name("scratch"))
    assert _start(source, scratch).wait(timeout=120) == 0
    usual = time.monotonic() - started
    random_ = random.Random(kills)
    for _ in range(kills):
        child = _start(source, killed)
        try:
            child.wait(timeout=random_.uniform(0.4, 1.0) * usual)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def test_killed_at_three_random_moments(
    tmp_path: Path, unbroken: tuple[Path, Home], read_table: ReadTable, clock: ManualClock
) -> None:
    """Three kills at random moments of one ingest lose nothing and double nothing."""
    source, reference = unbroken
    killed = Home(tmp_path / "killed")
    _kill_storm(3, killed, source)
    ingest(killed, source, clock=clock)
    assert _state(killed, read_table) == _state(reference, read_table)
    assert not _orphans(killed, "interactions")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_twenty_random_moments(
    tmp_path: Path, make_rows: MakeRows, write_file: WriteFile, read_table: ReadTable, clock: ManualClock
) -> None:
    """Twenty kills at random moments of an ingest of 200,000 rows lose nothing and double nothing."""
    source = _source(make_rows, write_file, tmp_path / "in", 200_000)
    reference, killed = Home(tmp_path / "reference"), Home(tmp_path / "killed")
    ingest(reference, source, clock=clock)
    _kill_storm(20, killed, source)
    ingest(killed, source, clock=clock)
    assert _state(killed, read_table) == _state(reference, read_table)
    assert not _orphans(killed, "interactions")
