"""How fast is `orita score`, and does its memory stay the same from a million rows to ten?

The world of the feed system with 1,000,000 interactions (10,000 users, 50,000 items) is ingested; a two-tower model
learns from it for one epoch, as this is about scoring and not about the model. Rows that ask are drawn at random, one
in fifty of a user or an item that nobody knows, as of times of the world's last half year; rows that have their
features are those of the training set, again and again. Each run is a process of its own, whose largest resident set
the system tells; it begins with an empty folder. A second argument scales the rows.

    python -m benchmarks.score           # last line: one JSON object
    python -m benchmarks.score . 0.1     # a tenth of the rows
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 5
USERS, ITEMS = 10_000, 50_000
BEGIN, END = 1_715_731_200_000_000, 1_731_628_800_000_000
ROWS = {"1m": 1_000_000, "10m": 10_000_000}
TRAINING = (
    *("--set", "training.epochs=1", "--set", "beside=[]"),
    *("--set", "evaluation.resamples=20", "--set", "evaluation.report=false"),
)


def main() -> None:
    """Make the world, score it, and print what was measured."""
    scale = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"world of 1,000,000 interactions, seed 42; rows drawn with seed {SEED}; {os.cpu_count()} cores")
        for words in (("run", "etl"), ("train",)):
            orita(folder, *TRAINING, *words)
        orita(folder, "models", "promote", "v1.1.0")
        for size, rows in ROWS.items():
            asking(folder / f"asking-{size}.parquet", int(rows * scale))
            brought(folder, folder / f"ready-{size}.parquet", int(rows * scale))
        for case, source, options in (
            ("computed", "asking", ()),
            ("ready", "ready", ()),
            ("top10", "asking", ("--top", "10")),
        ):
            for size in ROWS:
                figures |= measured(folder, f"{case}_{size}", f"{source}-{size}.parquet", *options)
            growth = figures[f"{case}_10m_peak_mib"] / figures[f"{case}_1m_peak_mib"]
            figures[f"{case}_growth"] = round(growth, 3)
            print(f"{case}: ten times the rows take {growth:.2f} times the memory", flush=True)
    print(json.dumps(figures))


def asking(file: Path, rows: int) -> None:
    """Write rows that ask for features."""
    rng = np.random.default_rng(SEED)
    devices = pa.array(["mobile", "desktop", "tablet"])
    schema = pa.schema([
        ("user_id", pa.int64()), ("item_id", pa.int64()), ("timestamp", pa.timestamp("us", "UTC")),
        ("device", pa.string()),
    ])  # fmt: skip
    with pq.ParquetWriter(file, schema) as writer:
        for start in range(0, rows, 1_000_000):
            n = min(1_000_000, rows - start)
            columns = [
                pa.array(rng.integers(0, USERS * 51 // 50, n)),
                pa.array(rng.integers(0, ITEMS * 51 // 50, n)),
                pa.array(rng.integers(BEGIN, END, n)).cast(pa.timestamp("us", "UTC")),
                devices.take(pa.array(rng.integers(0, 3, n))),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def brought(folder: Path, file: Path, rows: int) -> None:
    """Write rows that have their features: those of the training set, from its first row again after its last."""
    (held,) = folder.glob(".orita/training_sets/*/*/*/train.parquet")
    table = pq.read_table(held)
    with pq.ParquetWriter(file, table.schema) as writer:
        left = rows
        while left:
            part = table.slice(0, min(left, len(table)))
            writer.write_table(part)
            left -= len(part)


def measured(folder: Path, case: str, source: str, *options: str) -> dict[str, float]:
    """Score *source* in a process of its own; return rows a second, of the work and of all, and the peak in MiB."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command(folder, "score", source, "--out", case, *options, "--json"), cwd=folder, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    told: dict[str, Any] = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, case
    seconds, rows = time.perf_counter() - begun, told["rows"]["read"]
    found = {
        f"{case}_rows_per_s": round(told["rows_per_second"]),
        f"{case}_seconds": round(seconds, 1),
        f"{case}_peak_mib": round(used.ru_maxrss / 1024),
    }
    print(f"{case}: {rows:,} rows, {told['rows']['written']:,} written, {told['cold_start']}, {found}", flush=True)
    return found


def orita(folder: Path, *words: str) -> None:
    """Run a command to its end."""
    subprocess.run(command(folder, *words), cwd=folder, check=True, stdout=subprocess.DEVNULL)


def command(folder: Path, *words: str) -> list[str]:
    """Return the command line of ``orita`` on the home in *folder*."""
    return [sys.executable, "-m", "orita", "--quiet", "--home", str(folder / ".orita"), *words]


if __name__ == "__main__":
    main()
