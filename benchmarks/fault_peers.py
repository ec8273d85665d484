"""What Pandera and Evidently say of the same faults and clean batches, by what they infer from the same history.

    python -m benchmarks.fault_peers [--pandera PYTHON] [--evidently PYTHON] [--share 0.05] [--clean 10]

Each PYTHON is that of an environment which has the library (and pandas before 3), such as ``peer/bin/python`` after the
following, and the same in another folder with ``pandera.txt``:

    python -m venv peer && peer/bin/pip install -r benchmarks/peers/requirements/evidently.txt

Pandera infers from a week, Evidently
compares with a day of the same weekday as all batches. Of generated orders with each kind of fault in a share of the
rows, ``kinds`` are those that fail a check, ``kinds_beyond_clean`` those that fail one which no clean batch fails,
``clean`` the share of clean batches that fail any. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.fault_kinds import FAULTS, inject
from benchmarks.fault_worlds import Rows, generated_orders, table_of
from benchmarks.faults import Guard

_HISTORY = 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pandera", type=Path)
    parser.add_argument("--evidently", type=Path)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--clean", type=int, default=10)
    options = parser.parse_args()
    world = generated_orders(_HISTORY + 7 * options.clean + 7, seed=1)
    # Days of one weekday: what knows no weekdays is not asked about others.
    days = range(_HISTORY + 6, len(world.batches), 7)
    clean = {f"clean {at}": world.batches[at] for at in days[:-1]}
    last = days[-1]
    faulty = {
        fault.name: inject(fault, world.batches[last], world.roles, options.share, np.random.default_rng(number))
        for number, fault in enumerate(FAULTS)
    }
    guard, begun = Guard.learnt(world), time.perf_counter()
    ends = dict(zip(clean, days, strict=False))
    failed = {
        name: [finding.column + finding.what for finding in guard.checked(rows, ends.get(name, last)).findings]
        for name, rows in {**clean, **faulty}.items()
    }
    found = {"orita": _counted(failed, list(clean), time.perf_counter() - begun)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = pa.concat_tables([table_of(rows) for rows in world.batches[_HISTORY - 7 : _HISTORY]])
        pq.write_table(history, folder / "history.parquet")
        pq.write_table(table_of(world.batches[_HISTORY - 1]), folder / "reference.parquet")
        _write(folder, {**clean, **faulty})
        for peer in ("pandera", "evidently"):
            if (python := getattr(options, peer)) is not None:
                told = _asked(peer, python, folder)
                found[peer] = _counted(told["failed"], list(clean), told["seconds"])
    print(json.dumps(found))


def _write(folder: Path, batches: Mapping[str, Rows]) -> None:
    for name, rows in batches.items():
        pq.write_table(table_of(rows), folder / f"{name.replace('/', '∕')}.parquet")


def _asked(peer: str, python: Path, folder: Path) -> dict[str, object]:
    command = [str(python), "-m", "benchmarks.peers.fault_checkers", peer, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} did not run with {python}:\n{done.stderr[-2000:]}")
    told: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return told


def _counted(failed: object, clean: Sequence[str], seconds: object) -> dict[str, object]:
    assert isinstance(failed, dict)
    usual = {check for name in clean for check in failed[name]}
    kinds = {name: set(checks) for name, checks in failed.items() if name not in clean}
    return {
        "kinds": sum(bool(checks) for checks in kinds.values()),
        "kinds_beyond_clean": sum(bool(checks - usual) for checks in kinds.values()),
        "of": len(kinds),
        "clean": sum(bool(failed[name]) for name in clean) / len(clean),
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
