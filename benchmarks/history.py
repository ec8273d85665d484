"""1 M events, 7 windowed features over user, item and pair: the batch engine beside DuckDB's window functions.

``make bench B=history``; the last line is one JSON object. Both begin with a Parquet file and end with an Arrow table;
values are compared before times are told. ``python -m benchmarks.history --events 20000000`` runs one size with
``--limit`` GiB of memory at most, and says how its time compares with that of 1 M events.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orita import INTERACTION, Entity, Source, System, system
from orita.features.history import compute_history, feature_rows
from orita.features.plan import plan_of

_EVENTS = 1_000_000
_TIMES = 5
_DAY = 86_400_000_000
_START = 1_704_067_200_000_000
_WINDOWS = {
    "user_count": ("count(*)", "user_id", 7),
    "user_ctr": ("avg(click)", "user_id", 28),
    "user_dwell": ("avg(dwell_time)", "user_id", 7),
    "item_count": ("count(*)", "item_id", 7),
    "item_ctr": ("avg(click)", "item_id", 28),
    "item_dwell": ("avg(dwell_time)", "item_id", 7),
    "pair_count": ("count(*)", "user_id, item_id", 28),
}


def declare() -> System:
    """Declare the seven features."""
    user, item = Entity("user", "user_id"), Entity("item", "item_id")
    shown = Source("interactions", INTERACTION)
    declared = system("bench", label=shown.click, rank=item, for_=user)
    declared.features(
        user_count=shown.count().by(user).over("7d"),
        user_ctr=shown.mean("click").by(user).over("28d"),
        user_dwell=shown.mean("dwell_time").by(user).over("7d"),
        item_count=shown.count().by(item).over("7d"),
        item_ctr=shown.mean("click").by(item).over("28d"),
        item_dwell=shown.mean("dwell_time").by(item).over("7d"),
        pair_count=shown.count().by(user, item).over("28d"),
    )
    return declared


def generate(path: Path, events: int) -> None:
    """Write *events* events of 90 days in the order of time: items of very different popularity, a third never read."""
    draw = np.random.default_rng(7)
    users, items = max(events // 40, 10), max(events // 100, 10)
    read_N = draw.random(events) < 0.66
    table = pa.table({
        "interaction_id": np.arange(events),
        "user_id": draw.integers(0, users, events),
        "item_id": np.minimum((items * draw.random(events) ** 2).astype(np.int64), items - 1),
        "timestamp": pa.array(np.sort(_START + draw.integers(0, 90 * _DAY, events))).cast(pa.timestamp("us")),
        "click": (draw.random(events) < 0.2).astype(np.int8),
        "dwell_time": pa.array(draw.exponential(30, events), mask=~read_N),
    })  # fmt: skip
    pq.write_table(table, path, compression="snappy")


def by_orita(path: Path) -> pa.Table:
    """Return the features by the batch engine, from the file to the table."""
    plan = plan_of(declare())
    with duckdb.connect() as connection:
        relations = {"interactions": f"read_parquet('{path}')"}
        return feature_rows(plan, compute_history(plan, connection, relations), plan.system.schema())


def by_windows(path: Path) -> pa.Table:
    """Return the same features by DuckDB's window functions."""
    columns = ", ".join(
        f"{what} OVER (PARTITION BY {keys} ORDER BY t RANGE BETWEEN {days * _DAY} PRECEDING AND 1 PRECEDING) AS {name}"
        for name, (what, keys, days) in _WINDOWS.items()
    )
    query = f"SELECT interaction_id, {columns} FROM (SELECT *, epoch_us(timestamp) AS t FROM read_parquet('{path}'))"
    with duckdb.connect() as connection:
        return connection.sql(query).to_arrow_table()


def rows_lost(found: pa.Table, expected: pa.Table) -> int:
    """Return how many rows are missing or too many.

    Raises:
        AssertionError: a value differs by more than float32 rounds.
    """
    lost = set(expected["interaction_id"].to_pylist()) ^ set(found["event_id"].to_pylist())
    lost_or_repeated = max(len(lost), abs(len(found) - len(expected)))
    if not lost_or_repeated:
        found, expected = found.sort_by("event_id"), expected.sort_by("interaction_id")
        for name in _WINDOWS:
            assert found[name].null_count == expected[name].null_count, name
            mine, theirs = (table[name].fill_null(-1).to_numpy().astype(np.float64) for table in (found, expected))
            assert np.allclose(mine, theirs, rtol=1e-6, atol=1e-9), name
    return lost_or_repeated


def fastest(runs: Mapping[str, Callable[[], object]], times: int) -> dict[str, float]:
    """Return the shortest of some runs of each, in seconds; they take turns, so that what disturbs one disturbs all."""
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(times):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def peak_of(events: int, folder: Path, limit: float) -> dict[str, float]:
    """Return seconds and peak memory (MiB) of one size, in a process of its own with *limit* GiB of memory at most."""
    command = [sys.executable, "-m", "benchmarks.history", "--limit", str(limit)]
    command += ["--alone", str(folder / f"{events}.parquet")]
    # An allocator that reserves memory without using it could not be held to a limit.
    surroundings = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=surroundings)
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found


def alone(path: Path, limit: float) -> None:
    """Compute one file twice, the first time to compile, and print the seconds of the second and the peak of both."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 2**30),) * 2)
    small = path.with_name("small.parquet")
    generate(small, 10_000)
    by_orita(small)
    begun, worked = time.perf_counter(), time.process_time()
    rows = len(by_orita(path))
    seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--limit", type=float, default=4.0, help="GiB")
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone:
        alone(options.alone, options.limit)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"{_EVENTS}.parquet"
        generate(path, _EVENTS)
        if options.events != _EVENTS:
            large(options.events, folder, options.limit)
            return
        lost = rows_lost(by_orita(path), by_windows(path))
        seconds = fastest({"orita": lambda: by_orita(path), "windows": lambda: by_windows(path)}, _TIMES)
        peak = peak_of(_EVENTS, folder, options.limit)["peak_mib"]
    print(f"{_EVENTS} events, {len(_WINDOWS)} features: {seconds['orita']:.2f} s, DuckDB {seconds['windows']:.2f} s")
    print("ratio_feast is null: Feast needs an environment of its own, and there is none here.")
    print(json.dumps({
        "seconds": round(seconds["orita"], 3), "ratio_duckdb_windows": round(seconds["windows"] / seconds["orita"], 2),
        "ratio_feast": None, "peak_mib": round(peak), "rows_lost": lost,
    }))  # fmt: skip


def large(events: int, folder: Path, limit: float) -> None:
    """Print what *events* events take beside 1 M, each in a process of its own."""
    generate(folder / f"{events}.parquet", events)
    small, found = (peak_of(each, folder, limit) for each in (_EVENTS, events))
    times = events / _EVENTS
    print(json.dumps({
        "events": events, "seconds": round(found["seconds"], 1),
        "ratio_linear": round(found["seconds"] / small["seconds"] / times, 2),
        "ratio_linear_cpu": round(found["cpu_seconds"] / small["cpu_seconds"] / times, 2),
        "peak_mib": round(found["peak_mib"]), "rows_lost": events - int(found["rows"]),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
