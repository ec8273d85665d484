"""The embedded event log: appends of 10,000 rows, single rows from 8 threads, and reading all of it.

``make bench B=event_log``; the last line is one JSON object. Rows have the interactions' columns; one stream of 4
partitions, keyed by user, in a temporary folder (``--folder`` for another disk). Every append is synced.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from orita.core.home import Home
from orita.core.ids import uuid7
from orita.events.log.embedded import EmbeddedLog

_ROWS = 10_000
_THREADS = 8


def interactions(n: int, seed: int = 0) -> pa.RecordBatch:
    """Return *n* rows of the interactions table."""
    random = np.random.default_rng(seed)
    times_N = 1_700_000_000_000_000 + np.cumsum(random.integers(0, 2_000_000, n))
    return pa.record_batch(
        {
            "interaction_id": [uuid7() for _ in range(n)],
            "user_id": random.integers(0, 10_000, n),
            "item_id": random.integers(0, 50_000, n),
            "timestamp": pa.array(times_N, pa.timestamp("us", "UTC")),
            "click": random.integers(0, 2, n).astype(np.int8),
            "like": random.integers(0, 2, n).astype(np.int8),
            "share": random.integers(0, 2, n).astype(np.int8),
            "dwell_time": random.gamma(2, 10, n),
            "device": random.choice(["mobile", "desktop", "tablet"], n).tolist(),
            "time_of_day": random.choice(["morning", "afternoon", "evening", "night"], n).tolist(),
            "day_of_week": random.integers(0, 7, n),
            "request_id": np.repeat([uuid7() for _ in range(n // 20 + 1)], 20)[:n].tolist(),
            "position": random.integers(1, 21, n),
        }
    )


def append_batches(log: EmbeddedLog, rows: pa.RecordBatch, seconds: float) -> float:
    """Return rows a second over *seconds* of appends of all *rows*."""
    began, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        log.append("interactions", rows, key=["user_id"])
        count += rows.num_rows
    return count / spent


def read_all(log: EmbeddedLog) -> tuple[int, float]:
    """Return how many rows there are, and rows a second of reading them."""
    began, count = time.perf_counter(), 0
    for partition in range(log.partitions("interactions")):
        offset = log.start("interactions", partition)
        while (batch := log.read("interactions", partition, offset, 50_000)).rows.num_rows:
            offset, count = batch.next, count + batch.rows.num_rows
    return count, count / (time.perf_counter() - began)


def append_singly(log: EmbeddedLog, rows: pa.RecordBatch, seconds: float) -> list[float]:
    """Return the seconds that each append of one row took, from `_THREADS` threads at once."""
    singles = [rows.slice(at, 1) for at in range(1000)]
    taken: list[list[float]] = [[] for _ in range(_THREADS)]
    ends = time.perf_counter() + seconds

    def write(thread: int) -> None:
        while (began := time.perf_counter()) < ends:
            log.append("singles", singles[len(taken[thread]) * _THREADS % 1000 + thread], key=["user_id"])
            taken[thread].append(time.perf_counter() - began)

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(_THREADS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [one for each in taken for one in each]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    rows = interactions(_ROWS)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        log = EmbeddedLog(Home(Path(folder)))
        log.create("interactions", 4)
        log.create("singles", 4)
        log.append("interactions", rows, key=["user_id"])
        appended = append_batches(log, rows, options.seconds)
        count, read = read_all(log)
        taken = append_singly(log, rows, options.seconds)
        stored = sum(path.stat().st_size for path in (Path(folder) / "events").rglob("interactions/*/*.seg"))
        log.close()
    print(f"protocol: batches of {_ROWS:,} rows, then single rows from {_THREADS} threads; {count:,} rows read back.")
    found = {
        "append_rows_per_s": round(appended),
        "single_appends_per_s": round(len(taken) / options.seconds),
        "single_append_p50_ms": round(float(np.quantile(taken, 0.5)) * 1e3, 3),
        "single_append_p99_ms": round(float(np.quantile(taken, 0.99)) * 1e3, 3),
        "read_rows_per_s": round(read),
        "bytes_per_row": round(stored / count, 1),
    }
    for name, value in found.items():
        print(f"  {name}: {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
