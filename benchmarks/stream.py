"""How fast does the stream engine count events, and how soon can a request see one?

The state of the feed system is filled with 2,000,000 pairs of user and item first. Then a worker, held to one core,
takes events from the embedded log into LMDB, each commit synced. Throughput: a log of 600,000 events is drained.
Freshness: events are appended at 5,000 a second; of each hundredth it is measured how long after its append began the
user's record in the store had it, read in another process than the worker's. The first two seconds, in which the worker
claims its partitions and catches up, are not counted.

    make bench B=stream      # last line: one JSON object
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orita.core.clock import from_micros
from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events.log.embedded import EmbeddedLog
from orita.features.api.feature_store import FeatureStore
from orita.features.generations.folder import FolderGenerations
from orita.features.generations.publish import publish
from orita.features.keys import encode_id
from orita.features.plan import plan_of
from orita.features.state.layout import row_prefix
from orita.features.stores.lmdb import LmdbStore
from orita.features.stream.worker import StreamWorker
from orita.project import open_project

USERS, ITEMS = 10_000, 50_000
START = 1_704_067_200_000_000
FIRST_PROBE = 10_000_000
WARM_SECONDS = 2
TURNS = 50
"""Appends a second."""


def events(count: int, rng: np.random.Generator, start: int) -> pa.Table:
    """Return random interactions of known users and items, a second apart."""
    return pa.table({
        "interaction_id": [uuid7() for _ in range(count)],
        "user_id": rng.integers(0, USERS, count),
        "item_id": (ITEMS * rng.random(count) ** 2).astype(np.int64),
        "timestamp": pa.array(start + 1_000_000 * np.arange(count), pa.timestamp("us", "UTC")),
        "click": rng.integers(0, 2, count).astype(np.int8),
        "dwell_time": rng.gamma(2, 10, count),
        "device": rng.choice(["mobile", "desktop", "tablet"], count),
    })  # fmt: skip


def fill(home: Home, pairs: int, rng: np.random.Generator) -> None:
    """Publish the state of as many different pairs."""
    plan = plan_of(open_project(system="feed").system)
    with duckdb.connect() as connection:
        chosen_P = rng.choice(USERS * ITEMS, pairs, replace=False)
        table = events(pairs, rng, START)
        table = table.set_column(1, "user_id", pa.array(chosen_P // ITEMS))
        table = table.set_column(2, "item_id", pa.array(chosen_P % ITEMS))
        created = pa.array(np.full(ITEMS, START), pa.timestamp("us"))
        topics = (np.arange(ITEMS) % 64).astype(str)
        items = pa.table({"item_id": np.arange(ITEMS), "created_at": created, "topic": topics})
        connection.register("filled", table)
        connection.register("items", items)
        generations = FolderGenerations(home.online / "feed")
        publish(plan, connection, {"interactions": "filled", "items": "items"}, generations, tables={}, unique=True)


def work(root: Path, target: int) -> None:
    """Count events on one core until *target* are counted, or, if it is 0, until standard input ends."""
    os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
    home = Home(root)
    plan = plan_of(open_project(system="feed").system)
    generation = FolderGenerations(home.online / "feed").current()
    assert generation is not None
    worker = StreamWorker(plan, EmbeddedLog(home), LmdbStore(home.online / "feed" / generation.name), "feed",
                          most_rows=50_000)  # fmt: skip
    os.set_blocking(0, False)
    print("ready", flush=True)
    began, counted = time.perf_counter(), 0
    while (counted < target) if target else (sys.stdin.buffer.read(1) != b""):
        counted += worker.step(0.02).counted
    spent = time.perf_counter() - began
    print(json.dumps({"counted": counted, "seconds": spent, "cpu_seconds": time.process_time()}), flush=True)


def drain(home: Home, count: int, rng: np.random.Generator) -> float:
    """Return events a second of draining a log of *count* events."""
    store = FeatureStore(home, open_project(system="feed").system)
    start = START + 4_000_000 * 1_000_000
    for first in range(0, count, 50_000):
        store.push_features(events(min(50_000, count - first), rng, start + first * 1_000_000))
    store.log.close()
    done = subprocess.run(own("--work", home.root, "--target", count), stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"drained {told['counted']:,} events in {told['seconds']:.2f} s, {told['cpu_seconds']:.2f} s CPU in all")
    return float(told["counted"] / told["seconds"])


def freshness(home: Home, seconds: float, rate: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return how long each probe took from the append to being readable, in milliseconds, once the worker is warm."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the worker has another core to itself, if there is one
    store = FeatureStore(home, open_project(system="feed").system)
    turns, warm = int((seconds + WARM_SECONDS) * TURNS), WARM_SECONDS * TURNS
    appends = [probed(events(rate // TURNS, rng, at_turn(turn)), FIRST_PROBE + turn) for turn in range(turns)]
    sent = []
    with (
        subprocess.Popen(
            own("--work", home.root, "--target", 0), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as worker,
        subprocess.Popen(own("--look", home.root, "--target", turns), stdout=subprocess.PIPE) as looker,
    ):
        assert worker.stdin is not None and worker.stdout is not None and looker.stdout is not None
        worker.stdout.readline()
        began = time.monotonic() + 1
        for turn, rows in enumerate(appends):
            time.sleep(max(began + turn / TURNS - time.monotonic(), 0))
            sent.append(time.monotonic())
            store.push_features(rows)
        print(f"appended at {turns * (rate // TURNS) / (time.monotonic() - began):,.0f} events/s")
        seen = json.loads(looker.stdout.read())
        worker.stdin.close()
        worker.stdout.read()
    if None in seen:
        raise RuntimeError(f"{seen.count(None)} probes were never readable")
    took_P: npt.NDArray[np.float64] = np.array(seen) - np.array(sent)
    return took_P[warm:] * 1000


def at_turn(turn: int) -> int:
    """Return a time in the past that rises from turn to turn, microseconds since the Unix epoch."""
    return int(time.time() * 1e6) - (100_000 - turn) * 1_000_000_000


def probed(rows: pa.Table, user: int) -> pa.Table:
    """Return *rows*, the last of them of *user*, who has no other."""
    return rows.set_column(1, "user_id", pa.array(np.append(rows["user_id"].to_numpy()[:-1], user)))


def look(root: Path, probes: int) -> None:
    """Print when each probe could be read (`time.monotonic`, the same in all processes), null where none came."""
    plan = plan_of(open_project(system="feed").system)
    folder = Home(root).online / "feed"
    generation = FolderGenerations(folder).current()
    assert generation is not None
    online = LmdbStore(folder / generation.name, readonly=True)
    (record,) = [r for r in plan.records if r.name == "user"]
    keys = [row_prefix(plan, record) + encode_id(FIRST_PROBE + turn) for turn in range(probes)]
    seen: list[float | None] = [None] * probes
    waiting, progressed = list(range(probes)), time.monotonic() + 60
    while waiting and time.monotonic() < progressed:
        near = waiting[:100]
        found = online.get_many([keys[probe] for probe in near])
        now = time.monotonic()
        for probe, record_bytes in zip(near, found, strict=True):
            if record_bytes is not None:
                seen[probe], progressed = now, now + 20
                waiting.remove(probe)
        time.sleep(0.0005)
    print(json.dumps(seen))


def own(*arguments: object) -> list[str]:
    """Return a command that runs a part of this benchmark in a process of its own."""
    return [sys.executable, "-m", "benchmarks.stream", *map(str, arguments)]


def main() -> None:
    """Fill, drain, probe; print figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=2_000_000)
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--look", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(asked.work, asked.target)
        return
    if asked.look:
        look(asked.look, asked.target)
        return
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        began = time.perf_counter()
        fill(home, asked.pairs, rng)
        print(f"filled {asked.pairs:,} pairs in {time.perf_counter() - began:.1f} s ({from_micros(START):%Y-%m-%d} on)")
        rate = drain(home, asked.events, rng)
        took_ms = freshness(home, asked.seconds, asked.rate, rng)
    print(json.dumps({
        "events_per_s": round(rate),
        "freshness_p50_ms": round(float(np.quantile(took_ms, 0.5)), 1),
        "freshness_p99_ms": round(float(np.quantile(took_ms, 0.99)), 1),
        "probes": len(took_ms),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
