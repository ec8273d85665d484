"""Sinks under kill -9, and several at once: every acknowledged row is in the table exactly once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.lake import Lake
from orita.events.learning import current_profile
from orita.events.log.embedded import EmbeddedLog
from orita.events.schema import INTERACTION
from orita.events.sink import sink

MakeRows = Callable[..., list[dict[str, Any]]]

# A process that stores what comes, and kills itself before the call of a function that the test names.
_SINK = """
import importlib, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from orita.core.clock import ManualClock
from orita.core.home import Home
from orita.events.learning import current_profile
from orita.events.log.embedded import EmbeddedLog
from orita.events.schema import INTERACTION
from orita.events.sink import SinkConfig, sink

home, module, name, call, rows = sys.argv[1:]
if module:
    owner = importlib.import_module(module)
    original, calls = getattr(owner, name), iter(range(int(call), -1, -1))
    def killing(*args, **options):
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)
    setattr(owner, name, killing)
home, clock = Home(Path(home)), ManualClock(datetime(2024, 12, 31, tzinfo=UTC))
batching = SinkConfig(max_rows=int(rows), max_seconds=0.05, compact_files=20)
print("ready", flush=True)
sink(home, EmbeddedLog(home, clock), "interactions", INTERACTION, clock=clock, batching=batching, until=lambda: False)
"""

_POINTS = {
    "before quarantine": ("orita.events.sink", "write_quarantine", 1),
    "amid quarantine": ("os", "fsync", 0),
    "between quarantine and table": ("orita.events.sink", "apply_change", 1),
    "amid the rows": ("orita.events.lake.months", "months_of", 1),
    "before the commit": ("orita.events.lake.tables", "write_deltalake", 2),
    "before the commit is durable": ("orita.events.lake.tables", "sync_commit", 1),
    "between commit and profile": ("orita.events.learning", "write_profile", 1),
    "before compaction": ("orita.events.sink", "compact_table", 0),
    "amid compaction": ("orita.events.lake.tables", "refuse_changed_rows", 0),
}


def _start(home: Home, point: tuple[str, str, int] = ("", "", 0), rows: int = 20) -> subprocess.Popen[str]:
    arguments = [str(home.root), point[0], point[1], str(point[2]), str(rows)]
    return subprocess.Popen([sys.executable, "-c", _SINK, *arguments], stdout=subprocess.PIPE, text=True)


def _log(home: Home, clock: ManualClock, partitions: int = 2) -> EmbeddedLog:
    log = EmbeddedLog(home, clock)
    log.create("interactions", partitions)
    return log


def _append(log: EmbeddedLog, rows: list[dict[str, Any]]) -> None:
    log.append("interactions", pa.Table.from_pylist(rows), key=["user_id"])


def _sources(make_rows: MakeRows, n: int, seed: int) -> list[dict[str, Any]]:
    """Return rows of which each tenth is bad and each seventh repeats another."""
    rows = make_rows(n, seed=seed)
    for number in range(0, n, 10):
        rows[number]["device"] = "fridge"
    return rows + rows[::7]


def _check(home: Home, log: EmbeddedLog, sent: list[dict[str, Any]]) -> None:
    """Each good id is in the table once, each bad row in quarantine once, the table holds the whole log."""
    bad = {row["interaction_id"] for row in sent if row["device"] == "fridge"}
    good = {row["interaction_id"] for row in sent} - bad
    lake = Lake(home)
    snapshot = lake.snapshot("interactions")
    files = [str(file) for file in (home.quarantine / "interactions").glob("*.parquet")]
    with duckdb.connect() as connection:
        stored = [row[0] for row in connection.sql(f"SELECT interaction_id FROM {snapshot.sql}").fetchall()]
        kept = [json.loads(row[0]) for row in connection.sql(f"SELECT original FROM read_parquet({files})").fetchall()]
    assert len(stored) == len(good)
    assert set(stored) == good
    places = [(row["_partition"], row["_offset"]) for row in kept]
    assert len(places) == len(set(places)) == sum(row["device"] == "fridge" for row in sent)
    assert {row["interaction_id"] for row in kept} == bad
    assert lake.offsets("interactions") == {
        p: log.end("interactions", p) for p in range(log.partitions("interactions"))
    }
    with duckdb.connect() as connection:
        # Killed between its commit and its profile, a sink leaves that to whoever writes next.
        profile = current_profile(connection, home, lake, INTERACTION)
    assert profile is not None
    assert (profile.version, profile.rows) == (snapshot.version, len(good))
    named = {file for v in range(snapshot.version + 1) for file in lake.snapshot("interactions", v).files}
    on_disk = {str(f) for f in home.table("interactions").rglob("*.parquet") if "_delta_log" not in f.parts}
    assert on_disk == named
    assert list(home.root.rglob(".partial-*")) == []


@pytest.mark.parametrize("point", _POINTS)
def test_killed_at_any_step_the_next_sink_goes_on(
    point: str, tmp_path: Path, clock: ManualClock, make_rows: MakeRows
) -> None:
    """Killed between or amid its writes, a sink leaves a table that the next one brings to the end, each row once."""
    home = Home(tmp_path)
    log = _log(home, clock)
    sent = _sources(make_rows, 350, seed=1)
    _append(log, sent)
    killed = _start(home, _POINTS[point])
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert Lake(home).offsets("interactions") != {p: log.end("interactions", p) for p in range(2)}
    late = _sources(make_rows, 20, seed=2)
    _append(log, late)
    sink(home, log, "interactions", INTERACTION, clock=clock)
    _check(home, log, sent + late)
    log.close()


def _kill_storm(home: Home, clock: ManualClock, make_rows: MakeRows, kills: int) -> None:
    """Append all the while; kill the sink at random moments, and start another."""
    log, random_ = _log(home, clock, 1 + kills % 3), random.Random(kills)
    sent: list[dict[str, Any]] = []
    ended = threading.Event()

    def produce() -> None:
        seed = 0
        while not ended.is_set():
            rows = _sources(make_rows, 40, seed=(seed := seed + 1))
            _append(log, rows)
            sent.extend(rows)
            time.sleep(0.02)

    producer = threading.Thread(target=produce)
    producer.start()
    try:
        for _ in range(kills):
            child = _start(home, rows=random_.choice([30, 300, 3000]))
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            time.sleep(random_.uniform(0, 1.5))
            child.kill()
            child.communicate()
    finally:
        ended.set()
        producer.join()
    sink(home, log, "interactions", INTERACTION, clock=clock)
    _check(home, log, sent)
    log.close()


def test_three_kills_at_random_moments(tmp_path: Path, clock: ManualClock, make_rows: MakeRows) -> None:
    """Killed at three random moments while rows come in, sinks store every acknowledged row once."""
    _kill_storm(Home(tmp_path), clock, make_rows, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kills", [100, 101, 102])
def test_hundreds_of_kills_at_random_moments(
    kills: int, tmp_path: Path, clock: ManualClock, make_rows: MakeRows
) -> None:
    """The same at a hundred moments, with one, two and three partitions."""
    _kill_storm(Home(tmp_path), clock, make_rows, kills)


def test_sinks_share_the_partitions_and_one_takes_over(tmp_path: Path, clock: ManualClock, make_rows: MakeRows) -> None:
    """Two sinks at once store each row once; once one is killed, the other stores what was its share."""
    home = Home(tmp_path)
    log = _log(home, clock, 3)
    children = [_start(home, rows=50) for _ in range(2)]
    sent: list[dict[str, Any]] = []
    try:
        for seed in range(8):
            rows = _sources(make_rows, 60, seed=seed)
            _append(log, rows)
            sent += rows
            time.sleep(0.1)
            if seed == 5:
                children[0].kill()
        deadline = time.monotonic() + 60
        while sum(Lake(home).offsets("interactions").values()) < len(sent):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for child in children:
            child.kill()
            child.communicate()
    sink(home, log, "interactions", INTERACTION, clock=clock)
    _check(home, log, sent)
    log.close()
