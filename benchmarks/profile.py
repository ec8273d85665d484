"""How fast is a profile, how exact, and does its room grow? A million rows of 25 columns, beside Evidently.

``make bench B=profile``; the last line is one JSON object. 20 numbers (normal, exponential, whole, with missing values)
and 5 categories (3 to 50,000 values), in memory as Arrow. ``seconds``: recent rows profiled and counted in the bins of
a kept reference, with KS and PSI of each column; the median of ``--runs``. ``both_seconds``: the reference too, read
twice. ``processor_seconds``: what the former took of processors, which other work of the machine does not lengthen.
``rank_error``: the largest of 99 quantiles of all numeric columns. ``index_difference``: the largest between KS and PSI
of counts and of rows, in the same bins. ``growth_mib``: resident memory between a tenth and the end of ``--rows``
streamed rows. ``ratio_evidently``: its summary and drift reports of both tables of ``--peer-rows`` rows, by ours.

    python -m benchmarks.profile [--runs 3] [--rows 5000000] [--peers PYTHON] [--peer-rows 1000000]

PYTHON is that of an environment which has Evidently (and pandas before 3), such as ``peer/bin/python`` after

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/evidently.txt
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from orita.monitoring.profiles.bins import NumberBins
from orita.monitoring.profiles.compare import compared
from orita.monitoring.profiles.profiler import profile_rows
from orita.monitoring.profiles.reference import bins_of, reference_profile
from orita.monitoring.profiles.table import TableProfile
from orita.stats.psi import bin_counts, psi_of_counts

_BATCH = 1 << 16
_CATEGORIES = (3, 10, 100, 1_000, 50_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table-rows", type=int, default=1_000_000)
    parser.add_argument("--rows", type=int, default=5_000_000, help="streamed to see memory grow; 0: none")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    options = parser.parse_args()
    reference, recent = _table(options.table_rows, 0), _table(options.table_rows, 1)
    found = _speed(reference, recent, options.runs) | _exactness(reference, recent)
    if options.rows:
        found["growth_mib"] = round(_growth(recent, options.rows), 1)
    if options.peers is not None:
        found |= _beside(options.peers, reference.slice(0, options.peer_rows), recent.slice(0, options.peer_rows))
    print(json.dumps(found))


def _table(rows: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for number in range(20):
        if number < 12:
            x = rng.normal(0.02 * seed, 1, rows)
        elif number < 15:
            x = rng.exponential(1 + 0.02 * seed, rows)
        elif number < 18:
            x = rng.integers(0, 10 ** (number - 12), rows).astype(np.float64)
        else:
            x = np.where(rng.random(rows) < 0.05, np.nan, rng.normal(size=rows))
        columns[f"number_{number}"] = pa.array(x, from_pandas=True)
    for number, values in enumerate(_CATEGORIES):
        texts = pa.array([f"value {value}" for value in range(values)])
        columns[f"category_{number}"] = texts.take(pa.array(rng.integers(0, values, rows)))
    return pa.table(columns)


def _speed(reference: pa.Table, recent: pa.Table, runs: int) -> dict[str, object]:
    seconds, processor, both = [], [], []
    for run in range(runs):
        begun = time.perf_counter()
        kept = reference_profile(lambda: reference.to_batches(_BATCH))
        middle, used = time.perf_counter(), time.process_time()
        _drift(kept, recent)
        end = time.perf_counter()
        seconds.append(end - middle)
        processor.append(time.process_time() - used)
        both.append(end - begun)
        print(
            f"  run {run}: recent {seconds[-1]:.2f} s ({processor[-1]:.2f} s of processors), both {both[-1]:.2f} s",
            flush=True,
        )
    return {
        "seconds": round(statistics.median(seconds), 3),
        "processor_seconds": round(statistics.median(processor), 3),
        "both_seconds": round(statistics.median(both), 3),
    }


def _drift(kept: TableProfile, recent: pa.Table) -> TableProfile:
    bins = {name: column.binned.bins for name, column in kept.columns.items() if column.binned is not None}
    found = profile_rows(recent.to_batches(_BATCH), bins=bins).whole()
    compared(kept, found)
    return found


def _exactness(reference: pa.Table, recent: pa.Table) -> dict[str, object]:
    kept = reference_profile(lambda: reference.to_batches(_BATCH))
    found = _drift(kept, recent)
    shares = np.arange(1, 100) / 100
    worst = apart = 0.0
    for difference in compared(kept, found):
        column = found.columns[difference.name]
        bins = column.binned.bins if column.binned is not None else None
        if not isinstance(bins, NumberBins):
            continue
        before, after = (_values(table, difference.name) for table in (reference, recent))
        present = np.sort(after[~np.isnan(after)])
        at = np.quantile(present, shares)
        true = np.searchsorted(present, at, side="right") / len(present)
        worst = max(worst, float(np.abs(np.array(column.quantiles.ranks(at.tolist())) - true).max()))
        counts = [bin_counts(values, np.array(bins.edges)) for values in (before, after)]
        below = [each[1:].cumsum() / each[1:].sum() for each in counts]
        assert difference.ks is not None
        assert difference.psi is not None
        apart = max(apart, abs(difference.ks - float(np.abs(below[0] - below[1]).max())))
        apart = max(apart, abs(difference.psi - psi_of_counts(*counts)))
    return {"rank_error": round(worst, 5), "index_difference": apart}


def _values(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def _growth(table: pa.Table, rows: int) -> float:
    """Return how many MiB of resident memory come between a tenth of so many streamed rows and their end."""
    bins = bins_of(profile_rows(table.slice(0, _BATCH).to_batches()).whole())
    seen: list[float] = []

    def batches() -> Iterator[pa.RecordBatch]:
        whole = table.to_batches(_BATCH)
        given, turn = 0, 0
        while given < rows:
            batch = whole[turn % len(whole)]
            moved = [
                pa.array(values.to_numpy(zero_copy_only=False) + turn * 1e-7, from_pandas=True)
                if pa.types.is_floating(values.type)
                else values
                for values in batch.columns
            ]
            given, turn = given + len(batch), turn + 1
            if given >= rows / 10 * (len(seen) + 1):
                seen.append(_resident())
            yield pa.record_batch(moved, batch.schema.names)

    profile_rows(batches(), bins=bins)
    print(
        f"  resident memory at each tenth of {rows:,} rows: {', '.join(f'{mib:.0f}' for mib in seen)} MiB", flush=True
    )
    return seen[-1] - seen[0]


def _resident() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _beside(python: Path, reference: pa.Table, recent: pa.Table) -> dict[str, object]:
    begun = time.perf_counter()
    _drift(reference_profile(lambda: reference.to_batches(_BATCH)), recent)
    ours = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "reference.parquet", Path(folder) / "recent.parquet"]
        for path, table in zip(paths, (reference, recent), strict=True):
            pq.write_table(table, path)
        command = [str(python), "-m", "benchmarks.peers.evidently_profile", *map(str, paths)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode:
        raise SystemExit(f"Evidently did not run with {python}:\n{told.stderr[-2000:]}")
    peer = json.loads(told.stdout.splitlines()[-1])
    print(
        f"  {len(recent):,} rows: ours {ours:.2f} s, Evidently {peer['seconds']:.1f} s, {peer['peak_mib']:.0f} MiB",
        flush=True,
    )
    return {
        "peer_rows": len(recent),
        "evidently_seconds": round(peer["seconds"], 2),
        "ratio_evidently": round(peer["seconds"] / ours, 1),
    }


if __name__ == "__main__":
    main()
